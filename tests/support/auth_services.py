"""
Services that know who a visitor is, answering nginx as their documentation and sources say they do: Authelia, Authentik, Tinyauth and
oauth2-proxy. What they are, and where that is written, stands in `gatelodge.nginx.writing.forward_auth`.

A visitor's session is the cookie `session`: "ann" may come in, "old" too and is given new cookies, "eve" may not, any other must sign
in. Each service lets everybody come to what is below `/public/`, as its users can have it do.
"""

from __future__ import annotations

import dataclasses
import posixpath
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qs, quote, unquote, urlsplit

from gatelodge.model import ForwardAuth, ForwardKind, Pool, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support import upstream
    from tests.support.upstream import Pairs, Seen

Said: TypeAlias = "tuple[int, Pairs, bytes]"

#: Where people sign in who are not sent to a page of the site itself.
PORTAL = "https://auth.example.com:2443"

#: What each service tells of the person, and by what name the upstream hears it.
IDENTITY: Mapping[ForwardKind, Mapping[str, str]] = {
    ForwardKind.AUTHELIA: {
        "Remote-User": "ann", "Remote-Groups": "staff,admins", "Remote-Name": "Ann", "Remote-Email": "ann@example.com",
    },
    ForwardKind.AUTHENTIK: {
        "X-authentik-username": "ann", "X-authentik-groups": "staff|admins", "X-authentik-entitlements": "read|write",
        "X-authentik-email": "ann@example.com", "X-authentik-name": "Ann", "X-authentik-uid": "5d41402abc4b",
    },
    ForwardKind.TINYAUTH: {
        "Remote-User": "ann", "Remote-Groups": "staff,admins", "Remote-Name": "Ann", "Remote-Email": "ann@example.com",
        "Remote-Sub": "1234",
    },
    ForwardKind.OAUTH2_PROXY: {
        "X-Auth-Request-User": "ann", "X-Auth-Request-Email": "ann@example.com", "X-Auth-Request-Groups": "staff,admins",
        "X-Auth-Request-Preferred-Username": "Ann", "X-Auth-Request-Access-Token": "ey.token",
    },
}  # fmt: skip

#: What a service's answer says beside, for nobody else to hear.
NOBODYS = (("X-Secret", "of the service"),)

#: The cookies that an "old" session is given. That of oauth2-proxy does not fit into one.
COOKIES: Mapping[ForwardKind, tuple[str, ...]] = {
    ForwardKind.AUTHELIA: (),
    ForwardKind.AUTHENTIK: ("authentik_proxy=n3w; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT; HttpOnly; Secure",),
    ForwardKind.TINYAUTH: ("tinyauth-session=n3w; Path=/; Domain=example.com; Max-Age=3600; HttpOnly; Secure",),
    ForwardKind.OAUTH2_PROXY: (
        "_oauth2_proxy_0=n3w|17|abc=; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT; HttpOnly; Secure; SameSite=Lax",
        "_oauth2_proxy_1=more|=; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT; HttpOnly; Secure; SameSite=Lax",
    ),
}


@dataclasses.dataclass(slots=True, kw_only=True)
class AuthService:
    """
    One of them, on a running upstream. `behaves` takes the place of what it would answer when asked; `heard` are the questions.
    """

    kind: ForwardKind
    up: upstream.Upstream
    behaves: Callable[[Seen], Said] | None = None

    @property
    def heard(self) -> list[Seen]:
        return [each for each in self.up.seen if each.target.partition("?")[0] == VERIFY[self.kind]]

    def entry(self, url: str = "", *, sign_in: str | None = None) -> ForwardAuth:
        """
        Return the entry of `[auth]` that names it.

        Args:
            url: where it is, by default at its address.
        """
        scheme, _, rest = (url or f"http://127.0.0.1:{self.up.port}").partition("://")
        authority, slash, path = rest.partition("/")
        host, _, port = authority.rpartition(":")
        where = Upstream(scheme=scheme, host=host, port=int(port), path=f"/{path}" if slash else None)
        return ForwardAuth(kind=self.kind, service=Pool.of(where), sign_in=sign_in)

    async def answer(self, seen: Seen) -> Said:
        """
        Answer as the service does.
        """
        path = seen.target.partition("?")[0]
        if path == VERIFY[self.kind]:
            return (self.behaves or _ASKED[self.kind])(seen)
        if path.startswith(PAGES.get(self.kind, "-")):
            return _page(seen)
        return 404, (), b""


def running(kind: ForwardKind, up: upstream.Upstream) -> AuthService:
    """
    Make a running upstream a service of this kind.
    """
    service = AuthService(kind=kind, up=up)
    up.answer = service.answer
    return service


VERIFY: Mapping[ForwardKind, str] = {
    ForwardKind.AUTHELIA: "/api/authz/auth-request",
    ForwardKind.AUTHENTIK: "/outpost.goauthentik.io/auth/nginx",
    ForwardKind.TINYAUTH: "/api/auth/nginx",
    ForwardKind.OAUTH2_PROXY: "/oauth2/auth",
}
PAGES = {ForwardKind.AUTHENTIK: "/outpost.goauthentik.io/", ForwardKind.OAUTH2_PROXY: "/oauth2/"}


def _page(seen: Seen) -> Said:
    """
    Answer for its own pages: where the visitor will be sent back to, and what was asked for.
    """
    back = parse_qs(urlsplit(seen.target).query).get("rd", [""])[0]
    return 200, (("X-Back", quote(back, safe="")), ("Set-Cookie", "state=1; Path=/")), seen.target.encode()


def _session(seen: Seen) -> str:
    cookies = SimpleCookie(seen.headers.get("cookie", ""))
    return cookies["session"].value if "session" in cookies else ""


def _known(kind: ForwardKind, seen: Seen) -> Said | None:
    """
    Answer for who has a session.
    """
    match _session(seen):
        case "ann":
            return 200, (*IDENTITY[kind].items(), *NOBODYS), b"in"
        case "old":
            return 200, (*IDENTITY[kind].items(), *(("Set-Cookie", each) for each in COOKIES[kind])), b"in"
        case "eve":
            return 403, (), b"out"
        case _:
            return None


def _authelia(seen: Seen) -> Said:
    url, method = seen.headers.get("x-original-url", ""), seen.headers.get("x-original-method", "")
    if not (url.startswith("https://") and method):
        return 401, (), b""
    if seen.headers.get("authorization"):
        return 401, (("WWW-Authenticate", 'Basic realm="Authorization Required"'),), b""
    # It reads paths as nginx does (`utils.URLPathFullClean`).
    if posixpath.normpath(unquote(urlsplit(url).path)).startswith("/public/"):
        return 200, (), b""
    where = f"{PORTAL}/?rd={quote(url, safe='')}&rm={method}"
    return _known(ForwardKind.AUTHELIA, seen) or (401, (("Location", where),), b"")


def _authentik(seen: Seen) -> Said:
    url = seen.headers.get("x-original-uri") or urlsplit(seen.headers.get("x-original-url", "")).path
    if not url:
        return 500, (), b"configuration error"
    if url.startswith(("/public/", "/outpost.goauthentik.io")):
        return 200, (), b""
    begun = (("Set-Cookie", "authentik_proxy=begun; Path=/; HttpOnly"),)
    return _known(ForwardKind.AUTHENTIK, seen) or (401, begun, b"")


def _tinyauth(seen: Seen) -> Said:
    told = [seen.headers.get(f"x-forwarded-{each}", "") for each in ("proto", "host", "uri")]
    if seen.headers.get("x-original-url") or not all(told):
        return 400, (), b"conflicting auth module headers"
    if told[2].startswith("/public/"):
        return 200, (), b""
    proto, host, uri = told
    where = f"{PORTAL}/login?redirect_uri={quote(f'{proto}://{host}{uri}', safe='')}&login_for=app"
    denied = (("X-Tinyauth-Location", f"{PORTAL}/unauthorized?username=eve"),)
    answer = _known(ForwardKind.TINYAUTH, seen) or (401, (("X-Tinyauth-Location", where),), b"")
    return (403, denied, b"") if answer[0] == 403 else answer


def _oauth2_proxy(seen: Seen) -> Said:
    if seen.headers.get("x-forwarded-uri", "").startswith("/public/"):
        return 202, (), b""
    status, fields, body = _known(ForwardKind.OAUTH2_PROXY, seen) or (401, (), b"")
    return 202 if status == 200 else status, fields, body


_ASKED: Mapping[ForwardKind, Callable[[Seen], Said]] = {
    ForwardKind.AUTHELIA: _authelia,
    ForwardKind.AUTHENTIK: _authentik,
    ForwardKind.TINYAUTH: _tinyauth,
    ForwardKind.OAUTH2_PROXY: _oauth2_proxy,
}
