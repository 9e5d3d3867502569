"""
How bytes go through, on the oldest nginx at hand and on the newest: what waits where, what is too large or too slow, what is compressed.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import gzip
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.nginx_dns import naming
from tests.support.nginx_house import DEBIAN, WHEEL, house, parse, url
from tests.support.waiting import until

from gatelodge.model import Headers, Listener, Pool, Redirect, Respond, Route, Transport, Websocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live

KILO = 1024
MEGA = 1024 * KILO


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


async def serve(home: House) -> None:
    """
    Bring what the house asks for to be served.
    """
    await home.managed().apply(home.render())


def way(path: str, to: str | int, **transport: object) -> Route:
    """
    Return a route to a URL, or to a port of this machine.
    """
    target = to if isinstance(to, str) else f"http://127.0.0.1:{to}"
    return Route(path=path, action=Pool.of(url(target)), transport=Transport(**transport))  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def serving(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """
    Run a service that reads a request's head and leaves the rest to `answer`; yield its port.
    """

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def visiting(
    home: House, request: str, *, port: int | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """
    Send the head of a request to a.example.com over TLS and leave the rest to the test.
    """
    reader, writer = await home.connect(port or home.settings.https_port, "a.example.com")
    try:
        writer.write(f"{request}\r\nHost: a.example.com\r\n".encode())
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def upgraded(home: House, target: str, protocol: str = "websocket", *, tls: bool = True) -> dict[str, str]:
    """
    Ask for an upgrade as a browser does, pass bytes both ways and return the answer's headers.
    """
    number = home.settings.https_port if tls else home.settings.http_port
    reader, writer = await home.connect(number, "a.example.com" if tls else "")
    try:
        writer.write(
            f"GET {target} HTTP/1.1\r\nHost: {'a' if tls else 'plain'}.example.com\r\nUpgrade: {protocol}\r\n"
            "Connection: keep-alive, Upgrade\r\n\r\n".encode()
        )
        answer = parse(await reader.readuntil(b"\r\n\r\n"))
        assert answer.status == 101
        for said in (b"ping", b"\x00" * 300 * KILO):
            writer.write(said)
            assert await reader.readexactly(len(said)) == said
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return dict(answer.headers)


async def test_websockets_pass_on_every_kind_of_route(home: House, up: upstream.Upstream) -> None:
    """
    Without a switch: in plain, to an address, to a name, below a replaced prefix, and where a route says headers of its own, which
    is where hand-written configurations lose them. Forced, whatever was asked for.
    """
    async with naming(service="127.0.0.1") as server:
        home.resolver = (f"127.0.0.1:{server.port}",)
        own = dataclasses.replace(
            way("/own/", up.port),
            headers=Headers(request=(("X-Own", "1"),), response=(("X-Said", "1"),), security=True),
        )
        unbuffered = way("/unbuffered/", up.port, buffering=False, request_buffering=False)
        home.add(
            "a.example.com",
            routes=(
                *(
                    own,
                    unbuffered,
                    way("/name/", f"http://service:{up.port}"),
                    way("/below/", f"http://service:{up.port}/x/"),
                ),
                way("/forced/", up.port, websocket=Websocket.FORCE),
                way("/forced-name/", f"http://service:{up.port}", websocket=Websocket.FORCE),
            ),
            to=f"http://127.0.0.1:{up.port}",
        )
        home.add("plain.example.com", to=f"http://127.0.0.1:{up.port}", tls=False)
        await serve(home)
        for target in ("/", "/own/x", "/unbuffered/", "/name/", "/below/", "/forced/", "/forced-name/"):
            await upgraded(home, target)
            assert (up.seen[-1].headers["upgrade"], up.seen[-1].headers["connection"]) == ("websocket", "upgrade")
        assert up.seen[-3].target == "/x/"
        await upgraded(home, "/", tls=False)
        await upgraded(home, "/", "WebSocket")
        await upgraded(home, "/forced/", "anything")


async def test_an_idle_websocket_ends_after_the_timeout_and_not_before(home: House, up: upstream.Upstream) -> None:
    """
    `timeout` is how long an upstream may be silent, also after the upgrade; traffic of either side keeps it.
    """
    home.add("a.example.com", routes=(way("/", up.port, timeout=dt.timedelta(seconds=1)),))
    await serve(home)
    async with visiting(home, "GET / HTTP/1.1") as (reader, writer):
        writer.write(b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n")
        assert parse(await reader.readuntil(b"\r\n\r\n")).status == 101
        begun = asyncio.get_running_loop().time()
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        assert await reader.read() == b""
        assert asyncio.get_running_loop().time() - begun >= 0.5


async def test_without_buffering_the_visitor_has_a_part_while_the_upstream_holds_the_rest(home: House) -> None:
    """
    What server-sent events and long answers to AIs need; over HTTP/1.1 in chunks.
    """
    go_on = asyncio.Event()

    async def two_parts(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await go_on.wait()
        writer.write(b"4\r\nlast\r\n0\r\n\r\n")
        await writer.drain()

    async with serving(two_parts) as port:
        home.add("a.example.com", routes=(way("/", port, buffering=False),))
        await serve(home)
        async with visiting(home, "GET / HTTP/1.1") as (reader, writer):
            writer.write(b"Connection: close\r\n\r\n")
            await reader.readuntil(b"first")
            assert not go_on.is_set()
            go_on.set()
            assert b"last" in await reader.read()


@dataclasses.dataclass(slots=True)
class Large:
    """
    A service that answers with much, and counts what it got rid of.
    """

    size: int
    sent: int = 0

    async def answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sent = 0
        writer.transport.set_write_buffer_limits(high=0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KILO)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {self.size}\r\n\r\n".encode())
        while self.sent < self.size:
            writer.write(b"x" * 64 * KILO)
            await writer.drain()
            self.sent += 64 * KILO


def held(home: House) -> int:
    """
    Return how much of answers waits in files, which have no name any more: only nginx's workers hold them.
    """
    master = (home.state / "nginx" / "nginx.pid").read_text().strip()
    sizes = 0
    for worker in Path(f"/proc/{master}/task/{master}/children").read_text().split():
        for link in Path(f"/proc/{worker}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                sizes += link.stat().st_size if f"{home.state}/tmp/proxy/" in str(link.readlink()) else 0
    return sizes


async def test_what_a_slow_visitor_does_not_take_waits_in_a_file_up_to_the_limit(home: House) -> None:
    """
    By default the upstream is rid of all of it; with a limit of some; with 0, or without buffering, of what memory holds.
    """
    large = Large(32 * MEGA)
    async with serving(large.answer) as port:
        home.add(
            "a.example.com",
            routes=(
                way("/all/", port),
                way("/some/", port, temp_file_limit=2 * MEGA),
                way("/none/", port, temp_file_limit=0),
                way("/direct/", port, buffering=False),
            ),
        )
        await serve(home)
        for target, least, most in (
            ("/all/", 20 * MEGA, 32 * MEGA),
            ("/some/", MEGA, 2 * MEGA + 64 * KILO),
            ("/none/", 0, 0),
            ("/direct/", 0, 0),
        ):
            async with visiting(home, f"GET {target} HTTP/1.1") as (reader, writer):
                writer.write(b"Connection: close\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
                whole = least > 10 * MEGA
                await until(lambda: large.sent == large.size if whole else held(home) >= least)  # noqa: B023 - over before the next
                highest, taken = held(home), 0
                while part := await reader.read(MEGA):
                    highest, taken = max(highest, held(home)), taken + len(part)
            assert (target, taken) == (target, large.size)
            assert least <= highest <= most, target


async def test_request_buffering_decides_when_the_upstream_hears_of_a_body(home: House, up: upstream.Upstream) -> None:
    """
    Off, the upstream has a part before the visitor has sent the rest, with a length or in chunks; on, it hears of nothing before.
    """
    begun = asyncio.Event()

    async def listening(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"begin")
        begun.set()
        await reader.readuntil(b"end")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with serving(listening) as port:
        home.add("a.example.com", routes=(way("/off/", port, request_buffering=False), way("/on/", up.port)))
        await serve(home)
        for framing, first, last in (
            (b"Content-Length: 8\r\n", b"begin", b"end"),
            (b"Transfer-Encoding: chunked\r\n", b"5\r\nbegin\r\n", b"3\r\nend\r\n0\r\n\r\n"),
        ):
            async with visiting(home, "POST /off/ HTTP/1.1") as (reader, writer):
                writer.write(framing + b"Connection: close\r\n\r\n" + first)
                await begun.wait()
                begun.clear()
                writer.write(last)
                assert parse(await reader.read()).status == 200
        async with visiting(home, "POST /on/ HTTP/1.1") as (reader, writer):
            writer.write(b"Content-Length: 8\r\nConnection: close\r\n\r\nbegin")
            # Another visit, so that nginx had its time.
            assert (await home.get("a.example.com", "/on/other")).status == 200
            assert [each.target for each in up.seen] == ["/on/other"]
            writer.write(b"end")
            assert parse(await reader.read()).status == 200
        assert up.seen[-1].headers["content-length"] == "8"


async def test_bodies_over_the_limit_are_refused_however_they_are_sent(home: House, up: upstream.Upstream) -> None:
    """
    By their length or, in chunks, by what came; buffered or not. Without a limit there is none, nginx's megabyte included.
    """
    small = {"body_size": 1000}
    home.add(
        "a.example.com",
        routes=(
            way("/small/", up.port, **small),
            way("/small-direct/", up.port, **small, request_buffering=False),
            way("/any/", up.port),
            Route(path="/said/", action=Respond(body="said")),
        ),
    )
    await serve(home)
    for target, size, status in (
        *(("/small/", 1000, 200), ("/small/", 1001, 413), ("/small-direct/", 1001, 413), ("/any/", 3 * MEGA, 200)),
        ("/said/", 100, 200),
    ):
        body = b"x" * size
        answer = await home.get("a.example.com", target, method="POST", body=body)
        assert (target, size, answer.status) == (target, size, status)
        async with visiting(home, f"POST {target} HTTP/1.1") as (reader, writer):
            writer.write(b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
            writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (size, body))
            head = await reader.readuntil(b"\r\n\r\n")
            if target in {"/small/", "/small-direct/", "/said/"}:
                assert (target, size, parse(head).status) == (target, size, status)


async def test_an_upstream_that_cannot_be_connected_to_is_given_up_soon(home: House) -> None:
    """
    `connect_timeout` is short where `timeout` is long.
    """
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # The kernel answers no more connections than the queue takes, and drops the others.
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(full.getsockname())
        home.add(
            "a.example.com",
            routes=(way("/", full.getsockname()[1], connect_timeout=dt.timedelta(milliseconds=300)),),
        )
        await serve(home)
        async with asyncio.timeout(10):
            assert (await home.get("a.example.com")).status == 504


#: An answer that is worth compressing.
TEXT = b"the quick brown fox " * 200


async def test_gzip_where_it_is_asked_for(home: House) -> None:
    """
    For the kinds of text, from a kilobyte on, with Vary for caches; never for who does not want it, for pictures, or what the
    upstream compressed itself; and nowhere unless it is asked for.
    """
    kinds = {
        "/html": "text/html; charset=utf-8",
        "/json": "application/json",
        "/js": "text/javascript",
        "/svg": "image/svg+xml",
        "/png": "image/png",
        "/zip": "application/zip",
        "/events": "text/event-stream",
    }

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode().removeprefix("/off")
            said, encoding = TEXT, ""
            if target == "/small":
                said = b"x" * 900
            if target == "/own":
                said, encoding = b"own", "Content-Encoding: br\r\nVary: Accept-Encoding\r\n"
            kind = kinds.get(target, "text/html")
            writer.write(
                f'HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{encoding}ETag: "e"\r\nContent-Length: {len(said)}\r\n'
                "Connection: close\r\n\r\n".encode()
                + said
            )
            await writer.drain()
        finally:
            writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        home.add("a.example.com", routes=(way("/off/", port), way("/", port, gzip=True)))
        await serve(home)
        wants = {"Accept-Encoding": "gzip, br"}
        for target, compressed in (
            *(("/html", True), ("/json", True), ("/js", True), ("/svg", True)),
            *(("/png", False), ("/zip", False), ("/events", False), ("/small", False), ("/off/html", False)),
        ):
            answer = await home.get("a.example.com", target, headers=wants)
            said = (target, answer.headers.get("content-encoding"))
            assert said == (target, "gzip" if compressed else None)
            assert target == "/small" or _opened(answer.headers, answer.body) == TEXT
            assert not compressed or answer.headers["vary"] == "Accept-Encoding"
        own = await home.get("a.example.com", "/own", headers=wants)
        assert (own.headers["content-encoding"], own.body) == ("br", b"own")
        plain = await home.get("a.example.com", "/html")
        assert plain.body == TEXT
        assert plain.headers["vary"] == "Accept-Encoding", (
            "a cache must not give this to who does not say what he takes"
        )
        # Behind a CDN or another proxy, too.
        proxied = await home.get("a.example.com", "/html", headers=wants | {"Via": "1.1 cdn"})
        assert proxied.headers["content-encoding"] == "gzip"


def _opened(headers: object, body: bytes) -> bytes:
    assert isinstance(headers, dict)
    if headers.get("transfer-encoding") == "chunked":
        whole = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
        body = whole
    return gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body


async def test_redirects_of_ours_carry_the_visitors_port(home: House, up: upstream.Upstream) -> None:
    """
    Where nginx itself makes an address of the site it is with the port that the visitor typed, or without host and port.
    """
    settings = dataclasses.replace(home.settings, public_https_port=2443)
    home.settings = settings
    site = home.add(
        "a.example.com",
        routes=(
            Route(path="/old/", action=Redirect(url="/new/")),
            Route(path="/gone", action=Redirect(url="/here", keep_path=False, code=302)),
            way("/app/", up.port),
        ),
    )
    home.certify("a.example.com", "www.example.com")
    home.sites = [dataclasses.replace(site, redirect_hosts=(type(site.hosts[0])("www.example.com"),))]
    own = home.add("own.example.com", to=f"http://127.0.0.1:{up.port}", listen=(Listener(port=home.spare[0]),))
    home.certify("own.example.com", "www.own.example.com")
    home.sites[-1] = dataclasses.replace(own, redirect_hosts=(type(own.hosts[0])("www.own.example.com"),))
    await serve(home)
    port = home.spare[0]
    for host, target, tls, number, location in (
        ("a.example.com", "/x?y", False, None, "https://a.example.com:2443/x?y"),
        ("www.example.com", "/x?y", False, None, "https://a.example.com:2443/x?y"),
        ("www.example.com:2443", "/x?y", True, None, "https://a.example.com:2443/x?y"),
        ("a.example.com:2443", "/old/x?y", True, None, "/new/x?y"),
        ("a.example.com:2443", "/gone", True, None, "/here"),
        ("a.example.com:2443", "/app", True, None, "/app/"),
        ("own.example.com", "/", False, None, f"https://own.example.com:{port}/"),
        (f"www.own.example.com:{port}", "/", True, port, f"https://own.example.com:{port}/"),
    ):
        answer = await home.get(host, target, tls=tls, port=number)
        assert (host, target, answer.headers["location"]) == (host, target, location)


def _lines(home: House) -> list[str]:
    log = home.state / "log" / "visits.log"
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_the_access_log_is_complete_after_a_reload_and_a_stop(program: str, up: upstream.Upstream) -> None:
    """
    Its lines are written together, and none is lost with the worker that holds them. Our own questions are not in it.
    """
    async with house(program) as home:
        home.settings = dataclasses.replace(home.settings, access_log=str(home.state / "log" / "visits.log"))
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        await serve(home)
        for number in range(50):
            await home.get("a.example.com", f"/first/{number}")
        home.add("b.example.com", to=f"http://127.0.0.1:{up.port}")
        await serve(home)
        await until(lambda: len(_lines(home)) == 50, seconds=5)
        for number in range(50):
            await home.get("a.example.com", f"/second/{number}")
        await home.managed().stop(grace=10)
        asked = {line.split('"')[1] for line in _lines(home)}
        assert asked == {f"GET /{part}/{number} HTTP/1.1" for part in ("first", "second") for number in range(50)}
        assert len(_lines(home)) == 100


async def test_the_access_log_may_be_rotated(home: House, up: upstream.Upstream) -> None:
    """
    Nginx goes on in a new file after USR1, though its workers are not root.
    """
    log = home.state / "log" / "visits.log"
    home.settings = dataclasses.replace(home.settings, access_log=str(log))
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    await home.get("a.example.com", "/before")
    await until(lambda: len(_lines(home)) == 1, seconds=5)
    log.rename(home.state / "log" / "visits.log.1")
    pid = (await home.managed().observe()).pid
    assert pid is not None
    os.kill(pid, signal.SIGUSR1)

    async def gone_on() -> bool:
        await home.get("a.example.com", "/after")
        return bool(_lines(home))

    await until(gone_on, seconds=10)
