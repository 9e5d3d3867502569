"""
What nginx is asked to serve: sites, their routes, and what a route does with a request.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import TYPE_CHECKING, TypeAlias

from gatelodge.model.names import file_name, is_pattern
from gatelodge.model.upstreams import Pool

if TYPE_CHECKING:
    from gatelodge.model.names import Name
    from gatelodge.model.nginx import Listener

#: Names and values, in an order, so that what holds them can be compared and remembered.
Pairs: TypeAlias = tuple[tuple[str, str], ...]


class Match(enum.StrEnum):
    """
    How a route's path is compared. As in nginx an exact path wins, then the first regular expression, then the longest prefix.
    """

    PREFIX = "prefix"
    EXACT = "exact"
    REGEX = "regex"


class Websocket(enum.StrEnum):
    """
    How a route treats upgrades: passed on when asked for, or spoken to the upstream whatever the visitor sent.
    """

    AUTO = "auto"
    FORCE = "force"


class Hsts(enum.StrEnum):
    """
    Whether browsers are told to come by https alone (RFC 6797): "preload" also for all names below, and from the start.
    """

    OFF = "off"
    ON = "on"
    PRELOAD = "preload"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """
    Files from a folder, which stands for the route's path. `fallback` answers for what is not there (single-page applications);
    `listing` shows what a folder without an index holds.
    """

    root: str
    index: tuple[str, ...] = ("index.html",)
    fallback: str | None = None
    listing: bool = False

    def __str__(self) -> str:
        return self.root


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """
    Another place: a URL, or a path of the same host. With `keep_path` what the visitor asked for is appended.
    """

    url: str
    code: int = 301
    keep_path: bool = True

    def __str__(self) -> str:
        return self.url


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    """
    An answer of nginx's own.
    """

    status: int = 200
    body: str = ""
    type: str = "text/plain"

    def __str__(self) -> str:
        return str(self.status)


Action: TypeAlias = Pool | Files | Redirect | Respond


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """
    How bytes go through. Sizes are in bytes, 0 unlimited; `temp_file_limit` is how much of one answer may wait in a file for a slow
    visitor, None nginx's own limit.
    """

    timeout: dt.timedelta = dt.timedelta(hours=1)
    connect_timeout: dt.timedelta = dt.timedelta(seconds=5)
    body_size: int = 0
    websocket: Websocket = Websocket.AUTO
    buffering: bool = True
    request_buffering: bool = True
    temp_file_limit: int | None = None
    gzip: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """
    How many requests one address may make in `seconds`, and how many more at once before they are refused.
    """

    requests: int
    seconds: int = 1
    burst: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """
    Who may come in: the NAME of `[auth.NAME]` that asks who he is, and networks; with `satisfy_any` one of the two is enough.

    With `allow`, nobody else may. `connections` is how many one address may hold at once.
    """

    auth: str | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    satisfy_any: bool = False
    rate: Rate | None = None
    connections: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """
    What is said beside the body: `request` to the upstream (an empty value says nothing), `response` to the visitor; `hide` are
    the upstream's that do not reach him. `security` adds the usual ones where the upstream does not send its own.
    """

    request: Pairs = ()
    response: Pairs = ()
    hide: tuple[str, ...] = ()
    security: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    A path of a site and what is done there. `error_pages` are files by status code. `key` is where it stands in the TOML.
    """

    path: str
    action: Action
    match: Match = Match.PREFIX
    transport: Transport = Transport()
    guard: Guard = Guard()
    headers: Headers = Headers()
    error_pages: tuple[tuple[int, str], ...] = ()
    snippet: str = ""
    key: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificates:
    """
    Visitors show a certificate of this CA (a PEM file); when `optional`, those who show none may come in too.
    """

    ca: str
    optional: bool = False
    depth: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """
    The site is closed for a while: everybody but `allow` gets a 503. `page` is a file to show, None our own words.
    """

    page: str | None = None
    allow: tuple[str, ...] = ()
    retry_after: dt.timedelta = dt.timedelta(minutes=10)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    Host names served on one or more listeners, with routes to upstreams. Known by its first host.

    `certificates` are the NAMEs of the specs that serve it, one for each kind of key; none for a site without TLS.
    `redirect_hosts` lead to its first host. `key` is where it stands in the TOML.
    """

    hosts: tuple[Name, ...]
    listeners: tuple[Listener, ...]
    routes: tuple[Route, ...]
    certificates: tuple[str, ...] = ()
    redirect_hosts: tuple[Name, ...] = ()
    hsts: Hsts = Hsts.OFF
    client_certificates: ClientCertificates | None = None
    maintenance: Maintenance | None = None
    snippet: str = ""
    key: str = ""

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

    @property
    def plain(self) -> bool:
        """
        True when it is served without TLS.
        """
        return not self.certificates

    @property
    def names(self) -> tuple[Name, ...]:
        """
        Every host that a visitor can be sure of by name: none of the regular expressions, but those that are redirected.
        """
        return tuple(host for host in (*self.hosts, *self.redirect_hosts) if not is_pattern(host))
