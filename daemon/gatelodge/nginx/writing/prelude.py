"""
Decides what all sites stand on inside `http {}`: variables, TLS parameters, proxy defaults, and who answers when no site does.

It names no site but those whose certificate visitors of an IP address must be shown.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import TYPE_CHECKING

from gatelodge.model import INTERNAL_HOST
from gatelodge.nginx.writing.files import FILES
from gatelodge.nginx.writing.forward_auth import answered
from gatelodge.nginx.writing.ground import Ground, addresses, listens, speaks_http3, token_location
from gatelodge.nginx.writing.location import SECURITY
from gatelodge.nginx.writing.manners import general, tls_parameters
from gatelodge.nginx.writing.pages import UNREACHABLE
from gatelodge.nginx.writing.quote import Directive, Expression, Raw, Verbatim, block, line, write
from gatelodge.nginx.writing.site import HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.core.tree import Capabilities
    from gatelodge.model import Listener, Name, NginxSettings
    from gatelodge.nginx.writing.site import Files

#: Where nginx tells the daemon which generation it serves, to visitors from this machine that ask for `INTERNAL_HOST`.
GENERATION_PATH = "/.well-known/gatelodge/generation"

#: Where it tells it how many visitors it has, to the same, if it was built to.
STATUS_PATH = "/.well-known/gatelodge/status"
STATUS_MODULE = "http_stub_status_module"

#: The port in a Host header (RFC 3986 §3.2.3), where it can be one: an upstream may not survive a longer number.
_PORT = "~:(?<gatelodge_digits>[0-9]{1,5})$"

#: A path that leads back on its way, under every spelling that nginx or somebody behind it may read so.
_DETOUR = r"~*^[^?#]*(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\?#;]|%2f|%5c|%3b|$)"

#: Cookies as nginx joins them: the comma of a date is followed by no name.
_OTHERS = "(?:, [^=;, ]+=.*)?$"
_FIRST = f"~^(?<gatelodge_rest>.+?){_OTHERS}"
_SECOND = f"~^.+?, (?<gatelodge_rest>[^=;, ]+=.+?){_OTHERS}"
_TERMS = f"~^[^;]*(?<gatelodge_rest>;.+?){_OTHERS}"
_SPLIT = "$upstream_cookie__oauth2_proxy_1"

#: The port that a Host header leaves out where it is over TLS.
_HTTPS_PORT = "443"

#: nginx's word for closing the connection without one.
_NO_ANSWER = "444"

#: From where the generation may be asked for. It is no secret, but nobody's business.
_NEAR = ("127.0.0.0/8", "::1")

#: The same where nginx is on another machine or in another container: networks that are nobody's on the internet
#: (RFC 1918, RFC 6598, RFC 4193, RFC 4291 §2.5.6).
_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """
    The listeners of a tree: plain ones, TLS ones, and of the latter the certificate of those that are visited by IP address.
    `proof` is the one on which the generation is told, None when there is none to tell it on, and `address` the one of this
    machine at which the daemon asks for it.
    """

    plain: tuple[Listener, ...]
    tls: tuple[Listener, ...]
    by_address: Mapping[Listener, tuple[Files, ...]]
    proof: Listener | None
    address: str


def prelude(
    ground: Ground, capabilities: Capabilities, doors: Doors, *, internal: Files | None, names: frozenset[str],
    settings: NginxSettings, resolver: tuple[str, ...], access_log: str,
) -> str:  # fmt: skip
    """
    Write the prelude.

    Args:
        internal: the certificate of `INTERNAL_HOST`, if it is held.
        names: every host of every site, to size nginx's hashes by.
        resolver: name servers from the configuration; the machine's own when empty.
    """
    ours = general(capabilities, settings, access_log=access_log, resolver=resolver)
    return HEADER + write(
        [
            *_variables(ground, doors),
            *([] if ground.shared else [*_hashes(names), *FILES, *ours, *tls_parameters(capabilities.openssl)]),
            *([Raw(settings.http_snippet, "nginx.http_snippet")] if settings.http_snippet else []),
            *_strangers(ground, doors, internal),
            *_generation(ground, doors, internal),
        ]
    )


def _variables(ground: Ground, doors: Doors) -> list[Directive]:
    quick = {each.port: ground.public_port(each) for each in doors.tls if speaks_http3(ground.terms(each), ground)}
    local = [*_NEAR, *(_PRIVATE if ground.shared else ())]
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
        # Looked for once a request, and only where somebody wants to know.
        _map(
            "$http_host",
            "$gatelodge_given",
            ("default", ""),
            (_PORT, "$gatelodge_digits"),
            *([("", "$gatelodge_silent")] if quick else []),
        ),
        _map("$gatelodge_given", "$gatelodge_port", ("default", "$gatelodge_given"), ("", "$gatelodge_default_port")),
        _map("$gatelodge_given", "$gatelodge_port_suffix", ("default", ":$gatelodge_given"), ("", "")),
        *_silent(quick),
        _map("$http_upgrade", "$gatelodge_upgrade", ("default", ""), ("websocket", "websocket")),
        _map("$http_upgrade", "$gatelodge_connection", ("default", ""), ("websocket", "upgrade")),
        # What the upstream says of it itself is enough.
        *(_map(answered(name), variable, ("default", ""), ("", value)) for name, variable, value in SECURITY),
        _map("$scheme", "$gatelodge_unreachable", ("default", UNREACHABLE)),
        _map("$request_uri", "$gatelodge_detour", ("default", ""), (_DETOUR, "1")),
        *_cookies(),
    ]


def _cookies() -> list[Directive]:
    """
    Take the cookies of an answer apart. nginx knows its first alone, and from 1.23 on all of them, joined; of an oauth2-proxy that had
    to cut its own in two, the second is known by its name, and is like the first in all else.
    """
    found = "$upstream_http_set_cookie"
    split = f"_oauth2_proxy_1={_SPLIT}$gatelodge_cookie_terms"
    return [
        _map(found, "$gatelodge_cookie_first", ("default", ""), (_FIRST, "$gatelodge_rest"), volatile=True),
        _map(found, "$gatelodge_cookie_terms", ("default", ""), (_TERMS, "$gatelodge_rest"), volatile=True),
        _map(_SPLIT, "$gatelodge_cookie_split", ("default", split), ("", ""), volatile=True),
        _map(
            found,
            "$gatelodge_cookie_second",
            ("default", "$gatelodge_cookie_split"),
            (_SECOND, "$gatelodge_rest"),
            volatile=True,
        ),
    ]


def _silent(quick: Mapping[int, int]) -> list[Directive]:
    """
    Return the port of visitors who send no Host header: those who come by HTTP/3 said theirs in `:authority`, which is no variable
    before 1.29.5, so theirs is the one by which that listener is reached.
    """
    if not quick:
        return []
    came = {f"h3 {port}": str(public) for port, public in sorted(quick.items())}
    unusual = ((key, public) for key, public in came.items() if public != _HTTPS_PORT)
    return [_map("$http3 $server_port", "$gatelodge_silent", ("default", ""), *unusual)]


def _map(source: str, target: str, *rows: tuple[str, str], volatile: bool = False) -> Directive:
    inside = [line(Verbatim(key), Expression(value)) for key, value in rows]
    return block(
        "map", Expression(source), Expression(target), inside=[*([line("volatile")] if volatile else []), *inside]
    )


def _hashes(names: frozenset[str]) -> list[Directive]:
    longest = max(map(len, names), default=0)
    return [
        # A bucket must hold a name, its length and two pointers; more room than names, so that nginx finds a size at once.
        line("server_names_hash_bucket_size", str(_power_of_two(longest + 32, least=64))),
        line("server_names_hash_max_size", str(_power_of_two(4 * len(names), least=512))),
        # Ours beside its own are more than nginx makes room for, which it would say at every start. A closed site has one of its own.
        line("variables_hash_bucket_size", "128"),
        line("variables_hash_max_size", str(_power_of_two(4 * len(names), least=2048))),
    ]


def _power_of_two(number: int, *, least: int) -> int:
    return max(least, 1 << (number - 1).bit_length())


def _strangers(ground: Ground, doors: Doors, internal: Files | None) -> list[Directive]:
    """
    Return the default servers: names that are no site's are refused on every listener.
    """
    servers: list[Directive] = []
    taken: set[str] = set()
    for listener, tls in [*((each, False) for each in doors.plain), *((each, True) for each in doors.tls)]:
        spelled = addresses(listener, ipv6=ground.ipv6)
        if not taken.isdisjoint(spelled) or not ground.answers_strangers(spelled):
            continue
        taken.update(spelled)
        if tls:
            servers += _tls_strangers(listener, ground, doors.by_address.get(listener), internal)
        else:
            tokens = [token_location(ground)] if listener.port == ground.http_port else []
            opening = ground.opening(ground.terms(listener), tls=False)
            inside = [*listens([listener], ground, tls=False, default=True), *opening, *tokens, _refuse()]
            servers.append(block("server", inside=inside))
    return servers


def _tls_strangers(
    listener: Listener, ground: Ground, by_address: tuple[Files, ...] | None, internal: Files | None
) -> list[Directive]:
    opening = ground.opening(ground.terms(listener), tls=True)
    default = [*listens([listener], ground, tls=True, default=True), *opening]
    rejecting = [line("ssl_reject_handshake", "on")] if ground.reject else []
    stranger = rejecting or (list(internal.directives()) if internal else [])
    # Where handshakes are refused, who comes is a visitor of another site who was let in under its name, with a browser that takes
    # one connection for two sites (RFC 9113 §9.1.1): the connection is that site's, and he may try again by another (§15.5.20 of
    # RFC 9110).
    answer = _refuse("421" if rejecting else _NO_ANSWER)
    if by_address is None:
        return [block("server", inside=[*default, *stranger, answer])]
    # Visitors of an IP address send no name (RFC 6066 §3): they get the default server's certificate. Any name that is sent
    # and no site's matches the regular expression.
    heard = [*listens([listener], ground, tls=True), *opening]
    named = [*heard, line("server_name", Verbatim("~.")), *stranger, answer]
    return [
        block("server", inside=[*default, *(each for files in by_address for each in files.directives()), _refuse()]),
        *([block("server", inside=named)] if stranger else []),
    ]


def _refuse(status: str = _NO_ANSWER) -> Directive:
    return block("location", "/", inside=[line("return", status)])


def _generation(ground: Ground, doors: Doors, internal: Files | None) -> list[Directive]:
    if doors.proof is None:
        return []
    tls = doors.proof in doors.tls
    certificate = internal.directives() if tls and internal else ()
    elsewhere = block("if", Expression("($gatelodge_elsewhere)"), inside=[line("return", _NO_ANSWER)])
    answer = block(
        "location",
        "=",
        GENERATION_PATH,
        inside=[
            elsewhere,
            line("default_type", "text/plain"),
            line("return", "200", Expression("$gatelodge_generation")),
        ],
    )
    # A proxy on this machine comes from it too, and says of whom it speaks.
    forwarded = block("if", Expression("($http_x_forwarded_for)"), inside=[line("return", _NO_ANSWER)])
    status = block("location", "=", STATUS_PATH, inside=[elsewhere, forwarded, line("stub_status")])
    head = [
        *listens(ground.reaching((doors.proof,)), ground, tls=tls),
        *ground.real_address(ground.terms(doors.proof)),
        line("server_name", INTERNAL_HOST),
        *certificate,
        line("access_log", "off"),
    ]
    # An nginx of others may be replaced by one that was built without, and must start on the tree that is there.
    told = [status] if STATUS_MODULE in ground.modules and not ground.shared else []
    return [block("server", inside=[*head, answer, *told, _refuse()])]


def concrete(host: Name) -> Name:
    """
    Return a name that a visitor of this host would send: for a wildcard, one that it covers.
    """
    return type(host)(host.replace("*", "gatelodge-proof", 1)) if host.startswith("*.") else host
