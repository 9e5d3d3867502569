"""
Decides how every server of ours behaves, whatever site it is for: what it logs, how it looks names up, its TLS, how it proxies.

Where nginx is ours, this is said once, in `http {}`. Where `http {}` is somebody else's it is said in each server instead: what he
says there is his, and nginx refuses most directives that stand in one place twice.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from gatelodge.nginx.quote import Directive, Expression, line

if TYPE_CHECKING:
    from gatelodge.core.tree import Capabilities

#: Mozilla's "intermediate", guidelines 5.7 (https://ssl-config.mozilla.org/guidelines/5.7.json).
_CIPHERS = (
    *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    *("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"),
    *("DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-CHACHA20-POLY1305"),
)
_SESSIONS = "10m"

#: What an upstream is told about a visitor, for every route. What the visitor himself says of his way here is not passed on:
#: nothing stands before this gate, so it could only be a lie.
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
_UPGRADE_HEADERS = (("Upgrade", "$gatelodge_upgrade"), ("Connection", "$gatelodge_connection"))

#: Response headers up to 16k (large cookies); up to 128k of a body in memory, the rest in a file.
_BUFFERS = (("proxy_buffer_size", "16k"), ("proxy_buffers", "8", "16k"), ("proxy_busy_buffers_size", "32k"))

#: How long a worker that ends still answers on an idle connection, so that a client's next request does not meet a closed door.
_KEEPALIVE_MIN = "10s"

#: Where a name server is asked when the machine names none (resolv.conf(5)).
_RESOLVER = "127.0.0.1"

#: A name server that does not answer costs a visitor this long, and then a 502. nginx's own 30 s is a blank page.
_RESOLVER_SECONDS = "5s"


def general(capabilities: Capabilities, *, access_log: str, resolver: tuple[str, ...]) -> tuple[Directive, ...]:
    """
    Return what holds for plain servers and TLS ones.

    Args:
        resolver: name servers from the configuration; the machine's own when empty.
    """
    servers = resolver or capabilities.resolvers or (_RESOLVER,)
    return (
        line("access_log", access_log),
        line("server_tokens", "off"),
        # What nginx redirects to by itself is a path: it knows its own port, not the visitor's.
        line("absolute_redirect", "off"),
        *([line("keepalive_min_timeout", _KEEPALIVE_MIN)] if capabilities.at_least(1, 27, 4) else []),
        line("resolver", *servers, "valid=10s", *([] if capabilities.ipv6 else ["ipv6=off"])),
        line("resolver_timeout", _RESOLVER_SECONDS),
        *_proxying(capabilities.ca_bundle),
    )


def tls_parameters() -> tuple[Directive, ...]:
    """
    Return the TLS parameters, the same for all names: the default server's rule every name of its listener before 1.23.
    """
    shape = hashlib.sha256(f"{_SESSIONS} {_CIPHERS}".encode()).hexdigest()[:8]
    return (
        line("ssl_protocols", "TLSv1.2", "TLSv1.3"),
        line("ssl_ciphers", ":".join(_CIPHERS)),
        line("ssl_prefer_server_ciphers", "off"),
        line("ssl_session_timeout", "1d"),
        # nginx takes no zone of one name with another size or use at a reload, so its name changes with its parameters.
        line("ssl_session_cache", f"shared:gatelodge_tls_{shape}:{_SESSIONS}"),
        line("ssl_session_tickets", "off"),
    )


def _proxying(ca_bundle: str | None) -> list[Directive]:
    trust = [line("proxy_ssl_trusted_certificate", ca_bundle), line("proxy_ssl_verify_depth", "4")] if ca_bundle else []
    return [
        line("proxy_http_version", "1.1"),
        *(line("proxy_set_header", name, Expression(value)) for name, value in PROXY_HEADERS + _UPGRADE_HEADERS),
        *(line(*words) for words in _BUFFERS),
        # A request that may have reached an upstream is sent again only when its method is idempotent (RFC 9110 §9.2.2).
        line("proxy_next_upstream", "error", "timeout"),
        *trust,
    ]
