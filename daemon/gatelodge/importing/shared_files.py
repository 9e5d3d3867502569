"""
Decides whether the files that all of SWAG's sites include say nothing that a site of Gatelodge would lose: `nginx.conf`,
`ssl.conf`, `proxy.conf`, `resolver.conf`. People change these too, and a login or a wall for all sites can stand in them.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from typing import TYPE_CHECKING

from gatelodge.importing.toml_text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatelodge.importing.nginx_syntax import Directive

#: Where SWAG's own container has these files.
HOME = "/config/nginx"

#: What keeps people out, or lets in only some.
GUARDS = frozenset(
    {
        "access_by_lua", "access_by_lua_block", "access_by_lua_file", "allow", "auth_basic", "auth_basic_user_file", "auth_delay",
        "auth_jwt", "auth_request", "deny", "geoip2", "if", "internal", "limit_except", "modsecurity", "satisfy", "secure_link",
        "ssl_client_certificate", "ssl_verify_client", "valid_referers",
    }
)  # fmt: skip

#: Names of files that, once included, ask visitors who they are.
LOGIN = re.compile(r"auth|ldap|oauth|sso|geoip|maxmind|geoblock|internal", re.IGNORECASE)

#: What SWAG's `proxy.conf` sends to upstreams. Another header there may be one that nobody should be able to forge.
_HEADERS = frozenset(
    {
        "connection", "early-data", "host", "proxy", "upgrade", "x-forwarded-for", "x-forwarded-host", "x-forwarded-method",
        "x-forwarded-port", "x-forwarded-proto", "x-forwarded-server", "x-forwarded-ssl", "x-forwarded-uri",
        "x-original-method", "x-original-url", "x-real-ip",
    }
)  # fmt: skip

#: What each file holds as SWAG brings it, by the beginnings of names.
_USUAL: Mapping[str, tuple[str, ...]] = {
    "ssl.conf": ("ssl_", "resolver", "add_header", "http2", "http3", "quic_"),
    "proxy.conf": ("proxy_", "client_body_buffer_size", "send_timeout"),
    "resolver.conf": ("resolver",),
}

#: Of those, what would change to whom a request goes, or what an upstream believes.
_NOT_USUAL = frozenset({"proxy_pass", "proxy_method", "proxy_pass_request_headers", "proxy_bind", "proxy_set_body"})

#: What nginx.conf includes by itself.
_ROOT_INCLUDES = re.compile(
    r"/etc/nginx/.*|mime\.types|/config/nginx/(?:worker_processes|resolver|ssl|proxy)\.conf"
    r"|/config/nginx/(?:site-confs|proxy-confs)/[^/]*"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """
    What is known of the files that all sites share. `doubts` tells by file why who includes it cannot be taken over; `everywhere`
    what holds for every site; `body_size` what nginx.conf says for all.
    """

    doubts: Mapping[str, str]
    everywhere: tuple[str, ...] = ()
    body_size: str = "0"
    streams: bool = False


def included(argument: str) -> str | None:
    """
    Return which of the shared files an `include` names, None when it is another.
    """
    path = posixpath.normpath(posixpath.join(HOME, argument))
    folder, file = posixpath.split(path)
    return file if folder == HOME and file in _USUAL else None


def look(
    files: Mapping[str, tuple[Directive, ...]], root: tuple[Directive, ...], confs: Mapping[str, tuple[Directive, ...]]
) -> Shared:
    """
    Look at the shared files that are there, at nginx.conf, and at what stands outside of servers in files that it includes.
    """
    doubts = {name: why for name in _USUAL if (why := _doubt(name, files.get(name, ()))) is not None}
    http = [inner for each in root if each.name == "http" for inner in each.block or ()]
    outside = [(name, each) for name, inside in confs.items() for each in inside if each.name != "server"]
    places = [*(("nginx.conf", each) for each in (*root, *http)), *outside]
    everywhere = tuple(dict.fromkeys(why for name, each in places if (why := _global(name, each)) is not None))
    sizes = [each.args[0] for each in http if each.name == "client_max_body_size" and each.args]
    # Where nginx.conf is there and says nothing, nginx's own limit holds (ngx_http_core_module).
    size = sizes[-1] if sizes else "1m" if http else "0"
    return Shared(
        doubts=doubts, everywhere=everywhere, body_size=size, streams=any(each.name == "stream" for each in root)
    )


def _doubt(name: str, directives: Iterable[Directive]) -> str | None:
    for each in directives:
        if each.name in GUARDS and each.args != ("off",):
            return f"{name}, which it includes, has {each.name}, which Gatelodge would not heed"
        header = each.args[0].lower() if each.name == "proxy_set_header" and each.args else None
        unusual = each.name in _NOT_USUAL or (header is not None and header not in _HEADERS)
        if unusual or each.block is not None or not each.name.startswith(_USUAL[name]):
            what = f"{each.name} {header}" if header else each.name
            return f"{name}, which it includes, has been changed: {shown(what)} is not SWAG's own"
    return None


def _global(file: str, each: Directive) -> str | None:
    if each.name in GUARDS and each.args != ("off",):
        return f"{shown(file)} has {each.name} for all sites, which Gatelodge would not heed"
    if each.name == "include" and not any(map(_ROOT_INCLUDES.fullmatch, each.args)):
        return f"{shown(file)} includes {shown(' '.join(each.args))} for all sites, and it is not known what that does"
    if each.name == "server":
        return f"{shown(file)} has servers of its own, which may have the same names"
    return None
