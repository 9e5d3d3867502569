"""
Services that come and go while nginx runs and no daemon is there: a name that moves, a container that is recreated, one that is dead.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.nginx_dns import naming
from tests.support.nginx_house import DEBIAN, WHEEL, house, url
from tests.support.waiting import until

from gatelodge.model import INTERNAL_HOST, Match, Pool, Route
from gatelodge.nginx.writing.pages import UNREACHABLE
from gatelodge.nginx.writing.prelude import GENERATION_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live

#: How long an address is believed here, and how long until a service is found at another: as long, and as long again at worst.
VALID = dt.timedelta(seconds=1)
FOUND_SECONDS = 10


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param, resolver_valid=VALID) as made:
        yield made


@pytest.fixture
async def up() -> AsyncIterator[upstream.Upstream]:
    """
    Yield a running upstream.
    """
    async with upstream.running() as made:
        yield made


async def test_a_service_that_moves_is_found_again(home: House, up: upstream.Upstream) -> None:
    """
    At its new address within the time for which the old one is believed, also when another answers at the old one by then, or nobody; and
    the name may be unknown in between. Nothing is reloaded, and requests to others go on.
    """
    port = home.spare[0]
    async with naming(service="127.0.0.2") as names:
        home.resolver = (f"127.0.0.1:{names.port}",)
        home.add(
            "a.example.com",
            to=f"http://127.0.0.1:{up.port}",
            routes=(
                Route(path="/as-is/", action=Pool.of(url(f"http://service:{port}"))),
                Route(path="/replaced/", action=Pool.of(url(f"http://service:{port}/base/"))),
            ),
        )

        async def found(service: upstream.Upstream) -> None:
            """
            Return once every request of a few in a row reaches a service, by both routes.
            """

            async def all_here() -> bool:
                for path in ("/as-is/", "/replaced/") * 3:
                    before = len(service.seen)
                    status = (await home.get("a.example.com", path)).status
                    if status != 200 or len(service.seen) != before + 1:
                        return False
                return True

            await until(all_here, seconds=FOUND_SECONDS)
            assert (await home.get("a.example.com")).status == 200

        async with upstream.running(address="127.0.0.2", port=port) as first:
            await home.serve()
            await found(first)
            async with upstream.running(address="127.0.0.3", port=port) as second:
                names.addresses["service"] = "127.0.0.3"
                await found(second)
        # Nobody is where it was, and then nobody knows the name.
        assert (await home.get("a.example.com", "/as-is/")).status == 502
        del names.addresses["service"]

        async def unknown() -> bool:
            return (await home.get("a.example.com", "/as-is/")).status == 502

        await until(unknown)
        names.addresses["service"] = "127.0.0.4"
        async with upstream.running(address="127.0.0.4", port=port) as third:
            await found(third)
        assert (await home.get(INTERNAL_HOST, GENERATION_PATH, tls=False)).body == b"1"


async def test_a_reload_forgets_no_address(home: House, up: upstream.Upstream) -> None:
    """
    While a certificate is renewed again and again, every request by name is answered.
    """
    async with naming(service="127.0.0.1") as names:
        home.resolver = (f"127.0.0.1:{names.port}",)
        home.add("a.example.com", to=f"http://service:{up.port}")
        await home.serve()
        await home.found("a.example.com")
        over, statuses = asyncio.Event(), set()

        async def visit() -> None:
            while not over.is_set():
                statuses.add((await home.get("a.example.com")).status)

        async with asyncio.TaskGroup() as group:
            group.create_task(visit())
            for _ in range(5):
                home.certify("a.example.com")
                await home.serve()
            over.set()
        assert statuses == {200}


async def test_nginx_starts_though_no_service_is_known(home: House, up: upstream.Upstream) -> None:
    """
    By any protocol: each such route is a 502, and no other.
    """
    async with naming() as names:
        home.resolver = (f"127.0.0.1:{names.port}",)
        schemes = ("http", "https", "grpc", "grpcs", "fastcgi")
        routes = [
            Route(path=f"/{scheme}/", action=Pool.of(url(f"{scheme}://gone_{scheme}:1234"))) for scheme in schemes
        ]
        routes += [Route(path="/exact", match=Match.EXACT, action=Pool.of(url("http://gone:1/x")))]
        routes += [Route(path="^/regex", match=Match.REGEX, action=Pool.of(url("http://gone:1")))]
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}", routes=tuple(routes))
        await home.serve()
        for path in (*(f"/{scheme}/x" for scheme in schemes), "/exact", "/regex"):
            answer = await home.get("a.example.com", path)
            assert (path, answer.status, answer.body.decode()) == (path, 502, UNREACHABLE)
        assert (await home.get("a.example.com")).status == 200


async def test_nginx_starts_though_no_name_server_answers(home: House, up: upstream.Upstream) -> None:
    """
    Who needs none is served, and who does is a 502 after a few seconds, or at once.
    """
    home.resolver = (f"127.0.0.1:{home.spare[0]}",)
    home.add(
        "a.example.com",
        to=f"http://127.0.0.1:{up.port}",
        routes=(Route(path="/x/", action=Pool.of(url("http://x:1"))),),
    )
    await home.serve()
    assert (await home.get("a.example.com")).status == 200
    async with asyncio.timeout(15):
        assert (await home.get("a.example.com", "/x/")).status == 502


async def test_a_dead_service_has_a_page_that_can_be_read_on_its_route_alone(
    home: House, up: upstream.Upstream
) -> None:
    """
    Whatever was asked for, and by which method. It says nothing of where the service is.
    """
    dead = url(f"http://127.0.0.1:{home.spare[0]}")
    routes = (
        Route(path="/dead/", action=Pool.of(dead)),
        Route(path=r"\.json$", match=Match.REGEX, action=Pool.of(dead)),
    )
    home.add("a.example.com", routes=routes, to=f"http://127.0.0.1:{up.port}")
    await home.serve()
    for path in ("/dead/", "/dead/style.css?x", "/any.json"):
        for method, body in (("GET", b""), ("POST", b"x" * 2_000_000), ("HEAD", b""), ("DELETE", b"")):
            answer = await home.get("a.example.com", path, method=method, body=body)
            assert (path, method, answer.status, answer.headers["content-type"]) == (path, method, 502, "text/html")
            assert answer.body.decode() == ("" if method == "HEAD" else UNREACHABLE)
            assert str(home.spare[0]) not in str(answer)
    assert (await home.get("a.example.com", "/")).status == 200


async def test_what_a_service_itself_says_of_its_troubles_goes_through(home: House) -> None:
    """
    Its own 502, 503 and 504 are its own, with their heads and bodies; they are no reason to think it dead.
    """
    heads: list[bytes] = []

    async def troubled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        status = head.split(b" ")[1][1:]
        writer.write(
            b"HTTP/1.1 " + status + b" Own\r\nContent-Length: 4\r\nX-Own: yes\r\nContent-Type: text/own\r\n\r\nmine"
        )
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(troubled, "127.0.0.1", home.spare[0]):
        home.add("a.example.com", to=f"http://127.0.0.1:{home.spare[0]}")
        await home.serve()
        for status in (502, 503, 504, 500, 404, 429):
            for _ in range(2):
                answer = await home.get("a.example.com", f"/{status}")
                assert (answer.status, answer.body, answer.headers["x-own"]) == (status, b"mine", "yes")
                assert answer.headers["content-type"] == "text/own"
        assert len(heads) == 12
