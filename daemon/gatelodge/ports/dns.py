"""
DNS: providers that publish records, and the resolver that sees them as the world does.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from gatelodge.core.addresses import Standing
    from gatelodge.core.caa import Record


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TxtRecord:
    """
    One TXT value under a name. Names are A-labels in lower case without a final dot; `zone` is the provider's zone that holds it.
    """

    zone: str
    name: str
    value: str


class DnsProvider(Protocol):
    """
    Publishes TXT records.

    Adding and removing may be called at once for many records. It neither remembers nor writes down what it added: that is the
    caller's, who journals first and removes later, perhaps in another life of the process.
    """

    async def zone_of(self, name: str) -> str:
        """
        Return the zone, among those it serves, that holds a name: the one with the longest suffix of it.

        Raises:
            DnsError: `dnsZone`: it serves none; `dnsCredentials`; `dnsProvider`: not now.
        """
        ...

    async def name_servers(self, zone: str) -> frozenset[str] | None:
        """
        Return the host names of the name servers that publish a zone of it; None when that cannot be told.

        Raises:
            DnsError: as above.
        """
        ...

    async def add(self, record: TxtRecord) -> str | None:
        """
        Add one value beside whatever values the name has. Returns how the provider calls the record, None when it has no such names.

        A value that is there already counts as added. When this raises, or is cancelled, the record may be there or not.

        Raises:
            DnsError: it cannot be added: `dnsProvider`, `dnsCredentials`, `dnsZone`, `dnsRecord`.
        """
        ...

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        """
        Remove exactly this value and leave the others of that name. One that is not there counts as removed.

        Args:
            known_as: what `add` returned; None when that was never learned.

        Raises:
            DnsError: as `add`.
        """
        ...


class AddressProvider(DnsProvider, Protocol):
    """
    A DNS provider that keeps addresses too.
    """

    async def standing(self, zone: str, name: str) -> Standing:
        """
        Return what the zone holds under a name.

        Raises:
            DnsError: it cannot be told.
        """
        ...

    async def set_address(self, zone: str, name: str, address: str, *, instead_of: str | None) -> None:
        """
        Make an address the only one of its family (A or AAAA, by its form) under a name.

        Args:
            instead_of: the one that is there and is to be replaced; None when there is none. Others are never touched.

        Raises:
            DnsError: `dnsRecord`: something else stands there by now; otherwise as `add`.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """
    That a key may do more than it is needed for: what was seen, and what to do.
    """

    seen: str
    remedy: str


@runtime_checkable
class KeyHolder(Protocol):
    """
    A DNS provider that can say whose key it was given.
    """

    async def excess(self) -> Excess | None:
        """
        Say what is too much about the key; None when nothing is, or when that cannot be told.

        Raises:
            DnsError: it could not be asked.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """
    The zone that holds a name in the public DNS, and the host names of its name servers.
    """

    zone: str
    servers: frozenset[str]


class Resolver(Protocol):
    """
    The DNS as the world sees it, and so the CA. Look-ups go past caches where they can; what a LAN rewrites is noticed.
    """

    async def canonical(self, name: str) -> str:
        """
        Follow CNAMEs from a name and return where they end: the name itself when there is none.

        Raises:
            DnsError: `dnsRecord`: they go in a circle or are too many; `dnsProvider`: nothing answers.
        """
        ...

    async def caa(self, name: str, *, fresh: bool = False) -> tuple[Record, ...]:
        """
        Return the CAA records at a name, or where its CNAME leads (RFC 8659 §3); not those of its parents.

        Args:
            fresh: go past all caches, where that is possible: slow, and for what matters.

        Raises:
            DnsError: `dnsProvider`: nothing answers, or nothing that is of use; `dnsRecord`: CNAMEs are too many.
        """
        ...

    async def addresses(self, name: str, kind: str) -> tuple[str, ...]:
        """
        Return the addresses under a name, wherever its CNAMEs lead, in canonical form; past caches, and past what a LAN rewrites,
        where that is possible.

        Args:
            kind: `A` or `AAAA`.

        Raises:
            DnsError: as `caa`.
        """
        ...

    async def authority(self, name: str) -> Authority:
        """
        Return the zone that holds a name, found by its SOA, and its name servers.

        Raises:
            DnsError: `dnsZone`: no zone holds it; `dnsProvider`: nothing answers.
        """
        ...

    async def wait_for(
        self,
        wanted: Mapping[str, frozenset[str]],
        *,
        kind: str,
        within: dt.timedelta,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """
        Return once every authoritative name server has all values wanted under each name.

        When no server and no DNS-over-HTTPS service can be asked, returns after `within`: there is nothing better than waiting.

        Args:
            wanted: values by name; TXT values as text, addresses in canonical form.
            kind: the record type: `TXT`, `A`, `AAAA`.
            within: the longest wait.

        Raises:
            DnsError: `propagation`: not there in time; it says which server lacks what.
        """
        ...
