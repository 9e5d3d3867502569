"""
What becomes of an order that was begun by a daemon that died.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from josepy.jwk import JWK
from tests.issuers.test_acme import ORDERS, SPEC, World
from tests.support.fake_acme import DIRECTORY

from gatelodge.errors import IssuanceError, StateError
from gatelodge.issuers.keys import NewKeys
from gatelodge.model import AcmeIssuer, CertificateAuthority, KeyKind, Name
from gatelodge.stores.documents import DirectoryDocuments

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.model import JsonObject


@pytest.fixture
def world() -> World:
    """
    A CA that lists orders.
    """
    return World()


@pytest.mark.parametrize(
    ("operation", "when"),
    [
        ("authorization", "before"),  # pending
        ("challenge", "before"),  # pending, the answers were visible
        ("challenge", "after"),  # checked while nobody looked
        ("finalize", "before"),  # ready
        ("finalize", "after"),  # processing
        ("certificate", "before"),  # valid
        ("certificate", "after"),  # valid, and the certificate was lost
    ],
)
async def test_an_order_is_taken_up_where_it_was(world: World, operation: str, when: str) -> None:
    """
    Pending and ready go on, processing is waited for, valid is fetched: one order, one certificate.
    """
    world.server.processing_polls = 1
    await world.stop_at(operation, when)
    before = await world.record()
    issued = await world.issue()
    assert issued.private_key.reveal() == before["private_key"]
    assert "new-order" not in world.server.log
    assert len(world.server.orders) == world.server.issued == 1
    assert await world.record() is None


async def test_a_challenge_that_is_being_checked_is_made_visible_again(world: World) -> None:
    """
    The CA may still be looking for the token that died with the daemon; it is not told again.
    """
    world.server.validation_polls = 3
    await world.stop_at("authorization", "before")
    await world.stop_at("challenge", "after")
    answered = [number for number, found in world.server.authorizations.items() if found.polls < 0]
    await world.issue()
    assert answered
    assert world.server.log.count("challenge") == len(SPEC.names) - len(answered)
    assert len(world.server.orders) == world.server.issued == 1


@pytest.mark.parametrize("end", ["gone", "invalid", "expired", "not ours"])
async def test_a_dead_order_is_replaced(world: World, end: str) -> None:
    """
    Open authorizations are given up where the order still tells them; another order is begun, and counted.
    """
    await world.stop_at("challenge", "before")
    (number,) = world.server.orders
    order = world.server.orders[number]
    match end:
        case "gone":
            del world.server.orders[number]
        case "invalid":
            order.status = "invalid"
        case "expired":
            order.expires = world.clock.now() - dt.timedelta(seconds=1)
        case _:
            order.kid = "https://ca.test/account/0"
    old = list(order.authorizations)
    world.clock.time += dt.timedelta(hours=1)
    async with world.acme.issue(SPEC, progress=world.texts.append):
        record = await world.record()
    assert record["begun"] == 2
    assert dt.datetime.fromisoformat(record["at"]) > world.clock.now() - dt.timedelta(minutes=5)
    assert world.server.log.count("new-order") == world.server.issued == 1
    given_up = {world.server.authorizations[each].status for each in old}
    assert given_up == ({"deactivated"} if end in {"invalid", "expired"} else {"pending"})


async def test_an_order_without_an_end_is_not_believed_in_for_ever(world: World) -> None:
    """
    A server that names none and never comes to a decision is left after a month.
    """
    await world.stop_at("challenge", "before")
    (order,) = world.server.orders.values()
    order.expires, order.status = None, "meditating"
    for days, orders in ((29, 1), (2, 2)):
        world.clock.time += dt.timedelta(days=days)
        if orders == 1:
            assert (await world.fail()).type == "timeout"
        else:
            await world.issue()
        assert len(world.server.orders) == orders


async def test_another_spec_needs_another_order(world: World) -> None:
    """
    When the names have changed, what was begun for the old ones is given up.
    """
    await world.stop_at("challenge", "before")
    old = list(next(iter(world.server.orders.values())).authorizations)
    changed = dataclasses.replace(SPEC, names=(Name("c.example"),))
    async with world.acme.issue(changed, progress=world.texts.append):
        record = await world.record()
    assert (record["begun"], record["names"], record["digest"]) == (2, ["c.example"], changed.digest)
    assert {world.server.authorizations[each].status for each in old} == {"deactivated"}


async def test_an_order_at_another_ca_is_let_go(world: World) -> None:
    """
    Another CA cannot be told from here; its order runs out by itself.
    """
    await world.stop_at("challenge", "before")
    record: dict[str, Any] = dict(await world.record())
    await world.documents.put(ORDERS, SPEC.name, record | {"directory": "https://other.test/dir", "digest": "x"})
    async with world.acme.issue(SPEC, progress=world.texts.append):
        assert (await world.record())["begun"] == 2
    assert "deactivate" not in world.server.log


async def test_an_order_whose_url_never_came_is_found(world: World) -> None:
    """
    Where the CA lists orders, the one that nobody knows of is found among others, and its key is the recorded one.
    """
    other = dataclasses.replace(SPEC, name="other", names=(Name("c.example"),))
    await world.stop_at("challenge", "before", other)
    await world.stop_at("new-order", "after")
    record = await world.record()
    assert record["url"] is None
    issued = await world.issue()
    assert issued.private_key.reveal() == record["private_key"]
    assert "new-order" not in world.server.log
    assert len(world.server.orders) == 2


async def test_an_order_of_another_certificate_is_not_taken(world: World) -> None:
    """
    A twin with the same names has a record of that order; it is not ours.
    """
    twin = dataclasses.replace(SPEC, name="twin")
    await world.stop_at("challenge", "before", twin)
    await world.stop_at("new-order", "before")
    await world.issue()
    assert world.server.log.count("new-order") == 1
    assert (await world.record("twin"))["url"] is not None
    await world.issue(twin)
    assert (len(world.server.orders), world.server.issued) == (2, 2)


async def test_without_a_list_a_lost_order_is_replaced() -> None:
    """
    Then a crash costs one order more, never a certificate.
    """
    world = World(lists_orders=False)
    await world.stop_at("new-order", "after")
    async with world.acme.issue(SPEC, progress=world.texts.append):
        assert (await world.record())["begun"] == 2
    assert (len(world.server.orders), world.server.issued) == (2, 1)


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b""), (405, b'{"type": "urn:ietf:params:acme:error:malformed"}'), (200, b"[]"), (501, None), (404, None)],
)
@pytest.mark.parametrize("operation", ["account", "orders"])
async def test_a_list_that_cannot_be_read_is_none(
    world: World, operation: str, status: int, body: bytes | None
) -> None:
    """
    A server that names a list it does not keep costs one order more; one in trouble is asked again later.
    """
    await world.stop_at("new-order", "after")
    kind = {404: "notFound", 501: "serverInternal"}.get(status, "")
    bad = world.server.problem(status, kind) if body is None else world.server.answer(body, status)
    world.server.scripted[operation] = [bad] * 4
    if status == 501:
        assert (await world.fail()).type == "serverInternal"
        assert len(world.server.orders) == 1
        world.server.scripted.clear()
        await world.issue()
        assert len(world.server.orders) == 1
        return
    await world.issue()
    assert (len(world.server.orders), world.server.issued) == (2, 1)


async def test_an_order_with_work_without_end_is_refused(world: World) -> None:
    """
    None of the authorizations that nobody asked for is asked about, and no token is shown.
    """
    await world.stop_at("authorization", "before")
    (order,) = world.server.orders.values()
    order.authorizations *= 1000
    world.server.scripted["new-order"] = [world.server.answer({}, 500)] * 4
    await world.fail()
    assert "authorization" not in world.server.log
    assert len(world.server.log) < 20


async def test_a_record_that_a_power_loss_emptied_counts_as_none(world: World, tmp_path: Path) -> None:
    """
    The certificate is ordered anew, and the next record takes the place of the damaged one.
    """
    world.documents = DirectoryDocuments(directory=str(tmp_path))  # type: ignore[assignment]
    world.restart()
    await world.documents.put(ORDERS, SPEC.name, {})
    (file,) = (tmp_path / ORDERS).iterdir()
    file.write_bytes(b"")
    await world.issue()
    assert await world.record() is None
    assert world.server.issued == 1
    file.write_text('{"format": 2}')
    with pytest.raises(StateError, match="newer Gatelodge"):
        await world.issue()
    assert world.server.issued == 1


async def test_a_record_that_makes_no_sense_counts_as_none(world: World) -> None:
    """
    A certificate that can never be renewed would be worse than one order more.
    """
    await world.documents.put(ORDERS, SPEC.name, {"url": 7, "names": None})
    await world.issue()
    assert await world.record() is None


async def test_trouble_while_asking_for_an_order_does_not_cost_it(world: World) -> None:
    """
    An outage is no "gone".
    """
    await world.stop_at("finalize", "after")
    before = await world.record()
    world.server.scripted["order"] = [world.server.answer(b"", 500) for _ in range(4)]
    assert (await world.fail()).type == "serverInternal"
    world.server.unreachable = True
    assert (await world.fail()).type == "unreachable"
    world.server.unreachable = False
    assert await world.record() == before
    await world.issue()
    assert len(world.server.orders) == world.server.issued == 1


class Disk:
    """
    Documents that can be made to hang at the n-th write.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.hang_at: tuple[int, str] | None = None
        self.writes = 0
        self.reached = asyncio.Event()

    async def get(self, kind: str, key: str) -> JsonObject | None:
        found: JsonObject | None = await self.inner.get(kind, key)
        return found

    async def list(self, kind: str) -> Any:
        return await self.inner.list(kind)

    async def put(self, kind: str, key: str, document: JsonObject) -> None:
        await self._around(self.inner.put(kind, key, document))

    async def delete(self, kind: str, key: str) -> None:
        await self._around(self.inner.delete(kind, key))

    async def _around(self, write: Any) -> None:
        self.writes += 1
        if self.hang_at == (self.writes, "before"):
            write.close()
            await self._hang()
        await write
        if self.hang_at == (self.writes, "after"):
            await self._hang()

    async def _hang(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()


async def cut(world: World, reached: asyncio.Event) -> bool:
    """
    Issue, and cancel once `reached`. Tells whether it came that far.
    """
    cancelled = False
    async with asyncio.TaskGroup() as group:
        task = group.create_task(world.issue())
        waiting = group.create_task(reached.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        cancelled = not task.done()
        task.cancel()
        waiting.cancel()
    return cancelled


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("lists_orders", [True, False])
async def test_death_at_any_request_costs_no_second_certificate(when: str, *, lists_orders: bool) -> None:
    """
    Die at the first request, the second, … each time: no token is left, and what follows needs one certificate and, but where
    an answer can never be found again, one order.
    """
    for stop in range(1, 100):
        world = World(lists_orders=lists_orders)
        world.server.processing_polls = world.server.validation_polls = 1
        reached = asyncio.Event()
        asked = 0

        async def gate(now: str, _: str, stop: int = stop, reached: asyncio.Event = reached) -> None:
            nonlocal asked
            if now == when:
                asked += 1
                if asked == stop:
                    reached.set()
                    await asyncio.Event().wait()

        world.server.gate = gate
        came = await cut(world, reached)
        last = world.server.log[-1]
        assert not world.board.visible
        world.server.gate = None
        world.restart()
        if not came:
            assert stop > 10
            return
        await world.issue()
        lost = (last, when, lists_orders) == ("new-order", "after", False)
        assert (len(world.server.orders), world.server.issued) == (2 if lost else 1, 1), (stop, last)
        assert await world.record() is None
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_death_at_any_write_costs_no_second_certificate(when: str) -> None:
    """
    The same for each write to the disk, the account's among them: one account, and no certificate is ordered twice. Only a
    crash after the certificate was stored (the last delete) leaves nothing to take up.
    """
    for stop in range(1, 100):
        world = World()
        disk = Disk(world.documents)
        world.documents = disk  # type: ignore[assignment]
        world.restart()
        disk.hang_at = (stop, when)
        came = await cut(world, disk.reached)
        assert not world.board.visible
        disk.hang_at = None
        world.restart()
        if not came:
            assert stop > 4
            return
        closed = await world.record() is None and world.server.issued == 1
        await world.issue()
        assert len(world.server.accounts) == 1
        assert len(world.server.orders) == world.server.issued == (2 if closed else 1), stop
    raise AssertionError("it never came to an end")


async def test_cancelling_takes_the_answers_away_and_keeps_the_record(world: World) -> None:
    """
    The certificate is begun and can be taken up; nothing is seen any more; the CA is told nothing.
    """
    world.server.validation_polls = 5
    await world.stop_at("challenge", "after")
    assert (await world.record())["url"] is not None
    assert {each.status for each in world.server.authorizations.values()} == {"pending"}


async def test_abandoning_gives_the_open_authorizations_up(world: World) -> None:
    """
    The record is closed after the CA was told; doing it again, or with nothing begun, does nothing.
    """
    await world.stop_at("challenge", "before")
    await world.acme.abandon(SPEC.name)
    assert await world.record() is None
    assert {each.status for each in world.server.authorizations.values()} == {"deactivated"}
    world.server.log.clear()
    await world.acme.abandon(SPEC.name)
    await world.acme.abandon("never begun")
    assert world.server.log == []


async def test_abandoning_keeps_the_record_while_the_ca_cannot_be_told(world: World) -> None:
    """
    So that it can be tried again.
    """
    await world.stop_at("challenge", "before")
    world.server.unreachable = True
    with pytest.raises(IssuanceError) as caught:
        await world.acme.abandon(SPEC.name)
    assert caught.value.problem.type == "unreachable"
    world.server.unreachable = False
    world.server.scripted["order"] = [world.server.problem(429, "rateLimited")]
    with pytest.raises(IssuanceError):
        await world.acme.abandon(SPEC.name)
    assert await world.record() is not None
    await world.acme.abandon(SPEC.name)
    assert await world.record() is None


@pytest.mark.parametrize("case", ["gone", "no url", "another ca", "no account"])
async def test_abandoning_what_cannot_be_told_closes_the_record(world: World, case: str) -> None:
    """
    An order that is gone, was never named, or lies elsewhere, has nothing left to give up.
    """
    await world.stop_at("challenge", "before")
    record: dict[str, Any] = dict(await world.record())
    match case:
        case "gone":
            world.server.orders.clear()
        case "no url":
            await world.documents.put(ORDERS, SPEC.name, record | {"url": None})
        case "another ca":
            await world.documents.put(ORDERS, SPEC.name, record | {"directory": "https://other.test/dir"})
        case _:
            await world.documents.delete("accounts", "fake")
    await world.acme.abandon(SPEC.name)
    assert await world.record() is None


async def test_an_account_the_ca_forgot_is_registered_again_with_its_key(world: World) -> None:
    """
    Found out in the middle of many orders, it is done once; the key stays, and so does the rest of the story.
    """
    await world.issue()
    before: dict[str, Any] = dict(await world.documents.get("accounts", "fake") or {})
    world.server.accounts.clear()
    world.server.log.clear()
    specs = [dataclasses.replace(SPEC, name=f"s{n}", names=(Name(f"s{n}.example"),)) for n in range(10)]
    async with asyncio.TaskGroup() as group:
        for spec in specs:
            group.create_task(world.issue(spec))
    after: dict[str, Any] = dict(await world.documents.get("accounts", "fake") or {})
    assert after["key"] == before["key"]
    assert after["kid"] != before["kid"]
    assert world.server.log.count("new-account") == 2
    assert world.server.issued == 11


async def test_an_account_that_has_another_key_by_now_is_left_and_one_with_ours_is_made(world: World) -> None:
    """
    An old backup was restored, from before a change of the account's key: the CA cannot verify what we sign.
    """
    await world.issue()
    (kid,) = world.server.accounts
    other = await NewKeys().new(KeyKind.ECDSA_P256)
    world.server.accounts[kid] = JWK.load(other.reveal().encode()).public_key()
    world.server.log.clear()
    await world.issue()
    after: dict[str, Any] = dict(await world.documents.get("accounts", "fake") or {})

    assert after["kid"] != kid
    assert world.server.log.count("new-account") == 2  # it is looked for first
    assert world.server.issued == 2


async def test_an_order_of_a_forgotten_account_is_replaced(world: World) -> None:
    """
    The account's orders went with it.
    """
    await world.stop_at("challenge", "before")
    world.server.accounts.clear()
    world.server.orders.clear()
    async with world.acme.issue(SPEC, progress=world.texts.append):
        assert (await world.record())["begun"] == 2


async def test_a_lost_kid_is_found_by_the_key(world: World) -> None:
    """
    The key was written before the CA was asked, so an answer that was lost costs no account.
    """
    await world.stop_at("new-account", "after")
    stored: dict[str, Any] = dict(await world.documents.get("accounts", "fake") or {})
    assert stored["kid"] is None
    await world.issue()
    assert len(world.server.accounts) == 1
    assert [payload for operation, payload in world.server.payloads if operation == "new-account"][-1] == {
        "onlyReturnExisting": True
    }


async def test_a_failing_registration_fails_all_at_once(world: World) -> None:
    """
    A hundred certificates do not ask a hundred times for an account that is refused.
    """
    world.server.scripted["new-account"] = [world.server.problem(403, "externalAccountRequired") for _ in range(100)]

    async def attempt(n: int) -> str:
        return (await world.fail(dataclasses.replace(SPEC, name=f"s{n}", names=(Name(f"s{n}.example"),)))).type

    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(attempt(n)) for n in range(40)]
    assert {each.result() for each in tries} == {"externalAccountRequired"}
    assert world.server.log.count("new-account") == 1
    assert await world.documents.list(ORDERS) == {}


async def test_another_directory_is_another_account_and_no_key_is_lost(world: World) -> None:
    """
    The old account is put aside, and taken back when the old URL comes back.
    """
    await world.issue()
    first: dict[str, Any] = dict(await world.documents.get("accounts", "fake") or {})
    world.authority = CertificateAuthority(name="fake", directory=f"{DIRECTORY}/two")
    world.restart()
    await world.issue()
    second: dict[str, Any] = dict(await world.documents.get("accounts", "fake") or {})
    assert second["key"] != first["key"]
    world.authority = CertificateAuthority(name="fake", directory=DIRECTORY)
    world.restart()
    await world.issue()
    assert await world.documents.get("accounts", "fake") == first
    kept = await world.documents.list("accounts")
    assert {document["key"] for document in kept.values()} == {first["key"], second["key"]}
    assert len(world.server.accounts) == 2


async def test_date_is_the_cas(world: World) -> None:
    """
    Asked for without an account.
    """
    assert await world.acme.date() == world.clock.now()
    assert world.server.log == ["directory"]


def test_the_spec_of_these_tests_is_an_acme_one() -> None:
    """
    Its issuer is the CA that the world has.
    """
    assert SPEC.issuer == AcmeIssuer(ca="fake")
