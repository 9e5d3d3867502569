"""
nginx as a whole: what it listens on, what holds for each listener, whose it is and how it is told to reload.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import TypeAlias

#: Addresses that stand for every one of a family, and whether that is IPv6's.
_EVERY_ADDRESS = {"0.0.0.0": False, "::": True}  # noqa: S104 - compared with, never bound here


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Listener:
    """
    An address and port that nginx listens on; no address means all of the machine's, IPv4 and IPv6. A port of TCP has nothing to do
    with the port of UDP of the same number.
    """

    port: int
    address: str = ""
    udp: bool = False

    @property
    def narrow(self) -> bool:
        """
        True for one address; false for all of the machine's, or all of one family.
        """
        return self.address not in {"", *_EVERY_ADDRESS}

    def includes(self, other: Listener) -> bool:
        """
        Tell whether every visitor of `other` comes to an address and port of this one too.
        """
        if (self.port, self.udp) != (other.port, other.udp):
            return False
        if self.address in {"", other.address}:
            return True
        return other.address != "" and _EVERY_ADDRESS.get(self.address) is (":" in other.address)

    def overlaps(self, other: Listener) -> bool:
        """
        Tell whether a visitor can come to both at once.
        """
        return self.includes(other) or other.includes(self)

    def __str__(self) -> str:
        port = f"{self.port}/udp" if self.udp else str(self.port)
        if not self.address:
            return port
        return f"[{self.address}]:{port}" if ":" in self.address else f"{self.address}:{port}"


class TlsProfile(enum.StrEnum):
    """
    How old a client may be: Mozilla's server side TLS guidelines (https://wiki.mozilla.org/Security/Server_Side_TLS).

    "intermediate" speaks TLS 1.2 and 1.3, "modern" TLS 1.3 alone.
    """

    INTERMEDIATE = "intermediate"
    MODERN = "modern"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """
    What holds for all sites on a listener: `[listen.PORT]`.

    `proxy_protocol` are the networks whose word is taken for who the visitor is, when every connection begins with a PROXY
    header (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt); None when none does. `http3` also opens the UDP port
    of that number.
    """

    tls_profile: TlsProfile = TlsProfile.INTERMEDIATE
    proxy_protocol: tuple[str, ...] | None = None
    http3: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrustedProxies:
    """
    Who stands before this gate, a CDN or another proxy: its networks, and the header in which it says who the visitor is.
    """

    networks: tuple[str, ...]
    header: str = "X-Forwarded-For"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ByCommands:
    """
    Somebody else's nginx, on this machine: told to reload by programs, one after the other, without a shell.
    """

    commands: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ByMailbox:
    """
    Somebody else's nginx, out of reach: a script beside it takes requests from a folder that both see.
    """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ByHelper:
    """
    Somebody else's nginx, whose master is root while the daemon is not: a helper of root's takes requests, checks each tree, and has
    nginx read a copy of its own.
    """


#: How an nginx that is not ours is told to reload.
Reload: TypeAlias = ByCommands | ByMailbox | ByHelper


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NginxSettings:
    """
    How nginx is run and what its listeners are called from outside: `[nginx]`.

    `reload` says how somebody else's nginx is told to reload; None when nginx is ours. `group` is the one that may read certificates
    and trees then. `default_server` says whether names that are no site's are answered by us; None when nobody else does.

    `http_port` 0 opens no plain listener. `drain` bounds workers that finish old connections after a reload;
    `reload_interval` is the least time between two reloads. `access_log` is "off", "stdout" (the daemon's own) or a path.

    `listen` says what holds for single listeners. `resolver_valid` is how long the address of an upstream's name is believed.
    The snippets are text of the user's own inside `http {}` and `stream {}`.
    """

    reload: Reload | None = None
    group: str | None = None
    default_server: bool | None = None

    binary: str = "nginx"
    address: str = "127.0.0.1"
    http_port: int = 80
    https_port: int = 443
    public_http_port: int = 80
    public_https_port: int = 443
    user: str | None = None
    access_log: str = "off"
    drain: dt.timedelta = dt.timedelta(hours=1)
    reload_interval: dt.timedelta = dt.timedelta(seconds=30)
    listen: tuple[tuple[Listener, ListenSettings], ...] = ()
    trusted_proxies: TrustedProxies | None = None
    resolver_valid: dt.timedelta = dt.timedelta(seconds=10)
    http_snippet: str = ""
    stream_snippet: str = ""

    def terms(self, listener: Listener) -> ListenSettings:
        """
        Return what holds on a listener: what is said of it, or of the whole port that it is a part of.
        """
        said = dict(self.listen)
        around = (settings for place, settings in self.listen if place.includes(listener))
        return said.get(listener) or next(around, ListenSettings())
