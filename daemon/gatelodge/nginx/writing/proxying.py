"""
Decides how a request is passed on by each protocol: HTTP, gRPC, FastCGI. The same things are said to all three, in each one's words.

What `http {}` says by default for HTTP is not said again; for the other two everything is said in the location.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.model import Match, Upstream, Websocket, is_ip
from gatelodge.nginx.writing.manners import PROXY_HEADERS, UPGRADE_HEADERS
from gatelodge.nginx.writing.quote import Argument, Directive, Expanding, Expression, Verbatim, line
from gatelodge.nginx.writing.units import seconds
from gatelodge.nginx.writing.upstreams import escape_path, url_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from gatelodge.model import Pool, Route
    from gatelodge.nginx.writing.ground import Ground

#: Spoken to the upstream whatever the visitor sent (RFC 6455 §4.1).
_FORCED_HEADERS = (("Upgrade", "websocket"), ("Connection", "upgrade"), ("Sec-WebSocket-Version", "13"))

_DEFAULT_PORTS = {"http": 80, "https": 443}

#: What a FastCGI program is told (RFC 3875 §4.1; the names are those of nginx's own fastcgi.conf). Its port is the visitor's.
_FASTCGI = (
    ("QUERY_STRING", "$query_string"),
    ("REQUEST_METHOD", "$request_method"),
    ("CONTENT_TYPE", "$content_type"),
    ("CONTENT_LENGTH", "$content_length"),
    ("SCRIPT_NAME", "$fastcgi_script_name"),
    ("PATH_INFO", "$fastcgi_path_info"),
    ("REQUEST_URI", "$request_uri"),
    ("DOCUMENT_URI", "$document_uri"),
    ("SERVER_PROTOCOL", "$server_protocol"),
    ("REQUEST_SCHEME", "$scheme"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx"),
    ("REMOTE_ADDR", "$remote_addr"),
    ("REMOTE_PORT", "$remote_port"),
    ("SERVER_ADDR", "$server_addr"),
    ("SERVER_PORT", "$gatelodge_port"),
    ("SERVER_NAME", "$host"),
    ("REDIRECT_STATUS", "200"),  # PHP answers nothing that was not passed on by a server (its cgi.force_redirect)
    ("HTTP_HOST", "$host$gatelodge_port_suffix"),
    ("HTTP_PROXY", ""),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """
    How nginx spells things for one protocol: the prefix of its directives, and how a header is named.

    `buffers` says whether answers may wait in memory and files, `replaces` whether the upstream's `Location` is mended, and `sizes`
    how large the head of an answer may be, as `http {}` says it for HTTP.
    """

    prefix: str
    header: str
    buffers: bool
    replaces: bool
    module: str
    sizes: tuple[tuple[str, ...], ...] = ()

    def line(self, name: str, *words: Argument) -> Directive:
        """
        Return a directive of this protocol.
        """
        return line(f"{self.prefix}_{name}", *words)

    def said(self, name: str, value: Argument) -> Directive:
        """
        Return the directive by which a header is said to the upstream.
        """
        spelled = f"HTTP_{name.upper().replace('-', '_')}" if self.header == "param" else name
        return self.line(self.header, spelled, value)


_HTTP = Protocol(prefix="proxy", header="set_header", buffers=True, replaces=True, module="http_proxy_module")
_GRPC = Protocol(
    prefix="grpc",
    header="set_header",
    buffers=False,
    replaces=False,
    module="http_grpc_module",
    sizes=(("buffer_size", "16k"),),
)
_FASTCGI_PROTOCOL = Protocol(
    prefix="fastcgi",
    header="param",
    buffers=True,
    replaces=False,
    module="http_fastcgi_module",
    sizes=(("buffer_size", "16k"), ("buffers", "8", "16k"), ("busy_buffers_size", "32k")),
)

PROTOCOLS: Mapping[str, Protocol] = {
    "http": _HTTP,
    "https": _HTTP,
    "grpc": _GRPC,
    "grpcs": _GRPC,
    "fastcgi": _FASTCGI_PROTOCOL,
}


def manners(
    route: Route, pool: Pool, ground: Ground, *, identity: Iterable[tuple[str, str]], shown: Iterable[tuple[str, str]]
) -> list[Directive]:
    """
    Return how a route's requests are passed on, up to the directive that does it.

    Args:
        identity: headers that say who the visitor is, with the expressions of their values.
        shown: headers of the answer that are ours to say, so that the upstream's own are hidden.

    Raises:
        ValueError: this nginx does not speak the protocol.
    """
    upstream, transport = pool.first, route.transport
    protocol = PROTOCOLS[upstream.scheme]
    if not ground.has(protocol.module):
        raise ValueError(f"{upstream} needs nginx's {protocol.module}, which this one was built without")
    if protocol is _GRPC and not ground.http2:
        raise ValueError(f"{upstream} needs nginx's http_v2_module, which this one does not have")
    inside = [
        line("client_max_body_size", str(transport.body_size)),
        protocol.line("connect_timeout", seconds(transport.connect_timeout)),
        protocol.line("read_timeout", seconds(transport.timeout)),
        protocol.line("send_timeout", seconds(transport.timeout)),
        *(protocol.line(*words) for words in protocol.sizes),
    ]
    if protocol.buffers:
        inside += [] if transport.buffering else [protocol.line("buffering", "off")]
        inside += [] if transport.request_buffering else [protocol.line("request_buffering", "off")]
        if transport.temp_file_limit is not None:
            inside.append(protocol.line("max_temp_file_size", str(transport.temp_file_limit)))
    inside += _headers(route, pool, protocol, tuple(identity))
    hidden = dict.fromkeys((*route.headers.hide, *(name for name, _ in shown)))
    inside += [protocol.line("hide_header", name) for name in hidden]
    if protocol.replaces:
        inside += [each for server in pool.servers for each in _rewritten_redirects(route, server.upstream)]
        inside.append(_HOME)
    return inside + (_verification(pool, protocol, ground) if upstream.encrypted else [])


def _headers(route: Route, pool: Pool, protocol: Protocol, identity: tuple[tuple[str, str], ...]) -> list[Directive]:
    """
    Return what the upstream is told beside the request. Saying one thing more means saying all of it again.
    """
    forced = _FORCED_HEADERS if route.transport.websocket is Websocket.FORCE else UPGRADE_HEADERS
    own = {name.lower() for name, _ in route.headers.request}
    if protocol is _HTTP and forced is UPGRADE_HEADERS and not (identity or own):
        return []
    usual = {_HTTP: PROXY_HEADERS + forced, _GRPC: PROXY_HEADERS, _FASTCGI_PROTOCOL: PROXY_HEADERS[1:-1]}[protocol]
    said = [protocol.said(name, Expression(value)) for name, value in (*usual, *identity) if name.lower() not in own]
    said += [protocol.said(name, Expanding(value)) for name, value in route.headers.request]
    return [*_parameters(pool, own), *said] if protocol is _FASTCGI_PROTOCOL else said


def _parameters(pool: Pool, own: AbstractSet[str]) -> list[Directive]:
    """
    Return what an application is told of a request, but for the headers that the route itself says.
    """
    root = pool.script_root
    return [
        line("fastcgi_split_path_info", Verbatim("^(.+?[.]php)(/.*)$")),
        line("fastcgi_index", pool.index),
        line("fastcgi_param", "SCRIPT_FILENAME", Expression(f"{root}$fastcgi_script_name")),
        line("fastcgi_param", "DOCUMENT_ROOT", root),
        *(
            line("fastcgi_param", name, Expression(value))
            for name, value in _FASTCGI
            if name.removeprefix("HTTP_").lower() not in own or not name.startswith("HTTP_")
        ),
        # An application that asks whether it is there would take any value for yes.
        line("fastcgi_param", "HTTPS", Expression("$https"), "if_not_empty"),
    ]


def _rewritten_redirects(route: Route, upstream: Upstream) -> list[Directive]:
    """
    Mend the `Location` of an upstream that speaks of itself by its own address.
    """
    if upstream.socket is not None:
        return []
    port = "" if upstream.port == _DEFAULT_PORTS[upstream.scheme] else f":{upstream.port}"
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    own = f"{upstream.scheme}://{host}{port}{url_path(upstream) or '/'}"
    replaced = upstream.path is not None and route.match is Match.PREFIX
    return [line("proxy_redirect", own, escape_path(route.path) if replaced else "/")]


#: Mends the `Location` of an upstream that speaks of the visitor's host by plain http.
_HOME = line(
    "proxy_redirect",
    Expression("http://$host$gatelodge_port_suffix/"),
    Expression("$scheme://$host$gatelodge_port_suffix/"),
)


def verifies(pool: Pool, ca_bundle: str | None) -> bool:
    """
    Tell whether an encrypted upstream's certificate is checked.

    Args:
        ca_bundle: the trusted roots of the machine, if it has them.
    """
    tls, name = pool.tls, pool.tls.name or pool.first.host
    possible = bool(name) and not is_ip(name) and (ca_bundle is not None or tls.ca is not None)
    return possible if tls.verify is None else tls.verify


def _verification(pool: Pool, protocol: Protocol, ground: Ground) -> list[Directive]:
    """
    Check an upstream's certificate against its name. nginx cannot check one against an address, so without a name those are not.
    """
    tls, upstream = pool.tls, pool.first
    name = tls.name or upstream.host
    verify = verifies(pool, ground.ca_bundle)
    lines = [protocol.line("ssl_server_name", "on"), protocol.line("ssl_name", name)] if name else []
    lines.append(protocol.line("ssl_verify", "on" if verify else "off"))
    trusted = tls.ca or (ground.ca_bundle if protocol is _GRPC else None)
    if verify and trusted:
        lines += [protocol.line("ssl_trusted_certificate", trusted), protocol.line("ssl_verify_depth", "4")]
    if tls.certificate and tls.key:
        lines += [
            protocol.line("ssl_certificate", tls.certificate),
            protocol.line("ssl_certificate_key", tls.key),
        ]
    return lines
