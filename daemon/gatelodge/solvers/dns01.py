"""
Answers dns-01 (RFC 8555 §8.4) through a DNS provider, and looks at all name servers before the CA does.

Everything that would make the CA's look fail is found before the CA is asked: no zone, other name servers, an alias that leads
elsewhere, a name server that does not have the record. What is published goes through the ledger, and so is gone in the end.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import hashlib
from typing import TYPE_CHECKING

from gatelodge.errors import DnsError, IssuanceError, Problem
from gatelodge.model import is_ip
from gatelodge.ports import TxtRecord
from gatelodge.together import together

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from gatelodge.model import Name
    from gatelodge.ports import Challenge, DnsProvider, Resolver
    from gatelodge.solvers.ledger import Ledger

#: Name servers that are listed in a problem: enough to recognise whose they are.
_SHOWN = 3


class Dns01:
    """
    Implements `ports.Solver` for dns-01 through one provider.
    """

    def __init__(
        self, *, name: str, kind: str, provider: DnsProvider, ledger: Ledger, resolver: Resolver, wait: dt.timedelta
    ) -> None:
        """
        Args:
            name: the NAME of its `[dns.NAME]`.
            kind: what that is: `aliyun`.
            wait: how long a record may take to be at all name servers.
        """
        self._name = name
        self._kind = kind
        self._provider = provider
        self._ledger = ledger
        self._resolver = resolver
        self._wait = wait

    @property
    def type(self) -> str:
        """
        The challenge type.
        """
        return "dns-01"

    async def refuses(self, names: Sequence[Name], *, alias: Name | None) -> Mapping[Name, Problem]:
        """
        Say which names it cannot prove now, as `ports.Solver` says. With this the provider's credentials are tried too.
        """
        problems = await together(self._problem(name, alias) for name in names)
        return {name: problem for name, problem in zip(names, problems, strict=True) if problem is not None}

    @contextlib.asynccontextmanager
    async def published(
        self, challenges: Sequence[Challenge], *, progress: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[None]:
        """
        Keep the answers visible, as `ports.Solver` says.
        """
        try:
            places = await together(self.place(challenge.name, challenge.alias) for challenge in challenges)
            records = [
                TxtRecord(zone=zone, name=where, value=_value(challenge))
                for challenge, (zone, where) in zip(challenges, places, strict=True)
            ]
            progress(f"adding {_listed(frozenset(each.name for each in records))} at {self._name} ({self._kind})")
            async with self._ledger.published(self._name, self._provider, records, kind=self._kind):
                await self._resolver.wait_for(_wanted(records), kind="TXT", within=self._wait, progress=progress)
                yield
        except DnsError as error:
            raise IssuanceError(error.problem) from error

    async def _problem(self, name: Name, alias: Name | None) -> Problem | None:
        if is_ip(name):
            return Problem(type="noSolver", detail=f"{name}: dns-01 proves no IP address (RFC 8738 §7)")
        try:
            await self.place(name, alias)
        except DnsError as error:
            return error.problem
        return None

    async def place(self, name: Name, alias: Name | None) -> tuple[str, str]:
        """
        Return the zone and the name under which a name's answer belongs.

        Raises:
            DnsError: nothing that is put there would be seen.
        """
        asked = f"_acme-challenge.{name.removeprefix('*.')}"
        where = asked if alias == asked else await self._led_to(asked)
        if alias is not None and where not in {None, alias} and where != await self._led_to(alias):
            found = "is no CNAME" if where == asked else f"leads to {where}"
            raise DnsError(
                Problem(
                    type="dnsDelegation",
                    detail=f"{name}: {asked} {found}, and `alias` says {alias}; make it a CNAME to {alias}",
                )
            )
        where = where or alias or asked
        try:
            zone = await self._provider.zone_of(where)
        except DnsError as error:
            if where == asked or alias is not None or error.problem.type != "dnsZone":
                raise
            # A CNAME for all names of a zone (`*`), as homes have one to their dynamic address, is none for a name that has a record.
            where, zone = asked, await self._own_zone(asked, error)
        await self._delegated(name, where, zone)
        return zone, where

    async def _own_zone(self, asked: str, error: DnsError) -> str:
        try:
            return await self._provider.zone_of(asked)
        except DnsError:
            raise error from None

    async def _led_to(self, asked: str) -> str | None:
        """
        Follow CNAMEs; None when nothing answers here. Then what the configuration says has to do.
        """
        try:
            return await self._resolver.canonical(asked)
        except DnsError as error:
            if error.problem.type != "dnsProvider":
                raise
            return None

    async def _delegated(self, name: Name, where: str, zone: str) -> None:
        """
        Make sure that the world asks the provider's name servers, where both can be told.
        """
        own = await self._provider.name_servers(zone)
        if own is None:
            return
        try:
            public = (await self._resolver.authority(where)).servers
        except DnsError as error:
            if error.problem.type != "dnsProvider":
                raise
            return
        if public and not public & own:
            raise DnsError(
                Problem(
                    type="dnsDelegation",
                    detail=f"{name}: the name servers of {where} are {_listed(public)}; records of {zone} at {self._name} are not "
                    f"seen, since its name servers are {_listed(own)}: change the NS records at the registrar, or make "
                    f"_acme-challenge.{name.removeprefix('*.')} a CNAME and set `alias`",
                )
            )


def _value(challenge: Challenge) -> str:
    """
    Return what the TXT record holds (RFC 8555 §8.4).
    """
    digest = hashlib.sha256(challenge.key_authorization.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _wanted(records: Sequence[TxtRecord]) -> dict[str, frozenset[str]]:
    values: dict[str, set[str]] = collections.defaultdict(set)
    for record in records:
        values[record.name].add(record.value)
    return {name: frozenset(found) for name, found in values.items()}


def _listed(servers: frozenset[str]) -> str:
    shown = sorted(servers)
    return ", ".join(shown[:_SHOWN]) + (" …" if len(shown) > _SHOWN else "")
