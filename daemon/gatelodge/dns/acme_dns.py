"""
Publishes records at an acme-dns server (https://github.com/joohoi/acme-dns), to which `_acme-challenge` leads by CNAME.

Such a server holds one name, keeps the two newest values of it, and knows no deletion. So a third value at once, which would push
out one that a CA may still look for, is refused here.
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
_SERVER_ERROR = 500
_UNAUTHORIZED = frozenset({401, 403})


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
        self._held: set[str] = set()
        self._turn = asyncio.Lock()

    @property
    def _domain(self) -> str:
        return str(self._options["fulldomain"])

    async def zone_of(self, name: str) -> str:
        """
        Return the zone of the one name that it holds, as `ports.DnsProvider` says.
        """
        if name == self._domain:
            return self._domain
        raise DnsError(
            Problem(
                type="dnsZone",
                detail=f"{name}: {self._name} holds {self._domain} alone; make {name} a CNAME to {self._domain}",
            )
        )

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
            if record.value in self._held:
                return None
            if len(self._held) >= _KEPT:
                raise DnsError(
                    Problem(
                        type="dnsRecord",
                        detail=f"{record.name}: acme-dns keeps {_KEPT} values at once, and both are in use; it is tried again "
                        "later. Register a name of its own for each certificate that is renewed at the same time",
                    )
                )
            self._held.add(record.value)
            await self._update(record)
        return None

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        """
        Forget a value: the server itself drops it when others come.
        """
        del known_as
        self._held.discard(record.value)

    async def _update(self, record: TxtRecord) -> None:
        headers = {
            "X-Api-User": self._secret("username"),
            "X-Api-Key": self._secret("password"),
            "Content-Type": "application/json",
        }
        body = json.dumps({"subdomain": self._options["subdomain"], "txt": record.value}).encode()
        try:
            answer = await self._http.request("POST", f"{self._endpoint}/update", headers=headers, body=body)
        except (HttpUnreachable, HttpDisconnected) as error:
            raise self._failed(record, "dnsProvider", str(error)) from None
        if answer.status != _OK:
            kind = "dnsCredentials" if answer.status in _UNAUTHORIZED else "dnsRecord"
            kind = "dnsProvider" if answer.status >= _SERVER_ERROR else kind
            said = "".join(each for each in answer.body.decode(errors="replace") if each.isprintable())[:200]
            raise self._failed(record, kind, f"status {answer.status}: {said}")

    def _secret(self, name: str) -> str:
        try:
            return fetch(cast("SecretRef", self._options[name])).reveal()
        except SecretMissing as error:
            raise DnsError(Problem(type="dnsCredentials", detail=f"{self._name}: {name}: {error}")) from error

    def _failed(self, record: TxtRecord, kind: str, why: str) -> DnsError:
        return DnsError(
            Problem(
                type=kind,
                detail=f"{record.name}: acme-dns did not take the record: {why}; compare [dns.{self._name}] with what registration gave",
            )
        )
