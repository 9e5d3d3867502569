"""
Asks those who look up for others: the resolvers that are configured, the machine's own, and services over HTTPS.

What they say may be as old as their caches. Who may be asked is decided here, and in what order; not what an answer proves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.exception
import dns.resolver

from gatelodge.dns.asking import Answer, Asker, NoAnswer
from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gatelodge.ports import Clock

#: Asked when port 53 cannot be: first two that mainland China reaches, then two that the rest does.
#: https://www.alidns.com/articles/6018321800a44d0e45e90d71, https://docs.dnspod.cn/public-dns/dot-doh/,
#: https://developers.cloudflare.com/1.1.1.1/encryption/dns-over-https/, https://developers.google.com/speed/public-dns/docs/doh.
DOH = (
    "https://dns.alidns.com/dns-query",
    "https://doh.pub/dns-query",
    "https://cloudflare-dns.com/dns-query",
    "https://dns.google/dns-query",
)

#: What is asked at the names of records that are waited for; a name that is not there is so for all kinds.
_DENIES = frozenset({"CNAME", "SOA", "TXT"})

#: A cache may say for so long that a name is not there (RFC 2308 §5). Seconds.
_DENIED = 3600.0

#: Of those who did not answer, so many are named.
_SHOWN = 4


class Caches:
    """
    Resolvers and services.
    """

    def __init__(self, *, servers: Sequence[str], doh: Sequence[str] | None, asker: Asker, clock: Clock) -> None:
        """
        Args:
            servers: recursive resolvers, `ADDRESS:PORT`; none for the machine's own.
            doh: URLs of DNS-over-HTTPS services; None for the built-in ones.
        """
        self._servers = tuple(map(_split, servers))
        self._doh = tuple(DOH if doh is None else doh)
        self._asker = asker
        self._clock = clock
        self._denying: dict[str, float] = {}

    @property
    def services(self) -> tuple[tuple[str, bool], ...]:
        """
        The DNS-over-HTTPS services at which a record can be looked for. Who was asked where names lead, before the record was there,
        may say for a while that it is not: it is marked and comes last.
        """
        now = self._clock.monotonic()
        denying = [now < self._denying.get(url, 0) for url in self._doh]
        return tuple(sorted(zip(self._doh, denying, strict=True), key=lambda each: each[1]))

    async def by_any(self, ways: Sequence[Callable[[str, str], Awaitable[Answer]]], name: str, kind: str) -> Answer:
        """
        Ask in several ways, one after the other.

        Raises:
            DnsError: `dnsProvider`: nothing answers.
        """
        troubles = []
        for look_up in ways:
            try:
                return await look_up(name, kind)
            except NoAnswer as error:
                troubles.append(str(error))
        what = "whether it is a CNAME" if kind == "CNAME" else f"its {kind} records"
        raise DnsError(
            Problem(
                type="dnsProvider",
                detail=f"{name}: {what} cannot be looked up: {'; '.join(troubles)}; look at this machine's "
                "network, or name other servers in [resolver]",
            )
        )

    async def recursive(self, name: str, kind: str) -> Answer:
        """
        Ask the resolvers that are configured, or the machine's own, one after the other.

        Raises:
            NoAnswer: none of them answers.
        """
        troubles = []
        for address, port in self._servers or _own_servers():
            try:
                said = await self._asker.server(address, port, name, kind, recursive=True, hurried=True)
            except NoAnswer as error:
                troubles.append(f"{address}: {error}")
                continue
            if said.usable:
                return said
            troubles.append(f"{address}: {said}")
        raise NoAnswer(f"DNS servers: {', '.join(troubles[:_SHOWN]) or 'none is known'}")

    async def over_https(self, name: str, kind: str) -> Answer:
        """
        Ask the services, one after the other.

        Raises:
            NoAnswer: none of them answers.
        """
        troubles = []
        for url in self._doh:
            try:
                said = await self._asker.service(url, name, kind, hurried=True)
            except NoAnswer as error:
                troubles.append(f"{url}: {error}")
                continue
            if kind in _DENIES:
                self._denying[url] = self._clock.monotonic() + _DENIED
            if said.usable:
                return said
            troubles.append(f"{url}: {said}")
        raise NoAnswer(f"DNS over HTTPS: {', '.join(troubles[:_SHOWN]) or 'no service is named'}")


def _split(server: str) -> tuple[str, int]:
    address, _, port = server.rpartition(":")
    return address.strip("[]"), int(port)


def _own_servers() -> tuple[tuple[str, int], ...]:
    """
    Return the machine's resolvers (resolv.conf(5)); none when it names none.
    """
    try:
        return tuple((str(address), 53) for address in dns.resolver.Resolver().nameservers)
    except dns.exception.DNSException:
        return ()
