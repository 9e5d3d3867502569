"""
Decides whether a server block of SWAG's is so plain that a site of Gatelodge does the very same: TLS on 443, some names, and
services behind them. Whatever is not known to make no difference makes it not plain, with the reason.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from typing import TYPE_CHECKING

from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import quantities, texts, upstream_urls
from gatelodge.importing.shared_files import GUARDS, LOGIN, Shared, included
from gatelodge.importing.toml_text import shown
from gatelodge.model import is_ip

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatelodge.importing.nginx_syntax import Directive
    from gatelodge.model import Upstream

_PORTS = frozenset({"443", "[::]:443", "*:443", "0.0.0.0:443"})
_PLAIN_PORTS = frozenset({"80", "[::]:80", "*:80", "0.0.0.0:80"})
_WAYS = frozenset({"ssl", "http2", "quic", "reuseport"})

#: What changes how fast a service answers, and neither who may come nor what is answered.
_TUNING = frozenset(
    {
        "access_log", "error_log", "proxy_buffer_size", "proxy_buffering", "proxy_buffers", "proxy_busy_buffers_size",
        "proxy_connect_timeout", "proxy_max_temp_file_size", "proxy_read_timeout", "proxy_request_buffering", "proxy_send_timeout",
    }
)  # fmt: skip

#: What Gatelodge does by itself where nginx can.
_SILENT = frozenset({"http2", "http3", "resolver", "resolver_timeout"})

#: What is to be written by hand in place of what keeps people out.
_LOGIN_HINT = "write it as an [auth.NAME], and `auth` in the site (docs/sites.md)"
_WALL_HINT = "write it as `auth`, `allow` or `deny` in the site (docs/sites.md)"

_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_STRIP = re.compile(r"\^?(?P<path>/[A-Za-z0-9._-]+)(?:\(\.\*\)|(?P<slash>/)\(\.\*\))")
_REDIRECT = re.compile(r"https://\$(?:host|server_name|http_host)\$request_uri")


class Doubt(Exception):
    """
    Something is not plain; `guards` says that it kept people out.
    """

    def __init__(self, why: str, *, guards: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.guards = guards


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """
    What a plain server does: the service behind `/`, those behind other paths, the largest body, and what of it made no difference.
    """

    upstream: str
    routes: Mapping[str, str]
    body_size: str | None
    dropped: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """
    A server block: the names it has, and what it does or why it is not known to do only that.

    `redirects` is true for one that only leads from http to https, as Gatelodge does by itself. `default` says that it takes
    visitors with any other name. `source` is the block itself.
    """

    source: Directive
    names: tuple[str, ...]
    plain: Plain | None = None
    why: str = ""
    guards: bool = False
    redirects: bool = False
    default: bool = False


def read(directives: Iterable[Directive], shared: Shared) -> tuple[Server, ...]:
    """
    Return the servers of a file.
    """
    every = tuple(directives)
    others = next((each.name for each in every if each.name != "server"), None)
    found = []
    for each in every:
        if each.name == "server":
            server = _server(each, shared)
            if others is not None and server.plain is not None:
                server = dataclasses.replace(
                    server, plain=None, why=f"there is {shown(others)} in the same file, outside of its server block"
                )
            found.append(server)
    return tuple(found)


def _server(server: Directive, shared: Shared) -> Server:
    inside = server.block or []
    names = tuple(dict.fromkeys(name for each in inside if each.name == "server_name" for name in each.args))
    listens = [each.args for each in inside if each.name == "listen" and each.args]
    default = any("default_server" in args for args in listens) or not names or "_" in names
    if _only_redirects(inside, listens):
        return Server(source=server, names=names, redirects=True, default=default)
    try:
        return Server(source=server, names=names, plain=_plain(inside, shared), default=default)
    except Doubt as doubt:
        guards = doubt.guards or any(_keeps_out(each) for each in server.walk())
        return Server(source=server, names=names, why=doubt.why, guards=guards, default=default)


def _only_redirects(inside: list[Directive], listens: list[tuple[str, ...]]) -> bool:
    if not listens or any(args[0] not in _PLAIN_PORTS for args in listens):
        return False
    rest = [each for each in inside if each.name not in {"listen", "server_name"}]
    if len(rest) == 1 and rest[0].name == "location" and rest[0].args == ("/",):
        rest = rest[0].block or []
    return len(rest) == 1 and rest[0].name == "return" and bool(_REDIRECT.fullmatch(rest[0].args[-1:][0]))


def _plain(inside: list[Directive], shared: Shared) -> Plain:
    if shared.everywhere:
        raise Doubt(shared.everywhere[0], guards=True)
    dropped: list[str] = []
    places: list[Place] = []
    size = shared.body_size
    guards = [each for each in inside if _guards(each)]
    for each in (*guards, *inside):
        match each.name:
            case "server_name":
                pass
            case "listen":
                _listen(each.args)
            case "location":
                places.append(place(each, shared))
            case "client_max_body_size" if len(each.args) == 1:
                size = each.args[0]
            case _:
                _common(each, shared, dropped)
    upstream, routes = _combined(places)
    dropped += [name for each in places for name in each.dropped]
    return Plain(upstream=upstream, routes=routes, body_size=body_size(size), dropped=tuple(dict.fromkeys(dropped)))


def _keeps_out(each: Directive) -> bool:
    return each.name in GUARDS and each.args != ("off",)


def _guards(each: Directive) -> bool:
    """
    Tell whether something in a server keeps people out: that is told before all else.
    """
    return any(
        _keeps_out(inner) or (inner.name == "include" and included(inner.args[0] if inner.args else "") is None)
        for inner in each.walk()
    )


def _listen(args: tuple[str, ...]) -> None:
    if not args or args[0] not in _PORTS or not _WAYS.issuperset(args[1:]) or not {"ssl", "quic"}.intersection(args):
        raise Doubt(f"it listens on {shown(' '.join(args))}, not on 443 with TLS alone")


def _common(each: Directive, shared: Shared, dropped: list[str]) -> None:
    """
    Look at what can stand in a server and in a location alike.
    """
    if each.name == "include":
        file = included(each.args[0]) if len(each.args) == 1 else None
        if file is None:
            base = posixpath.basename(" ".join(each.args))
            if LOGIN.search(base):
                raise Doubt(f"it asks visitors who they are ({shown(base)}): {_LOGIN_HINT}", guards=True)
            raise Doubt(f"it includes {shown(' '.join(each.args))}, of which it is not known what it does", guards=True)
        if file in shared.doubts:
            raise Doubt(shared.doubts[file], guards=True)
    elif each.name in GUARDS:
        if each.args != ("off",):
            raise Doubt(f"it keeps people out ({each.name}): {_WALL_HINT}", guards=True)
    elif each.name in _TUNING and each.block is None:
        dropped.append(each.name)
    elif each.name not in _SILENT or each.block is not None:
        raise Doubt(f"it has {shown(each.name)}, which Gatelodge does not take from it")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    A location: how its path is compared (`""`, `^~`, `=`, `~`, `~*`), the path, and the service behind it.
    """

    way: str
    path: str
    upstream: Upstream
    dropped: tuple[str, ...]

    @property
    def shown(self) -> str:
        """
        The location as a person knows it.
        """
        return shown(f"location {self.way} {self.path}".replace("  ", " "))


def place(location: Directive, shared: Shared) -> Place:
    """
    Return what a location does.

    Raises:
        Doubt: it does something else than lead to a service.
    """
    way, path = where(location.args)
    dropped: list[str] = []
    variables: dict[str, str] = {}
    targets: list[str] = []
    strips = False
    inside = location.block or []
    for each in sorted(inside, key=lambda each: not _guards(each)):
        match each.name, each.args:
            case "set", (name, value) if name.startswith("$") and name not in variables and "$" not in value:
                variables[name.removeprefix("$")] = value
            case "proxy_pass", (target,):
                targets.append(target)
            case "rewrite", (regex, to, "break"):
                strips = _strips(way, path, regex, to)
            case _:
                _common(each, shared, dropped)
    if len(targets) != 1:
        raise Doubt(f"{shown(f'location {path}')} leads to no service, or to several")
    upstream = _upstream(targets[0], variables)
    if strips and upstream.path is None:
        upstream = dataclasses.replace(upstream, path="/")
    elif strips:
        raise Doubt(f"{shown(f'location {path}')} rewrites the path twice")
    return Place(way=way, path=path, upstream=upstream, dropped=tuple(dropped))


def where(args: tuple[str, ...]) -> tuple[str, str]:
    """
    Take the arguments of a location apart. `=/path` is written in one word too.

    Raises:
        Doubt: it is none that a visitor can come to.
    """
    match args:
        case (("=" | "^~" | "~" | "~*") as way, path):
            return way, path
        case (word,) if found := re.fullmatch(r"(=|\^~|~\*?)?(/.*|(?<=~).*|(?<=\*).*)", word, re.DOTALL):
            return found[1] or "", found[2]
        case _:
            raise Doubt(f"it has {shown('location ' + ' '.join(args))}, which is no path")


def _strips(way: str, path: str, regex: str, to: str) -> bool:
    """
    Tell that a rewrite takes the location's own path away, and does nothing else.
    """
    found = _STRIP.fullmatch(regex)
    if way in {"", "^~"} and found and path == f"{found['path']}/" and to == ("/$1" if found["slash"] else "$1"):
        return True
    raise Doubt(f"it rewrites paths: {shown(regex)}")


def _upstream(target: str, variables: Mapping[str, str]) -> Upstream:
    used = _VARIABLE.findall(target)
    if unknown := [name for name in used if name not in variables]:
        raise Doubt(f"it leads to {shown(target)}, and ${shown(unknown[0])} is not set beside it")
    try:
        upstream = upstream_urls.upstream(_VARIABLE.sub(lambda found: variables[found[1]], target))
    except Unreadable as error:
        raise Doubt(f"it leads to {shown(target)}: {error.problem}") from None
    if used and upstream.path is not None:
        # With a variable, nginx sends this very path, whatever was asked for.
        raise Doubt(f"it leads to {shown(target)}, one path for all that visitors ask for")
    if upstream.host == "localhost" or (is_ip(upstream.host) and upstream.host.startswith(("127.", "::1"))):
        raise Doubt("it leads to a service within SWAG's own container")
    return upstream


def _combined(places: list[Place]) -> tuple[str, dict[str, str]]:
    """
    Return the upstream of a server and its routes.

    Raises:
        Doubt: they do not come to the same.
    """
    root = next((each for each in places if (each.way, each.path) == ("", "/")), None)
    if root is None or root.upstream.path not in {None, "/"}:
        raise Doubt("it leads nowhere at /")
    # A path of its own in `/` replaces `/`: the same as none.
    bare = dataclasses.replace(root.upstream, path=None)
    prefixes = {each.path: each for each in places if each.way in {"", "^~"} and each is not root}
    others = [each for each in places if each.way not in {"", "^~"}]
    if astray := [each for each in others if each.upstream != bare]:
        raise Doubt(f"{astray[0].shown} leads elsewhere, and only beginnings of paths are taken over")
    if "/" in prefixes or len(prefixes) + len(others) + 1 != len(places):
        raise Doubt("it has a location twice")
    if all(each.upstream == bare for each in prefixes.values()):
        return str(bare), {}
    if others:
        raise Doubt(f"{others[0].shown} would come before its other locations")
    return str(bare), {path: str(route(each)) for path, each in prefixes.items()}


def route(each: Place) -> Upstream:
    """
    Return the upstream of a location that can be a route.

    Raises:
        Doubt: its path cannot be one.
    """
    try:
        texts.route(each.path)
    except Unreadable as error:
        raise Doubt(f"{each.shown}: {error.problem}") from None
    return each.upstream


def body_size(text: str) -> str | None:
    """
    Return the largest request body as Gatelodge writes it, None for no limit.

    Raises:
        Doubt: it is none.
    """
    try:
        return text.lower() if quantities.size(text) else None
    except Unreadable:
        raise Doubt(f"client_max_body_size {shown(text)} is no size") from None
