"""
Decides what all sites stand on inside `http {}`: variables, TLS parameters, proxy defaults, and who answers when no site does.

It names no site but those whose certificate visitors of an IP address must be shown.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
from typing import TYPE_CHECKING

from gatelodge.model import INTERNAL_HOST
from gatelodge.nginx.ground import Ground, addresses, listens, token_location
from gatelodge.nginx.quote import Directive, Expression, Verbatim, block, line, write
from gatelodge.nginx.site import HEADER, PROXY_HEADERS, UPGRADE_HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.core.tree import Capabilities
    from gatelodge.model import Listener, Name
    from gatelodge.nginx.site import Files

#: Where nginx tells the daemon which generation it serves, to visitors from this machine that ask for `INTERNAL_HOST`.
GENERATION_PATH = "/.well-known/gatelodge/generation"

#: Mozilla's "intermediate", guidelines 5.7 (https://ssl-config.mozilla.org/guidelines/5.7.json).
_CIPHERS = (
    *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    *("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"),
    *("DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-CHACHA20-POLY1305"),
)
_SESSIONS = "10m"

#: The port in a Host header (RFC 3986 §3.2.3), where it can be one: an upstream may not survive a longer number.
_PORT = "~:(?<gatelodge_digits>[0-9]{1,5})$"

#: Response headers up to 16k (large cookies); up to 128k of a body in memory, the rest in a file.
_BUFFERS = (("proxy_buffer_size", "16k"), ("proxy_buffers", "8", "16k"), ("proxy_busy_buffers_size", "32k"))

#: How long a worker that ends still answers on an idle connection, so that a client's next request does not meet a closed door.
_KEEPALIVE_MIN = "10s"

#: Where a name server is asked when the machine names none (resolv.conf(5)).
_RESOLVER = "127.0.0.1"

#: A name server that does not answer costs a visitor this long, and then a 502. nginx's own 30 s is a blank page.
_RESOLVER_SECONDS = "5s"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """
    The listeners of a tree: plain ones, TLS ones, and of the latter the certificate of those that are visited by IP address.
    `proof` is the one on which the generation is told, None when there is none to tell it on, and `address` the one of this
    machine at which the daemon asks for it.
    """

    plain: tuple[Listener, ...]
    tls: tuple[Listener, ...]
    by_address: Mapping[Listener, Files]
    proof: Listener | None
    address: str


def prelude(
    ground: Ground, capabilities: Capabilities, doors: Doors, *, internal: Files | None, names: frozenset[str],
    resolver: tuple[str, ...], access_log: str,
) -> str:  # fmt: skip
    """
    Write the prelude.

    Args:
        internal: the certificate of `INTERNAL_HOST`, if it is held.
        names: every host of every site, to size nginx's hashes by.
        resolver: name servers from the configuration; the machine's own when empty.
    """
    servers = resolver or capabilities.resolvers or (_RESOLVER,)
    return HEADER + write(
        [
            *_variables(doors),
            *_general(access_log, names),
            *([line("keepalive_min_timeout", _KEEPALIVE_MIN)] if capabilities.at_least(1, 27, 4) else []),
            line("resolver", *servers, "valid=10s", *([] if ground.ipv6 else ["ipv6=off"])),
            line("resolver_timeout", _RESOLVER_SECONDS),
            *_tls_parameters(),
            *_proxying(capabilities.ca_bundle),
            *_strangers(ground, doors, internal),
            *_generation(ground, doors, internal),
        ]
    )


def _variables(doors: Doors) -> list[Directive]:
    local = ["127.0.0.0/8", "::1"]
    asked = ipaddress.ip_address(doors.address)
    if doors.proof and not (asked.is_loopback or asked.is_unspecified):
        # Whoever on this machine speaks to one of its addresses comes from that address.
        local.append(doors.address)
    return [
        block("geo", Expression("$gatelodge_dollar"), inside=[line("default", Verbatim("$"))]),
        block(
            "geo",
            Expression("$gatelodge_elsewhere"),
            inside=[line("default", "1"), *(line(each, "0") for each in local)],
        ),
        _map("$scheme", "$gatelodge_default_port", ("default", "80"), ("https", "443")),
        _map(
            "$http_host",
            "$gatelodge_port",
            ("default", "$gatelodge_default_port"),
            (_PORT, "$gatelodge_digits"),
        ),
        _map(
            "$http_host",
            "$gatelodge_port_suffix",
            ("default", ""),
            (_PORT, ":$gatelodge_digits"),
        ),
        _map("$http_upgrade", "$gatelodge_upgrade", ("default", ""), ("~*^websocket$", "websocket")),
        _map("$http_upgrade", "$gatelodge_connection", ("default", ""), ("~*^websocket$", "upgrade")),
    ]


def _map(source: str, target: str, *rows: tuple[str, str]) -> Directive:
    inside = [line(Verbatim(key), Expression(value)) for key, value in rows]
    return block("map", Expression(source), Expression(target), inside=inside)


def _general(access_log: str, names: frozenset[str]) -> list[Directive]:
    longest = max(map(len, names), default=0)
    return [
        line("access_log", access_log),
        line("server_tokens", "off"),
        # What nginx redirects to by itself is a path: it knows its own port, not the visitor's.
        line("absolute_redirect", "off"),
        # A bucket must hold a name, its length and two pointers; more room than names, so that nginx finds a size at once.
        line("server_names_hash_bucket_size", str(_power_of_two(longest + 32, least=64))),
        line("server_names_hash_max_size", str(_power_of_two(4 * len(names), least=512))),
    ]


def _power_of_two(number: int, *, least: int) -> int:
    return max(least, 1 << (number - 1).bit_length())


def _tls_parameters() -> list[Directive]:
    """
    Return the TLS parameters, once for all names: the default server's rule every name of its listener before 1.23.
    """
    shape = hashlib.sha256(f"{_SESSIONS} {_CIPHERS}".encode()).hexdigest()[:8]
    return [
        line("ssl_protocols", "TLSv1.2", "TLSv1.3"),
        line("ssl_ciphers", ":".join(_CIPHERS)),
        line("ssl_prefer_server_ciphers", "off"),
        line("ssl_session_timeout", "1d"),
        # nginx takes no zone of one name with another size or use at a reload, so its name changes with its parameters.
        line("ssl_session_cache", f"shared:gatelodge_tls_{shape}:{_SESSIONS}"),
        line("ssl_session_tickets", "off"),
    ]


def _proxying(ca_bundle: str | None) -> list[Directive]:
    trust = [line("proxy_ssl_trusted_certificate", ca_bundle), line("proxy_ssl_verify_depth", "4")] if ca_bundle else []
    return [
        line("proxy_http_version", "1.1"),
        *(line("proxy_set_header", name, Expression(value)) for name, value in PROXY_HEADERS + UPGRADE_HEADERS),
        *(line(*words) for words in _BUFFERS),
        # A request that may have reached an upstream is sent again only when its method is idempotent (RFC 9110 §9.2.2).
        line("proxy_next_upstream", "error", "timeout"),
        *trust,
    ]


def _strangers(ground: Ground, doors: Doors, internal: Files | None) -> list[Directive]:
    """
    Return the default servers: names that are no site's are refused on every listener.
    """
    servers: list[Directive] = []
    taken: set[str] = set()
    for listener, tls in [*((each, False) for each in doors.plain), *((each, True) for each in doors.tls)]:
        spelled = addresses(listener, ipv6=ground.ipv6)
        if not taken.isdisjoint(spelled):
            continue
        taken.update(spelled)
        if tls:
            servers += _tls_strangers(listener, ground, doors.by_address.get(listener), internal)
        else:
            tokens = [token_location(ground)] if listener.port == ground.http_port else []
            inside = [*listens([listener], ground, tls=False, default=True), *tokens, _refuse()]
            servers.append(block("server", inside=inside))
    return servers


def _tls_strangers(
    listener: Listener, ground: Ground, by_address: Files | None, internal: Files | None
) -> list[Directive]:
    default = listens([listener], ground, tls=True, default=True)
    rejecting = [line("ssl_reject_handshake", "on")] if ground.reject else []
    stranger = rejecting or (list(internal.directives()) if internal else [])
    if by_address is None:
        return [block("server", inside=[*default, *stranger, _refuse()])]
    # Visitors of an IP address send no name (RFC 6066 §3): they get the default server's certificate. Any name that is sent
    # and no site's matches the regular expression.
    named = [*listens([listener], ground, tls=True), line("server_name", Verbatim("~.")), *stranger, _refuse()]
    return [
        block("server", inside=[*default, *by_address.directives(), _refuse()]),
        *([block("server", inside=named)] if stranger else []),
    ]


def _refuse() -> Directive:
    return block("location", "/", inside=[line("return", "444")])


def _generation(ground: Ground, doors: Doors, internal: Files | None) -> list[Directive]:
    if doors.proof is None:
        return []
    tls = doors.proof in doors.tls
    certificate = internal.directives() if tls and internal else ()
    answer = block(
        "location",
        "=",
        GENERATION_PATH,
        inside=[
            block("if", Expression("($gatelodge_elsewhere)"), inside=[line("return", "444")]),
            line("default_type", "text/plain"),
            line("return", "200", Expression("$gatelodge_generation")),
        ],
    )
    head = [
        *listens(ground.reaching((doors.proof,)), ground, tls=tls),
        line("server_name", INTERNAL_HOST),
        *certificate,
    ]
    return [block("server", inside=[*head, line("access_log", "off"), answer, _refuse()])]


def concrete(host: Name) -> Name:
    """
    Return a name that a visitor of this host would send: for a wildcard, one that it covers.
    """
    return type(host)(host.replace("*", "gatelodge-proof", 1)) if host.startswith("*.") else host
