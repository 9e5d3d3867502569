"""
DNS providers, and the host names that are kept on the machine's public addresses.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model.names import Name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """
    A DNS provider: `[dns.NAME]`. `options` are its own keys, read by their kinds (`SecretRef` for secrets); `endpoint` and
    `ca_file` say where it is and whom to trust there, None for the provider's own. `ttl` is in seconds, None for what the provider
    takes. A record is at all name servers within `wait`; when none of them can be asked, that long is waited.
    """

    name: str
    provider: str
    options: Mapping[str, object]
    endpoint: str | None = None
    ca_file: str | None = None
    ttl: int | None = None
    wait: dt.timedelta = dt.timedelta(minutes=2)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AddressSource:
    """
    Where the machine's public address is learned: an interface of its own, what HTTP services see (two must agree when there are
    several), or the output of a command. With none of them, the built-in services are asked.
    """

    interface: str | None = None
    urls: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


#: Says that an address is not looked for, where nothing being said would mean the usual way.
NO_SOURCE = AddressSource(interface="")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DdnsSettings:
    """
    Host names kept on the machine's public addresses through the provider `[dns.NAME]`: `[ddns]`. A family without a source is
    left alone. Addresses are looked at `every` so often.
    """

    dns: str
    hosts: tuple[Name, ...]
    ipv4: AddressSource | None
    ipv6: AddressSource | None
    every: dt.timedelta = dt.timedelta(minutes=5)
