"""
Decides how nginx keeps people out of a route: networks, passwords, services that know them, rates.

Nothing here is inherited: each location says all of it, so that a route that is open is open and no other is by accident.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import TYPE_CHECKING

from gatelodge.model import BasicAuth, ForwardAuth
from gatelodge.nginx.writing import asking
from gatelodge.nginx.writing.forward_auth import SERVICES, variable
from gatelodge.nginx.writing.quote import Directive, Expanding, Expression, block, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatelodge.model import Auth, Guard, Rate, Site
    from gatelodge.nginx.writing.ground import Ground
    from gatelodge.nginx.writing.upstreams import Upstreams

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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Doorkeepers:
    """
    Who is asked about visitors of one site, by the NAME of `[auth.NAME]`. `before` stands before its servers.
    """

    site: Site
    auths: tuple[tuple[str, Auth], ...]
    ground: Ground
    before: dict[str, Directive] = dataclasses.field(default_factory=dict)

    def keeping(self, guard: Guard) -> list[Directive]:
        """
        Return the directives that keep a location.

        Raises:
            ValueError: this nginx cannot do that.
        """
        lines = [asking.refuse_detours()] if self._guarded else []
        lines += self._denying(guard) + [line("allow", each) for each in guard.allow]
        lines += [line("deny", "all")] if guard.allow else []
        auth = self._auth(guard)
        if isinstance(auth, BasicAuth):
            lines += [
                line("auth_basic", Expanding(_realm(auth))),
                line("auth_basic_user_file", Expanding(passwords(auth, guard.auth or "", self.ground))),
            ]
        elif isinstance(auth, ForwardAuth):
            lines += asking.asking(guard.auth or "", auth, self.ground)
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
        known = SERVICES[asked.kind].identity if isinstance(asked, ForwardAuth) else {}
        names = dict.fromkeys(name for kind in kinds for name in SERVICES[kind].identity)
        return [(name, variable(known[name]) if name in known else "") for name in names]

    def turning_away(self, guard: Guard) -> list[Directive]:
        """
        Return where a visitor goes who must sign in.
        """
        return asking.turning_away(guard.auth or "") if isinstance(self._auth(guard), ForwardAuth) else []

    def cookies(self, guard: Guard) -> list[tuple[str, Expression]]:
        """
        Return the headers by which the service keeps a session alive, if it does.
        """
        return asking.cookies(self._auth(guard))

    def locations(self, upstreams: Upstreams, told: Sequence[tuple[str, str]]) -> list[Directive]:
        """
        Return the locations of a site that have to do with asking.

        Args:
            told: headers that every answer of this server has.

        Raises:
            ValueError: this nginx cannot reach a service.
        """
        services = [(name, auth) for name, auth in self.auths if isinstance(auth, ForwardAuth)]
        return asking.locations(services, self.site, upstreams, self.ground, told)

    @property
    def _guarded(self) -> bool:
        """
        True when some route of the site is not for everybody. Then no path may lead from an open one to it.
        """
        return any(route.guard.auth or route.guard.allow or route.guard.deny for route in self.site.routes)

    def _auth(self, guard: Guard) -> Auth | None:
        return dict(self.auths).get(guard.auth) if guard.auth else None

    def _denying(self, guard: Guard) -> list[Directive]:
        """
        Return what keeps networks out. Where one yes is enough nginx would let them in with a password, so they are refused before.
        """
        if not (guard.deny and guard.satisfy_any):
            return [line("deny", each) for each in guard.deny]
        name = f"$gatelodge_denied_{hashlib.sha256(repr((self.site.file_name, guard.deny)).encode()).hexdigest()[:8]}"
        networks = [line("default", "0"), *(line(each, "1") for each in guard.deny)]
        self.before[name] = block("geo", Expression(name), inside=networks)
        return [block("if", Expression(f"({name})"), inside=[line("return", "403")])]

    def _rate_zone(self, rate: Rate) -> str:
        per = f"{rate.requests}r/{'s' if rate.seconds == 1 else 'm'}"
        return self._zone("rate", "limit_req_zone", f"rate={per}", burst=rate.burst)

    def _connection_zone(self) -> str:
        return self._zone("connections", "limit_conn_zone")

    def _zone(self, what: str, directive: str, *more: str, burst: int = 0) -> str:
        """
        Add the zone in which visitors are counted, and return its name. Routes of one limit count together. nginx takes no zone of one
        name with another size or rate at a reload, so the name changes with them.
        """
        identity = hashlib.sha256(repr((directive, more, burst, _ZONE_SIZE)).encode()).hexdigest()[:8]
        name = f"gatelodge_{what}_{self.site.file_name}_{identity}"
        self.before[name] = line(directive, Expression("$binary_remote_addr"), f"zone={name}:{_ZONE_SIZE}", *more)
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
