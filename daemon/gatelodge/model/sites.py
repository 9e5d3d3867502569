"""
What nginx is asked to serve: listeners, sites, their routes, and the upstreams behind them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import TYPE_CHECKING, TypeAlias

from gatelodge.model.names import file_name

if TYPE_CHECKING:
    from gatelodge.model.names import Name

#: Addresses that stand for every one of a family, and whether that is IPv6's.
_EVERY_ADDRESS = {"0.0.0.0": False, "::": True}  # noqa: S104 - compared with, never bound here


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Listener:
    """
    An address and port that nginx listens on; no address means all of the machine's, IPv4 and IPv6.
    """

    port: int
    address: str = ""

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
        if self.port != other.port or self.address in {"", other.address}:
            return self.port == other.port
        return other.address != "" and _EVERY_ADDRESS.get(self.address) is (":" in other.address)

    def overlaps(self, other: Listener) -> bool:
        """
        Tell whether a visitor can come to both at once.
        """
        return self.includes(other) or other.includes(self)

    def __str__(self) -> str:
        if not self.address:
            return str(self.port)
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """
    A service behind the gate.

    `host` is an IP address or a name as nginx's resolver will see it (container names may hold underscores). `path`, when
    given, replaces the matched prefix of the request, as in nginx's `proxy_pass`.
    """

    scheme: str
    host: str
    port: int
    path: str | None = None

    @property
    def authority(self) -> str:
        """
        `host:port` in URL form.
        """
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path or ''}"


class Websocket(enum.StrEnum):
    """
    How a route treats upgrades: passed on when asked for, or spoken to the upstream whatever the visitor sent.
    """

    AUTO = "auto"
    FORCE = "force"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    A path prefix of a site and the upstream behind it. `body_size` is in bytes, 0 unlimited.
    """

    path: str
    upstream: Upstream
    timeout: dt.timedelta = dt.timedelta(hours=1)
    connect_timeout: dt.timedelta = dt.timedelta(seconds=5)
    body_size: int = 0
    websocket: Websocket = Websocket.AUTO


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    Host names served on one or more listeners, with routes to upstreams. Known by its first host.

    `certificate` is the NAME of the spec that serves it; None for a site without TLS.
    """

    hosts: tuple[Name, ...]
    listeners: tuple[Listener, ...]
    routes: tuple[Route, ...]
    certificate: str | None

    @property
    def name(self) -> str:
        """
        The site's name: its first host.
        """
        return self.hosts[0]

    @property
    def file_name(self) -> str:
        """
        The site's name as a file name.
        """
        return file_name(self.name)


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
