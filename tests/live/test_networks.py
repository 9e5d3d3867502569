"""
Networks that may come to a route and networks that may not, on the oldest nginx at hand and on the newest.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.live.test_basic_auth import basic, users
from tests.support import upstream
from tests.support.nginx_house import DEBIAN, WHEEL, house, parse, url

from gatelodge.model import BasicAuth, Files, Guard, Pool, Redirect, Respond, Route, TrustedProxies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live

SITE = "a.example.com"


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


def route(path: str, to: upstream.Upstream, **guard: object) -> Route:
    """
    Return a route to an upstream, with a guard.
    """
    made = dataclasses.replace(Guard(), **guard)  # type: ignore[arg-type]
    return Route(path=path, action=Pool.of(url(f"http://127.0.0.1:{to.port}")), guard=made)


async def test_networks_are_let_in_and_kept_out_by_the_visitors_address(home: House, up: upstream.Upstream) -> None:
    """
    With `allow` nobody else may come; `deny` is heard first, however the two overlap; a route without either is everybody's. What the
    visitor says of where he comes from counts for nothing.
    """
    routes = (
        route("/", up, allow=("127.0.0.8/29",)),
        route("/not/", up, deny=("127.0.0.8/29",)),
        route("/both/", up, allow=("127.0.0.0/16",), deny=("127.0.0.9", "127.0.1.0/24")),
        route("/inside/", up, allow=("127.0.0.9",), deny=("127.0.0.0/8",)),
        route("/nobody/", up, deny=("0.0.0.0/0", "::/0")),
        route("/six/", up, allow=("::1", "2001:db8::/32")),
        route("/share/", up),
    )
    home.add(SITE, routes=routes)
    await home.serve()
    for path, near, other in (
        ("/", {9, 10}, {1, 7, 16}),
        ("/not/", {1, 7, 16}, {9, 10}),
        ("/both/", {1, 8}, {9}),
        ("/inside/", set(), {1, 9}),
        ("/nobody/", set(), {1, 9}),
        ("/six/", set(), {1, 9}),
        ("/share/", {1, 9}, set()),
    ):
        for last in near | other:
            source = f"127.0.0.{last}"
            for forged in (
                {},
                {"X-Forwarded-For": "127.0.0.9", "X-Real-IP": "127.0.0.9", "Forwarded": "for=127.0.0.9"},
            ):
                up.seen.clear()
                status = (await home.get(SITE, f"{path}x", source=source, headers=forged)).status
                assert (path, last, status) == (path, last, 200 if last in near else 403)
                assert bool(up.seen) is (last in near)
                assert all(each.headers["x-real-ip"] == source for each in up.seen)
    assert (await home.get(SITE, "/both/", source="127.0.1.1")).status == 403
    reader, writer = await home.connect(home.settings.https_port, SITE, at="::1")
    writer.write(b"GET /six/ HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
    assert parse(await reader.read()).status == 200
    writer.close()


async def test_whatever_a_route_does_is_kept(home: House, up: upstream.Upstream) -> None:
    """
    Files, answers and redirects of nginx's own, websockets; and no path leads there from a route that is open.
    """
    folder = home.state / "public"
    (folder / "index.html").write_text("files")
    closed = Guard(allow=("127.0.0.9",))
    routes = (
        Route(path="/files/", action=Files(root=str(folder), listing=True), guard=closed),
        Route(path="/say", action=Respond(body="said"), guard=closed),
        Route(path="/go", action=Redirect(url="https://other.example/", keep_path=False), guard=closed),
        route("/", up, allow=("127.0.0.9",)),
        route("/share/", up),
    )
    home.add(SITE, routes=routes)
    home.add("plain.example.com", routes=routes, tls=False)
    await home.serve()
    for host in (SITE, "plain.example.com"):
        tls = host == SITE
        for target, inside in (("/files/", 200), ("/files/index.html", 200), ("/say", 200), ("/go", 301), ("/x", 200)):
            for source, status in (("127.0.0.9", inside), ("127.0.0.1", 403)):
                answer = await home.get(host, target, source=source, tls=tls)
                assert (target, source, answer.status) == (target, source, status)
        assert (await home.get(host, "/share/x", tls=tls)).status == 200
        assert (await home.get(host, "/share/../x", tls=tls)).status == 400
    live = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert (await home.get(SITE, "/live", headers=live)).status == 403


async def test_a_network_or_a_password_is_enough_where_it_is_said_so(home: House, up: upstream.Upstream) -> None:
    """
    Without that word both are asked for. A network that is kept out stays out, with a password too.
    """
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    routes = (
        route("/any/", up, auth="people", allow=("127.0.0.9",), satisfy_any=True),
        route("/all/", up, auth="people", allow=("127.0.0.9",)),
        route("/deny/", up, auth="people", deny=("127.0.0.7",)),
        route("/out/", up, auth="people", allow=("127.0.0.0/28",), deny=("127.0.0.7",), satisfy_any=True),
        route("/share/", up),
    )
    home.add(SITE, routes=routes)
    await home.serve()
    for path, last, with_password, status in (
        ("/any/", 9, False, 200), ("/any/", 9, True, 200), ("/any/", 1, False, 401), ("/any/", 1, True, 200),
        ("/all/", 9, False, 401), ("/all/", 9, True, 200), ("/all/", 1, False, 403), ("/all/", 1, True, 403),
        ("/deny/", 9, False, 401), ("/deny/", 9, True, 200), ("/deny/", 7, False, 403), ("/deny/", 7, True, 403),
        ("/out/", 9, False, 200), ("/out/", 17, False, 401), ("/out/", 17, True, 200), ("/out/", 7, False, 403),
        ("/out/", 7, True, 403), ("/share/", 1, False, 200),
    ):  # fmt: skip
        headers = basic("ann") if with_password else None
        answer = await home.get(SITE, path, source=f"127.0.0.{last}", headers=headers)
        assert (path, last, with_password, answer.status) == (path, last, with_password, status)


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_behind_a_proxy_the_visitor_himself_is_meant(program: str, up: upstream.Upstream) -> None:
    """
    By the word of those who are trusted with it alone, and by the last address that they do not know.
    """
    trusted = TrustedProxies(networks=("127.0.0.9",))
    async with house(program, trusted_proxies=trusted) as home:
        home.add(SITE, routes=(route("/", up, allow=("192.0.2.0/24",)), route("/share/", up)))
        await home.serve()
        for source, said, status in (
            ("127.0.0.9", "192.0.2.7", 200),
            ("127.0.0.9", "198.51.100.1, 192.0.2.7", 200),
            ("127.0.0.9", "192.0.2.7, 198.51.100.1", 403),
            ("127.0.0.9", "192.0.2.7, 127.0.0.9", 200),
            ("127.0.0.9", "", 403),
            ("127.0.0.9", "nonsense", 403),
            ("127.0.0.8", "192.0.2.7", 403),
        ):
            headers = {"X-Forwarded-For": said} if said else None
            answer = await home.get(SITE, source=source, headers=headers)
            assert (source, said, answer.status) == (source, said, status)
            assert (await home.get(SITE, "/share/", source=source, headers=headers)).status == 200
