"""
Decides what one site's server blocks say: its plain listener, its TLS listeners, its routes and their upstreams.

The text depends on the site, its certificate's version and the ground alone, never on another site, so that it is made once,
remembered, and can be kept back without touching anybody else's.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import quote as percent_encode
from urllib.parse import unquote

from gatelodge.model import Listener, Pool, Websocket, is_ip
from gatelodge.nginx.ground import Ground, listens, token_location
from gatelodge.nginx.manners import PROXY_HEADERS
from gatelodge.nginx.quote import Directive, Expanding, Expression, Verbatim, block, line, spell_dollar, write

if TYPE_CHECKING:
    import datetime as dt

    from gatelodge.model import Name, Route, Site, Upstream

HEADER = "# Written by Gatelodge. Changes made here are lost.\n"

#: Spoken to the upstream whatever the visitor sent (RFC 6455 §4.1).
_FORCED_HEADERS = (("Upgrade", "websocket"), ("Connection", "upgrade"), ("Sec-WebSocket-Version", "13"))

#: Idle connections to an upstream: how many a worker keeps, and for how long. Node.js and uvicorn close theirs after 5 s, and
#: a POST that is sent at that very moment is lost; so ours go first.
_KEEPALIVE = "32"
_KEEPALIVE_SECONDS = "4s"

#: Room for an upstream's addresses, which all workers share. nginx's own examples say 64k.
_ZONE_SIZE = "64k"

_DEFAULT_PORTS = {"http": 80, "https": 443}

#: Characters that stay as they are in the path of a URL (RFC 3986 §3.3), less `$`, which nginx would take for a variable.
_PATH_CHARACTERS = "/%:@!&'()*+,;=-._~"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """
    The certificate that a site shows: the folder of its version, and whether it only stands in for another.
    """

    directory: str
    placeholder: bool

    def directives(self) -> tuple[Directive, Directive]:
        """
        Return the directives that name it. nginx's workers cannot read keys, so the paths never hold a variable.
        """
        return (
            line("ssl_certificate", f"{self.directory}/fullchain.pem"),
            line("ssl_certificate_key", f"{self.directory}/privkey.pem"),
        )


def serving(site: Site, files: Files | None, ground: Ground) -> str:
    """
    Write a site as it was asked for. Without a certificate its TLS listeners are left out.

    Raises:
        ValueError: something of it cannot be written for nginx.
    """
    upstreams = _Upstreams(site, ground)
    routes = [_location(route, upstreams) for route in site.routes]
    if not any(route.path == "/" for route in site.routes):
        # nginx would look for files of its own here.
        routes.append(block("location", "/", inside=[line("return", "404")]))
    servers: list[Directive] = []
    if site.plain:
        servers.append(_plain_server(site.hosts, site.listeners, ground, routes))
    else:
        if ground.http:
            servers.append(_plain_server(site.hosts, (ground.http,), ground, [_redirect(site, files, ground)]))
        if files:
            servers.append(_tls_server(site.hosts, site.listeners, files, ground, routes))
    return HEADER + write([*upstreams.blocks.values(), *servers])


def refusing(site: Site, files: Files | None, ground: Ground, *, closed: frozenset[Listener]) -> str:
    """
    Write a site that answers 503 and holds nothing of the user's but its hosts, its certificate and its listeners.

    Args:
        closed: listeners that cannot be opened, and are left out.
    """
    answer = [block("location", "/", inside=[line("return", "503")])]
    open_listeners = tuple(listener for listener in site.listeners if listener not in closed)
    plain = open_listeners if site.plain else (ground.http,) if ground.http else ()
    servers = [_plain_server(site.hosts, plain, ground, answer)] if plain else []
    if not site.plain and files and open_listeners:
        servers.append(_tls_server(site.hosts, open_listeners, files, ground, answer))
    return HEADER + write(servers)


def server_name(host: Name) -> str:
    """
    Return a host as nginx compares it with a Host header: IPv6 addresses stand in brackets there (RFC 3986 §3.2.2).
    """
    return f"[{host}]" if ":" in host and is_ip(host) else host


def _plain_server(
    hosts: tuple[Name, ...], listeners: tuple[Listener, ...], ground: Ground, inside: list[Directive]
) -> Directive:
    head = [*listens(ground.reaching(listeners), ground, tls=False), line("server_name", *map(server_name, hosts))]
    return block("server", inside=[*head, *ground.plain_manners, *_tokens(listeners, ground), *inside])


def _tls_server(
    hosts: tuple[Name, ...], listeners: tuple[Listener, ...], files: Files, ground: Ground, inside: list[Directive]
) -> Directive:
    head = [*listens(ground.reaching(listeners), ground, tls=True), line("server_name", *map(server_name, hosts))]
    return block("server", inside=[*head, *ground.tls_manners, *files.directives(), *inside])


def _tokens(listeners: tuple[Listener, ...], ground: Ground) -> list[Directive]:
    here = any(listener.port == ground.http_port for listener in listeners)
    return [token_location(ground)] if here else []


def _redirect(site: Site, files: Files | None, ground: Ground) -> Directive:
    # A browser remembers a 301 for ever; a site whose certificate is not there yet may still change its mind.
    status = "301" if files and not files.placeholder else "302"
    target = f"https://$host{ground.public_authority(site.listeners[0])}$request_uri"
    return block("location", "/", inside=[line("return", status, Expression(target))])


def _location(route: Route, upstreams: _Upstreams) -> Directive:
    if not route.path.startswith("/"):
        raise ValueError(f"the route {route.path!r} does not begin with a slash")
    upstream, transport = _upstream(route), route.transport
    inside = [
        line("client_max_body_size", str(transport.body_size)),
        line("proxy_connect_timeout", _seconds(transport.connect_timeout)),
        line("proxy_read_timeout", _seconds(transport.timeout)),
        line("proxy_send_timeout", _seconds(transport.timeout)),
    ]
    if transport.websocket is Websocket.FORCE:
        headers = PROXY_HEADERS + _FORCED_HEADERS
        inside += [line("proxy_set_header", name, Expression(value)) for name, value in headers]
    inside += _rewritten_redirects(route)
    if upstream.scheme == "https":
        inside += _verification(upstream, upstreams.ground)
    return block("location", Verbatim(route.path), inside=[*inside, *upstreams.passing(route)])


def _upstream(route: Route) -> Upstream:
    if not isinstance(route.action, Pool):
        raise ValueError("not yet")  # noqa: TRY004
    return route.action.first


def _seconds(duration: dt.timedelta) -> str:
    seconds = duration.total_seconds()
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{max(1, int(seconds * 1000))}ms"


def _rewritten_redirects(route: Route) -> list[Directive]:
    """
    Mend the `Location` of an upstream that speaks of itself by its own address, or of the visitor's by plain http.
    """
    upstream = _upstream(route)
    port = "" if upstream.port == _DEFAULT_PORTS[upstream.scheme] else f":{upstream.port}"
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    own = f"{upstream.scheme}://{host}{port}{_url_path(upstream) or '/'}"
    return [
        line("proxy_redirect", own, Expanding(route.path if upstream.path else "/")),
        line(
            "proxy_redirect",
            Expression("http://$host$gatelodge_port_suffix/"),
            Expression("$scheme://$host$gatelodge_port_suffix/"),
        ),
    ]


def _verification(upstream: Upstream, ground: Ground) -> list[Directive]:
    """
    Check an https upstream's certificate against its name. nginx cannot check one against an address, so those are not.
    """
    named = not is_ip(upstream.host)
    return [
        line("proxy_ssl_server_name", "on"),
        line("proxy_ssl_name", upstream.host),
        line("proxy_ssl_verify", "on" if named and ground.ca_bundle else "off"),
    ]


class _Upstreams:
    """
    The upstream blocks that a site's routes need, each once.
    """

    def __init__(self, site: Site, ground: Ground) -> None:
        self.ground = ground
        self.blocks: dict[str, Directive] = {}
        self._site = site.file_name

    def passing(self, route: Route) -> list[Directive]:
        """
        Return the directives that pass a request on to the route's upstream.
        """
        upstream = _upstream(route)
        # nginx's resolver knows no /etc/hosts.
        authority = f"127.0.0.1:{upstream.port}" if upstream.host == "localhost" else upstream.authority
        if is_ip(upstream.host) or upstream.host == "localhost" or self.ground.resolve:
            name = self._block(authority, named=not is_ip(upstream.host) and upstream.host != "localhost")
            return [line("proxy_pass", f"{upstream.scheme}://{name}{_url_path(upstream)}")]
        # Before 1.27.3 only a variable makes nginx look a name up again, and then it replaces no prefix. The rewrite does
        # that, on the decoded path as nginx would; `(?s)` since a decoded path may hold a newline.
        return [
            line("set", Expression("$gatelodge_upstream"), authority),
            *self._stripped(route),
            line("proxy_pass", Expression(f"{upstream.scheme}://$gatelodge_upstream")),
        ]

    def _stripped(self, route: Route) -> list[Directive]:
        if _upstream(route).path is None:
            return []
        target = unquote(_url_path(_upstream(route)), errors="strict")
        if "?" in target:
            raise ValueError(f"the path of {_upstream(route)} has a ?, which this nginx would take for a query")
        regex = f"(?s)^{re.escape(route.path)}(.*)"
        return [line("rewrite", Verbatim(regex), Expression(f"{spell_dollar(target)}$1"), "break")]

    def _block(self, authority: str, *, named: bool) -> str:
        """
        Add the block of a server, and return its name, which changes with everything that the shared zone depends on.
        """
        server = ("server", authority, *(["resolve"] if named else []))
        kept = [line("keepalive", _KEEPALIVE), line("keepalive_timeout", _KEEPALIVE_SECONDS)]
        identity = hashlib.sha256(repr((server, _ZONE_SIZE, _KEEPALIVE, _KEEPALIVE_SECONDS)).encode()).hexdigest()[:8]
        name = f"gatelodge_{self._site}_{identity}"
        zone = [line("zone", name, _ZONE_SIZE)] if named else []
        self.blocks[name] = block("upstream", name, inside=[*zone, line(*server), *kept])
        return name


def _url_path(upstream: Upstream) -> str:
    return percent_encode(upstream.path, safe=_PATH_CHARACTERS) if upstream.path else ""
