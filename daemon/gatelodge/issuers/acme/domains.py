"""
Says of which registered domain a name is, as CAs count: by the Public Suffix List, its private part included, as Boulder does
(ratelimits/utilities.go). An IPv4 address stands for itself, an IPv6 address for its /64 (https://letsencrypt.org/docs/rate-limits/).

The list is read when the first name is asked about: it takes 4 MiB and a tenth of a second, and many machines never need it.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_NETWORK = 64

#: So many names are remembered: an order asks several times over, and the list takes a tenth of a millisecond.
_KNOWN = 4096


@functools.lru_cache(maxsize=_KNOWN)
def registered(name: str) -> str:
    """
    Return the registered domain of a name; the name itself when it is a public suffix. The `*.` of a wildcard is left out.
    """
    plain = name.removeprefix("*.")
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        found: str | None = suffixes().privatesuffix(plain)
        return found or plain
    if address.version == 4:  # noqa: PLR2004 - IPv4
        return str(address)
    return str(ipaddress.ip_network((address, _NETWORK), strict=False))


@functools.cache
def suffixes() -> PublicSuffixList:
    """
    Return the list, read once.
    """
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - memory on a small machine

    return PublicSuffixList()
