"""
Decides how every server of ours behaves, whatever site it is for: what it logs, how it looks names up, its TLS, how it proxies.

Where nginx is ours, this is said once, in `http {}`. Where `http {}` is somebody else's it is said in each server instead: what he
says there is his, and nginx refuses most directives that stand in one place twice.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from gatelodge.model import TlsProfile
from gatelodge.nginx.writing.quote import Directive, Expression, line

if TYPE_CHECKING:
    from gatelodge.core.tree import Capabilities
    from gatelodge.model import NginxSettings

#: Protocols and ciphers of Mozilla's guidelines 5.7 (https://ssl-config.mozilla.org/guidelines/5.7.json), less its three DHE
#: ciphers: they cost a server many times what ECDHE does (CVE-2002-20001), and every client that speaks them speaks ECDHE too.
_PROTOCOLS = {
    TlsProfile.INTERMEDIATE: ("TLSv1.2", "TLSv1.3"),
    TlsProfile.MODERN: ("TLSv1.3",),
}
_CIPHERS = (
    *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    *("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"),
)

#: The guidelines' curves. A hybrid with ML-KEM goes first where OpenSSL has it, from 3.5 on (NIST FIPS 203).
_CURVES = ("X25519", "prime256v1", "secp384r1")
_HYBRID = "X25519MLKEM768"
_HYBRID_SINCE = (3, 5)

#: A megabyte holds about 4000 sessions (https://nginx.org/en/docs/http/ngx_http_ssl_module.html#ssl_session_cache).
_SESSIONS = "10m"

#: What an upstream is told about a visitor, for every route. What the visitor himself says of his way here is not passed on:
#: whom we trust to know it was asked before (`trusted_proxies`), so from anybody else it could only be a lie.
PROXY_HEADERS = (
    ("Host", "$host$gatelodge_port_suffix"),
    ("X-Real-IP", "$remote_addr"),
    ("X-Forwarded-For", "$remote_addr"),
    ("X-Forwarded-Host", "$host$gatelodge_port_suffix"),
    ("X-Forwarded-Port", "$gatelodge_port"),
    ("X-Forwarded-Proto", "$scheme"),
    ("Forwarded", ""),
    ("Proxy", ""),  # CGI programs take it for a setting (https://httpoxy.org)
)

#: Upgrades are passed on when they are to websocket. Others are dropped: `h2c` would open a way around every rule here.
UPGRADE_HEADERS = (("Upgrade", "$gatelodge_upgrade"), ("Connection", "$gatelodge_connection"))

#: Response headers up to 16k (large cookies); up to 128k of a body in memory, the rest in a file.
_BUFFERS = (("proxy_buffer_size", "16k"), ("proxy_buffers", "8", "16k"), ("proxy_busy_buffers_size", "32k"))

#: One header of a request may be longer than nginx's own 8k: an oauth2-proxy keeps a session in two cookies of 4k.
_REQUEST_BUFFERS = ("4", "16k")

#: Lines of the access log are written together, a second late at most.
_LOG_BUFFER = ("combined", "buffer=64k", "flush=1s")

#: How long a worker that ends still answers on an idle connection, so that a client's next request does not meet a closed door.
_KEEPALIVE_MIN = "10s"

#: After so many requests a connection is closed, to give its memory back. nginx's own 1000 is a second of a busy HTTP/2 visitor, who
#: must then shake hands again, and repeat what he had just sent.
_REQUESTS = "10000"

#: Where a name server is asked when the machine names none (resolv.conf(5)).
_RESOLVER = "127.0.0.1"

#: A name server that does not answer costs a visitor this long, and then a 502. nginx's own 30 s is a blank page.
_RESOLVER_SECONDS = "5s"

#: Where gzip is asked for: what text is, beside HTML, and above which size (in bytes) it is worth the work.
_COMPRESSED = (
    *("application/atom+xml", "application/javascript", "application/json", "application/ld+json"),
    *("application/manifest+json", "application/rss+xml", "application/wasm", "application/xhtml+xml", "application/xml"),
    *("font/ttf", "image/svg+xml", "image/x-icon", "text/css", "text/csv", "text/javascript", "text/markdown", "text/plain"),
    *("text/vtt", "text/xml"),
)  # fmt: skip
_LEAST_COMPRESSED = "1000"


def general(
    capabilities: Capabilities, settings: NginxSettings, *, access_log: str, resolver: tuple[str, ...]
) -> tuple[Directive, ...]:
    """
    Return what holds for plain servers and TLS ones.

    Args:
        resolver: name servers from the configuration; the machine's own when empty.
    """
    return (
        line("access_log", access_log, *(_LOG_BUFFER if access_log != "off" else ())),
        line("server_tokens", "off"),
        line("large_client_header_buffers", *_REQUEST_BUFFERS),
        # What nginx redirects to by itself is a path: it knows its own port, not the visitor's.
        line("absolute_redirect", "off"),
        line("keepalive_requests", _REQUESTS),
        *([line("keepalive_min_timeout", _KEEPALIVE_MIN)] if capabilities.at_least(1, 27, 4) else []),
        *resolving(capabilities, settings, resolver=resolver),
        *real_address(settings),
        *compression(capabilities),
        *_proxying(capabilities.ca_bundle),
    )


def resolving(
    capabilities: Capabilities, settings: NginxSettings, *, resolver: tuple[str, ...]
) -> tuple[Directive, ...]:
    """
    Return where names of upstreams are looked up.

    Args:
        resolver: name servers from the configuration; the machine's own when empty.
    """
    servers = resolver or capabilities.resolvers or (_RESOLVER,)
    valid = f"valid={max(1, int(settings.resolver_valid.total_seconds()))}s"
    return (
        line("resolver", *servers, valid, *([] if capabilities.ipv6 else ["ipv6=off"])),
        line("resolver_timeout", _RESOLVER_SECONDS),
    )


def real_address(settings: NginxSettings) -> tuple[Directive, ...]:
    """
    Return who may say who the visitor is, where somebody stands before this gate.
    """
    trusted = settings.trusted_proxies
    if trusted is None:
        return ()
    return (
        *(line("set_real_ip_from", network) for network in trusted.networks),
        line("real_ip_header", trusted.header),
        line("real_ip_recursive", "on"),
    )


def compression(capabilities: Capabilities) -> tuple[Directive, ...]:
    """
    Return how answers are compressed on the routes that ask for it.
    """
    if "http_gzip_module" in capabilities.without:
        return ()
    return (
        line("gzip_types", *_COMPRESSED),
        line("gzip_min_length", _LEAST_COMPRESSED),
        line("gzip_proxied", "any"),
        line("gzip_vary", "on"),
    )


def tls_parameters(
    openssl: tuple[int, int], *, profile: TlsProfile = TlsProfile.INTERMEDIATE, sessions: bool = True, cache: str = ""
) -> tuple[Directive, ...]:
    """
    Return the TLS parameters, the same for all names of a listener: the default server's rule every name of it before 1.23.

    Args:
        sessions: whether a visitor may come back to a session. Where some site of the listener asks for certificates none may: a
            session made at another site would let him in without (CVE-2025-23419).
        cache: the zone for sessions and its size; by default the one that all sites share.
    """
    hybrid = (_HYBRID,) if openssl >= _HYBRID_SINCE else ()
    shape = hashlib.sha256(f"{_SESSIONS} {profile} {_CIPHERS}".encode()).hexdigest()[:8]
    # nginx takes no zone of one name with another size or use at a reload, so its name changes with its parameters.
    zone = cache or f"gatelodge_tls_{shape}:{_SESSIONS}"
    return (
        line("ssl_protocols", *_PROTOCOLS[profile]),
        *([line("ssl_ciphers", ":".join(_CIPHERS))] if profile is TlsProfile.INTERMEDIATE else []),
        line("ssl_ecdh_curve", ":".join((*hybrid, *_CURVES))),
        line("ssl_prefer_server_ciphers", "off"),
        line("ssl_session_timeout", "1d"),
        line("ssl_session_cache", f"shared:{zone}" if sessions else "off"),
        line("ssl_session_tickets", "off"),
    )


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
