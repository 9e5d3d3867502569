"""
The account at a CA: customers, another key, giving it up, and what is left of each when the daemon dies in the middle.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from josepy.b64 import b64encode
from tests.issuers.test_acme import SPEC, World, leaf
from tests.issuers.test_acme_resume import Disk
from tests.support.certificates import certificate_id
from tests.support.customers import giving

from gatelodge.acme.binding import ExternalAccount
from gatelodge.errors import IssuanceError, StateError
from gatelodge.issuers.acme.issuer import Acme
from gatelodge.issuers.keys import NewKeys
from gatelodge.model import CertificateAuthority, KeyKind, Name, RevocationReason, Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CUSTOMER = ExternalAccount(kid="kid-1", hmac_key=Secret(b64encode(b"k" * 32).decode()))


@pytest.fixture
def world() -> World:
    """
    A CA that lists orders.
    """
    return World()


def bound(world: World, binding: ExternalAccount | None = CUSTOMER) -> Acme:
    """
    An issuer that the CA knows as a customer's.
    """
    return Acme(
        authority=world.authority,
        http=world.server,
        documents=world.documents,
        clock=world.clock,
        keys=NewKeys(),
        solvers=world.solvers,
        email="me@example.com",
        events=world.events,
        binding=None if binding is None else giving(binding),
    )


async def kept(world: World) -> Any:
    """
    The account's document.
    """
    return await world.documents.get("accounts", "fake")


async def roll(world: World) -> bool:
    """
    Change the account's key.
    """
    return await world.acme.roll_over(progress=world.texts.append)


async def give_up(world: World) -> bool:
    """
    Give the account up.
    """
    return await world.acme.deactivate_account(progress=world.texts.append)


def names(world: World) -> list[str]:
    """
    The events so far.
    """
    return [event for event, _ in world.events.emitted]


async def test_a_customer_gets_certificates(world: World) -> None:
    """
    The binding is sent when the account is made, and never again.
    """
    world.server.customers = {"kid-1": b"k" * 32}
    world.acme = bound(world)
    await world.issue()
    world.acme = bound(world, None)
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    assert len(world.server.accounts) == 1
    assert world.server.issued == 2


@pytest.mark.parametrize(
    ("binding", "kind"),
    [
        (None, "externalAccountRequired"),
        (ExternalAccount(kid="kid-2", hmac_key=Secret("AAAA")), "externalAccount"),
        (ExternalAccount(kid="kid-1", hmac_key=Secret("not base64!")), "externalAccount"),
    ],
)
async def test_who_is_no_customer_is_told_what_to_do(world: World, binding: ExternalAccount | None, kind: str) -> None:
    """
    The configuration's key is named, the secret is not shown; with the right one the same key gets its account.
    """
    world.server.customers = {"kid-1": b"k" * 32}
    world.acme = bound(world, binding)
    problem = await world.fail()
    assert problem.type == kind
    assert "[acme.cas.fake]" in problem.detail
    assert "not base64!" not in problem.detail
    before = (await kept(world))["key"]
    world.acme = bound(world)
    await world.issue()
    assert (await kept(world))["key"] == before


async def test_an_account_is_shown_and_changed_but_not_made(world: World) -> None:
    """
    Asking about an account makes none; one whose registration was lost is found.
    """
    assert await world.acme.account(progress=world.texts.append) is None
    assert await world.acme.update_account("me@example.com", progress=world.texts.append) is None
    assert not await roll(world)
    assert not await give_up(world)
    assert not world.server.accounts
    await world.stop_at("new-account", "after")
    found = await world.acme.account(progress=world.texts.append)
    assert found
    assert found.url in world.server.accounts
    assert (await kept(world))["kid"] == found.url
    changed = await world.acme.update_account("me@example.com", progress=world.texts.append)
    assert changed
    assert changed.contact == ("mailto:me@example.com",)


async def test_a_key_that_never_got_an_account_is_none(world: World) -> None:
    """
    The document is there, and the CA has not heard of it.
    """
    await world.stop_at("new-account", "before")
    assert await world.acme.account(progress=world.texts.append) is None
    assert await world.acme.register(progress=world.texts.append) in world.server.accounts


async def test_another_key_and_the_same_account(world: World) -> None:
    """
    Certificates go on, and an order that was begun under the old key too.
    """
    await world.stop_at("challenge", "before")
    before = await kept(world)
    assert await roll(world)
    after = await kept(world)
    assert after["kid"] == before["kid"]
    assert after["key"] != before["key"]
    assert set(after) == set(before)
    await world.issue()
    world.restart()
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    assert len(world.server.accounts) == 1
    assert len(world.server.orders) == 2
    assert names(world) == ["account.registered", "account.key_changed"]


async def test_a_key_changes_while_no_order_is_on_the_way(world: World) -> None:
    """
    What the old key signed and showed would be refused: orders on the way end first, and new ones wait.
    """
    specs = [dataclasses.replace(SPEC, name=f"s{n}", names=(Name(f"s{n}.example"),)) for n in range(70)]
    running = asyncio.Event()
    during: list[int] = []

    async def issue(index: int) -> None:
        async with world.acme.issue(specs[index], progress=world.texts.append):
            pass

    async def gate(when: str, operation: str) -> None:
        if (when, operation) == ("before", "new-order"):
            running.set()
        if (when, operation) == ("before", "key-change"):
            during.append(sum(order.csr is None for order in world.server.orders.values()))

    world.server.gate = gate
    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(issue(number))
        await running.wait()
        changes = [group.create_task(roll(world)), group.create_task(roll(world))]
        await asyncio.sleep(0)
        for number in range(60, 70):
            group.create_task(issue(number))
    assert [each.result() for each in changes] == [True, True]
    assert during == [0, 0]
    assert world.server.issued == 70
    assert len(world.server.accounts) == 1


async def test_a_ca_that_refuses_a_key_keeps_the_old_one(world: World) -> None:
    """
    Its reason is told, the new key is dropped, and certificates go on.
    """
    await world.issue()
    before = await kept(world)
    world.server.scripted["key-change"] = [world.server.problem(400, "badPublicKey", "too weak")]
    with pytest.raises(IssuanceError) as caught:
        await roll(world)
    assert caught.value.problem.type == "badPublicKey"
    assert await kept(world) == before
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    assert world.server.issued == 2


@pytest.mark.parametrize("held", [False, True])
async def test_a_ca_that_changes_no_keys_is_not_asked_for_ever(world: World, *, held: bool) -> None:
    """
    It names a place to ask and answers 501 there, as Caddy and step-ca do: that is told, the new key is dropped, and certificates go on, also
    when the change was begun before.
    """
    await world.issue()
    before = await kept(world)
    world.server.scripted["key-change"] = [
        world.server.problem(501, "rejectedIdentifier", "not implemented") for _ in range(20)
    ]
    if held:
        other = await NewKeys().new(KeyKind.ECDSA_P256)
        await world.documents.put("accounts", "fake", before | {"next_key": other.reveal()})
        world.restart()
    else:
        with pytest.raises(IssuanceError) as caught:
            await roll(world)
        assert caught.value.problem.type == "unsupported"
        assert "not implemented" in caught.value.problem.detail
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    assert world.server.issued == 2
    assert await kept(world) == before


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_ca_that_cannot_be_asked_goes_by_one_of_two_keys(world: World, *, arrived: bool) -> None:
    """
    Both are kept until it can be; then the account has its new one.
    """
    await world.issue()

    async def gate(when: str, operation: str) -> None:
        if (when, operation) == ("after", "key-change"):
            world.server.lose_before["key-change"] = 10

    world.server.gate = gate
    (world.server.lose_after if arrived else world.server.lose_before)["key-change"] = 1 if arrived else 10
    with pytest.raises(IssuanceError) as caught:
        await roll(world)
    assert caught.value.problem.type == "unreachable"
    middle = await kept(world)
    assert middle["next_key"] != middle["key"]
    world.server.gate = None
    world.server.lose_before.clear()
    world.server.lose_after.clear()
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    after = await kept(world)
    assert (after["key"], "next_key" in after) == (middle["next_key"], False)
    assert len(world.server.accounts) == 1


async def test_a_change_that_arrived_twice_is_done(world: World) -> None:
    """
    Its answer was lost; sent again, the old key is a stranger's, and the new one tells.
    """
    await world.issue()
    world.server.lose_after["key-change"] = 1
    assert await roll(world)
    assert world.server.log.count("key-change") == 2
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    assert len(world.server.accounts) == 1


async def test_a_ca_that_makes_no_sense_about_keys_costs_neither(world: World) -> None:
    """
    When it answers to neither key, both stay; when it answers to the old one only, that is the one.
    """
    await world.issue()
    before = await kept(world)
    odd = [world.server.problem(400, "malformed", "what?") for _ in range(4)]
    world.server.scripted = {"key-change": odd[:1], "new-account": odd[1:2], "account": odd[2:3]}
    with pytest.raises(IssuanceError):
        await roll(world)
    assert "next_key" in await kept(world)
    world.server.scripted = {"key-change": odd[:1], "new-account": odd[1:2]}
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    assert await kept(world) == before


async def test_a_ca_in_trouble_is_asked_again_which_key_it_takes(world: World) -> None:
    """
    It refused the change, and could not say of which key the account is: both stay until it can.
    """
    await world.issue()
    before = await kept(world)
    world.server.scripted = {
        "key-change": [world.server.problem(400, "malformed", "JWS verification error")],
        "new-account": [world.server.answer(b"", 503) for _ in range(4)],
    }
    with pytest.raises(IssuanceError) as caught:
        await roll(world)
    assert caught.value.problem.type == "serverInternal"
    middle = await kept(world)
    assert {middle["key"], middle["next_key"]} > {before["key"]}
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    assert (await kept(world))["key"] == middle["next_key"]
    assert len(world.server.accounts) == 1


async def test_giving_up_is_finished_once_the_ca_can_be_asked(world: World) -> None:
    """
    People wanted it gone; the next certificate is got by another account.
    """
    await world.issue()
    before = await kept(world)
    world.server.scripted["account"] = [world.server.answer(b"", 503) for _ in range(4)]
    with pytest.raises(IssuanceError):
        await give_up(world)
    assert await kept(world) == before | {"leaving": True}
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    assert before["kid"] in world.server.deactivated
    assert len(world.server.accounts) == 2


async def test_an_account_is_given_up_and_kept_aside(world: World) -> None:
    """
    Its key is not lost, and who needs an account gets another.
    """
    await world.issue()
    before = await kept(world)
    assert await give_up(world)
    assert before["kid"] in world.server.deactivated
    assert await kept(world) is None
    assert await world.acme.account(progress=world.texts.append) is None
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    after = await kept(world)
    assert after["kid"] != before["kid"]
    assert after["key"] != before["key"]
    documents = await world.documents.list("accounts")
    assert before["key"] in {document["key"] for document in documents.values()}
    assert names(world) == ["account.registered", "account.deactivated", "account.registered"]


async def test_an_account_that_the_ca_gave_up_before_is_put_aside(world: World) -> None:
    """
    Somebody else did it, or it was done before and forgotten here.
    """
    await world.issue()
    world.server.deactivated.update(world.server.accounts)
    assert await give_up(world)
    assert await kept(world) is None


async def test_a_ca_that_refuses_to_give_an_account_up_keeps_it(world: World) -> None:
    """
    Its reason is told once, and certificates go on.
    """
    await world.issue()
    before = await kept(world)
    world.server.scripted["account"] = [world.server.problem(400, "malformed", "not today")]
    with pytest.raises(IssuanceError):
        await give_up(world)
    assert await kept(world) == before
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    assert len(world.server.accounts) == 1


async def test_another_directory_does_not_bring_back_what_was_given_up(world: World) -> None:
    """
    A copy that was put aside for the directory goes as well.
    """
    await world.issue()
    here, there = world.authority, CertificateAuthority(name="fake", directory=f"{world.authority.directory}/two")
    for world.authority in (there, here):
        world.restart()
        await world.acme.register(progress=world.texts.append)
    assert await give_up(world)
    world.restart()
    assert await world.acme.register(progress=world.texts.append) not in world.server.deactivated


async def cut(work: Awaitable[object], reached: asyncio.Event) -> bool:
    """
    Do some work, and cancel it once `reached`. Tells whether it came that far.
    """

    async def done() -> None:
        await work

    async with asyncio.TaskGroup() as group:
        task = group.create_task(done())
        waiting = group.create_task(reached.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        came = not task.done()
        task.cancel()
        waiting.cancel()
    return came


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("verb", "writes"), [(roll, 2), (give_up, 4)])
async def test_death_at_any_write_leaves_an_account(
    verb: Callable[[World], Awaitable[bool]], writes: int, when: str
) -> None:
    """
    Die at the first write, the second, … each time: what was begun is finished, and one account is of use.
    """
    for stop in range(1, 100):
        world = World()
        await world.issue()
        disk = Disk(world.documents)
        world.documents = disk  # type: ignore[assignment]
        world.restart()
        disk.hang_at = (stop, when)
        came = await cut(verb(world), disk.reached)
        disk.hang_at = None
        if not came:
            assert stop == writes + 1
            return
        await finished(world, verb)
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", [roll, give_up])
async def test_death_at_any_request_leaves_an_account(verb: Callable[[World], Awaitable[bool]], when: str) -> None:
    """
    The same for each request.
    """
    for stop in range(1, 100):
        world = World()
        await world.issue()
        world.restart()
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
        came = await cut(verb(world), reached)
        world.server.gate = None
        if not came:
            assert stop > 3
            return
        await finished(world, verb)
    raise AssertionError("it never came to an end")


async def finished(world: World, verb: Callable[[World], Awaitable[bool]]) -> None:
    """
    Start again, get a certificate, and see that the account is whole.
    """
    world.restart()
    await world.issue(dataclasses.replace(SPEC, name="other", names=(Name("c.example"),)))
    document = await kept(world)
    assert set(document) == {"directory", "kid", "key"}
    assert document["kid"] not in world.server.deactivated
    assert len(world.server.accounts) - len(world.server.deactivated) == 1
    assert len(world.server.deactivated) <= (verb is give_up)
    assert world.server.issued == 2


async def test_abandoning_in_the_middle_of_a_change_asks_nobody(world: World) -> None:
    """
    Which key the CA takes is not known; the record is closed, and the order runs out.
    """
    await world.stop_at("challenge", "before")
    await world.documents.put("accounts", "fake", {**await kept(world), "leaving": True})
    world.restart()
    await world.acme.abandon(SPEC.name)
    assert await world.record() is None
    assert world.server.log == []


@pytest.mark.parametrize("field", ["next_key", "kid", "key", "directory"])
async def test_a_document_that_makes_no_sense_is_told(world: World, field: str) -> None:
    """
    Nothing is registered over it.
    """
    await world.issue()
    await world.documents.put("accounts", "fake", {**await kept(world), field: 7})
    world.restart()
    with pytest.raises(StateError, match="is no ACME account"):
        await world.issue()


async def test_a_key_that_makes_no_sense_is_told_and_not_shown(world: World) -> None:
    """
    As a damaged document.
    """
    await world.issue()
    await world.documents.put("accounts", "fake", {**await kept(world), "key": "SECRET"})
    world.restart()
    with pytest.raises(StateError, match=r"\A(?!.*SECRET).*is no ACME account"):
        await world.issue()


async def test_a_certificate_is_revoked_by_the_account(world: World) -> None:
    """
    The one that got it.
    """
    issued = await world.issue()
    await world.acme.revoke(issued, reason=RevocationReason.SUPERSEDED, progress=world.texts.append)
    assert list(world.server.revoked.values()) == [(4, "account")]


@pytest.mark.parametrize("case", ["another account", "given up", "no account", "compromised"])
async def test_a_certificate_is_revoked_by_its_own_key(world: World, case: str) -> None:
    """
    Where the account cannot; and where the key is what is wrong with it, so that the CA takes it no more.
    """
    issued = await world.issue()
    reason = RevocationReason.KEY_COMPROMISE if case == "compromised" else None
    match case:
        case "another account":
            await world.documents.delete("accounts", "fake")
            world.restart()
            await world.acme.register(progress=world.texts.append)
        case "given up":
            world.server.deactivated.update(world.server.accounts)
        case "no account":
            await world.documents.delete("accounts", "fake")
            world.restart()
    await world.acme.revoke(issued, reason=reason, progress=world.texts.append)
    assert list(world.server.revoked.values()) == [(reason.code if reason else None, "certificate")]


async def test_a_revocation_that_is_refused_is_told(world: World) -> None:
    """
    In the CA's words, or that it cannot be reached.
    """
    issued = await world.issue()
    world.server.scripted["revoke"] = [world.server.problem(400, "badRevocationReason", "not that")]
    with pytest.raises(IssuanceError) as caught:
        await world.acme.revoke(issued, reason=None, progress=world.texts.append)
    assert caught.value.problem.type == "badRevocationReason"
    world.server.unreachable = True
    with pytest.raises(IssuanceError) as caught:
        await world.acme.revoke(issued, reason=None, progress=world.texts.append)
    assert caught.value.problem.type == "unreachable"


async def test_renewal_is_asked_for_and_told_in_the_next_order(world: World) -> None:
    """
    The certificate's identifier is what the order replaces.
    """
    issued = await world.issue()
    found = await world.acme.renewal(certificate_id(issued.chain))
    assert found
    assert found.window
    assert found.window.start > leaf(issued).not_valid_before_utc
    async with world.acme.issue(SPEC, progress=world.texts.append, replaces=found.certificate):
        pass
    assert [order.replaces for order in world.server.orders.values()] == [None, found.certificate]


async def test_a_preferred_chain_is_served_or_the_lack_of_it_told(world: World) -> None:
    """
    The certificate is stored in any case.
    """
    world.server.roots = ("Root A", "Root B")
    for wanted, got, events in (("Root B", "Root B", []), ("Root C", "Root A", ["certificate.other_chain"])):
        world.options = {"preferred_chain": wanted}
        world.restart()
        world.events.emitted.clear()
        issued = await world.issue(dataclasses.replace(SPEC, name=wanted))
        assert f"CN={got}" in _top(issued.chain)
        assert [event for event in names(world) if event != "account.registered"] == events
    fields = world.events.emitted[0][1]
    assert (fields["level"], fields["preferred_chain"], fields["root"]) == ("warning", "Root C", "Root A")


def _top(chain: str) -> str:
    return x509.load_pem_x509_certificates(chain.encode())[-1].issuer.rfc4514_string()
