"""
Publishes records at Aliyun DNS (Alidns).

It decides what each answer of Alidns means for a record. It never deletes by name: only a record whose name, type and value were
seen to be exactly the ones asked for. API: https://help.aliyun.com/zh/dns/api-alidns-2015-01-09-overview.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from gatelodge.dns.aliyun.api import Api
from gatelodge.dns.aliyun.credentials import keys_of
from gatelodge.dns.aliyun.errors import Meaning, Refusal
from gatelodge.dns.aliyun.identity import Identity
from gatelodge.dns.aliyun.records import DEFAULT_LINE, Record, Records, relative
from gatelodge.dns.aliyun.records import address as canonical
from gatelodge.dns.aliyun.zones import Zones
from gatelodge.errors import DnsError, Problem
from gatelodge.ports import Standing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from gatelodge.dns.aliyun.api import Patience
    from gatelodge.dns.providers import Parts
    from gatelodge.model import DnsSettings
    from gatelodge.ports import Clock, Excess, TxtRecord

#: The least TTL of the free and personal editions, in seconds (https://www.alibabacloud.com/help/en/dns/ttl-definition).
LEAST_TTL = 600


def make(settings: DnsSettings, parts: Parts) -> Aliyun:
    """
    Make the provider of a `[dns.NAME]`.
    """
    keys = keys_of(settings.options, http=parts.http, clock=parts.clock)
    api = Api(endpoint=settings.endpoint, keys=keys, http=parts.http, clock=parts.clock, spread=random.random)
    line = settings.options.get("line")
    return Aliyun(
        account=settings.name,
        api=api,
        identity=Identity(endpoint=settings.endpoint, keys=keys, http=parts.http),
        clock=parts.clock,
        ttl=settings.ttl,
        line=str(line) if line else DEFAULT_LINE,
    )


class Aliyun:
    """
    Implements `ports.AddressProvider` and `ports.KeyHolder`.
    """

    def __init__(self, *, account: str, api: Api, identity: Identity, clock: Clock, ttl: int | None, line: str) -> None:
        self._api = api
        self._identity = identity
        self._zones = Zones(api=api, clock=clock, account=account)
        self._records = Records(api=api, zones=self._zones)
        self._ttl = ttl
        self._line = line
        # Zones whose edition has refused a shorter TTL.
        self._slow: set[str] = set()

    async def excess(self) -> Excess | None:
        """
        Say whether the key is the main account's, as `ports.KeyHolder` says.
        """
        return await self._identity.excess()

    async def zone_of(self, name: str) -> str:
        """
        Return the account's zone with the longest suffix of a name, as `ports.DnsProvider` says.
        """
        return await self._zones.holding(name)

    async def name_servers(self, zone: str) -> frozenset[str] | None:
        """
        Return the name servers that Aliyun assigned to a zone, as `ports.DnsProvider` says.
        """
        return await self._zones.servers(zone)

    async def add(self, record: TxtRecord) -> str | None:
        """
        Add one value, as `ports.DnsProvider` says. It costs one request when nothing goes wrong.
        """
        return await self._add(record.zone, record.name, "TXT", record.value)

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        """
        Remove exactly one value, as `ports.DnsProvider` says.

        An id alone deletes nothing: it may come from a journal that is older than the zone. What is deleted has been looked at.
        """
        name = record.name
        try:
            here = await self._records.under(record.zone, name)
            ours = [each for each in here if _is(each, record) and (each.line == self._line or each.id == known_as)]
            if not ours and known_as is not None:
                # The list may lag behind what was just added; the record itself does not.
                here = await self._records.called(known_as, record.zone, name)
                ours = [each for each in here if _is(each, record)]
            for each in ours:
                await self._delete(each, name)
        except Refusal as refusal:
            if refusal.code != "InvalidDomainName.NoExist":
                raise self._about(refusal, name, record.zone) from None

    async def standing(self, zone: str, name: str) -> Standing:
        """
        Return what a zone holds under a name on our line, as `ports.AddressProvider` says.
        """
        here = await self._published(zone, name)
        return Standing(
            ipv4=frozenset(each.value for each in here if each.kind == "A"),
            ipv6=frozenset(each.value for each in here if each.kind == "AAAA"),
            cname=next((each.value for each in here if each.kind == "CNAME"), None),
        )

    async def set_address(self, zone: str, name: str, address: str, *, instead_of: str | None) -> None:
        """
        Make an address the only one of its family, as `ports.AddressProvider` says: in place where there is one already.
        """
        address = canonical(address)
        kind = "AAAA" if ":" in address else "A"
        here = await self._published(zone, name)
        same = [each for each in here if each.kind == kind]
        values = [each.value for each in same]
        if values == [address]:
            return
        if values != ([] if instead_of is None else [canonical(instead_of)]) or any(
            each.kind == "CNAME" for each in here
        ):
            raise _changed(name, here)
        if not same:
            await self._add(zone, name, kind, address)
            return
        try:
            await self._write(
                "UpdateDomainRecord",
                zone,
                {"RecordId": same[0].id, "RR": relative(name, zone), "Type": kind, "Value": address},
                what=name,
                ttl=self._ttl or same[0].ttl,
            )
        except Refusal as refusal:
            if refusal.meaning not in (Meaning.THERE, Meaning.GONE):
                raise self._about(refusal, name, zone) from None
            # A repeated update finds what the first has done; or somebody else was quicker.
            here = await self._published(zone, name)
            if [each.value for each in here if each.kind == kind] != [address]:
                raise _changed(name, here) from None

    async def _add(self, zone: str, name: str, kind: str, value: str) -> str | None:
        async def settled(patience: Patience) -> Mapping[str, Any] | None:
            found = await self._find(zone, name, kind, value, patience)
            return {"RecordId": found.id} if found is not None and found.enabled else None

        try:
            parameters = {
                "DomainName": await self._zones.spelling(zone), "RR": relative(name, zone), "Type": kind, "Value": value,
            }  # fmt: skip
            said = await self._write("AddDomainRecord", zone, parameters, what=name, ttl=self._ttl, settled=settled)
            return str(said["RecordId"]) if said.get("RecordId") else None
        except Refusal as refusal:
            if refusal.meaning is not Meaning.THERE:
                raise self._about(refusal, name, zone) from None
        try:
            found = await self._find(zone, name, kind, value) or await self._find(zone, name, kind, value, search=True)
        except Refusal as refusal:
            raise self._about(refusal, name, zone) from None
        if found is not None and not found.enabled:
            raise DnsError(
                Problem(
                    type="dnsRecord",
                    detail=f"{name}: this {kind} record is there but switched off; delete it, or switch it on, in the Alidns console",
                )
            )
        return found.id if found is not None else None

    async def _write(
        self,
        action: str,
        zone: str,
        parameters: Mapping[str, object],
        *,
        what: str,
        ttl: int | None,
        settled: Callable[[Patience], Awaitable[Mapping[str, Any] | None]] | None = None,
    ) -> Mapping[str, Any]:
        """
        Write a record with a TTL; with the least of all editions where this zone's takes none that short.
        """
        ttl = ttl or LEAST_TTL
        if zone in self._slow:
            ttl = max(ttl, LEAST_TTL)
        parameters = {**parameters, "Line": self._line}
        try:
            return await self._api.call(action, {**parameters, "TTL": ttl}, what=what, settled=settled)
        except Refusal as refusal:
            if refusal.meaning is not Meaning.TTL or ttl >= LEAST_TTL:
                raise
        self._slow.add(zone)
        return await self._api.call(action, {**parameters, "TTL": LEAST_TTL}, what=what, settled=settled)

    async def _delete(self, record: Record, name: str) -> None:
        try:
            await self._api.call("DeleteDomainRecord", {"RecordId": record.id}, what=name)
        except Refusal as refusal:
            if refusal.meaning is not Meaning.GONE:
                raise

    async def _find(
        self, zone: str, name: str, kind: str, value: str, patience: Patience | None = None, *, search: bool = False
    ) -> Record | None:
        look = self._records.searched if search else self._records.under
        here = await look(zone, name, patience)
        return next((each for each in here if (each.kind, each.value, each.line) == (kind, value, self._line)), None)

    async def _published(self, zone: str, name: str) -> list[Record]:
        try:
            here = await self._records.under(zone, name)
        except Refusal as refusal:
            raise self._about(refusal, name, zone) from None
        return [each for each in here if each.enabled and each.line == self._line]

    def _about(self, refusal: Refusal, name: str, zone: str) -> DnsError:
        if refusal.meaning is Meaning.ZONE:
            self._zones.forget()
        return refusal.about(f"{name} (zone {zone})")


def _is(record: Record, wanted: TxtRecord) -> bool:
    return (record.kind, record.value) == ("TXT", wanted.value)


def _changed(name: str, here: Sequence[Record]) -> DnsError:
    stands = ", ".join(map(str, here)) or "nothing"
    return DnsError(
        Problem(type="dnsRecord", detail=f"{name}: something else stands there by now ({stands}); it is left alone")
    )
