"""
Looks up what the world's DNS says: where a name leads, which zone holds it, who publishes that zone, and how to ask those servers.

A home's network may block port 53, or answer in the name of every server. Both are noticed, since a name server speaks with
authority of its own zone (the AA flag) and a resolver does not; then DNS-over-HTTPS services are asked instead. Nothing here waits
for a record: that is `propagation`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
import weakref
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.name

from gatelodge.core.caa import Record
from gatelodge.dns.asking import Answer, Asker, NoAnswer
from gatelodge.dns.caches import Caches
from gatelodge.dns.propagation import Propagation
from gatelodge.errors import DnsError, Problem
from gatelodge.ports import Authority

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from gatelodge.ports import Clock, Http

#: CNAMEs that are followed, one after the other. Resolvers give up earlier.
MOST_CNAMES = 50

#: Addresses of one zone's name servers that are asked: the root has 26. More are somebody's joke.
MOST_ADDRESSES = 40

#: What was found of a zone is good for so long. Seconds.
_FRESH = 60.0

#: Names of a chain that are shown.
_SHOWN = 4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """
    A zone and its name servers: host names, and those addresses of them that speak of it with authority or did not answer yet.

    `direct` is false when port 53 leads nowhere, or to somebody else.
    """

    name: str
    servers: frozenset[str]
    addresses: tuple[tuple[str, str], ...]
    direct: bool

    @property
    def public(self) -> bool:
        """
        True when some name server has an address of the internet; one without is a LAN's, with a view of its own.
        """
        return any(ipaddress.ip_address(address).is_global for _, address in self.addresses)


class PublicResolver:
    """
    Implements `ports.Resolver`.
    """

    def __init__(
        self,
        *,
        servers: Sequence[str],
        doh: Sequence[str] | None,
        http: Http,
        clock: Clock,
        port: int = 53,
    ) -> None:
        """
        Args:
            servers: recursive resolvers, `ADDRESS:PORT`; none for the machine's own.
            doh: URLs of DNS-over-HTTPS services; None for the built-in ones.
            port: where authoritative name servers are asked.
        """
        self._clock = clock
        self._port = port
        self._asker = Asker(http=http, clock=clock)
        self._caches = Caches(servers=servers, doh=doh, asker=self._asker, clock=clock)
        self._zones: dict[str, tuple[float, Zone]] = {}
        self._holders: dict[str, tuple[float, Zone]] = {}
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def canonical(self, name: str) -> str:
        """
        Follow CNAMEs, as `ports.Resolver` says.
        """
        _check(name)
        seen = [name]
        while (target := (await self._fresh(seen[-1], "CNAME")).cname) is not None:
            if target in seen or len(seen) > MOST_CNAMES:
                what = "in a circle" if target in seen else f"through more than {MOST_CNAMES} CNAMEs"
                way = [*seen[:_SHOWN], *(["…"] if len(seen) > _SHOWN else []), target]
                raise DnsError(
                    Problem(
                        type="dnsRecord",
                        detail=f"{name}: CNAME records lead {what}: {' → '.join(way)}; remove or mend one of them",
                    )
                )
            seen.append(target)
        return seen[-1]

    async def caa(self, name: str, *, fresh: bool = False) -> tuple[Record, ...]:
        """
        Return the CAA records at a name, as `ports.Resolver` says.
        """
        owner, values = await self._followed(name, "CAA", fresh=fresh)
        return tuple(_record(owner, value) for value in sorted(values))

    async def addresses(self, name: str, kind: str) -> tuple[str, ...]:
        """
        Return the addresses under a name, as `ports.Resolver` says.
        """
        # Past the resolver of a LAN, which may know the name by an address of that LAN.
        _, values = await self._followed(name, kind, fresh=True)
        return tuple(sorted(values))

    async def authority(self, name: str) -> Authority:
        """
        Return the zone that holds a name, as `ports.Resolver` says.
        """
        zone = await self.zone(name)
        return Authority(zone=zone.name, servers=zone.servers)

    async def wait_for(
        self,
        wanted: Mapping[str, frozenset[str]],
        *,
        kind: str,
        within: dt.timedelta,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """
        Return once all name servers have all values, as `ports.Resolver` says.
        """
        await Propagation(
            resolver=self, clock=self._clock, kind=kind, within=within, progress=progress or (lambda _: None)
        ).wait(wanted)

    @property
    def services(self) -> tuple[tuple[str, bool], ...]:
        """
        The DNS-over-HTTPS services, as `Caches.services`.
        """
        return self._caches.services

    async def ask(self, address: str, name: str, *, kind: str) -> Answer:
        """
        Ask an authoritative server.

        Raises:
            NoAnswer: it did not answer.
        """
        return await self._asker.server(address, self._port, name, kind)

    async def ask_service(self, url: str, name: str, *, kind: str) -> Answer:
        """
        Ask a DNS-over-HTTPS service.

        Raises:
            NoAnswer: it did not answer.
        """
        return await self._asker.service(url, name, kind, hurried=True)

    async def zone(self, name: str) -> Zone:
        """
        Return the zone that holds a name, and how its servers can be asked.

        Raises:
            DnsError: as `authority`.
        """
        _check(name)
        now = self._clock.monotonic()
        kept = self._holders.get(name)
        if kept is not None and now - kept[0] < _FRESH:
            return kept[1]
        self._holders = {each: held for each, held in self._holders.items() if now - held[0] < _FRESH}
        found = await self._holder(name)
        self._holders[name] = (now, found)
        return found

    async def _holder(self, name: str) -> Zone:
        answered, second_best = False, None
        troubles = []
        for look_up in (self._caches.recursive, self._caches.over_https):
            try:
                found = await self._zone(name, look_up)
            except NoAnswer as error:
                troubles.append(str(error))
                continue
            answered = True
            if found is not None and found.direct and found.public:
                return found
            # No zone, servers that do not speak for themselves, or some of this LAN: the other way may know better.
            second_best = found or second_best
        if second_best is not None:
            return second_best
        if answered:
            raise DnsError(
                Problem(
                    type="dnsZone",
                    detail=f"{name}: the public DNS has no zone that holds it; is the domain registered, with name servers?",
                )
            )
        raise DnsError(
            Problem(
                type="dnsProvider",
                detail=f"{name}: its zone cannot be looked up: {'; '.join(troubles)}; look at this machine's network, or name "
                "other servers in [resolver]",
            )
        )

    async def _zone(self, name: str, look_up: Callable[[str, str], Any]) -> Zone | None:
        """
        Find a zone by its SOA, from the name upwards (RFC 1035 §3.3.13).
        """
        labels = name.split(".")
        for start in range(len(labels) - 1):
            candidate = ".".join(labels[start:])
            said: Answer = await look_up(candidate, "SOA")
            if said.cname is None and said.zone is not None:
                # A public suffix is nobody's zone to publish in, and a root that answers for everything is a liar.
                return await self._known(said.zone, look_up) if "." in said.zone.strip(".") else None
        return None

    async def _known(self, zone: str, look_up: Callable[[str, str], Any]) -> Zone:
        key = f"{zone} {look_up.__name__}"
        # Who looks for the same thing waits for the first one's answer.
        async with self._turns.setdefault(key, asyncio.Lock()):
            kept = self._zones.get(key)
            if kept is not None and self._clock.monotonic() - kept[0] < _FRESH:
                return kept[1]
            found = await self._explored(zone, look_up)
            self._zones[key] = (self._clock.monotonic(), found)
            return found

    async def _explored(self, zone: str, look_up: Callable[[str, str], Any]) -> Zone:
        """
        Find a zone's name servers and their addresses, and try each of them.
        """
        servers: frozenset[str] = (await look_up(zone, "NS")).values
        async with asyncio.TaskGroup() as group:
            looking = [
                (server, group.create_task(_addresses(look_up, server, kind)))
                for server in sorted(servers)[:MOST_ADDRESSES]
                for kind in ("A", "AAAA")
            ]
        places = [(server, address) for server, task in looking for address in task.result()][:MOST_ADDRESSES]
        async with asyncio.TaskGroup() as group:
            tries = [(place, group.create_task(self._speaks(place[1], zone))) for place in places]
        return Zone(
            name=zone,
            servers=servers,
            addresses=tuple(place for place, task in tries if task.result() is not False),
            direct=any(task.result() for _, task in tries),
        )

    async def _speaks(self, address: str, zone: str) -> bool | None:
        """
        Tell whether a server speaks of a zone with authority; None when it did not answer, or not for itself.
        """
        try:
            said = await self.ask(address, zone, kind="SOA")
        except NoAnswer as error:
            return False if error.unreachable else None
        if said.usable and not said.authoritative:
            return False  # somebody answers in its name
        return True if said.authoritative else None

    async def _followed(self, name: str, kind: str, *, fresh: bool) -> tuple[str, frozenset[str]]:
        """
        Look records up, CNAME after CNAME. Returns where they stand, and what they say.
        """
        _check(name)
        at = name
        for _ in range(MOST_CNAMES):
            said = await (self._fresh(at, kind) if fresh else self._cached(at, kind))
            if said.values or said.cname is None:
                return at, said.values
            at = said.cname
        raise DnsError(
            Problem(type="dnsRecord", detail=f"{name}: CNAME records lead through more than {MOST_CNAMES} names")
        )

    async def _cached(self, name: str, kind: str) -> Answer:
        """
        Look a name up, quickly.

        Raises:
            DnsError: `dnsProvider`: nothing answers.
        """
        return await self._caches.by_any((self._caches.recursive, self._caches.over_https), name, kind)

    async def _fresh(self, name: str, kind: str) -> Answer:
        """
        Look a name up past all caches where that is possible.

        Raises:
            DnsError: `dnsProvider`: nothing answers.
        """
        zone = None
        with contextlib.suppress(DnsError):
            zone = await self.zone(name)
        if zone is not None and zone.direct:
            for _, address in zone.addresses:
                with contextlib.suppress(NoAnswer):
                    said = await self._asker.server(address, self._port, name, kind, hurried=True)
                    if said.usable and said.authoritative:
                        return said
        return await self._caches.by_any((self._caches.over_https, self._caches.recursive), name, kind)


async def _addresses(look_up: Callable[[str, str], Any], server: str, kind: str) -> list[str]:
    try:
        return sorted((await look_up(server, kind)).values)
    except NoAnswer:
        return []


def _check(name: str) -> None:
    """
    Refuse a name that no question can hold.
    """
    try:
        dns.name.from_text(name)
    except (dns.exception.DNSException, ValueError) as error:
        raise DnsError(
            Problem(type="dnsRecord", detail=f"{name} is no name that the DNS can hold: {error}; shorten it")
        ) from None


def _record(owner: str, value: str) -> Record:
    flags, tag, said = value.split(" ", 2)
    return Record(owner=owner, flags=int(flags), tag=tag, value=said)
