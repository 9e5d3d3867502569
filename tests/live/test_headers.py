"""
What is said beside the body, to visitors and to upstreams, on the oldest nginx at hand and on the newest: HSTS, headers for safety's
sake, and those of the user's own.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.live.test_basic_auth import basic, users
from tests.support import upstream
from tests.support.nginx_house import DEBIAN, WHEEL, house, url

from gatelodge.model import (
    BasicAuth,
    Files,
    Guard,
    Headers,
    Hsts,
    Listener,
    Maintenance,
    Name,
    Pool,
    Redirect,
    Respond,
    Route,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import House
    from tests.support.upstream import Seen

pytestmark = pytest.mark.live

SITE = "a.example.com"
HSTS = "strict-transport-security"
YEAR, PRELOAD = "max-age=31536000", "max-age=63072000; includeSubDomains; preload"

SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "strict-origin-when-cross-origin",
}

#: Values in which something has a meaning to nginx, to a shell or to a person.
HOSTILE = [
    'say "hi"', "it's", "a; b {c} (d)", "$host ${remote_addr} $1 $", "back\\slash \\n \\", "#not a comment", "é 你好 \u2603",
    "%2F&?=", "x" * 1900, "a,b, c", "*", "off", "default", '"', "\\", "'",
]  # fmt: skip


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


def route(path: str, to: upstream.Upstream, headers: Headers, **more: object) -> Route:
    """
    Return a route to an upstream, with headers.
    """
    made = Route(path=path, action=Pool.of(url(f"http://127.0.0.1:{to.port}")), headers=headers)
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


def saying(up: upstream.Upstream, *fields: tuple[str, str], status: int = 200) -> None:
    """
    Have an upstream say these.
    """

    async def answer(_: Seen) -> tuple[int, upstream.Pairs, bytes]:
        return status, fields, b"app"

    up.answer = answer


async def test_browsers_are_told_to_come_by_https_in_every_answer(home: House, up: upstream.Upstream) -> None:
    """
    Once, in place of what the upstream says of it: also where nginx itself answers, and for hosts that only lead here. Never in plain,
    and not where it was not asked for, where the upstream's own word stands.
    """
    saying(up, ("Strict-Transport-Security", "max-age=5"))
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    folder = home.state / "public"
    (folder / "404.html").write_text("own")
    other = Headers(response=(("X-One", "1"),), security=True)
    routes = (
        route("/", up, Headers()),
        route("/other/", up, other),
        route("/closed/", up, other, guard=Guard(auth="people")),
        route("/out/", up, other, guard=Guard(deny=("127.0.0.0/8",))),
        Route(path="/dead/", action=Pool.of(url(f"http://127.0.0.1:{home.spare[0]}"))),
        Route(path="/files/", action=Files(root=str(folder)), error_pages=((404, str(folder / "404.html")),)),
        Route(path="/say", action=Respond(body="said"), guard=Guard(auth="people")),
        Route(path="/go", action=Redirect(url="https://other.example/", keep_path=False)),
    )
    paths = {
        "/": 200, "/other/": 200, "/closed/": 401, "/out/": 403, "/dead/": 502, "/files/x": 404, "/say": 401, "/go": 301,
    }  # fmt: skip
    for number, hsts in enumerate((Hsts.ON, Hsts.PRELOAD, Hsts.OFF)):
        host = f"{number}.example.com"
        home.add(host, routes=routes, hsts=hsts, redirect_hosts=(Name(f"www.{host}"),))
        home.add(f"closed.{host}", routes=routes, hsts=hsts, maintenance=Maintenance())
        home.add(f"some.{host}", routes=routes[2:], hsts=hsts)
    await home.serve()
    for number, told in enumerate(([YEAR], [PRELOAD], [])):
        host = f"{number}.example.com"
        for path, status in paths.items():
            answer = await home.get(host, path)
            expected = told or (["max-age=5"] if status == 200 else [])
            assert (host, path, answer.status, answer.all(HSTS)) == (host, path, status, expected)
        for name, path, status in (
            (f"www.{host}", "/x", 301),
            (f"closed.{host}", "/", 503),
            (f"some.{host}", "/", 404),
        ):
            answer = await home.get(name, path)
            assert (name, path, answer.status, answer.all(HSTS)) == (name, path, status, told)
        assert (await home.get(host, tls=False)).all(HSTS) == []
    answer = await home.get("0.example.com", "/say", headers=basic("ann"))
    assert (answer.body, answer.all(HSTS)) == (b"said", [YEAR])


async def test_nobody_is_told_so_by_a_site_that_shows_a_placeholder(home: House, up: upstream.Upstream) -> None:
    """
    A browser that has heard it would let nobody go on. Once the certificate is there, it is said.
    """
    saying(up, ("Strict-Transport-Security", "max-age=5"))
    home.certify(SITE, issuer="selfsigned")
    more = {"hsts": Hsts.PRELOAD, "redirect_hosts": (Name("www.example.com"),)}
    home.add(SITE, routes=(route("/", up, Headers(hide=("Strict-Transport-Security",))),), **more)
    await home.serve()
    for host in (SITE, "www.example.com"):
        assert (await home.get(host)).all(HSTS) == []
    home.certify(SITE, "www.example.com")
    await home.serve_anew()
    for host in (SITE, "www.example.com"):
        assert (await home.get(host)).all(HSTS) == [PRELOAD]


async def test_what_keeps_browsers_safe_is_said_where_the_upstream_is_silent(
    home: House, up: upstream.Upstream
) -> None:
    """
    Each once, whoever says it: what the user says goes before the upstream's word, and that before ours. Not where it was not asked
    for.
    """
    folder = home.state / "public"
    (folder / "index.html").write_text("files")
    mine = Headers(security=True, response=(("x-frame-options", "DENY"),))
    routes = (
        route("/", up, Headers(security=True)),
        route("/mine/", up, mine),
        route("/none/", up, Headers()),
        Route(path="/files/", action=Files(root=str(folder)), headers=Headers(security=True)),
        Route(path="/say", action=Respond(body="said"), headers=Headers(security=True)),
    )
    home.add(SITE, routes=routes)
    await home.serve()
    theirs = {"x-frame-options": "ALLOW-FROM x", "referrer-policy": "no-referrer", "x-content-type-options": "sniff"}
    for said in ({}, {"x-frame-options": "ALLOW-FROM x"}, theirs):
        for status in (200, 404, 302):
            saying(up, *((name.title(), value) for name, value in said.items()), status=status)
            for path, expected in (
                ("/", SAFE | said),
                ("/mine/", SAFE | said | {"x-frame-options": "DENY"}),
                ("/none/", said),
                ("/files/", SAFE),
                ("/files/none", SAFE),
                ("/say", SAFE),
            ):
                answer = await home.get(SITE, path)
                for name in SAFE:
                    assert (path, name, answer.all(name)) == (path, name, [expected[name]] if name in expected else [])


async def test_values_arrive_as_they_are(home: House, up: upstream.Upstream) -> None:
    """
    In both directions, whatever is in them.
    """
    pairs = tuple((f"X-Value-{number}", value) for number, value in enumerate(HOSTILE))
    home.add(SITE, routes=(route("/", up, Headers(request=pairs, response=pairs)),))
    await home.serve()
    answer = await home.get(SITE)
    for name, value in pairs:
        sent = value.encode().decode("latin-1")
        assert (name, up.seen[-1].headers[name.lower()]) == (name, sent)
        assert (name, answer.all(name.lower())) == (name, [sent])


async def test_headers_are_set_hidden_and_taken_away(home: House, up: upstream.Upstream) -> None:
    """
    A header of the user's own takes the place of the upstream's, of nginx's and of the visitor's, whatever its case. An empty one is
    not sent on. Those of a route are no other's.
    """
    saying(
        up, ("X-Powered-By", "app/1.2"), ("Cache-Control", "no-store"), ("X-Kept", "kept"), ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"), ("Content-Type", "text/x-app"), ("Server", "app"), ("ETag", '"1"'),
        ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
    )  # fmt: skip
    headers = Headers(
        request=(
            ("host", "inner.example"), ("X-Forwarded-Proto", "http"), ("Accept-Encoding", ""), ("X-Forwarded-For", ""),
            ("User-Agent", "gate"), ("X-New", "new"),
        ),
        response=(("cache-control", "public"), ("X-New", "new"), ("Content-Type", "text/x-mine"), ("ETag", '"2"')),
        hide=("x-powered-by", "Last-Modified"),
    )  # fmt: skip
    home.add(SITE, routes=(route("/", up, headers), route("/other/", up, Headers())))
    await home.serve()
    sent = {"Accept-Encoding": "br", "User-Agent": "me", "X-Forwarded-For": "192.0.2.1", "X-Other": "other"}
    answer = await home.get(SITE, headers=sent)
    seen = up.seen[-1].headers
    assert (seen["host"], seen["x-forwarded-proto"], seen["user-agent"]) == ("inner.example", "http", "gate")
    assert (seen["x-new"], seen["x-other"], seen["x-forwarded-host"]) == ("new", "other", SITE)
    assert not seen.keys() & {"accept-encoding", "x-forwarded-for"}
    for name, values in (
        ("x-powered-by", []), ("last-modified", []), ("cache-control", ["public"]), ("x-new", ["new"]),
        ("x-kept", ["kept"]), ("set-cookie", ["a=1", "b=2"]), ("content-type", ["text/x-mine"]), ("etag", ['"2"']),
        ("server", ["nginx"]),
    ):  # fmt: skip
        assert (name, answer.all(name)) == (name, values)
    answer = await home.get(SITE, "/other/", headers=sent)
    assert up.seen[-1].headers["user-agent"] == "me"
    assert (answer.all("x-powered-by"), answer.all("x-new"), answer.all("content-type")) == (
        ["app/1.2"], [], ["text/x-app"],
    )  # fmt: skip


async def test_headers_of_ones_own_are_in_every_answer_of_the_route(home: House, up: upstream.Upstream) -> None:
    """
    Also when the upstream is dead, nobody is let in, or nginx itself answers; once each.
    """
    folder = home.state / "public"
    (folder / "index.html").write_text("files")
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    said = Headers(response=(("X-One", "1"), ("content-type", 'text/x-mine; x="$host"')))
    one = Headers(response=(("X-One", "1"),))
    routes = (
        route("/", up, said, guard=Guard(auth="people")),
        Route(path="/dead/", action=Pool.of(url(f"http://127.0.0.1:{home.spare[0]}")), headers=one),
        Route(path="/files/", action=Files(root=str(folder)), headers=said),
        Route(path="/say", action=Respond(body="said", type="text/plain"), headers=said),
        Route(path="/say/too", action=Respond(body="said"), headers=said, guard=Guard(auth="people")),
        Route(path="/go", action=Redirect(url="/there", keep_path=False), headers=said),
    )
    home.add(SITE, routes=routes)
    await home.serve()
    for path, status in (
        ("/", 401), ("/files/", 200), ("/files/none", 404), ("/say", 200), ("/say/too", 401), ("/go", 301),
    ):  # fmt: skip
        answer = await home.get(SITE, path)
        assert (path, answer.status, answer.all("x-one")) == (path, status, ["1"])
        for name in ("content-type", "server", "date", "content-length"):
            assert (path, name, len(answer.all(name))) == (path, name, 1)
        typed = 'text/x-mine; x="$host"' if status == 200 else "text/html"
        assert answer.headers["content-type"].startswith(typed)
    answer = await home.get(SITE, "/say/too", headers=basic("ann"))
    assert (answer.body, answer.all("content-type")) == (b"said", ['text/x-mine; x="$host"'])
    assert (await home.get(SITE, "/dead/")).status == 502


async def test_many_headers_with_long_names_are_set(home: House, up: upstream.Upstream) -> None:
    """
    More, and longer ones, than nginx makes room for by itself.
    """
    pairs = tuple((f"X-{number:02}-{'-' * 39}", str(number)) for number in range(40))
    home.add(SITE, routes=(route("/", up, Headers(request=pairs, response=pairs, hide=tuple(n for n, _ in pairs))),))
    home.add("b.example.com", routes=(route("/", up, Headers()),), listen=(Listener(port=home.spare[0]),))
    await home.serve()
    answer = await home.get(SITE)
    for name, value in pairs:
        assert up.seen[-1].headers[name.lower()] == value
        assert answer.all(name.lower()) == [value]
