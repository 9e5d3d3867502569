"""
Signed requests: nonces, trying again, the directory, the CA's clock.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC
from tests.support.fake_acme import DIRECTORY, Board, FakeAcme
from tests.support.quick_clock import QuickClock

from gatelodge.acme import accounts as acme
from gatelodge.acme.client import Client
from gatelodge.acme.signer import Signer
from gatelodge.acme.transport import Transport
from gatelodge.errors import HttpDisconnected, HttpUnreachable, IssuanceError, TransientError
from gatelodge.model import Name, Secret
from gatelodge.ports import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = [Name("a.example")]


class World:
    """
    A server, its transport and an account.
    """

    def __init__(self) -> None:
        self.clock = QuickClock()
        self.server = FakeAcme(self.clock, Board())
        self.transport = Transport(directory=DIRECTORY, http=self.server, clock=self.clock)
        self.signer = Signer(JWKEC(key=ec.generate_private_key(ec.SECP256R1())))

    async def client(self) -> Client:
        account = await acme.register(self.transport, self.signer, email=None)
        self.server.log.clear()
        return Client(transport=self.transport, signer=self.signer.known_as(account.url))


@pytest.fixture
def world() -> World:
    """
    A server with nothing in it.
    """
    return World()


async def test_an_account_is_made_once_and_found_again(world: World) -> None:
    """
    Registering again returns the same account; asking for an existing one makes none; an email becomes a contact.
    """
    with pytest.raises(IssuanceError) as caught:
        await acme.find(world.transport, world.signer)
    assert caught.value.problem.type == "accountDoesNotExist"
    first = await acme.register(world.transport, world.signer, email="me@example.com")
    assert await acme.register(world.transport, world.signer, email=None) == first
    assert (await acme.find(world.transport, world.signer)).url == first.url
    assert [payload for _, payload in world.server.payloads] == [
        {"onlyReturnExisting": True},
        {"termsOfServiceAgreed": True, "contact": ["mailto:me@example.com"]},
        {"termsOfServiceAgreed": True},
        {"onlyReturnExisting": True},
    ]


async def test_the_directory_is_asked_for_once_a_day(world: World) -> None:
    """
    Requests share it, however many begin at once; a day later it is fetched anew.
    """
    client = await world.client()
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(client.new_order(NAMES, profile=None))
    assert "directory" not in world.server.log
    world.clock.elapsed += 86401
    await client.new_order(NAMES, profile=None)
    assert world.server.log.count("directory") == 1


async def test_nonces_come_from_answers(world: World) -> None:
    """
    A row of requests asks for no nonce of its own.
    """
    client = await world.client()
    order = await client.new_order(NAMES, profile=None)
    await client.order(order.url)
    assert world.server.log == ["new-order", "order"]


async def test_requests_at_once_fetch_nonces_one_at_a_time(world: World) -> None:
    """
    Let's Encrypt takes 20 requests for nonces a second (burst 10): a hundred orders that begin together must not ask for a
    hundred at the same moment.
    """
    client = await world.client()
    running = most = 0

    async def gate(when: str, operation: str) -> None:
        nonlocal running, most
        if operation == "nonce":
            running += 1 if when == "before" else -1
            most = max(most, running)
            await asyncio.sleep(0)

    world.server.gate = gate
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(client.new_order(NAMES, profile=None))
    assert len(world.server.orders) == 100
    assert most == 1


async def test_refused_nonces_are_borne(world: World) -> None:
    """
    Nine refusals in a row are no failure, nor a reason to ask for nonces: each refusal brings one.
    """
    client = await world.client()
    world.server.bad_nonces = 9
    await client.new_order(NAMES, profile=None)
    assert world.server.log == ["new-order"] * 10


async def test_a_server_that_refuses_every_nonce_is_given_up(world: World) -> None:
    """
    Thirty tries over some seconds, then the problem is told.
    """
    client = await world.client()
    world.server.bad_nonces = 1000
    with pytest.raises(IssuanceError) as caught:
        await client.new_order(NAMES, profile=None)
    assert caught.value.problem.type == "badNonce"
    assert len(world.server.log) == 30
    assert 3 < sum(world.clock.slept) < 5


async def test_a_server_that_was_restarted_costs_one_try(world: World) -> None:
    """
    It has forgotten every nonce that we kept; the refusal brings one that it knows.
    """
    client = await world.client()
    for _ in range(30):
        world.transport._keep_nonce(world.server.answer(b""))
    world.server.nonces.clear()
    world.server.log.clear()
    await client.new_order(NAMES, profile=None)
    assert world.server.log == ["new-order", "new-order"]


async def test_two_refusals_in_a_row_drop_what_was_kept(world: World) -> None:
    """
    Then it is no chance, and the other nonces would only cost a try each.
    """
    client = await world.client()
    for _ in range(30):
        world.transport._keep_nonce(world.server.answer(b""))
    for refusals, kept in ((1, 31), (2, 1)):
        world.server.bad_nonces = refusals
        await client.new_order(NAMES, profile=None)
        assert len(world.transport._nonces) == kept


async def test_nonces_that_are_no_base64url_are_ignored(world: World) -> None:
    """
    RFC 8555 §6.5.1. A server that sends nothing else makes no sense, and that is said.
    """
    bad = HttpResponse(status=200, headers={"replay-nonce": ("no base64!",)}, body=b"")
    world.server.scripted["nonce"] = [bad]
    with pytest.raises(IssuanceError) as caught:
        await world.client()
    assert caught.value.problem.type == "badAnswer"


async def test_a_lost_answer_is_asked_for_again(world: World) -> None:
    """
    An idle connection that the server closed costs a tenth of a second, and the request goes out with another nonce.
    """
    client = await world.client()
    order = await client.new_order(NAMES, profile=None)
    world.server.lose_before["order"] = 1
    world.server.lose_after["order"] = 1
    assert (await client.order(order.url)).status == "pending"
    assert world.server.log.count("order") == 3
    assert world.clock.slept == [0.1, 1.0]


async def test_a_new_order_is_never_sent_twice(world: World) -> None:
    """
    A second one would be an order that nobody knows of.
    """
    client = await world.client()
    world.server.lose_after["new-order"] = 1
    with pytest.raises(HttpDisconnected):
        await client.new_order(NAMES, profile=None)
    world.server.scripted["new-order"] = [world.server.answer(b"", 502)]
    with pytest.raises(IssuanceError):
        await client.new_order(NAMES, profile=None)
    assert world.server.log.count("new-order") == 2


async def test_a_dead_server_is_given_up_after_seconds(world: World) -> None:
    """
    A few tries within five seconds, then the failure comes out as it is.
    """
    client = await world.client()
    world.server.unreachable = True
    with pytest.raises(HttpUnreachable):
        await client.order("https://ca.test/order/1")
    assert len(world.server.log) == 5
    assert sum(world.clock.slept) < 5


async def test_a_dead_server_is_found_out_once_by_all(world: World) -> None:
    """
    A hundred orders that wait for the directory do not try it a hundred times one after another.
    """
    world.server.unreachable = True

    async def attempt() -> str:
        try:
            await world.transport.directory()
        except HttpUnreachable as error:
            return str(error)
        return "reached"

    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(attempt()) for _ in range(100)]
    assert {each.result() for each in tries} == {"ca.test cannot be reached"}
    assert len(world.server.log) == 4


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_errors_pass(status: int) -> None:
    """
    Two in a row are waited out, as long as the server says.
    """

    async def run() -> None:
        world = World()
        client = await world.client()
        order = await client.new_order(NAMES, profile=None)
        world.server.scripted["order"] = [
            world.server.answer(b"<html>", status),
            world.server.answer(b"<html>", status, retry_after="4"),
        ]
        assert (await client.order(order.url)).url == order.url
        assert world.clock.slept == [0.1, 4.0]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "kind", "wait"),
    [
        (lambda server: server.problem(429, "rateLimited", "too many", retry_after="7200"), "rateLimited", 7200),
        (lambda server: server.answer(b"busy", 503, retry_after="600"), "serverInternal", 600),
        (lambda server: server.problem(403, "userActionRequired"), "userActionRequired", None),
        (lambda server: server.problem(400, "somethingNew"), "somethingNew", None),
        (lambda server: server.answer(b"moved", 301, location="https://elsewhere.test"), "badAnswer", None),
    ],
)
async def test_a_refusal_is_not_repeated(
    world: World, answer: Callable[[FakeAcme], HttpResponse], kind: str, wait: float | None
) -> None:
    """
    What the server means is told at once, with its Retry-After.
    """
    client = await world.client()
    world.server.scripted["order"] = [answer(world.server)]
    with pytest.raises(IssuanceError) as caught:
        await client.order("https://ca.test/order/1")
    assert caught.value.problem.type == kind
    assert caught.value.problem.retry_after == (None if wait is None else dt.timedelta(seconds=wait))
    assert world.server.log == ["order"]
    assert not world.clock.slept


async def test_few_nonces_are_kept(world: World) -> None:
    """
    The newest 64, and the newest is used first: servers forget old ones.
    """
    client = await world.client()
    for _ in range(100):
        newest = world.server.answer(b"").header("replay-nonce")
        world.transport._keep_nonce(HttpResponse(status=200, headers={"replay-nonce": (newest or "",)}, body=b""))
    assert len(world.transport._nonces) == 64
    await client.new_order(NAMES, profile=None)
    assert newest not in world.server.nonces


async def test_the_list_of_orders_is_read_over_all_pages(world: World) -> None:
    """
    The pages are followed by their `next` links; what was listed last comes first.
    """
    client = await world.client()
    made = [(await client.new_order(NAMES, profile=None)).url for _ in range(5)]
    assert list(await client.orders()) == made[::-1]
    assert world.server.log.count("orders") == 3


async def test_a_server_without_a_list_has_none(world: World) -> None:
    """
    Let's Encrypt keeps no list of orders; that is no failure.
    """
    world.server.lists_orders = False
    client = await world.client()
    assert await client.orders() == ()


async def test_a_profile_is_asked_for_only_when_wanted(world: World) -> None:
    """
    A server that knows no profiles need not see the field.
    """
    client = await world.client()
    await client.new_order(NAMES, profile="shortlived")
    await client.new_order(NAMES, profile=None)
    sent = [payload for operation, payload in world.server.payloads if operation == "new-order"]
    assert [payload.get("profile", "absent") for payload in sent] == ["shortlived", "absent"]


async def test_the_servers_clock_is_its_date(world: World) -> None:
    """
    From a fresh answer each time, with no signature needed.
    """
    assert await world.transport.date() == world.clock.now()
    world.clock.time += dt.timedelta(days=3)
    assert await world.transport.date() == world.clock.now()


async def test_no_date_is_a_transient_failure(world: World) -> None:
    """
    Without a Date, or without a server, the caller learns that it cannot be had.
    """
    world.server.scripted["directory"] = [HttpResponse(status=200, headers={}, body=b"{}")]
    with pytest.raises(TransientError):
        await world.transport.date()
    world.server.unreachable = True
    with pytest.raises(TransientError):
        await world.transport.date()


def test_only_p256_keys_sign() -> None:
    """
    Anything else in the place of the account key is refused without showing it.
    """
    for text in ("", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(ValueError, match=r"\A(?!.*AAAA)"):
            Signer.from_pem(Secret(text))
