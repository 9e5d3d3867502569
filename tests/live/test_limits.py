"""
How often one address may ask, and how many connections it may hold, on the oldest nginx at hand and on the newest.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.live.test_basic_auth import basic, users
from tests.support import upstream
from tests.support.nginx_house import DEBIAN, WHEEL, house, parse, url
from tests.support.waiting import until

from gatelodge.model import BasicAuth, Files, Guard, Pool, Rate, Respond, Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import House
    from tests.support.upstream import Seen

pytestmark = pytest.mark.live

SITE = "a.example.com"

#: So slow that no test sees a second one come free.
ONE_A_MINUTE = Rate(requests=1, seconds=60)


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


def route(path: str, to: upstream.Upstream, guard: Guard) -> Route:
    """
    Return a route to an upstream, with a guard.
    """
    return Route(path=path, action=Pool.of(url(f"http://127.0.0.1:{to.port}")), guard=guard)


async def count(home: House, path: str, *, times: int = 8, host: str = SITE, source: str = "127.0.0.1") -> int:
    """
    Ask one time after the other, and return how often the answer was there; each other time it was 429.
    """
    said = [(await home.get(host, path, source=source)).status for _ in range(times)]
    assert set(said) <= {200, 429}
    assert said == sorted(said)
    return said.count(200)


async def test_requests_above_the_rate_are_refused(home: House, up: upstream.Upstream) -> None:
    """
    What may come at once comes at once, and not one request more; other addresses, other sites and routes that are open notice
    nothing. Nor does it matter what the route does, or whether the visitor is let in.
    """
    folder = home.state / "public"
    (folder / "index.html").write_text("files")
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    burst = Rate(requests=1, seconds=60, burst=3)
    routes = (
        route("/", up, Guard(rate=ONE_A_MINUTE)),
        route("/burst/", up, Guard(rate=burst)),
        route("/share/", up, Guard()),
        Route(path="/files/", action=Files(root=str(folder)), guard=Guard(rate=Rate(requests=2, seconds=60))),
        Route(path="/say", action=Respond(body="said"), guard=Guard(rate=Rate(requests=3, seconds=60))),
        route("/closed/", up, Guard(auth="people", rate=Rate(requests=4, seconds=60, burst=1))),
    )
    home.add(SITE, routes=routes)
    home.add("b.example.com", routes=(route("/", up, Guard(rate=ONE_A_MINUTE)),))
    await home.serve()
    assert await count(home, "/") == 1
    assert await count(home, "/burst/") == 4
    assert await count(home, "/", source="127.0.0.2") == 1
    assert await count(home, "/", host="b.example.com") == 1
    assert await count(home, "/share/") == 8
    assert await count(home, "/files/index.html") == 1
    assert await count(home, "/say") == 1
    assert [(await home.get(SITE, "/closed/")).status for _ in range(3)] == [401, 401, 429]
    assert (await home.get(SITE, "/closed/", headers=basic("ann"))).status == 429
    assert (await home.get(SITE, "/closed/", headers=basic("ann"), source="127.0.0.2")).status == 200


async def test_a_rate_lets_more_through_as_time_goes_on(home: House, up: upstream.Upstream) -> None:
    """
    Refused is refused for now.
    """
    home.add(SITE, routes=(route("/", up, Guard(rate=Rate(requests=10))),))
    await home.serve()
    said = [(await home.get(SITE)).status for _ in range(20)]
    assert {200, 429} == set(said)

    async def let_in() -> bool:
        return (await home.get(SITE)).status == 200

    await until(let_in)


async def test_limits_change_with_a_reload(home: House, up: upstream.Upstream) -> None:
    """
    No zone may have another rate than before, so each has a name of its own: the same nginx goes on, with the new limit.
    """
    guards = [
        Guard(rate=ONE_A_MINUTE),
        Guard(rate=Rate(requests=2, seconds=60, burst=4)),
        Guard(rate=Rate(requests=2, seconds=1, burst=5), connections=7),
        Guard(connections=9),
        Guard(),
        Guard(rate=ONE_A_MINUTE),
    ]
    masters = set()
    for number, (guard, passed) in enumerate(zip(guards, (1, 5, 6, 8, 8, 1), strict=True)):
        home.add(SITE, routes=(route("/", up, guard),))
        await (home.serve_anew() if number else home.serve())
        masters.add((await home.managed().observe()).pid)
        quick = guard.rate is not None and guard.rate.seconds == 1
        assert passed <= await count(home, "/") <= passed + quick
    assert len(masters) == 1


async def test_connections_above_the_number_are_refused(home: House, up: upstream.Upstream) -> None:
    """
    Those that wait for an answer count, and websockets; they come free again. Other addresses have their own.
    """
    go = asyncio.Event()

    async def slowly(_: Seen) -> tuple[int, upstream.Pairs, bytes]:
        await go.wait()
        return 200, (), b""

    up.answer = slowly
    home.add(SITE, routes=(route("/", up, Guard(connections=3)), route("/share/", up, Guard())))
    await home.serve()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(home.get(SITE, "/x")) for _ in range(2)]
        reader, writer = await home.connect(home.settings.https_port, SITE)
        writer.write(
            b"GET /live HTTP/1.1\r\nHost: a.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert parse(await reader.readuntil(b"\r\n\r\n")).status == 101
        await until(lambda: len(up.seen) == 3)
        assert (await home.get(SITE, "/x")).status == 429
        others = [
            group.create_task(home.get(SITE, "/share/x")),
            group.create_task(home.get(SITE, "/x", source="127.0.0.2")),
        ]
        await until(lambda: len(up.seen) == 5)
        go.set()
        assert {(await each).status for each in (*waiting, *others)} == {200}
    # Two are free again; the websocket is not.
    go.clear()
    up.seen.clear()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(home.get(SITE, "/x")) for _ in range(2)]
        await until(lambda: len(up.seen) == 2)
        assert (await home.get(SITE, "/x")).status == 429
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

        async def free() -> bool:
            go.set()
            return (await home.get(SITE, "/x")).status == 200

        await until(free)
        assert {(await each).status for each in waiting} == {200}
