"""
Decides how nginx keeps people out of a route: networks, passwords, services that know them, rates; and what it asks a service.

Nothing here is inherited: each location says all of it, so that a route that is open is open and no other is by accident.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import TYPE_CHECKING

from gatelodge.model import BasicAuth, ForwardAuth, Route
from gatelodge.nginx.forward_auth import SERVICES, answered, variable
from gatelodge.nginx.manners import PROXY_HEADERS
from gatelodge.nginx.proxying import manners
from gatelodge.nginx.quote import Directive, Expanding, Expression, block, line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatelodge.model import Auth, Guard, Rate, Site
    from gatelodge.nginx.ground import Ground
    from gatelodge.nginx.upstreams import Upstreams

#: Too many requests (RFC 6585 §4); nginx's own answer is a 503.
_TOO_MANY = "429"

#: Room for the addresses of one limit: about 80 000 (https://nginx.org/en/docs/http/ngx_http_limit_req_module.html).
_ZONE_SIZE = "10m"

#: What an upstream is told of the certificate that a visitor showed.
_CERTIFICATE = (
    ("X-Client-Verify", "$ssl_client_verify"),
    ("X-Client-DN", "$ssl_client_s_dn"),
    ("X-Client-Fingerprint", "$ssl_client_fingerprint"),
)

#: What nginx itself does not escape in a header, and the realm that it takes for an order.
_QUOTED = str.maketrans({"\\": r"\\", '"': r"\""})
_NOBODY_ASKED = "off"

#: How long a service that is asked who somebody is may take. A login that hangs is a site that hangs.
_ASKING_SECONDS = "10s"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Doorkeepers:
    """
    Who is asked about visitors of one site, by the NAME of `[auth.NAME]`, and what else stands in its file for that.
    """

    site: Site
    auths: tuple[tuple[str, Auth], ...]
    ground: Ground
    zones: dict[str, Directive] = dataclasses.field(default_factory=dict)

    def keeping(self, guard: Guard) -> list[Directive]:
        """
        Return the directives that keep a location.

        Raises:
            ValueError: this nginx cannot do that.
        """
        lines = [line("deny", each) for each in guard.deny] + [line("allow", each) for each in guard.allow]
        lines += [line("deny", "all")] if guard.allow else []
        auth = self._auth(guard)
        if isinstance(auth, BasicAuth):
            lines += [
                line("auth_basic", Expanding(_realm(auth))),
                line("auth_basic_user_file", Expanding(passwords(auth, guard.auth or "", self.ground))),
            ]
        elif isinstance(auth, ForwardAuth):
            lines += self._asking(guard.auth or "", auth)
        lines += [line("satisfy", "any")] if guard.satisfy_any else []
        if guard.rate is not None:
            burst = [f"burst={guard.rate.burst}", "nodelay"] if guard.rate.burst else []
            lines += [
                line("limit_req", f"zone={self._rate_zone(guard.rate)}", *burst),
                line("limit_req_status", _TOO_MANY),
            ]
        if guard.connections is not None:
            lines += [
                line("limit_conn", self._connection_zone(), str(guard.connections)),
                line("limit_conn_status", _TOO_MANY),
            ]
        return lines

    def identity(self, guard: Guard) -> list[tuple[str, str]]:
        """
        Return the headers that tell an upstream who the visitor is. Where he was not asked they are empty, since he could send them
        himself.
        """
        if self.site.client_certificates:
            return [*_CERTIFICATE, *self._named(guard)]
        return self._named(guard)

    def _named(self, guard: Guard) -> list[tuple[str, str]]:
        asked = self._auth(guard)
        kinds = dict.fromkeys(each.kind for _, each in self.auths if isinstance(each, ForwardAuth))
        known = SERVICES[asked.kind].identity if isinstance(asked, ForwardAuth) else ()
        names = dict.fromkeys(name for kind in kinds for name in SERVICES[kind].identity)
        return [(name, variable(name) if name in known else "") for name in names]

    def turning_away(self, guard: Guard) -> list[Directive]:
        """
        Return where a visitor goes who must sign in.
        """
        auth = self._auth(guard)
        return (
            [line("error_page", "401", "=", f"@gatelodge_sign_in_{guard.auth}")]
            if isinstance(auth, ForwardAuth)
            else []
        )

    def cookies(self, guard: Guard) -> list[tuple[str, Expression]]:
        """
        Return the header by which the service keeps a session alive, if it does.
        """
        auth = self._auth(guard)
        if not (isinstance(auth, ForwardAuth) and SERVICES[auth.kind].cookies):
            return []
        return [("Set-Cookie", Expression("$gatelodge_cookie"))]

    def locations(self, upstreams: Upstreams) -> list[Directive]:
        """
        Return the locations of a site that have to do with asking.

        Raises:
            ValueError: this nginx cannot reach a service.
        """
        return [
            each
            for name, auth in self.auths
            if isinstance(auth, ForwardAuth)
            for each in _service(name, auth, upstreams, self.ground)
        ]

    def _auth(self, guard: Guard) -> Auth | None:
        return dict(self.auths).get(guard.auth) if guard.auth else None

    def _asking(self, name: str, auth: ForwardAuth) -> list[Directive]:
        if "http_auth_request_module" not in self.ground.modules:
            raise ValueError(f"[auth.{name}] needs nginx's http_auth_request_module, which this one does not have")
        service = SERVICES[auth.kind]
        lines = [line("auth_request", _place(name))]
        lines += [_kept(variable(header), answered(header)) for header in service.identity]
        if service.cookies:
            lines.append(_kept("$gatelodge_cookie", "$upstream_http_set_cookie"))
        if not service.sign_in:
            lines.append(_kept("$gatelodge_login", "$upstream_http_location"))
        return lines

    def _rate_zone(self, rate: Rate) -> str:
        per, unit = (rate.requests, "r/s") if rate.seconds == 1 else (rate.requests, "r/m")
        identity = hashlib.sha256(repr((per, unit, _ZONE_SIZE)).encode()).hexdigest()[:8]
        name = f"gatelodge_rate_{self.site.file_name}_{identity}"
        zone = f"zone={name}:{_ZONE_SIZE}"
        self.zones[name] = line("limit_req_zone", Expression("$binary_remote_addr"), zone, f"rate={per}{unit}")
        return name

    def _connection_zone(self) -> str:
        name = f"gatelodge_connections_{self.site.file_name}"
        self.zones[name] = line("limit_conn_zone", Expression("$binary_remote_addr"), f"zone={name}:{_ZONE_SIZE}")
        return name


def _realm(auth: BasicAuth) -> str:
    """
    Return a realm as nginx is to put it between the quotes of its header (RFC 9110 §5.6.4). "off" would be its word for asking nobody.
    """
    return auth.realm.translate(_QUOTED) if auth.realm != _NOBODY_ASKED else f"{_NOBODY_ASKED} "


def passwords(auth: BasicAuth, name: str, ground: Ground) -> str:
    """
    Return the path of the file with an entry's passwords: the user's own, or ours, which is called after what it holds.
    """
    return auth.file or f"{ground.state}/{FOLDER}/{password_file(auth, name)}"


#: The folder of our own password files, in the state directory: nginx's workers read them by path.
FOLDER = "auth"

#: How a file of ours is called there.
PASSWORD_FILE = re.compile(r".+\.[0-9a-f]{16}")


def password_file(auth: BasicAuth, name: str) -> str:
    """
    Return what a file of ours with these passwords is called.
    """
    return f"{name}.{hashlib.sha256(password_text(auth).encode()).hexdigest()[:16]}"


def password_text(auth: BasicAuth) -> str:
    """
    Write a file of passwords (https://nginx.org/en/docs/http/ngx_http_auth_basic_module.html#auth_basic_user_file).
    """
    return "".join(f"{user}:{password.reveal()}\n" for user, password in auth.users)


def _place(name: str) -> str:
    return f"/.gatelodge/auth/{name}"


def _kept(name: str, expression: str) -> Directive:
    return line("auth_request_set", Expression(name), Expression(expression))


def _service(name: str, auth: ForwardAuth, upstreams: Upstreams, ground: Ground) -> Iterable[Directive]:
    """
    Yield where nginx asks a service, where a visitor is sent to sign in, and where the service's own pages are.
    """
    service, upstream = SERVICES[auth.kind], auth.service.first
    base = (upstream.path or "").rstrip("/")
    asked = dataclasses.replace(
        auth.service,
        servers=tuple(
            dataclasses.replace(each, upstream=dataclasses.replace(each.upstream, path=f"{base}{service.verify}"))
            for each in auth.service.servers
        ),
    )
    question = Route(path=_place(name), action=asked)
    said = (*PROXY_HEADERS, *service.told, ("Content-Length", ""), ("Connection", ""))
    yield block(
        "location",
        "=",
        question.path,
        remark=f"auth.{name}",
        inside=[
            line("internal"),
            line("proxy_pass_request_body", "off"),
            line("client_max_body_size", "0"),
            line("proxy_connect_timeout", "5s"),
            line("proxy_read_timeout", _ASKING_SECONDS),
            *(line("proxy_set_header", header, Expression(value)) for header, value in said),
            *[each for each in manners(question, asked, ground, identity=(), shown=()) if _is_of_tls(each)],
            *upstreams.passing(question, asked),
        ],
    )
    target = service.sign_in.format(url=(auth.sign_in or "").rstrip("/")) or "$gatelodge_login"
    kept = [line("add_header", "Set-Cookie", Expression("$gatelodge_cookie"), "always")] if service.cookies else []
    yield block("location", f"@gatelodge_sign_in_{name}", inside=[*kept, line("return", "302", Expression(target))])
    if service.pages:
        pages = Route(path=service.pages, action=auth.service)
        told = [*service.told, ("X-Auth-Request-Redirect", "$request_uri")]
        yield block(
            "location",
            service.pages,
            remark=f"auth.{name}",
            inside=[
                *manners(pages, auth.service, ground, identity=told, shown=()),
                *upstreams.passing(pages, auth.service),
            ],
        )


def _is_of_tls(directive: Directive) -> bool:
    return "_ssl_" in str(directive.words[0])
