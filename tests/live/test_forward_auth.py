"""
Services that nginx asks who a visitor is, on the oldest nginx at hand and on the newest: whom they let in, what is told to whom, and
that their silence opens no door.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import ssl
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from tests.support import auth_services, fastcgi, upstream
from tests.support.auth_services import COOKIES, IDENTITY, PAGES, PORTAL
from tests.support.nginx_dns import naming
from tests.support.nginx_house import DEBIAN, WHEEL, house, parse, url
from tests.support.waiting import until

from gatelodge.issuers import selfsigned
from gatelodge.model import (
    BasicAuth,
    Files,
    ForwardKind,
    Guard,
    Headers,
    Hsts,
    Match,
    Name,
    Pool,
    Redirect,
    Respond,
    Route,
    Upstream,
)
from gatelodge.nginx.writing import asking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.auth_services import AuthService
    from tests.support.nginx_house import Answer, House
    from tests.support.upstream import Seen

pytestmark = pytest.mark.live

SITE = "a.example.com"

#: As visitors type it who come by another port.
HOST = f"{SITE}:2443"

ANN, EVE, OLD = ({"Cookie": f"session={who}"} for who in ("ann", "eve", "old"))


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


@pytest.fixture
async def up() -> AsyncIterator[upstream.Upstream]:
    """
    Yield a running upstream.
    """
    async with upstream.running() as made:
        yield made


@pytest.fixture(params=list(ForwardKind), ids=str)
async def service(request: pytest.FixtureRequest) -> AsyncIterator[AuthService]:
    """
    Yield each service, running.
    """
    async with upstream.running() as made:
        yield auth_services.running(request.param, made)


@pytest.fixture
async def authelia() -> AsyncIterator[AuthService]:
    """
    Yield one of them, where it does not matter which.
    """
    async with upstream.running() as made:
        yield auth_services.running(ForwardKind.AUTHELIA, made)


def route(path: str, to: upstream.Upstream, auth: str | None = "sso", **more: object) -> Route:
    """
    Return a route to an upstream, behind a service unless it is open.
    """
    made = Route(path=path, action=Pool.of(url(f"http://127.0.0.1:{to.port}")), guard=Guard(auth=auth))
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


async def sent_back_to(home: House, service: AuthService, answer: Answer) -> str:
    """
    Follow a visitor who is sent to sign in until the service knows where he is to come back to, and return that.
    """
    for _ in range(2):
        assert answer.status == 302
        where = answer.headers["location"]
        if where.startswith(PORTAL):
            [back] = parse_qs(urlsplit(where).query)["redirect_uri" if "/login?" in where else "rd"]
            return back
        answer = await home.get(HOST, where)
        if "x-back" in answer.headers:
            assert service.up.seen[-1].target == where
            return unquote(answer.headers["x-back"])
    raise AssertionError(answer)


#: Paths as visitors ask for them: with what would end a parameter, with what is escaped and what looks like it, and with none of it.
ASKED = [
    "/", "/deep/er", "/x?", "/x?q=1", "/x?a=1&b=2", "/x?a=b%26c&d=%2525", "/x?a=b+c;d#e", "/%E4%BD%A0%20/a+b?x=%20", "/$1/${host}?$args",
    "/x?rd=https://evil.example/&redirect_uri=https://evil.example/", '/x?"\\{}|^`', "/x?" + "y" * 3000,
]  # fmt: skip


async def test_a_visitor_without_a_session_is_sent_to_sign_in_and_comes_back(
    home: House, up: upstream.Upstream, service: AuthService
) -> None:
    """
    To the very URL that he asked for, with the port that he typed and the whole query, whatever is in it. Nothing of his request
    reaches the upstream, whether it is a POST, a websocket, or comes with a session that is over.
    """
    home.auth["sso"] = service.entry()
    home.add(SITE, routes=(route("/", up),))
    await home.serve()
    for target in ASKED:
        answer = await home.get(HOST, target)
        came = f"https://{HOST}{target.partition('#')[0]}"
        assert (await sent_back_to(home, service, answer)).partition("#")[0] == came
    for method, headers, body in (
        ("GET", {"Cookie": "session=over"}, b""),
        ("POST", {}, b"x" * 100_000),
        ("HEAD", {}, b""),
        ("GET", {"Upgrade": "websocket", "Connection": "Upgrade"}, b""),
    ):
        answer = await home.get(HOST, "/x", method=method, headers=headers, body=body)
        assert await sent_back_to(home, service, answer) == f"https://{HOST}/x"
        assert service.heard[-1].method == "GET"
    assert up.seen == []


async def test_the_upstream_is_told_by_the_service_who_the_visitor_is(
    home: House, up: upstream.Upstream, service: AuthService
) -> None:
    """
    What the visitor says of himself never reaches it, neither where he is asked, in any spelling, nor on a route that is open. What
    else the service says stays with the gate.
    """
    home.auth["sso"] = service.entry()
    home.add(SITE, routes=(route("/", up), route("/share/", up, None)))
    await home.serve()
    told = dict(IDENTITY[service.kind])
    if service.kind is ForwardKind.OAUTH2_PROXY:
        told |= {"X-User": "ann", "X-Email": "ann@example.com", "X-Access-Token": "ey.token"}
    lower = {name.lower(): value for name, value in told.items()}
    forged = dict.fromkeys((*told, *(name.replace("-", "_") for name in told), *map(str.upper, told)), "root")
    for sent in ({}, forged):
        answer = await home.get(HOST, "/x", headers={**sent, **ANN})
        assert answer.status == 200
        seen = up.seen[-1].headers
        assert {name: seen.get(name) for name in lower} == lower
        assert "root" not in seen.values()
        assert "x-secret" not in {**seen, **answer.headers}
    asked = len(service.heard)
    for sent in (forged, {**forged, **ANN}):
        assert (await home.get(HOST, "/share/x", headers=sent)).status == 200
        assert not up.seen[-1].headers.keys() & {*lower, *(name.replace("-", "_") for name in lower)}
    # Who is let in unknown is told nobody's name either.
    assert (await home.get(HOST, "/public/x", headers=forged)).status == 200
    assert not up.seen[-1].headers.keys() & lower.keys()
    assert len(service.heard) == asked + 1


async def test_what_the_service_hears(home: House, up: upstream.Upstream, service: AuthService) -> None:
    """
    The visitor's cookies and credentials, where he is and where he wants to go, by nginx's word alone: never his body, his query as
    one of its own, or what he claims that he asked for. With that he would be let in, by a service that believes it.
    """
    home.auth["sso"] = service.entry()
    home.add(SITE, routes=(route("/", up),))
    await home.serve()
    claims = dict.fromkeys(
        (
            *("X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Forwarded-Uri", "X-Forwarded-Method"),
            *("X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-Real-IP", "X-Auth-Request-Redirect"),
            *("X-Authelia-URL", "Forwarded"),
        ),
        "https://a.example.com/public/x",
    )
    claims |= dict.fromkeys(("X-Original-URI", "X-Forwarded-Uri", "X-Original-Uri"), "/public/x")
    body = b"x" * 2_000_000
    answer = await home.get(HOST, "/secret?allowed_groups=x", method="POST", headers=claims, body=body)
    assert answer.status == 302
    assert up.seen == []
    question = service.heard[-1]
    assert (question.method, question.body) == ("GET", b"")
    assert "?" not in question.target
    assert not question.headers.keys() & {"content-length", "transfer-encoding", "upgrade", "x-original-uri"}
    assert "public" not in str(question)
    assert question.headers["x-forwarded-for"] == "127.0.0.1"
    assert question.headers["x-forwarded-host"] == question.headers["host"] == HOST
    answer = await home.get(HOST, "/secret?q", method="POST", headers={**ANN, "Accept": "x/y"}, body=body)
    assert answer.status == 200
    assert (up.seen[-1].method, up.seen[-1].target, up.seen[-1].body) == ("POST", "/secret?q", body)
    question = service.heard[-1]
    assert (question.body, question.headers["cookie"], question.headers["accept"]) == (b"", "session=ann", "x/y")
    if service.kind in {ForwardKind.AUTHELIA, ForwardKind.AUTHENTIK}:
        assert question.headers["x-original-url"] == f"https://{HOST}/secret?q"
    if service.kind is ForwardKind.AUTHELIA:
        assert question.headers["x-original-method"] == "POST"
    if service.kind in {ForwardKind.TINYAUTH, ForwardKind.OAUTH2_PROXY}:
        assert question.headers["x-forwarded-uri"] == "/secret?q"


async def test_a_path_does_not_lead_back_out_of_what_is_open(
    home: House, up: upstream.Upstream, service: AuthService
) -> None:
    """
    A service that lets everybody come to `/public/`, or to its own pages, may not see that `/public/../secret` is another path; nor
    may an upstream see what is open in `/share/..;/secret`. Browsers never ask so, and who does is refused.
    """
    home.auth["sso"] = service.entry()
    home.add(SITE, routes=(route("/", up), route("/share/", up, None)))
    await home.serve()
    for start in ("/public/", "/outpost.goauthentik.io/", "/share/", "/oauth2/", "/x/../share/", "/public/./"):
        for back in ("..", "%2e%2e", ".%2E", "x/../..", "..%2f..", "..%5c..", "..;", "%2e%2e%3b", "..\\..", "//.."):
            answer = await home.get(HOST, f"{start}{back}/secret?a/../b")
            assert (start, back, answer.status) in {(start, back, 400), (start, back, 302)}
    assert up.seen == []
    for fine in ("/public/x..y/..z/...", "/share/.well-known/x?../..", "/share/a.;b", "/public/%2e%2ex"):
        assert (await home.get(HOST, fine)).status == 200
        assert up.seen[-1].target == fine


async def test_the_cookies_of_a_service_reach_the_visitor(
    home: House, up: upstream.Upstream, service: AuthService
) -> None:
    """
    Each as it was set, beside the upstream's own, with what is let in and with what is sent to sign in; also when an answer is
    nginx's own. An oauth2-proxy's cookie may be in two parts.
    """
    home.auth["sso"] = service.entry()
    home.add(SITE, routes=(route("/", up), Route(path="/say", action=Respond(body="hi"), guard=Guard(auth="sso"))))
    await home.serve()

    async def own(_: Seen) -> tuple[int, upstream.Pairs, bytes]:
        return 200, (("Set-Cookie", "app=1"), ("Set-Cookie", "app=2")), b""

    up.answer = own
    given = list(COOKIES[service.kind])
    for path, beside in (("/x", ["app=1", "app=2"]), ("/say", [])):
        assert sorted((await home.get(HOST, path, headers=OLD)).all("set-cookie")) == sorted(given + beside)
        assert (await home.get(HOST, path, headers=ANN)).all("set-cookie") == beside
    begun = {ForwardKind.AUTHENTIK: ["authentik_proxy=begun; Path=/; HttpOnly"]}.get(service.kind, [])
    for target in ("/x", "/x?a&b"):
        answer = await home.get(HOST, target)
        assert (answer.status, answer.all("set-cookie")) == (302, begun)


async def test_who_is_refused_by_the_service_is_refused(
    home: House, up: upstream.Upstream, service: AuthService
) -> None:
    """
    403 stays 403: to sign in once more would not help him.
    """
    home.auth["sso"] = service.entry()
    home.add(SITE, routes=(route("/", up),))
    await home.serve()
    for method in ("GET", "POST"):
        assert (await home.get(HOST, "/x", method=method, headers=EVE)).status == 403
    assert up.seen == []


async def test_silence_opens_no_door(home: House, up: upstream.Upstream, service: AuthService) -> None:
    """
    Whatever else a service answers, and when it is not there, everybody gets a page that says so, but on what is open.
    """
    home.auth |= {"sso": service.entry(), "dead": service.entry(f"http://127.0.0.1:{home.spare[0]}")}
    home.auth["nowhere"] = service.entry(f"http://does_not_exist.invalid:{up.port}")
    async with naming() as server:
        home.resolver = (f"127.0.0.1:{server.port}",)
        home.add(SITE, routes=(route("/", up), route("/share/", up, None)))
        home.add("dead.example.com", routes=(route("/", up, "dead"), route("/share/", up, None)))
        home.add("nowhere.example.com", routes=(route("/", up, "nowhere"), route("/share/", up, None)))
        await home.serve()
        for status in (301, 302, 304, 400, 404, 500, 502, 503):
            service.behaves = lambda _, status=status: (status, (("Location", "/share/"),), b"")
            answer = await home.get(HOST, "/x", headers=ANN)
            assert (status, answer.status, b"No answer" in answer.body) == (status, 502, True)
        service.behaves = lambda _: (204, (), b"")
        assert (await home.get(HOST, "/x")).status == 200
        up.seen.clear()
        for host in ("dead.example.com", "nowhere.example.com"):
            answer = await home.get(host, "/x", headers=ANN)
            assert (host, answer.status, b"No answer" in answer.body) == (host, 502, True)
            assert up.seen == []
            assert (await home.get(host, "/share/")).status == 200
            up.seen.clear()


async def test_a_slow_service_is_waited_for_and_then_given_up(
    home: House, up: upstream.Upstream, authelia: AuthService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Nothing reaches the upstream before the answer is there, and nginx's patience has an end.
    """
    monkeypatch.setattr(asking, "_ASKING_SECONDS", "1s")
    waiting, go = asyncio.Event(), asyncio.Event()

    async def slowly(seen: Seen) -> tuple[int, upstream.Pairs, bytes]:
        waiting.set()
        await go.wait()
        return await authelia.answer(seen)

    home.auth["sso"] = authelia.entry()
    authelia.up.answer = slowly
    home.add(SITE, routes=(route("/", up),))
    await home.serve()
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(home.get(HOST, "/x", headers=ANN))
        await waiting.wait()
        assert up.seen == []
        go.set()
        assert (await asked).status == 200
    go.clear()
    up.seen.clear()
    assert (await home.get(HOST, "/x", headers=ANN)).status == 502
    assert up.seen == []
    go.set()


async def test_bodies_and_websockets_pass_once_the_visitor_is_known(
    home: House, up: upstream.Upstream, service: AuthService
) -> None:
    """
    Ten megabytes, in chunks too; and bytes flow both ways after an upgrade.
    """
    home.auth["sso"] = service.entry()
    home.add(SITE, routes=(route("/", up),))
    await home.serve()
    body = bytes(range(256)) * 40_960
    assert (await home.get(HOST, "/up", method="PUT", headers=ANN, body=body)).status == 200
    assert up.seen[-1].body == body
    reader, writer = await home.connect(home.settings.https_port, SITE)
    writer.write(b"POST / HTTP/1.1\r\nHost: a.example.com\r\nCookie: session=ann\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(b"5\r\nhello\r\n" * 1000 + b"0\r\n\r\n")
    assert parse(await reader.readuntil(b"\r\n\r\n")).status == 200
    assert up.seen[-1].body == b"hello" * 1000
    writer.close()
    reader, writer = await home.connect(home.settings.https_port, SITE)
    writer.write(
        b"GET /live HTTP/1.1\r\nHost: a.example.com\r\nCookie: session=ann\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert parse(await reader.readuntil(b"\r\n\r\n")).status == 101
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    writer.close()
    assert all(each.body == b"" for each in service.heard)


@pytest.mark.parametrize("kind", [ForwardKind.AUTHENTIK, ForwardKind.OAUTH2_PROXY])
@pytest.mark.parametrize("base", ["", "/", "/base/"])
async def test_the_pages_of_a_service_are_open(
    home: House, up: upstream.Upstream, kind: ForwardKind, base: str
) -> None:
    """
    Nobody could sign in otherwise. What is sent there arrives, below the path that the service is said to have; what it answers does
    too. A visitor tells no lies there either.
    """
    prefix = base.rstrip("/")
    async with upstream.running() as other:

        async def answer(seen: Seen) -> tuple[int, upstream.Pairs, bytes]:
            # As if the rest of its URL were some other proxy's.
            assert seen.target.startswith(prefix)
            here = dataclasses.replace(seen, target=seen.target.removeprefix(prefix))
            return await service.answer(here)

        service = auth_services.running(kind, other)
        other.answer = answer
        home.auth["sso"] = service.entry(f"http://127.0.0.1:{other.port}{base}")
        # Neither a prefix nor an expression of another route takes them away.
        home.add(SITE, routes=(route("/", up), route("^/.*x", up, match=Match.REGEX)))
        await home.serve()
        path = PAGES[kind]
        reply = await home.get(HOST, f"{path}callback?code=%41&state=x", headers={"X-Original-URI": "/lie"})
        assert (reply.status, reply.all("set-cookie")) == (200, ["state=1; Path=/"])
        seen = other.seen[-1]
        assert seen.target == f"{prefix}{path}callback?code=%41&state=x"
        assert seen.headers["host"] == HOST
        assert "/lie" not in seen.headers.values()
        assert (await home.get(HOST, f"{path}x", method="POST", body=b"form")).status == 200
        assert other.seen[-1].body == b"form"
        assert (await home.get(HOST, "/x", headers=ANN)).status == 200
        assert other.seen[-1].target == f"{prefix}{auth_services.VERIFY[kind]}"
        # Where nginx asks is no page, and cannot be asked from outside.
        assert (await home.get(HOST, "/.gatelodge/auth/sso", headers=ANN)).status == 404


async def test_names_are_asked_as_addresses_are(home: House, up: upstream.Upstream, service: AuthService) -> None:
    """
    Also when the upstream has one too: before 1.27.3 each goes through a variable, and a request shares all of them with the one by
    which nginx asks.
    """
    async with naming(auth="127.0.0.1", app="127.0.0.1") as server:
        home.resolver = (f"127.0.0.1:{server.port}",)
        home.auth["sso"] = service.entry(f"http://auth:{service.up.port}")
        named = Pool.of(url(f"http://app:{up.port}"))
        below = Pool.of(url(f"http://app:{up.port}/base/"))
        routes = (
            route("/", up, action=named),
            route("/x/", up, action=below),
            route("/share/", up, None, action=named),
        )
        home.add(SITE, routes=routes)
        await home.serve()
        for target, reached in (("/deep?q", "/deep?q"), ("/x/y?q", "/base/y?q"), ("/share/y", "/share/y")):
            assert (await home.get(HOST, target, headers=ANN)).status == 200
            assert up.seen[-1].target == reached
        assert await sent_back_to(home, service, await home.get(HOST, "/deep?a&b")) == f"https://{HOST}/deep?a&b"
        assert [each.target for each in service.heard] == [auth_services.VERIFY[service.kind]] * 3
        if service.kind in PAGES:
            assert (await home.get(HOST, f"{PAGES[service.kind]}x?q")).status == 200
            assert service.up.seen[-1].target == f"{PAGES[service.kind]}x?q"


async def test_a_service_may_be_a_socket(home: House, up: upstream.Upstream, service: AuthService) -> None:
    """
    Its pages are below the same one.
    """
    path = home.state / "public" / "auth.sock"
    entry = service.entry()
    where = Upstream(scheme="http", socket=str(path))
    home.auth["sso"] = dataclasses.replace(entry, service=Pool.of(where))
    home.add(SITE, routes=(route("/", up),))
    await home.serve()
    async with await asyncio.start_unix_server(service.up.serve, path):
        path.chmod(0o666)
        assert (await home.get(HOST, "/x", headers=ANN)).status == 200
        assert await sent_back_to(home, service, await home.get(HOST, "/y?a&b")) == f"https://{HOST}/y?a&b"


async def test_a_service_behind_tls_is_checked_like_an_upstream(
    home: House, up: upstream.Upstream, tmp_path: Path
) -> None:
    """
    By name against the roots, so that one that nobody vouches for lets nobody in; by address it cannot be.
    """
    issued = selfsigned.make([Name("localhost")])
    (tmp_path / "chain.pem").write_text(issued.chain)
    (tmp_path / "key.pem").write_text(issued.private_key.reveal())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    async with upstream.running(tls=context) as secured:
        service = auth_services.running(ForwardKind.OAUTH2_PROXY, secured)
        home.auth |= {
            name: service.entry(f"https://{host}:{secured.port}")
            for name, host in (("address", "127.0.0.1"), ("name", "localhost"))
        }
        for name in home.auth:
            home.add(f"{name}.example.com", routes=(route("/", up, name),))
        await home.serve()
        for path, headers in (("/x", ANN), ("/oauth2/x", {})):
            for name, status in (("address", 200), ("name", 502)):
                answer = await home.get(f"{name}.example.com", path, headers=headers)
                assert (name, path, answer.status) == (name, path, status)


async def test_a_sign_in_page_elsewhere_is_where_visitors_are_sent(
    home: House, up: upstream.Upstream, service: AuthService
) -> None:
    """
    For a service whose own pages are on another site, and for one that does not say where they are. Who can be sent nowhere is told
    401.
    """
    service.behaves = lambda _: (401, (), b"")
    home.auth |= {"sso": service.entry(sign_in="https://login.example.com/$1/"), "mute": service.entry()}
    home.add(SITE, routes=(route("/", up),))
    home.add("mute.example.com", routes=(route("/", up, "mute"),))
    await home.serve()
    for target in ("/x", "/x?a=1&b=%20"):
        answer = await home.get(HOST, target)
        if answer.headers["location"].startswith("/"):
            answer = await home.get(HOST, answer.headers["location"])
        where = urlsplit(answer.headers["location"])
        assert (where.netloc, where.path.startswith("/$1/")) == ("login.example.com", True)
        assert list(parse_qs(where.query).values()) == [[f"https://{HOST}{target}"]]
    mute = await home.get("mute.example.com", "/x")
    assert mute.status == (302 if service.kind in PAGES else 401)
    assert up.seen == []


async def test_credentials_that_a_service_refuses_are_asked_for_again(
    home: House, up: upstream.Upstream, authelia: AuthService
) -> None:
    """
    A program that shows a password is not sent to a page for people.
    """
    home.auth["sso"] = authelia.entry()
    home.add(SITE, routes=(route("/", up),))
    await home.serve()
    answer = await home.get(HOST, "/x", headers={"Authorization": "Basic YTpi"})
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="Authorization Required"')
    assert authelia.heard[-1].headers["authorization"] == "Basic YTpi"


async def test_an_upstreams_own_answers_are_its_own(home: House, up: upstream.Upstream, authelia: AuthService) -> None:
    """
    Also where some of them are replaced by pages: a 401 of an app is no reason to sign in at the gate, and its 500 is not the
    service's.
    """
    page = home.state / "public" / "404.html"
    page.write_text("own page")

    async def own(seen: Seen) -> tuple[int, upstream.Pairs, bytes]:
        return int(seen.target.strip("/").partition("/")[2]), (("WWW-Authenticate", "Bearer"),), b"app"

    up.answer = own
    home.auth["sso"] = authelia.entry()
    routes = (route("/plain/", up), route("/paged/", up, error_pages=((404, str(page)),)))
    home.add(SITE, routes=routes)
    await home.serve()
    for path in ("/plain/", "/paged/"):
        for status in (401, 500, 404, 403):
            answer = await home.get(HOST, f"{path}{status}", headers=ANN)
            assert (path, status, answer.status) == (path, status, status)
            assert status != 401 or answer.headers["www-authenticate"] == "Bearer"
            assert path == "/paged/" or answer.body == b"app"
            assert (path, status) != ("/paged/", 404) or answer.body == b"own page"
        assert (await home.get(HOST, f"{path}x")).status == 302


async def test_everything_that_a_route_does_can_be_guarded(
    home: House, up: upstream.Upstream, authelia: AuthService
) -> None:
    """
    Files, answers and redirects of nginx's own too; with a network or a service, whichever is enough; and a password beside it on
    another route. Which of them asks is each route's own.
    """
    folder = home.state / "public"
    (folder / "index.html").write_text("files")
    home.auth |= {"sso": authelia.entry(), "words": BasicAuth(realm="W", file=str(folder / "none"))}
    guard = Guard(auth="sso")
    either = Guard(auth="sso", allow=("127.0.0.2",), satisfy_any=True)
    both = Guard(auth="sso", allow=("127.0.0.2",))
    routes = (
        Route(path="/files/", action=Files(root=str(folder)), guard=guard),
        Route(path="/say", action=Respond(body="said"), guard=guard),
        Route(path="/go", action=Redirect(url="https://other.example/", keep_path=False, code=307), guard=guard),
        Route(path="/open/", action=Files(root=str(folder))),
        route("/either/", up, guard=either),
        route("/both/", up, guard=both),
        route("/words/", up, "words"),
        route("/", up),
    )
    home.add(SITE, routes=routes)
    await home.serve()
    for target, inside in (("/files/", 200), ("/files/index.html", 200), ("/say", 200), ("/go", 307)):
        answer = await home.get(HOST, target)
        assert (target, answer.status) == (target, 302)
        assert answer.headers["location"].startswith(PORTAL)
        assert (target, (await home.get(HOST, target, headers=ANN)).status) == (target, inside)
        assert (target, (await home.get(HOST, target, headers=EVE)).status) == (target, 403)
    assert (await home.get(HOST, "/open/")).body == b"files"
    assert (await home.get(HOST, "/words/", headers=ANN)).status == 401
    for path, source, headers, status in (
        ("/either/", "127.0.0.2", {}, 200), ("/either/", "127.0.0.3", ANN, 200), ("/either/", "127.0.0.3", {}, 302),
        ("/both/", "127.0.0.2", {}, 302), ("/both/", "127.0.0.3", ANN, 403), ("/both/", "127.0.0.2", ANN, 200),
    ):  # fmt: skip
        answer = await home.get(HOST, path, source=source, headers={**headers, "Remote-User": "root"})
        assert (path, source, answer.status) == (path, source, status)
        assert all(each.headers.get("remote-user") in {None, "ann"} for each in up.seen)


async def test_a_fastcgi_application_is_told_who_the_visitor_is(home: House, service: AuthService) -> None:
    """
    By the same word alone: where nobody was asked, nobody is named.
    """
    application = fastcgi.Application()
    home.auth["sso"] = service.entry()
    php = Pool.of(url(f"fastcgi://127.0.0.1:{home.spare[0]}"))
    routes = tuple(
        Route(path=path, action=php, guard=Guard(auth=auth)) for path, auth in (("/", "sso"), ("/share/", None))
    )
    home.add(SITE, routes=routes)
    await home.serve()
    told = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in IDENTITY[service.kind].items()}
    forged = dict.fromkeys(IDENTITY[service.kind], "root")
    async with await asyncio.start_server(application.serve, "127.0.0.1", home.spare[0]):
        assert (await home.get(HOST, "/x.php", headers=forged)).status == 302
        assert application.seen == []
        for path, expected in (("/x.php", told), ("/share/x.php", dict.fromkeys(told, ""))):
            assert (await home.get(HOST, path, method="POST", headers={**forged, **ANN}, body=b"form")).status == 200
            seen = application.seen[-1]
            assert {name: seen.parameters.get(name, "") for name in told} == expected
            assert "root" not in seen.parameters.values()
            assert seen.body == b"form"


async def test_two_services_on_one_site_do_not_vouch_for_one_another(
    home: House, up: upstream.Upstream, authelia: AuthService
) -> None:
    """
    Each route asks its own, and what the other would say of the visitor is nobody's word there.
    """
    async with upstream.running() as second:
        proxy = auth_services.running(ForwardKind.OAUTH2_PROXY, second)
        home.auth |= {"sso": authelia.entry(), "staff": proxy.entry()}
        home.add(SITE, routes=(route("/", up), route("/staff/", up, "staff"), route("/share/", up, None)))
        await home.serve()
        forged = {name: "root" for kind in (authelia.kind, proxy.kind) for name in IDENTITY[kind]}
        for path, kind in (("/x", authelia.kind), ("/staff/x", proxy.kind), ("/share/x", None)):
            assert (await home.get(HOST, path, headers={**forged, **ANN})).status == 200
            seen = up.seen[-1].headers
            told = {name for name in forged if name.lower() in seen}
            assert told == set(IDENTITY[kind] if kind else ())
            assert "root" not in seen.values()
        assert (len(authelia.heard), len(proxy.heard)) == (1, 1)


async def test_a_route_of_the_users_own_is_where_the_pages_would_be(home: House, up: upstream.Upstream) -> None:
    """
    Whoever has put the service's pages there himself keeps them so. Two services that both need the place are told apart by nobody,
    so that site is refused by name.
    """
    async with upstream.running() as other:
        service = auth_services.running(ForwardKind.OAUTH2_PROXY, other)
        home.auth |= {"sso": service.entry(), "second": service.entry()}
        home.add(SITE, routes=(route("/", up), route("/oauth2/", up, None)))
        await home.serve()
        assert (await home.get(HOST, "/oauth2/x")).status == 200
        assert up.seen[-1].target == "/oauth2/x"
        assert (await home.get(HOST, "/x")).status == 302
        home.add("b.example.com", routes=(route("/", up), route("/x/", up, "second")))
        assert re.search(r"auth\.second.*auth\.sso.*/oauth2/", home.render().unwritten["b.example.com"])


async def test_a_person_in_many_groups_is_let_in(home: House, up: upstream.Upstream, service: AuthService) -> None:
    """
    What a service says of her is more than nginx's own buffer for headers.
    """
    groups = ",".join(f"group-{number:04}" for number in range(2000))
    header = next(name for name in IDENTITY[service.kind] if name.lower().endswith("groups"))
    service.behaves = lambda _: (200, ((header, groups),), b"")
    home.auth["sso"] = service.entry()
    home.add(SITE, routes=(route("/", up),))
    await home.serve()
    assert (await home.get(HOST, "/x")).status == 200
    assert up.seen[-1].headers[header.lower()] == groups


async def test_a_session_may_be_as_large_as_two_cookies(
    home: House, up: upstream.Upstream, service: AuthService
) -> None:
    """
    What a browser takes for each, one after the other in one header.
    """
    home.auth["sso"] = service.entry()
    home.add(SITE, routes=(route("/", up),))
    await home.serve()
    cookies = f"_oauth2_proxy_0={'x' * 4000}; _oauth2_proxy_1={'y' * 4000}; {'z' * 2000}=1; session=ann"
    assert (await home.get(HOST, "/x", headers={"Cookie": cookies})).status == 200
    assert service.heard[-1].headers["cookie"] == up.seen[-1].headers["cookie"] == cookies


async def test_a_visitor_who_is_turned_away_hears_of_hsts_too(
    home: House, up: upstream.Upstream, service: AuthService
) -> None:
    """
    As with every answer of the site; and what the user says to the upstream is said beside who the visitor is.
    """
    home.auth["sso"] = service.entry()
    said = Headers(request=(("X-From", "gate"), ("Remote-Name", "mine"), ("X-User", "mine")))
    home.add(SITE, routes=(route("/", up, headers=said),), hsts=Hsts.ON)
    await home.serve()
    for headers, status in (({}, 302), (ANN, 200), (EVE, 403)):
        answer = await home.get(HOST, "/x", headers=headers)
        assert (answer.status, len(answer.all("strict-transport-security"))) == (status, 1)
    seen = up.seen[-1].headers
    assert (seen["x-from"], seen["remote-name"], seen["x-user"]) == ("gate", "mine", "mine")
    with contextlib.suppress(KeyError):
        assert len((await home.get(HOST, f"{PAGES[service.kind]}x")).all("strict-transport-security")) == 1


async def test_a_service_that_comes_back_is_asked_again(
    home: House, up: upstream.Upstream, authelia: AuthService
) -> None:
    """
    At once: one that was not there is not left alone for a while.
    """
    home.auth["sso"] = authelia.entry(f"http://127.0.0.1:{home.spare[0]}")
    home.add(SITE, routes=(route("/", up),))
    await home.serve()
    assert (await home.get(HOST, "/x", headers=ANN)).status == 502
    server = await asyncio.start_server(authelia.up.serve, "127.0.0.1", home.spare[0])
    async with server:

        async def back() -> bool:
            return (await home.get(HOST, "/x", headers=ANN)).status == 200

        await until(back)
