"""
Decides what is a network, and which networks have names: our own, and those of `[nets]`.

Names become networks while a configuration is read; nothing after that knows them.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes

#: Networks that are somebody's own: private (RFC 1918, RFC 4193), of one link (RFC 3927, RFC 4291 §2.5.6), of one machine.
_LAN = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
    "169.254.0.0/16", "fe80::/10",
    "127.0.0.0/8", "::1/128",
)  # fmt: skip

#: https://www.cloudflare.com/ips/
_CLOUDFLARE = (
    "173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18", "108.162.192.0/18",
    "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17", "162.158.0.0/15", "104.16.0.0/13",
    "104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22",
    "2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32", "2405:8100::/32", "2a06:98c0::/29", "2c0f:f248::/32",
)  # fmt: skip

ALL = ("0.0.0.0/0", "::/0")

BUILT_IN: Mapping[str, tuple[str, ...]] = {"lan": _LAN, "cloudflare": _CLOUDFLARE, "all": ALL}

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def network(text: str) -> str:
    """
    Read a network, an address (which is the network of itself alone), or the name of one, which is left as it is.

    Raises:
        Unreadable: it is none of these.
    """
    if NAME.fullmatch(text):
        return text
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Unreadable(
            f"{quoted(text)} is neither a network nor the name of one",
            'write "192.168.1.0/24", "2001:db8::/32", "lan", or a name of [nets]',
        ) from None
    raise Unreadable(
        f"{quoted(text)} is an address within a network",
        f'write "{meant}" for the network, or "{text.partition("/")[0]}" for that address alone',
    )


def name(text: str) -> str:
    """
    Read the name that networks are given.

    Raises:
        Unreadable: it is none, or ours.
    """
    if text in BUILT_IN:
        raise Unreadable(f"{text} is built in", "choose another name")
    if not NAME.fullmatch(text):
        raise Unreadable(
            f"{quoted(text)} cannot be a name", 'use letters, digits, "-" and "_", beginning with a letter'
        )
    return text


class Networks:
    """
    The networks that have names.
    """

    def __init__(self, given: Mapping[str, tuple[str, ...]], found: Mistakes) -> None:
        self._found = found
        self._known = dict(BUILT_IN)
        for key, listed in given.items():
            path: Path = ("nets", key)
            if not listed and not found.unread(path):
                found.add(path, "it is empty", 'write networks: ["203.0.113.0/24"]')
            self._known[key] = self.resolved(path, listed)

    def resolved(self, path: Path, given: tuple[str, ...]) -> tuple[str, ...]:
        """
        Return networks for what may be names, each once. Names that are none are noted.
        """
        networks: dict[str, None] = {}
        for position, each in enumerate(given):
            if "/" in each:
                networks[each] = None
            elif each in self._known:
                networks |= dict.fromkeys(self._known[each])
            elif not self._found.unread(("nets", each)):
                self._unknown((*path, position), each)
        return tuple(networks)

    def _unknown(self, path: Path, given: str) -> None:
        meant = nearest(given, self._known)
        self._found.add_unread(
            path,
            f"there is no network called {quoted(given)}",
            f"did you mean {quoted(meant)}?" if meant else f'write {given} = ["203.0.113.0/24"] under [nets]',
        )
