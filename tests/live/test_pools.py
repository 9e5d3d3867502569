"""
How requests are spread over several servers, and what becomes of them when some of these do not answer.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.nginx_dns import naming
from tests.support.nginx_house import DEBIAN, WHEEL, house, url
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports
from gatelodge.model import Balance, Pool, Route, Server, Spread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live

#: Methods that may be sent again (RFC 9110 §9.2.2), and some that may not.
IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
OTHERS = ("POST", "PATCH", "LOCK")


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


@dataclasses.dataclass(slots=True, kw_only=True)
class Worker:
    """
    One server of a pool. It can be stopped and started again at its port, answer late, or hang up on who has asked.
    """

    port: int
    upstream: upstream.Upstream = dataclasses.field(default_factory=upstream.Upstream)
    hangs_up: bool = False
    asked: list[str] = dataclasses.field(default_factory=list)
    free: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    server: asyncio.Server | None = None
    tasks: set[asyncio.Task[None]] = dataclasses.field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.free.set()
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """
        Listen no more, and end all connections.
        """
        if self.server:
            self.server.close()
            self.server = None
        for task in tuple(self.tasks):
            task.cancel()
        await until(lambda: not self.tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self._answer(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head.split(b" ")[0].decode())
                length = next(
                    (int(each[15:]) for each in head.lower().split(b"\r\n") if each[:15] == b"content-length:"), 0
                )
                await reader.readexactly(length)
                if self.hangs_up:
                    break
                await self.free.wait()
                body = str(self.port)
                shown = "" if head.startswith(b"HEAD") else body
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{shown}".encode())
                await writer.drain()
        writer.close()


@pytest.fixture
async def workers() -> AsyncIterator[list[Worker]]:
    """
    Yield three servers that run.
    """
    made = [Worker(port=port) for port in free_ports(3)]
    for each in made:
        await each.start()
    try:
        yield made
    finally:
        for each in made:
            await each.stop()


def pool(*members: Worker | Server, balance: Balance | None = None) -> tuple[Route, ...]:
    """
    Return a site's routes to a pool. A server that fails is left alone for long, so that a test knows what comes of it.
    """
    servers = [
        each if isinstance(each, Server) else Server(upstream=url(each.url), fail_timeout=dt.timedelta(hours=1))
        for each in members
    ]
    return (Route(path="/", action=Pool(servers=tuple(servers), balance=balance or Balance())),)


def member(worker: Worker, **options: object) -> Server:
    """
    Return a server of a pool with options of its own.
    """
    return Server(upstream=url(worker.url), **options)  # type: ignore[arg-type]


async def who(home: House, target: str = "/", **headers: str) -> int:
    """
    Return the port of the server that answered a GET; 0 when none did.
    """
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await home.get("a.example.com", target, tls=False, headers=said)
    return int(answer.body) if answer.status == 200 else 0


async def test_each_server_gets_its_share(home: House, workers: list[Worker]) -> None:
    """
    Of all workers of nginx together: three quarters for who has three times the weight.
    """
    one, two, _ = workers
    home.add("a.example.com", routes=pool(member(one, weight=3), member(two)), tls=False)
    await home.serve()
    count = collections.Counter([await who(home) for _ in range(40)])
    assert count == {one.port: 30, two.port: 10}


async def test_a_busy_server_is_spared(home: House, workers: list[Worker]) -> None:
    """
    With least_conn the next requests go to who has fewer open.
    """
    one, two, _ = workers
    home.add("a.example.com", routes=pool(one, two, balance=Balance(spread=Spread.LEAST_CONN)), tls=False)
    await home.serve()
    for each in (one, two):
        each.free.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(who(home))
        await until(lambda: one.asked or two.asked)
        busy, idle = (one, two) if one.asked else (two, one)
        idle.free.set()
        assert [await who(home) for _ in range(10)] == [idle.port] * 10
        busy.free.set()
    assert first.result() == busy.port


async def test_a_visitor_stays_with_his_server(home: House, workers: list[Worker]) -> None:
    """
    By ip_hash his network of 256 does, by hash:address himself; several visitors are not all at one.
    """
    for host, balance in (
        ("network.example.com", Balance(spread=Spread.IP_HASH)),
        ("address.example.com", Balance(spread=Spread.HASH, by="address")),
    ):
        home.add(host, routes=pool(*workers, balance=balance), tls=False)
    await home.serve()
    for host, alike in (("network.example.com", True), ("address.example.com", False)):

        async def place(source: str, host: str = host) -> int:
            return int((await home.get(host, tls=False, source=source)).body)

        places = {source: await place(source) for source in (f"127.0.{n}.1" for n in range(24))}
        assert set(places.values()) == {each.port for each in workers}
        assert {source: await place(source) for source in places} == places
        near = {await place(f"127.0.7.{n}") for n in range(1, 20)}
        assert (near == {places["127.0.7.1"]}) is alike


#: What a request says whose server is chosen by a key.
HASHED: dict[str, Callable[[str], dict[str, str]]] = {
    "uri": lambda key: {"target": f"/{key}?x={key}"},
    "cookie:JSESSIONID": lambda key: {"Cookie": f"other=1; JSESSIONID={key}; x=y"},
    "header:X-User-Id": lambda key: {"X_User_Id": key},
}


@pytest.mark.parametrize("by", HASHED)
async def test_a_key_stays_with_its_server_and_only_those_of_a_lost_one_move(
    home: House, workers: list[Worker], by: str
) -> None:
    """
    The same whether a server dies or is taken out of the TOML; back again, it has its own keys again.
    """
    balance = Balance(spread=Spread.HASH, by=by)
    home.add("a.example.com", routes=pool(*(member(each, max_fails=0) for each in workers), balance=balance), tls=False)
    await home.serve()
    keys = [f"key{number}" for number in range(45)]

    async def places() -> dict[str, int]:
        return {key: await who(home, **HASHED[by](key)) for key in keys}

    before = await places()
    assert set(before.values()) == {each.port for each in workers}
    assert await places() == before
    lost = workers[1]
    await lost.stop()
    without = await places()
    assert lost.port not in without.values()
    assert 0 not in without.values()
    assert {key: at for key, at in before.items() if at != lost.port}.items() <= without.items()
    await lost.start()
    assert await places() == before
    rest = [member(each, max_fails=0) for each in workers if each is not lost]
    home.add("a.example.com", routes=pool(*rest, balance=balance), tls=False)
    await home.serve()

    async def moved() -> bool:
        return await places() == without

    await until(moved)  # nginx's old workers accept for a moment


async def test_a_backup_is_asked_when_nobody_else_answers(home: House, workers: list[Worker]) -> None:
    """
    Not before, and not any more once another answers again.
    """
    one, two, spare = workers
    short = dt.timedelta(seconds=1)
    members = (*(member(each, fail_timeout=short) for each in (one, two)), member(spare, backup=True))
    home.add("a.example.com", routes=pool(*members), tls=False)
    await home.serve()
    assert {await who(home) for _ in range(12)} == {one.port, two.port}
    await one.stop()
    assert {await who(home) for _ in range(12)} == {two.port}
    await two.stop()
    assert {await who(home) for _ in range(12)} == {spare.port}
    await one.start()

    async def back() -> bool:
        return await who(home) == one.port

    await until(back)


async def test_a_server_that_fails_is_left_alone_for_a_while(home: House, workers: list[Worker]) -> None:
    """
    After as many failures as are allowed it is asked no more, by no worker of nginx, and again after that time. Visitors notice nothing.
    """
    good, bad, steady = workers
    bad.hangs_up = steady.hangs_up = True
    members = (member(good), member(bad, max_fails=2, fail_timeout=dt.timedelta(seconds=1)))
    home.add("a.example.com", routes=pool(*members), tls=False)
    home.add("b.example.com", routes=pool(member(good), member(steady, max_fails=0)), tls=False)
    await home.serve()
    assert {await who(home) for _ in range(30)} == {good.port}
    assert len(bad.asked) == 2

    async def asked_again() -> bool:
        return await who(home) == good.port and len(bad.asked) > 2

    await until(asked_again)
    bad.hangs_up = False

    async def back() -> bool:
        return await who(home) == bad.port

    await until(back)
    for _ in range(20):
        assert (await home.get("b.example.com", tls=False)).status == 200
    assert len(steady.asked) >= 9, "one that may fail as often as it likes is asked each time"


async def test_what_may_have_been_done_is_not_done_twice(home: House, workers: list[Worker]) -> None:
    """
    A request that reached a server which then hung up goes to another only when doing it twice is doing it once. One that reached
    nobody goes on whatever its method.
    """
    good, bad, gone = workers
    bad.hangs_up = True
    home.add("a.example.com", routes=pool(*(member(each, max_fails=0) for each in (good, bad))), tls=False)
    home.add("b.example.com", routes=pool(*(member(each, max_fails=0) for each in (good, gone))), tls=False)
    await home.serve()
    for method in IDEMPOTENT:
        for _ in range(4):
            answer = await home.get("a.example.com", tls=False, method=method, body=b"x" if method == "PUT" else b"")
            assert (method, answer.status) == (method, 200)
    assert set(bad.asked) == set(IDEMPOTENT)
    await gone.stop()
    for method in OTHERS:
        statuses: collections.Counter[int] = collections.Counter()
        for each in (good, bad):
            each.asked.clear()
        for _ in range(8):
            statuses[(await home.get("a.example.com", tls=False, method=method, body=b"x")).status] += 1
        assert (method, *map(len, (good.asked, bad.asked))) == (method, 4, 4)
        assert statuses == {200: 4, 502: 4}
        for _ in range(4):
            assert (await home.get("b.example.com", tls=False, method=method, body=b"x")).status == 200


async def test_when_all_are_gone_the_page_says_so_and_the_others_go_on(home: House, workers: list[Worker]) -> None:
    """
    And they are found again after the time for which they are left alone.
    """
    one, two, other = workers
    short = dt.timedelta(seconds=1)
    elsewhere = Route(path="/other/", action=Pool.of(url(other.url)))
    routes = (*pool(*(member(each, fail_timeout=short) for each in (one, two))), elsewhere)
    home.add("a.example.com", routes=routes, tls=False)
    await home.serve()
    for each in (one, two):
        await each.stop()
    for _ in range(4):
        answer = await home.get("a.example.com", "/x.json", tls=False)
        assert (answer.status, answer.headers["content-type"]) == (502, "text/html")
        assert b"does not answer right now" in answer.body
        assert await who(home, "/other/") == other.port
    for each in (one, two):
        await each.start()

    async def back() -> bool:
        return await who(home) in {one.port, two.port}

    await until(back)


async def test_idle_connections_are_used_again(home: House) -> None:
    """
    Those to a pool, to a socket and, where nginx can look names up in a pool, to a name: a few for all of its workers, for many
    requests.
    """
    path = str(home.state / "up.sock")
    async with (
        naming(service="127.0.0.1") as names,
        upstream.running() as one,
        upstream.running() as two,
        await asyncio.start_unix_server(two.serve, path),
    ):
        (home.state / "up.sock").chmod(0o666)
        home.resolver = (f"127.0.0.1:{names.port}",)
        servers = tuple(Server(upstream=url(f"http://127.0.0.1:{each.port}")) for each in (one, two))
        socket = dataclasses.replace(url("http://-:1"), host="", port=0, socket=path)
        home.add("pool.example.com", routes=(Route(path="/", action=Pool(servers=servers)),), tls=False)
        home.add("socket.example.com", to=socket, tls=False)
        home.add("name.example.com", to=f"http://service:{one.port}", tls=False)
        await home.serve()
        await home.found("name.example.com", tls=False)
        few = 2 * home.capabilities().cpus
        kept = {"pool": True, "socket": True, "name": home.capabilities().at_least(1, 27, 3)}
        for name, again in kept.items():
            one.connections = two.connections = 0
            for _ in range(30):
                answer = await home.get(f"{name}.example.com", tls=False, method="POST", body=b"x")
                assert answer.status == 200
            made = one.connections + two.connections
            assert (name, made <= few if again else made == 30) == (name, True)


async def test_a_pool_of_names_needs_an_nginx_that_looks_them_up(home: House) -> None:
    """
    Before 1.27.3 such a site says what is wrong with it, and answers 503; its neighbours are served.
    """
    async with naming(one="127.0.0.1", two="127.0.0.1") as names, upstream.running() as up, upstream.running() as other:
        home.resolver = (f"127.0.0.1:{names.port}",)
        servers = (f"http://one:{up.port}", f"http://two:{other.port}")
        pool = Pool(servers=tuple(Server(upstream=url(each)) for each in servers))
        home.add("a.example.com", routes=(Route(path="/", action=pool),), tls=False)
        home.add("b.example.com", to=f"http://127.0.0.1:{up.port}", tls=False)
        rendered = home.render()
        await home.managed().apply(rendered)
        if home.capabilities().at_least(1, 27, 3):
            assert rendered.unwritten == {}

            async def both() -> bool:
                return (await home.get("a.example.com", tls=False)).status == 200 and bool(up.seen and other.seen)

            await until(both)
        else:
            assert "1.27.3" in rendered.unwritten["a.example.com"]
            assert (await home.get("a.example.com", tls=False)).status == 503
        assert (await home.get("b.example.com", tls=False)).status == 200
