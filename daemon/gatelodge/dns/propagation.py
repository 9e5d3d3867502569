"""
Waits until every name server of a zone has a record: what the CA will ask.

All names wait together, and each server is asked itself. A server that answers wrongly counts as lacking; one that never answers
counts as dead after some rounds, while others answer, since the CA's resolver passes over it too. Where port 53 cannot be used,
DNS-over-HTTPS services are asked; where nothing can, time is all there is.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import functools
import itertools
from typing import TYPE_CHECKING

from gatelodge.dns.asking import NoAnswer
from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from gatelodge.dns.asking import Answer
    from gatelodge.dns.resolver import PublicResolver, Zone
    from gatelodge.ports import Clock

#: Seconds between two looks at the name servers; the last goes on. They are asked for what nobody has cached, so that soon is kind.
_WAITS = (0.3, 0.7, 1.0, 2.0, 3.0, 5.0)

#: Seconds between two looks at caching services: a "no" is repeated for as long as the zone says.
_CACHED_WAITS = (8.0, 12.0, 15.0)

#: A server that did not answer in so many rounds in a row is dead, when others do.
_DEAD_AFTER = 3

#: Caching services that should have seen a record: one may have asked the only server that has it.
_WITNESSES = 2

_SHOWN = 3


@dataclasses.dataclass(kw_only=True)
class _Watch:
    """
    One name, and what it must have.
    """

    name: str
    values: frozenset[str]
    zone: Zone | None
    done: bool = False

    @property
    def direct(self) -> bool:
        return self.zone is not None and self.zone.direct


@dataclasses.dataclass(kw_only=True, eq=False)
class _Source:
    """
    One that can be asked: an address of a name server, or a DNS-over-HTTPS service.

    `found` are the names of which it had everything, `lacking` says why it has not others; `denies` is until when a cache repeats
    a "no", and `spoilt` that it was asked before there was anything to find.
    """

    label: str
    ask: Callable[[str], Awaitable[Answer]]
    authoritative: bool
    spoilt: bool = False
    watches: list[_Watch] = dataclasses.field(default_factory=list)
    found: set[str] = dataclasses.field(default_factory=set)
    lacking: dict[str, str] = dataclasses.field(default_factory=dict)
    why: str = ""
    heard: bool = False
    silent: int = 0
    unreachable: bool = False
    denies: float = 0

    @property
    def alive(self) -> bool:
        return self.heard and self.silent < _DEAD_AFTER

    @property
    def gone(self) -> bool:
        return self.unreachable or self.silent >= _DEAD_AFTER

    @property
    def lacks_some(self) -> bool:
        return any(watch.name in self.lacking for watch in self.watches if not watch.done)

    async def look(self, now: float, *, thorough: bool = False) -> None:
        """
        Ask for what it lacked: for one name first, and for the others only when that is there. Who lags, lags in all of a zone; who
        is dead costs time but once.
        """
        left = [watch for watch in self.watches if not watch.done and watch.name not in self.found]
        if not left:
            return
        # When it is silent, that may be about the one name.
        first = left.pop(self.silent % len(left))
        if not await self._ask(first, now):
            self.silent += 1
        elif thorough or first.name in self.found:
            async with asyncio.TaskGroup() as group:
                for watch in left:
                    group.create_task(self._ask(watch, now))

    async def _ask(self, watch: _Watch, now: float) -> bool:
        try:
            said = await self.ask(watch.name)
        except NoAnswer as error:
            self.unreachable = error.unreachable
            self.why = self.lacking[watch.name] = str(error)
            return False
        self.heard, self.silent, self.unreachable = True, 0, False
        if self.authoritative and said.usable and not said.authoritative:
            why = "somebody answers in its name, or it does not hold the zone (there is no AA flag)"
        elif watch.values <= said.values:
            self.found.add(watch.name)
            self.lacking.pop(watch.name, None)
            return True
        elif said.values & watch.values:
            why = f"it has {len(said.values & watch.values)} of {len(watch.values)} values"
        else:
            why = f"it answered {said}"
        self.why = self.lacking[watch.name] = why
        self.denies = max(self.denies, now + said.lasts)
        return True


class Propagation:
    """
    One wait for some names.
    """

    def __init__(
        self,
        *,
        resolver: PublicResolver,
        clock: Clock,
        kind: str,
        within: dt.timedelta,
        progress: Callable[[str], None],
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self._kind = kind
        self._within = within
        self._progress = progress
        self._servers: dict[tuple[str, str], _Source] = {}
        self._services: list[_Source] = []

    async def wait(self, wanted: Mapping[str, frozenset[str]]) -> None:
        """
        Return once all names have all of their values everywhere, as `ports.Resolver` says.
        """
        deadline = self._clock.monotonic() + self._within.total_seconds()
        zones = await self._zones(list(wanted))
        watches = [_Watch(name=name, values=values, zone=zones[name]) for name, values in wanted.items()]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_servers([each for each in watches if each.direct], deadline))
            group.create_task(self._watch_services([each for each in watches if not each.direct], deadline))
        late = [watch for watch in watches if not watch.done]
        if late:
            raise DnsError(self._problem(late))

    async def _zones(self, names: list[str]) -> dict[str, Zone | None]:
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(self._zone(name)) for name in names}
        return {name: task.result() for name, task in tasks.items()}

    async def _zone(self, name: str) -> Zone | None:
        try:
            return await self._resolver.zone(name)
        except DnsError:
            return None

    # Name servers

    async def _watch_servers(self, watches: list[_Watch], deadline: float) -> None:
        for watch in watches:
            for place in watch.zone.addresses if watch.zone else ():
                self._server(place).watches.append(watch)
        for turn in itertools.count():
            last = self._clock.monotonic() >= deadline
            async with asyncio.TaskGroup() as group:
                for source in self._servers.values():
                    group.create_task(source.look(self._clock.monotonic(), thorough=last))
            for watch in watches:
                watch.done = watch.done or self._everywhere(watch)
            if last or all(watch.done for watch in watches):
                return
            self._tell(watches)
            await self._pause(_WAITS, turn, deadline)

    def _server(self, place: tuple[str, str]) -> _Source:
        server, address = place
        return self._servers.setdefault(
            place,
            _Source(
                label=f"{server} ({address})",
                ask=functools.partial(self._resolver.ask, address, kind=self._kind),
                authoritative=True,
            ),
        )

    def _everywhere(self, watch: _Watch) -> bool:
        """
        Tell whether all servers have a name's values, but for dead ones: those are passed over while another has them and lives.
        """
        own = self._sources(watch)
        having = [source for source in own if watch.name in source.found]
        return any(source.alive for source in having) and all(source in having or source.gone for source in own)

    def _sources(self, watch: _Watch) -> list[_Source]:
        if not watch.direct:
            return self._services
        return [self._servers[place] for place in (watch.zone.addresses if watch.zone else ())]

    # DNS over HTTPS

    async def _watch_services(self, watches: list[_Watch], deadline: float) -> None:
        """
        Look for records at caching services, gently: what is asked for too early is denied for a while.
        """
        if not watches:
            return
        self._services = [
            _Source(
                label=url,
                ask=functools.partial(self._resolver.ask_service, url, kind=self._kind),
                authoritative=False,
                spoilt=spoilt,
                watches=watches,
            )
            for url, spoilt in self._resolver.services
        ]
        for turn in itertools.count():
            await self._pause(_CACHED_WAITS, turn, deadline)
            now = self._clock.monotonic()
            last = now >= deadline
            gagged = {source.label for source in self._services if source.denies > now}
            await self._question(gagged, now, last=last)
            for watch in watches:
                watch.done = watch.done or self._witnessed(watch, gagged if last else set())
            if last or all(watch.done for watch in watches):
                break
            self._tell(watches)
        if not any(source.heard for source in self._services):
            # Nobody can be asked at all. The provider took the records, and the time that it may need has passed.
            for watch in watches:
                watch.done = True

    async def _question(self, gagged: set[str], now: float, *, last: bool) -> None:
        """
        Ask one service after the other, and no more of them once one says no, since each would repeat that for long, or once two have
        said yes. In the end, ask all.
        """
        if last:
            async with asyncio.TaskGroup() as group:
                for source in self._services:
                    group.create_task(source.look(now, thorough=True))
            return
        able = [source for source in self._services if source.label not in gagged]
        if gagged and sum(not source.spoilt for source in able) == 1:
            # The only one that can still say yes is kept for the end, or until another can again.
            able = [source for source in able if source.spoilt]
        for source in able:
            await source.look(now)
            no = source.lacks_some and source.silent == 0 and not source.spoilt
            if no or all(watch.done or len(self._seen(watch)) >= _WITNESSES for watch in source.watches):
                return

    def _seen(self, watch: _Watch) -> list[_Source]:
        return [source for source in self._services if watch.name in source.found]

    def _witnessed(self, watch: _Watch, excused: set[str]) -> bool:
        """
        Tell whether services enough have seen a name's values: two, or as many as can know.
        """
        seen = self._seen(watch)
        doubting = [
            source
            for source in self._services
            if source.alive and not source.spoilt and source not in seen and source.label not in excused
        ]
        return len(seen) >= _WITNESSES or (bool(seen) and not doubting)

    # Both

    async def _pause(self, waits: tuple[float, ...], turn: int, deadline: float) -> None:
        """
        Wait for the next round; the last is at the deadline.
        """
        left = deadline - self._clock.monotonic()
        if left > 0:
            await self._clock.sleep(min(waits[min(turn, len(waits) - 1)], left))

    def _tell(self, watches: list[_Watch]) -> None:
        left = [watch for watch in watches if not watch.done]
        lacks, *more = self._lacks(left) or [f"nobody can be asked for {_listed(watch.name for watch in left)}"]
        self._progress(f"waiting for the DNS: {lacks}" + (f" (and {len(more)} more)" if more else ""))

    def _lacks(self, late: list[_Watch]) -> list[str]:
        """
        Say who lacks what, and why.
        """
        told: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
        for watch in late:
            own = self._sources(watch)
            for source in own:
                passed_over = source.gone and any(other.alive for other in own)
                why = source.lacking.get(watch.name, source.why)
                if watch.name not in source.found and why and not passed_over:
                    told[source.label, why].append(watch.name)
        return [
            f"{label} has not the {self._kind} record of {_listed(names)}: {why}"
            for (label, why), names in sorted(told.items())
        ]

    def _problem(self, late: list[_Watch]) -> Problem:
        told = self._lacks(late) or [f"nobody could be asked for {_listed(watch.name for watch in late)}"]
        more = f" (and {len(told) - _SHOWN} more)" if len(told) > _SHOWN else ""
        remedy = "look at that name server, and at the records of the zone"
        if self._kind == "TXT":
            remedy = (
                "the CA was not asked. Raise `wait` of this provider in [dns] when the name server is only slow, "
                "otherwise have it mended"
            )
        return Problem(
            type="propagation",
            detail=f"after {self._within.total_seconds():g} s {'; '.join(told[:_SHOWN])}{more}; {remedy}",
        )


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = len(found) - _SHOWN
    return ", ".join(found[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
