"""
Publishes records at an acme-dns server (https://github.com/joohoi/acme-dns), to which `_acme-challenge` leads by CNAME.

Such a server holds one name, keeps two values of it, and knows no deletion: each new value takes the place of the older one. So a
value that would push out one that a CA may still look for is refused here. What is there when the daemon starts is in nobody's way:
orders that are taken up again publish their values again.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, cast

from gatelodge.credentials import fetch
from gatelodge.errors import DnsError, HttpDisconnected, HttpUnreachable, Problem, SecretMissing

if TYPE_CHECKING:
    from gatelodge.dns.providers import Parts
    from gatelodge.model import DnsSettings, SecretRef
    from gatelodge.ports import Http, TxtRecord

#: Values that an acme-dns server keeps of one name.
_KEPT = 2

_OK = 200
_SECONDS = 10.0
_TOO_MANY = 429
_SERVER_ERROR = 500
_UNAUTHORIZED = frozenset({401, 403})

#: What is shown of an answer.
_MOST_SHOWN = 200


def make(settings: DnsSettings, parts: Parts) -> AcmeDns:
    """
    Make the provider of a `[dns.NAME]`.
    """
    return AcmeDns(settings=settings, http=parts.http)


class AcmeDns:
    """
    Implements `ports.DnsProvider`.
    """

    def __init__(self, *, settings: DnsSettings, http: Http) -> None:
        self._name = settings.name
        self._endpoint = (settings.endpoint or "").rstrip("/")
        self._options = settings.options
        self._http = http
        # What the server keeps by our doing, the oldest first, and what of it somebody still needs.
        self._there: list[str] = []
        self._used: set[str] = set()
        self._turn = asyncio.Lock()

    @property
    def _domain(self) -> str:
        return str(self._options["fulldomain"])

    async def zone_of(self, name: str) -> str:
        """
        Return the zone of the one name that it holds, as `ports.DnsProvider` says.
        """
        if name == self._domain:
            await self._reach(name)
            return self._domain
        raise DnsError(
            Problem(
                type="dnsZone",
                detail=f"{name}: {self._name} holds {self._domain} alone; make {name} a CNAME to {self._domain}",
            )
        )

    async def _reach(self, name: str) -> None:
        """
        Find out whether the server is there: whatever it answers.
        """
        try:
            await self._http.request("GET", f"{self._endpoint}/health", timeout=_SECONDS)
        except (HttpUnreachable, HttpDisconnected) as error:
            detail = f"{name}: the acme-dns server of [dns.{self._name}] does not answer: {error}; is it running, and `endpoint` its URL?"
            raise DnsError(Problem(type="dnsProvider", detail=detail)) from None

    async def name_servers(self, zone: str) -> frozenset[str] | None:
        """
        Return None: the server does not tell.
        """
        del zone
        return None

    async def add(self, record: TxtRecord) -> str | None:
        """
        Add one value, as `ports.DnsProvider` says.
        """
        async with self._turn:
            if record.value in self._there:
                self._used.add(record.value)
                return None
            if len(self._there) == _KEPT and self._there[0] in self._used:
                raise DnsError(
                    Problem(
                        type="dnsRecord",
                        detail=f"{record.name}: acme-dns keeps {_KEPT} values at once, and another certificate still needs the older "
                        "one; it is tried again later. Register a name of its own for each certificate that is renewed at the same "
                        "time",
                    )
                )
            await self._update(record)
            self._used.add(record.value)
        return None

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        """
        Forget a value: the server itself drops it when others come.
        """
        del known_as
        self._used.discard(record.value)

    async def _update(self, record: TxtRecord) -> None:
        headers = {
            "X-Api-User": self._secret("username", record),
            "X-Api-Key": self._secret("password", record),
            "Content-Type": "application/json",
        }
        body = json.dumps({"subdomain": self._options["subdomain"], "txt": record.value}).encode()
        # Until an answer comes, what the server keeps is not known: values are sent again when they are asked for again.
        there, self._there = self._there, []
        try:
            answer = await self._http.request("POST", f"{self._endpoint}/update", headers=headers, body=body)
        except HttpUnreachable as error:
            self._there = there
            raise self._failed(record, "dnsProvider", str(error), "is `endpoint` right, and the server up?") from None
        except HttpDisconnected as error:
            raise self._failed(record, "dnsProvider", str(error), "look at the server's log") from None
        if answer.status == _OK:
            self._there = [*there, record.value][-_KEPT:]
            return
        said = "".join(each for each in answer.body.decode(errors="replace") if each.isprintable())[:_MOST_SHOWN]
        kind, remedy = (
            "dnsRecord",
            f"compare `subdomain` and `endpoint` of [dns.{self._name}] with what registration gave",
        )
        if answer.status >= _SERVER_ERROR or answer.status == _TOO_MANY:
            kind, remedy = "dnsProvider", "look at the server's log"
        else:
            self._there = there
        if answer.status in _UNAUTHORIZED:
            kind = "dnsCredentials"
            remedy = (
                f"compare `username` and `password` of [dns.{self._name}], and `allowfrom`, with what registration gave"
            )
        raise self._failed(record, kind, f"status {answer.status}: {said or 'it said nothing'}", remedy)

    def _secret(self, name: str, record: TxtRecord) -> str:
        try:
            return fetch(cast("SecretRef", self._options[name])).reveal()
        except SecretMissing as error:
            detail = f"{record.name}: {name} of [dns.{self._name}]: {error}"
            raise DnsError(Problem(type="dnsCredentials", detail=detail)) from error

    def _failed(self, record: TxtRecord, kind: str, why: str, remedy: str) -> DnsError:
        return DnsError(
            Problem(type=kind, detail=f"{record.name}: {self._endpoint} did not take the value: {why}; {remedy}")
        )
