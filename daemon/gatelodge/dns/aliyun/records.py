"""
Looks records up: those of exactly one name, whatever Alidns's filters find besides.

It changes nothing.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import TYPE_CHECKING, Any

from gatelodge.dns.aliyun.errors import Meaning, Refusal
from gatelodge.dns.aliyun.zones import a_labels, rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gatelodge.dns.aliyun.api import Api, Patience
    from gatelodge.dns.aliyun.zones import Zones

#: The line that every visitor is on for whom there is no other.
DEFAULT_LINE = "default"

#: The most a page: https://help.aliyun.com/document_detail/29778.html, https://help.aliyun.com/document_detail/29776.html.
_OF_A_NAME = 100
_OF_A_ZONE = 500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    A record as Alidns has it, with its value in the form we compare. One that is not `enabled` is not published.
    """

    id: str
    kind: str
    value: str
    line: str
    ttl: int | None
    enabled: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class Records:
    """
    The records of one account.
    """

    def __init__(self, *, api: Api, zones: Zones) -> None:
        self._api = api
        self._zones = zones

    async def under(self, zone: str, name: str, patience: Patience | None = None) -> list[Record]:
        """
        List the records of exactly one name, on all lines, switched on or off.

        Raises:
            Refusal, DnsError: it cannot be told.
        """
        spelling = await self._zones.spelling(zone)
        # With DomainName given, SubDomain is taken apart by it, so that a zone within a zone is told from its parent.
        full = spelling if name == zone else f"{relative(name, zone)}.{spelling}"
        pages = self._api.pages(
            "DescribeSubDomainRecords", {"SubDomain": full, "DomainName": spelling},
            size=_OF_A_NAME, what=name, patience=patience,
        )  # fmt: skip
        try:
            return await _listed(pages, zone, name)
        except Refusal as refusal:
            if refusal.meaning is not Meaning.PERMISSION:
                raise
        return await self.searched(zone, name, patience)

    async def searched(self, zone: str, name: str, patience: Patience | None = None) -> list[Record]:
        """
        List the same by another way: all records of the zone whose name holds ours, as a part of it.

        Raises:
            Refusal, DnsError: it cannot be told.
        """
        parameters = {"DomainName": await self._zones.spelling(zone), "RRKeyWord": relative(name, zone)}
        pages = self._api.pages("DescribeDomainRecords", parameters, size=_OF_A_ZONE, what=name, patience=patience)
        return await _listed(pages, zone, name)

    async def called(self, record_id: str, zone: str, name: str) -> list[Record]:
        """
        Return the record of an id, if there is one and it is of this name.

        Raises:
            Refusal, DnsError: it cannot be told.
        """
        try:
            row = await self._api.call("DescribeDomainRecordInfo", {"RecordId": record_id}, what=name)
        except Refusal as refusal:
            # Where that may not be asked, what the list of the name said must do.
            if refusal.meaning in (Meaning.GONE, Meaning.PERMISSION):
                return []
            raise
        here = a_labels(str(row.get("DomainName", ""))) == zone
        return _of(row, relative(name, zone)) if here else []


async def _listed(pages: AsyncIterator[Mapping[str, Any]], zone: str, name: str) -> list[Record]:
    rr = relative(name, zone)
    return [record async for page in pages for row in rows(page, "DomainRecords", "Record") for record in _of(row, rr)]


def relative(name: str, zone: str) -> str:
    """
    Return a name relative to its zone, as Alidns has it: `@` for the zone itself.
    """
    return "@" if name == zone else name.removesuffix(f".{zone}")


def _of(row: Mapping[str, Any], rr: str) -> list[Record]:
    """
    Return the record of a row when it is of this name.
    """
    if a_labels(str(row.get("RR", ""))) != rr or not row.get("RecordId"):
        return []
    kind, ttl = str(row.get("Type", "")).upper(), row.get("TTL")
    return [
        Record(
            id=str(row["RecordId"]),
            kind=kind,
            value=_canonical(kind, str(row.get("Value", ""))),
            line=str(row.get("Line") or DEFAULT_LINE),
            ttl=ttl if isinstance(ttl, int) else None,
            # Spelled ENABLE and Enable in places.
            enabled=str(row.get("Status") or "ENABLE").upper() == "ENABLE",
        )
    ]


def _canonical(kind: str, value: str) -> str:
    match kind:
        case "A" | "AAAA":
            return address(value)
        case "CNAME":
            return a_labels(value)
        case "TXT":
            return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
        case _:
            return value


def address(text: str) -> str:
    """
    Return an address in its canonical form; as it is when it is none.
    """
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
