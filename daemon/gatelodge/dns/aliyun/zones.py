"""
Knows the zones of an account: which of them holds a name, how Alidns spells it, and who its name servers are.

The list is asked for once for all who need it at a time. Names here are A-labels in lower case; Alidns may spell a zone in Unicode.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import idna

from gatelodge.dns.aliyun.errors import Meaning, Refusal
from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.dns.aliyun.api import Api
    from gatelodge.ports import Clock

#: The most zones a page (https://help.aliyun.com/document_detail/29751.html).
_A_PAGE = 100

#: How long the list is good; and how old it must be to be asked for again because it lacks a name. Seconds.
FRESH = 600.0
AGAIN = 30.0

_MOST_SHOWN = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """
    A zone: its name, how Alidns spells it, and its name servers as far as they are known.
    """

    name: str
    spelling: str
    servers: frozenset[str]


class Zones:
    """
    One account's zones.
    """

    def __init__(self, *, api: Api, clock: Clock, account: str) -> None:
        """
        Args:
            account: what people call it: the NAME of `[dns.NAME]`.
        """
        self._api = api
        self._clock = clock
        self._account = account
        self._known: dict[str, Zone] = {}
        self._listed_at: float | None = None
        self._listing = asyncio.Lock()
        self._failed: tuple[float, DnsError] | None = None
        # Zones whose name servers Alidns does not tell.
        self._untold: set[str] = set()

    async def holding(self, name: str) -> str:
        """
        Return the zone with the longest suffix of a name.

        Raises:
            DnsError: `dnsZone`: there is none; or the list cannot be had.
        """
        known: Mapping[str, Zone] = {}
        for oldest in (FRESH, AGAIN):
            known = await self._list(oldest)
            fit = [zone for zone in known if name == zone or name.endswith(f".{zone}")]
            if fit:
                return max(fit, key=len)
        first = ", ".join(sorted(known)[:_MOST_SHOWN]) + (" …" if len(known) > _MOST_SHOWN else "")
        raise DnsError(
            Problem(
                type="dnsZone",
                detail=f"{name}: no zone of {self._account} (Aliyun) holds it; its account has {first or 'none at all'}; add the "
                "domain in the Alidns console, or give the key of the account that has it",
            )
        )

    async def spelling(self, zone: str) -> str:
        """
        Return how Alidns spells a zone. Only a name with A-labels of IDNA can be spelled otherwise.

        Raises:
            DnsError: the list cannot be had.
        """
        if "xn--" not in zone:
            return zone
        known = (await self._list(FRESH)).get(zone)
        return known.spelling if known else zone

    async def servers(self, zone: str) -> frozenset[str] | None:
        """
        Return a zone's name servers; None when Alidns does not say.

        Raises:
            DnsError: it cannot be asked.
        """
        known = (await self._list(FRESH)).get(zone)
        if (known is None or not known.servers) and zone not in self._untold:
            try:
                parameters = {"DomainName": known.spelling if known else zone}
                said = await self._api.call("DescribeDomainInfo", parameters, what=zone)
            except Refusal as refusal:
                if refusal.meaning is Meaning.PERMISSION:
                    self._untold.add(zone)
                    return None
                raise refusal.about(zone) from None
            known = Zone(name=zone, spelling=known.spelling if known else zone, servers=_servers(said))
            self._known[zone] = known
        return (known.servers or None) if known else None

    def forget(self) -> None:
        """
        Have the list asked for again when it is next needed: something in it was wrong.
        """
        self._listed_at = None

    async def _list(self, oldest: float) -> Mapping[str, Zone]:
        """
        Return the zones as listed at most so many seconds ago. Who comes while they are listed waits for that, also for its failure.
        """
        came = self._clock.monotonic()
        async with self._listing:
            if self._failed is not None and self._failed[0] > came:
                raise self._failed[1]
            now = self._clock.monotonic()
            if self._listed_at is None or now - self._listed_at > oldest:
                found: dict[str, Zone] = {}
                try:
                    async for page in self._api.pages("DescribeDomains", {}, size=_A_PAGE, what=self._account):
                        found |= {zone.name: zone for zone in _zones(page)}
                except (Refusal, DnsError) as error:
                    about = f"the zones of {self._account}"
                    told = error.about(about) if isinstance(error, Refusal) else error
                    self._failed = (self._clock.monotonic(), told)
                    raise told from None
                self._known, self._listed_at = found, self._clock.monotonic()
            return self._known


def a_labels(name: str) -> str:
    """
    Return a name as A-labels in lower case; as it is where IDNA does not know it.
    """
    name = name.lower().rstrip(".")
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        return name


def rows(page: Mapping[str, Any], outer: str, inner: str) -> list[Mapping[str, Any]]:
    """
    Return the rows of a list, which Alidns wraps twice.
    """
    found = page.get(outer)
    inside = found.get(inner) if isinstance(found, dict) else None
    return [row for row in inside if isinstance(row, dict)] if isinstance(inside, list) else []


def _zones(page: Mapping[str, Any]) -> list[Zone]:
    # PunyCode is empty for names that need none.
    return [
        Zone(
            name=a_labels(str(row.get("PunyCode") or row["DomainName"])),
            spelling=str(row["DomainName"]),
            servers=_servers(row),
        )
        for row in rows(page, "Domains", "Domain")
        if row.get("DomainName")
    ]


def _servers(row: Mapping[str, Any]) -> frozenset[str]:
    found = row.get("DnsServers")
    names = found.get("DnsServer") if isinstance(found, dict) else None
    return frozenset(a_labels(str(name)) for name in names) if isinstance(names, list) else frozenset()
