r"""
Decides what a tree may say: the whole table of directives, where each may stand, and what its arguments may be.

What is not in the table is refused, whatever nginx would do with it. A rule is a regular expression for all arguments, one a line
(`\n` between them: no argument holds a control character), and must match them to the end. The table holds what Gatelodge renders
for an nginx that others run; it is written down here once more on purpose, so that no change of the renderer widens it unseen.

No rule lets a path through but those given by root, a certificate's in the state directory, and the two bundles of roots.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from gatelodge.nginx.writing.quote import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The context of each kind of file.
ENTRY, PRELUDE, SITE, TLS, CHALLENGE = "entry", "prelude", "site", "tls", "challenge"

#: What a file or a certificate may be called: one step of a path, and never `.` or `..`.
NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,250}"
NUMBER = r"[1-9][0-9]{0,14}"

#: Variables, and families of them whose last part is a name.
_VARIABLE = "|".join(
    [
        *sorted(VARIABLES),
        r"(?:http|cookie|upstream_http|upstream_cookie|gatelodge_as|gatelodge_closed|gatelodge_denied)_[a-z0-9_]+",
    ]
)
#: Text with variables, each of them one of ours.
_EXPRESSION = rf"(?:[^$\n]|\$(?:{_VARIABLE})(?![A-Za-z0-9_])|\$\{{(?:{_VARIABLE})\}})*"
_ANY = r"[^\n]*"
_TIME = r"[0-9]{1,12}(?:ms|s|m|h|d)"
_KILO = r"[0-9]{1,3}k"

_PORT = r"[1-9][0-9]{0,4}"
_FOUR = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_SIX = r"[0-9a-f:.]{2,45}"
_PLACE = rf"(?:{_FOUR}|\[{_SIX}\])"
#: nginx takes `unix:` in any place where it takes an address for the path of a socket.
_HOST = r"(?!unix:)[a-z0-9_][a-z0-9_.-]{0,252}"
_AUTHORITY = rf"(?:{_HOST}|\[{_SIX}\]):{_PORT}"
_SERVER_NAME = rf"(?:(?:\*\.)?[a-z0-9][a-z0-9.-]{{0,252}}|\[{_SIX}\])"
_NETWORK = rf"(?:{_FOUR}|{_SIX})(?:/[0-9]{{1,3}})?"
_HEADER = r"[A-Za-z0-9!#%&'*+.^_`|~-]{1,128}"
_UPSTREAM = rf"gatelodge_{NAME}_[0-9a-f]{{8}}"
#: What a server of several may have besides.
_SHARE = rf"(?:\nweight=[0-9]{{1,6}})?(?:\nmax_fails=[0-9]{{1,6}})?(?:\nfail_timeout={_TIME})?(?:\nbackup)?"
_HASHED = r"\$(?:request_uri|remote_addr|(?:cookie|http)_[a-z0-9_]+)"
_IDENTITY = r"\$gatelodge_(?:as_[a-z0-9_]+|cookies?|login)"
_SIGN_IN = rf"@gatelodge_sign_in_{NAME}"
_ANSWER = r"@gatelodge_answer_[0-9a-f]{8}"
_PLACES = rf"@gatelodge_(?:unreachable|unasked|closed)|{_SIGN_IN}"
_URL_PATH = r"(?:/[A-Za-z0-9/%:@!&'()*+,;=._~-]*)?"

#: A text as `re.escape` writes it, so that nothing of it is a regular expression.
_SPECIAL = r"()\[\]{}?*+\-|^$\\.&~# "
_ESCAPED = rf"/(?:[^{_SPECIAL}\n]|\\[{_SPECIAL}])*"

_TOKENS = r"/\.well-known/acme-challenge/"
_GENERATION = r"/\.well-known/gatelodge/generation"
_STATUS = r"/\.well-known/gatelodge/status"
_REST = "|".join(map(re.escape, ("(?<gatelodge_rest>/.*)", r"[/\\]+(?<gatelodge_rest>.*)")))
_DIGITS = re.escape("~:(?<gatelodge_digits>[0-9]{1,5})$")
_DETOUR = re.escape(r"~*^[^?#]*(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\?#;]|%2f|%5c|%3b|$)")
_CIPHER = r"ECDHE-[A-Z0-9-]{1,60}"

#: A directive, the contexts in which it may stand (by a space between them), its arguments, and the context inside its braces.
#: Inside `geo` and `map` nothing is a directive: the rule is for the whole line. @STATE@ and the like are
#: what root said.
TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("geo", "entry", r"\$gatelodge_generation", "number"),
    ("", "number", r"default\n@NUMBER@", ""),
    ("include", "entry", rf"@STATE@/nginx/generations/@NUMBER@/(?:prelude|sites/(?P<site>{NAME}))\.conf", ""),
    # The prelude.
    ("geo", "prelude", r"\$gatelodge_dollar", "dollar"),
    ("", "dollar", r"default\n\$", ""),
    ("geo", "prelude", r"\$gatelodge_elsewhere", "near"),
    ("", "near", rf"default\n1|(?:{_FOUR}|{_SIX})(?:/[0-9]{{1,3}})?\n0", ""),
    ("map", "prelude", r"\$scheme\n\$gatelodge_default_port", "map"),
    ("map", "prelude", r"\$http_host\n\$gatelodge_given", "map"),
    ("map", "prelude", r"\$gatelodge_given\n\$gatelodge_port(?:_suffix)?", "port"),
    ("", "port", r"default\n:?\$gatelodge_given|\n(?:\$gatelodge_default_port|)", ""),
    ("map", "prelude", r"\$http_upgrade\n\$gatelodge_(?:upgrade|connection)", "map"),
    ("", "map", r"default\n(?:80|)|https\n443", ""),
    ("map", "prelude", r"\$upstream_http_(?:x_content_type_options|x_frame_options|referrer_policy)\n\$gatelodge_(?:nosniff|frames|referrer)", "safety"),
    ("", "safety", r"default\n|\n(?:nosniff|SAMEORIGIN|strict-origin-when-cross-origin)", ""),
    ("map", "prelude", r"\$request_uri\n\$gatelodge_detour", "detour"),
    ("", "detour", rf"default\n|{_DETOUR}\n1", ""),
    ("map", "prelude", r"\$upstream_(?:http_set_cookie|cookie__oauth2_proxy_1)\n\$gatelodge_cookie_(?:first|second|split|terms)", "cookies"),
    ("", "cookies", rf"volatile|\n|default\n{_EXPRESSION}|~\^[^\n]{{1,100}}\n\$gatelodge_rest", ""),
    ("map", "prelude", r"\$scheme\n\$gatelodge_unreachable", "page"),
    ("", "page", r"default\n[^$\n]{1,2000}", ""),
    ("", "map", rf"{_DIGITS}\n\$gatelodge_digits|websocket\n(?:websocket|upgrade)", ""),
    ("", "map", r"\n\$gatelodge_silent", ""),
    ("map", "prelude", r"\$http3 \$server_port\n\$gatelodge_silent", "silent"),
    ("", "silent", rf"default\n|h3 {_PORT}\n{_PORT}", ""),
    # Upstreams.
    ("upstream", "site", _UPSTREAM, "upstream"),
    ("zone", "upstream", rf"{_UPSTREAM}\n{_KILO}", ""),
    # Without `resolve` nginx's master would ask for the name itself, at each start and reload, and wait.
    ("server", "upstream", rf"(?:{_PLACE}:{_PORT}|{_AUTHORITY}\nresolve){_SHARE}", ""),
    ("resolver", "upstream", rf"(?:{_PLACE}(?::{_PORT})?\n){{1,16}}valid=[0-9]{{1,4}}s(?:\nipv6=off)?", ""),
    ("resolver_timeout", "upstream", _TIME, ""),
    ("least_conn", "upstream", r"", ""),
    ("ip_hash", "upstream", r"", ""),
    ("hash", "upstream", rf"{_HASHED}\nconsistent", ""),
    ("keepalive", "upstream", r"[0-9]{1,4}", ""),
    ("keepalive_timeout", "upstream", _TIME, ""),
    # Limits, and who finds a site closed.
    ("limit_req_zone", "site", rf"\$binary_remote_addr\nzone=gatelodge_rate_{NAME}:[0-9]{{1,2}}m\nrate=[0-9]{{1,9}}r/[sm]", ""),
    ("limit_conn_zone", "site", rf"\$binary_remote_addr\nzone=gatelodge_connections_{NAME}:[0-9]{{1,2}}m", ""),
    ("geo", "site", r"\$gatelodge_(?:closed|denied)_[0-9a-f]{8}", "networks"),
    ("", "networks", rf"(?:default|{_NETWORK})\n[01]", ""),
    # Servers.
    ("server", "prelude site", r"", "server"),
    ("listen", "server", rf"(?:{_PLACE}:)?{_PORT}(?:\nssl)?(?:\nhttp2)?(?:\nproxy_protocol)?(?:\ndefault_server)?", ""),
    ("listen", "server", rf"(?:{_PLACE}:)?{_PORT}\nquic(?:\ndefault_server\nreuseport)?", ""),
    ("http2", "server", r"on", ""),
    ("server_name", "server", rf"~\.|{_SERVER_NAME}(?:\n{_SERVER_NAME})*", ""),
    ("access_log", "server", r"off|@LOG@\ncombined\nbuffer=64k\nflush=1s", ""),
    ("set_real_ip_from", "server", _NETWORK, ""),
    ("real_ip_header", "server", rf"{_HEADER}|proxy_protocol", ""),
    ("real_ip_recursive", "server", r"on", ""),
    ("gzip_types", "server", r"[a-z0-9.+/\n-]+", ""),
    ("gzip_min_length", "server", r"[0-9]{1,6}", ""),
    ("gzip_proxied", "server", r"any", ""),
    ("gzip_vary", "server", r"on", ""),
    ("server_tokens", "server", r"off", ""),
    ("large_client_header_buffers", "server", rf"[0-9]\n{_KILO}", ""),
    ("absolute_redirect", "server", r"off", ""),
    ("keepalive_requests", "server", r"[0-9]{1,6}", ""),
    ("keepalive_min_timeout", "server", _TIME, ""),
    ("resolver", "server", rf"(?:{_PLACE}(?::{_PORT})?\n){{1,16}}valid=[0-9]{{1,4}}s(?:\nipv6=off)?", ""),
    ("resolver_timeout", "server", _TIME, ""),
    # TLS.
    ("ssl_certificate", "server tls", rf"@STATE@/certificates/(?P<name>{NAME})/versions/(?P<version>{NUMBER})/fullchain\.pem", ""),
    ("ssl_certificate_key", "server tls", rf"@STATE@/certificates/(?P<name>{NAME})/versions/(?P<version>{NUMBER})/privkey\.pem", ""),
    ("ssl_protocols", "server tls", r"(?:TLSv1\.2\n)?TLSv1\.3", ""),
    ("ssl_ciphers", "server tls", rf"{_CIPHER}(?::{_CIPHER}){{0,30}}", ""),
    ("ssl_ecdh_curve", "server tls", r"[A-Za-z0-9]{1,40}(?::[A-Za-z0-9]{1,40}){0,8}", ""),
    ("ssl_prefer_server_ciphers", "server tls", r"off", ""),
    ("ssl_session_timeout", "server tls", _TIME, ""),
    ("ssl_session_cache", "server tls", r"off|shared:gatelodge_tls_[0-9a-f]{8}:[0-9]{1,2}m", ""),
    ("ssl_session_tickets", "server tls", r"off", ""),
    ("ssl_reject_handshake", "server", r"on", ""),
    # Proxying.
    ("proxy_http_version", "server", r"1\.1", ""),
    ("proxy_set_header", "server location", rf"{_HEADER}\n{_EXPRESSION}", ""),
    ("proxy_buffer_size", "server location", _KILO, ""),
    ("proxy_buffers", "server", rf"[0-9]{{1,2}}\n{_KILO}", ""),
    ("proxy_busy_buffers_size", "server", _KILO, ""),
    ("proxy_next_upstream", "server", r"error\ntimeout", ""),
    ("proxy_ssl_trusted_certificate", "server", r"/etc/ssl/certs/ca-certificates\.crt|/etc/pki/tls/certs/ca-bundle\.crt", ""),
    ("proxy_ssl_verify_depth", "server", r"[0-9]", ""),
    # Locations. Only where tokens are served may a folder be named, and only the one that root named.
    ("location", "server challenge", rf"\^~\n{_TOKENS}", "tokens"),
    ("default_type", "tokens", r"text/plain", ""),
    ("default_type", "location", r"[^$\n]{1,200}", ""),
    ("root", "tokens", r"@WEBROOT@", ""),
    ("location", "server", rf"=\n{_GENERATION}", "location"),
    ("if", "location", r"\(\$gatelodge_elsewhere\)", "if"),
    ("location", "server", rf"=\n{_STATUS}", "status"),
    ("if", "status", r"\(\$(?:gatelodge_elsewhere|http_x_forwarded_for)\)", "if"),
    ("stub_status", "status", r"", ""),
    ("return", "if", r"444", ""),
    ("location", "server", rf"(?:(?:=|\^~)\n)?/{_ANY}|{_PLACES}|{_ANSWER}", "location"),
    ("if", "location", r"\(\$(?:gatelodge_(?:(?:closed|denied)_[0-9a-f]{8}|detour|login)|upstream_status)\)", "if"),
    ("if", "location", r"\(\n\$request_uri\n~\n\[%&\+;#\]\n\)", "if"),
    ("rewrite", "location", rf"\^\n/\$args\?|\^/\(\.\*\)\$\n(?:https?://|/){_EXPRESSION}\$1\?\nredirect", ""),
    ("if", "location", rf"\(\n\$request_uri\n~\n\^(?:[A-Za-z0-9/_~-]|\[\^/\?\]\+)*(?:{_REST})\$\n\)", "if"),
    ("return", "location if", rf"[2-5][0-9]{{2}}(?:\n{_EXPRESSION})?", ""),
    # The empty name is that of no file, so that all there is goes to the answer.
    ("try_files", "location", rf"\n{_ANSWER}", ""),
    ("types", "location", r"", "types"),
    ("internal", "location", r"", ""),
    # Who may come in, and what he is shown.
    ("allow", "location", _NETWORK, ""),
    ("deny", "location", rf"all|{_NETWORK}", ""),
    ("satisfy", "location", r"any", ""),
    ("auth_request", "location", rf"/\.gatelodge/auth/{NAME}", ""),
    ("auth_request_set", "location", rf"{_IDENTITY}\n\$(?:upstream_http_[a-z0-9_]+|gatelodge_cookie_(?:first|second))", ""),
    ("limit_req", "location", rf"zone=gatelodge_rate_{NAME}(?:\nburst=[0-9]{{1,9}}\nnodelay)?", ""),
    ("limit_req_status", "location", r"429", ""),
    ("limit_conn", "location", rf"gatelodge_connections_{NAME}\n[0-9]{{1,9}}", ""),
    ("limit_conn_status", "location", r"429", ""),
    ("error_page", "location", rf"(?:[45][0-9]{{2}}\n){{1,2}}(?:=\n)?(?:{_PLACES})", ""),
    ("add_header", "server location if", rf"{_HEADER}\n{_EXPRESSION}\nalways|(?i:content-type)\n{_EXPRESSION}", ""),
    ("gzip", "location", r"on", ""),
    ("client_max_body_size", "location", r"[0-9]{1,19}", ""),
    ("proxy_connect_timeout", "location", _TIME, ""),
    ("proxy_read_timeout", "location", _TIME, ""),
    ("proxy_send_timeout", "location", _TIME, ""),
    ("proxy_pass_request_body", "location", r"off", ""),
    ("proxy_buffering", "location", r"off", ""),
    ("proxy_request_buffering", "location", r"off", ""),
    ("proxy_max_temp_file_size", "location", r"[0-9]{1,19}", ""),
    ("proxy_hide_header", "location", _HEADER, ""),
    ("grpc_buffer_size", "location", _KILO, ""),
    ("grpc_connect_timeout", "location", _TIME, ""),
    ("grpc_read_timeout", "location", _TIME, ""),
    ("grpc_send_timeout", "location", _TIME, ""),
    ("grpc_set_header", "location", rf"{_HEADER}\n{_EXPRESSION}", ""),
    ("grpc_hide_header", "location", _HEADER, ""),
    ("grpc_ssl_server_name", "location", r"on", ""),
    ("grpc_ssl_name", "location", rf"{_HOST}|{_SIX}", ""),
    ("grpc_ssl_verify", "location", r"on|off", ""),
    ("grpc_ssl_trusted_certificate", "location", r"/etc/ssl/certs/ca-certificates\.crt|/etc/pki/tls/certs/ca-bundle\.crt", ""),
    ("grpc_ssl_verify_depth", "location", r"[0-9]", ""),
    ("grpc_pass", "location", rf"grpcs?://(?:{_UPSTREAM}|\$gatelodge_upstream)", ""),
    ("proxy_redirect", "location", rf"https?://(?:{_HOST}|\[{_SIX}\])(?::{_PORT})?{_URL_PATH}\n/{_EXPRESSION}", ""),
    ("proxy_redirect", "location", r"http://\$host\$gatelodge_port_suffix/\n\$scheme://\$host\$gatelodge_port_suffix/", ""),
    ("proxy_ssl_server_name", "location", r"on", ""),
    ("proxy_ssl_name", "location", rf"{_HOST}|{_SIX}", ""),
    ("proxy_ssl_verify", "location", r"on|off", ""),
    ("set", "location", rf"\$gatelodge_(?:upstream|service)\n{_AUTHORITY}", ""),
    ("rewrite", "location", rf"\(\?s\)\^{_ESCAPED}(?:\(\.\*\)|\(\)\$)\n/{_EXPRESSION}\nbreak", ""),
    ("proxy_pass", "location", rf"https?://(?:{_UPSTREAM}{_URL_PATH}|\$gatelodge_(?:upstream|service))", ""),
)  # fmt: skip


#: What a block must hold, one of these at least: where nothing else answers, nginx hands out files of the `root` that it inherits.
NEEDED: Mapping[str, frozenset[str]] = {
    "server": frozenset({"location /"}),
    "location": frozenset({"return", "try_files", "proxy_pass", "grpc_pass"}),
    "tokens": frozenset({"root"}),
    "status": frozenset({"stub_status"}),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """
    What root said: where the daemon's state is, where http-01 tokens are, and which log may be written, "off" for none.
    """

    state: str
    webroot: str
    access_log: str = "off"

    @property
    def trusted(self) -> str:
        """
        The folder from which on no link is followed to a token. What is in the state directory is the daemon's, and that folder itself.
        """
        inside = f"{self.webroot}/".startswith(f"{self.state}/")
        return self.state.rpartition("/")[0] or "/" if inside else self.webroot


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """
    One row of the table, with what root said put in.
    """

    arguments: re.Pattern[str]
    inside: str


class Rules:
    """
    The table for the tree of one number.
    """

    def __init__(self, ground: Ground, number: int) -> None:
        said = {"STATE": ground.state, "WEBROOT": ground.webroot, "LOG": ground.access_log, "NUMBER": str(number)}
        self._rules: dict[tuple[str, str], list[Rule]] = {}
        for name, contexts, pattern, inside in TABLE:
            for word, text in said.items():
                pattern = pattern.replace(f"@{word}@", re.escape(text))  # noqa: PLW2901 - the same one, filled in
            for context in contexts.split():
                self._rules.setdefault((context, name), []).append(Rule(re.compile(pattern), inside))
        self._bare = {context for context, name in self._rules if not name}

    def match(self, words: tuple[str, ...], context: str, *, opens: bool) -> tuple[re.Match[str], str] | None:
        """
        Return how a directive matched and the context inside its braces; None when it may not stand there.
        """
        name, arguments = ("", words) if context in self._bare else (words[0], words[1:])
        text = "\n".join(arguments)
        for rule in self._rules.get((context, name), ()):
            found = rule.arguments.fullmatch(text) if bool(rule.inside) is opens else None
            if found:
                return found, rule.inside
        return None

    def knows(self, name: str) -> bool:
        """
        Tell whether the table has such a directive at all.
        """
        return any(name == each for _, each in self._rules)


def names(table: Iterable[tuple[str, str, str, str]] = TABLE) -> frozenset[str]:
    """
    Return every directive that a tree may hold.
    """
    return frozenset(name for name, _, _, _ in table if name)
