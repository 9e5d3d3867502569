"""
Certificates from a real ACME server, pebble, with http-01 through a real web server on the webroot, and nonces refused at
pebble's own rate.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.issuers.test_acme import ORDERS
from tests.support.pebble_world import PebbleWorld, quiet, running, spec

from gatelodge.acme.transport import Transport
from gatelodge.model import KeyKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from gatelodge.ports import HttpResponse, Issued
    from gatelodge.runtime.system import Web

pytestmark = pytest.mark.live


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PebbleWorld]:
    """
    pebble, as unkind as it is by itself.
    """
    async with running(tmp_path) as found:
        yield found


async def test_one_certificate(world: PebbleWorld) -> None:
    """
    For two names and an RSA key: its chain leads to the CA's root, and nothing is left behind.
    """
    acme = world.acme()
    wanted = spec("a.example", "www.a.example", key=KeyKind.RSA_2048)
    async with acme.issue(wanted, progress=quiet) as issued:
        assert await world.verified(issued, "www.a.example")
        assert await world.documents.get(ORDERS, wanted.name) is not None
    assert await world.documents.list(ORDERS) == {}
    assert world.tokens() == []
    assert abs((await acme.date() - world.clock.now()).total_seconds()) < 60


async def test_twenty_at_once_with_one_account(world: PebbleWorld) -> None:
    """
    All of them come, though pebble refuses every twentieth nonce.
    """
    acme = world.acme()
    came: dict[str, Issued] = {}

    async def issue(name: str) -> None:
        async with acme.issue(spec(name), progress=quiet) as issued:
            came[name] = issued

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(issue(f"s{number}.example"))
    assert len(came) == 20
    assert all([await world.verified(issued, name) for name, issued in came.items()])
    assert [event for event, _ in world.events.emitted] == ["account.registered"]
    assert world.tokens() == []


class Cut:
    """
    A connection to the CA that is cut for good once a request to a path has been answered.
    """

    def __init__(self, http: Web, path: str) -> None:
        self.http = http
        self.path = path
        self.reached = asyncio.Event()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        response = await self.http.request(method, url, headers=headers, body=body, timeout=timeout)
        if self.path in url and response.status < 300:
            self.reached.set()
            await asyncio.Event().wait()
        return response


async def orders_of(world: PebbleWorld) -> int:
    """
    Count the account's orders at pebble.
    """
    stored: dict[str, Any] = dict(await world.documents.get("accounts", "pebble") or {})
    client = await world.acme()._account.known()
    assert client is not None
    assert client.kid == stored["kid"]
    return len(await client.orders())


@pytest.mark.parametrize("path", ["/order-plz", "/authZ/", "/finalize-order/"])
async def test_a_daemon_that_died_takes_its_order_up(world: PebbleWorld, path: str) -> None:
    """
    Killed after the order was made (its URL never came), after it said what is to be proven, and between finalize and download: the
    one that comes after it gets a certificate of the same order, for the key that was on disk.
    """
    cut = Cut(world.http, path)

    async def die() -> None:
        async with world.acme(cut).issue(spec("a.example"), progress=quiet):
            raise AssertionError("it was cut")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(die())
        await cut.reached.wait()
        task.cancel()
    record: dict[str, Any] = dict(await world.documents.get(ORDERS, "a.example") or {})
    assert (record["url"] is None) == (path == "/order-plz")
    assert world.tokens() == []
    acme = world.acme()
    async with acme.issue(spec("a.example"), progress=quiet) as issued:
        assert issued.private_key.reveal() == record["private_key"]
        assert await world.verified(issued, "a.example")
    assert await orders_of(world) == 1


async def test_a_token_that_the_ca_cannot_see_is_its_problem_document(world: PebbleWorld) -> None:
    """
    The CA looks elsewhere, so the self-check is content and the CA is not; its words come through.
    """
    acme = world.acme()
    elsewhere = json.dumps({"host": "a.example", "addresses": ["127.0.0.9"]}).encode()
    await world.http.request("POST", f"{world.ca.dns}/add-a", body=elsewhere)
    with pytest.raises(Exception, match=r"a\.example") as caught:
        async with acme.issue(spec("a.example"), progress=quiet):
            pass
    assert caught.value.problem.type in {"connection", "unauthorized"}  # type: ignore[attr-defined]
    assert await world.documents.list(ORDERS) == {}
    assert world.tokens() == []


async def test_the_transport_speaks_with_pebble(world: PebbleWorld) -> None:
    """
    Its directory has what we need.
    """
    transport = Transport(directory=world.ca.directory, http=world.http, clock=world.clock)
    assert (await transport.directory()).new_order.startswith("https://127.0.0.1:")
