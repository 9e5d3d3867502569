"""
What is left at a CA: spent before it is asked, kept over crashes, and closed when it says so.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.issuers.test_acme import SPEC, World
from tests.support.fake_acme import DIRECTORY
from tests.support.pebble_world import running
from tests.support.recorder import Recorder

from gatelodge.core import limits
from gatelodge.core.failures import Failure, classify
from gatelodge.core.limits import LIMITS, Counted
from gatelodge.errors import IssuanceError, StateError
from gatelodge.issuers.acme.budgets import KIND, Budgets
from gatelodge.issuers.acme.domains import registered
from gatelodge.model import CertificateSpec, Name
from gatelodge.ports import HttpResponse
from gatelodge.stores.documents import DirectoryDocuments

if TYPE_CHECKING:
    from pathlib import Path

LETSENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
SET = "a.example, b.example"
OTHER = dataclasses.replace(SPEC, name="other", names=(Name("c.example"),))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """
    A CA with the limits of Let's Encrypt.
    """
    monkeypatch.setitem(LIMITS, DIRECTORY, LIMITS[LETSENCRYPT])  # type: ignore[arg-type] # it is a dict
    return World()


async def kept(world: World) -> dict[tuple[Counted, str], dict[str, Any]]:
    """
    Return the buckets on disk.
    """
    document: Any = await world.documents.get(KIND, DIRECTORY) or {"buckets": []}
    return {(Counted[entry["counted"]], entry["whose"]): entry for entry in document["buckets"]}


async def left(world: World, counted: Counted) -> float | None:
    """
    Return what is left of a kind of bucket on disk, the least; None when all are full.
    """
    return min((entry["left"] for (each, _), entry in (await kept(world)).items() if each is counted), default=None)


async def test_an_order_is_paid_before_the_ca_hears_of_it(world: World) -> None:
    """
    On disk, and the account too.
    """
    seen: dict[str, Any] = {}

    async def gate(when: str, operation: str) -> None:
        if when == "before":
            seen.setdefault(operation, await kept(world))

    world.server.gate = gate
    await world.issue()
    (kid,) = world.server.accounts
    assert seen["new-account"][Counted.ACCOUNTS, ""]["left"] == 9
    assert {cost: entry["left"] for cost, entry in seen["new-order"].items()} == {
        (Counted.ACCOUNTS, ""): 9,
        (Counted.ORDERS, kid): 299,
        (Counted.CERTIFICATES_PER_DOMAIN, "a.example"): 49,
        (Counted.CERTIFICATES_PER_DOMAIN, "b.example"): 49,
        (Counted.CERTIFICATES_PER_SET, SET): 4,
    }


async def test_the_sixth_of_a_week_waits_and_force_does_not(world: World) -> None:
    """
    Also after a restart. Another certificate is not kept waiting.
    """
    for _ in range(5):
        await world.issue()
    world.restart()
    problem = await world.fail()
    assert (problem.type, classify(problem)) == ("budget", Failure.RATE_LIMIT)
    assert problem.retry_after is not None
    assert dt.timedelta(hours=35) < problem.retry_after <= dt.timedelta(hours=36)
    assert (
        f"none is left by our own count for {SET}" in problem.detail or f"for {SET}, and none is left" in problem.detail
    )
    assert "new-order" not in world.server.log
    assert await world.record() is None
    await world.issue(OTHER)
    async with world.acme.issue(SPEC, progress=world.texts.append, force=True):
        pass
    assert world.server.issued == 7
    world.clock.time += dt.timedelta(hours=36)
    await world.issue()


async def test_what_a_clock_that_was_ahead_has_spent_refills_from_the_first_refusal(world: World) -> None:
    """
    Not from the day that it was dated to, which may be years away. After a restart likewise.
    """
    for restarts in (False, True):
        world.clock.time += dt.timedelta(days=400)
        for _ in range(5):
            await world.issue()
        world.clock.time -= dt.timedelta(days=390)
        if restarts:
            world.restart()
        assert (await world.fail()).type == "budget"
        world.clock.time += dt.timedelta(hours=38)
        await world.issue()


async def test_full_buckets_are_not_kept(world: World) -> None:
    """
    Whatever is written next leaves them out.
    """
    await world.issue()
    assert (Counted.CERTIFICATES_PER_SET, SET) in await kept(world)
    world.clock.time += dt.timedelta(days=8)
    await world.issue(OTHER)
    assert (Counted.CERTIFICATES_PER_SET, SET) not in await kept(world)


@pytest.mark.parametrize("lie", [None, "key"])
async def test_a_certificate_counts_from_when_it_may_have_been_signed(world: World, lie: str | None) -> None:
    """
    An order may take hours before: a CA counts what it signs, whether that comes or not, and nothing has refilled until then.
    """
    world.server.lie = lie

    async def gate(when: str, operation: str) -> None:
        if (when, operation) == ("after", "finalize"):
            world.clock.time += dt.timedelta(hours=17)

    world.server.gate = gate
    await (world.fail() if lie else world.issue())
    entry = (await kept(world))[Counted.CERTIFICATES_PER_SET, SET]
    assert entry["left"] == pytest.approx(4)
    assert dt.datetime.fromisoformat(entry["at"]) >= world.clock.now() - dt.timedelta(minutes=1)


@pytest.mark.parametrize("again", [True, False])
async def test_an_order_that_is_given_up_may_have_been_signed_while_nobody_looked(world: World, *, again: bool) -> None:
    """
    It counts from when it was given up, not from when it was paid: nothing has refilled until then.
    """
    await world.stop_at("challenge", "before")
    world.clock.time += dt.timedelta(hours=17)
    await world.stop_at("finalize", "after")
    assert world.server.issued == 1
    world.server.scripted["order"] = [HttpResponse(status=200, headers={}, body=b"<html>") for _ in range(2)]
    await (world.issue() if again else world.acme.abandon(SPEC.name))
    entry = (await kept(world))[Counted.CERTIFICATES_PER_SET, SET]
    assert entry["left"] == pytest.approx(3 if again else 4, abs=0.01)
    assert dt.datetime.fromisoformat(entry["at"]) >= world.clock.now() - dt.timedelta(minutes=1)


async def test_a_renewal_costs_its_set_alone_and_a_replacement_nothing(world: World) -> None:
    """
    Unless the CA did not ask for it now, or objects to what it replaces: then it is a renewal.
    """
    await world.issue()
    for spent, options in (
        (1, {}),
        (0, {"replaces": "a.b", "invited": True}),
        (1, {"replaces": "a.b"}),
        (1, {"replaces": "a.b", "invited": True, "force": True}),
    ):
        before, orders = await left(world, Counted.CERTIFICATES_PER_SET), await left(world, Counted.ORDERS)
        async with world.acme.issue(SPEC, progress=world.texts.append, **options):  # type: ignore[arg-type]
            pass
        after = await left(world, Counted.CERTIFICATES_PER_SET)
        assert before is not None
        assert after is not None
        assert round(before - after) == spent
        assert round((await left(world, Counted.ORDERS) or 0) - (orders or 0)) == 0
    world.server.objection = world.server.problem(409, "alreadyReplaced")
    before = await left(world, Counted.CERTIFICATES_PER_SET) or 0
    async with world.acme.issue(SPEC, progress=world.texts.append, replaces="a.b", invited=True):
        pass
    assert round(before - (await left(world, Counted.CERTIFICATES_PER_SET) or 0)) == 1
    assert [order.replaces for order in world.server.orders.values()][-1] is None


async def test_a_ca_without_renewal_info_that_refuses_is_not_asked_again(world: World) -> None:
    """
    It was not told what is replaced, and the same would come again.
    """
    await world.issue()
    del world.server.services["renewalInfo"]
    world.restart()
    world.server.log.clear()
    world.server.scripted["new-order"] = [
        world.server.problem(409, "conflict", "no"),
        world.server.problem(409, "conflict", "no"),
    ]
    with pytest.raises(IssuanceError):
        async with world.acme.issue(SPEC, progress=world.texts.append, replaces="a.b", invited=True):
            pass
    assert world.server.log.count("new-order") == 1


@pytest.mark.parametrize(
    ("status", "kind", "detail"),
    [
        (409, "alreadyReplaced", "it is replaced"),
        (500, "serverInternal", "Could not validate ARI 'replaces' field :: failed to retrieve existing certificate"),
    ],
)
async def test_an_objection_is_followed_by_an_ordinary_order(world: World, status: int, kind: str, detail: str) -> None:
    """
    Also where the CA calls it an error of its own, as Boulder does.
    """
    await world.issue()
    world.server.log.clear()
    world.server.objection = world.server.problem(status, kind, detail)
    async with world.acme.issue(SPEC, progress=world.texts.append, replaces="a.b", invited=True):
        pass
    assert world.server.log.count("new-order") == 2
    assert [order.replaces for order in world.server.orders.values()][-1] is None


async def test_a_refusal_for_the_rate_closes_whatever_its_status(world: World) -> None:
    """
    Let's Encrypt refuses what comes too fast with 503.
    """
    world.server.scripted["new-order"] = [world.server.problem(503, "rateLimited", "slow down", retry_after="7200")] * 2
    await world.fail()
    assert (await world.fail()).type == "budget"


async def test_a_replacement_that_is_none_is_not_ordered_beyond_the_limit(world: World) -> None:
    """
    Nothing is left of the limit for this set of names: whoever is not invited does not ask, and where the CA objects to what is replaced, it
    is not asked for an ordinary order.
    """
    for _ in range(5):
        await world.issue()
    for asked, options in ((0, {}), (1, {"invited": True})):
        world.server.objection = world.server.problem(409, "alreadyReplaced")
        world.server.log.clear()
        with pytest.raises(Exception, match="allows") as caught:
            async with world.acme.issue(SPEC, progress=world.texts.append, replaces="a.b", **options):  # type: ignore[arg-type]
                pass
        assert caught.value.problem.type == "budget"  # type: ignore[attr-defined]
        assert world.server.log.count("new-order") == asked


@pytest.mark.parametrize("force", [False, True])
async def test_what_the_ca_closes_is_closed_also_by_force_and_after_a_restart(world: World, *, force: bool) -> None:
    """
    Until the time that it named. Only what it named: other certificates go on.
    """
    refusal = "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s"
    world.server.scripted["new-order"] = [world.server.problem(429, "rateLimited", refusal, retry_after="7200")]
    assert (await world.fail()).type == "rateLimited"
    world.restart()
    with pytest.raises(Exception, match="asked to be left alone until") as caught:
        async with world.acme.issue(SPEC, progress=world.texts.append, replaces="a.b", force=force):
            pass
    assert caught.value.problem.type == "budget"  # type: ignore[attr-defined]
    assert "new-order" not in world.server.log
    await world.issue(OTHER)
    world.clock.time += dt.timedelta(hours=2, seconds=1)
    await world.issue()


async def test_a_ca_that_has_had_enough_and_does_not_say_of_what(world: World) -> None:
    """
    Is left alone with everything, for as long as it says, and for an hour when it does not.
    """
    world.server.scripted["new-order"] = [world.server.problem(429, "rateLimited", "slow down")]
    await world.fail()
    problem = await world.fail(OTHER)
    assert problem.type == "budget"
    assert problem.retry_after is not None
    assert problem.retry_after <= dt.timedelta(hours=1)
    world.clock.time += dt.timedelta(hours=1, seconds=1)
    await world.issue(OTHER)


async def test_a_refused_domain_closes_no_other(world: World) -> None:
    """
    Of several names, the one that the CA names.
    """
    refusal = 'too many certificates (50) already issued for "a.example" in the last 168h0m0s, retry after 2026-01-03'
    world.server.scripted["new-order"] = [world.server.problem(429, "rateLimited", refusal, retry_after="7200")]
    await world.fail()
    await world.issue(dataclasses.replace(SPEC, names=(Name("b.example"),)))
    assert (await world.fail(dataclasses.replace(SPEC, names=(Name("a.example"),)))).type == "budget"


@pytest.mark.parametrize("how", ["refused", "unreachable", "lost", "broken"])
async def test_what_was_surely_not_ordered_costs_nothing(world: World, how: str) -> None:
    """
    A CA that is down for an afternoon does not use the week up; an order whose answer was lost is counted.
    """
    world.server.lists_orders = False
    await world.issue(OTHER)
    match how:
        case "refused":
            world.server.scripted["new-order"] = [world.server.problem(403, "rejectedIdentifier")]
        case "broken":
            world.server.scripted["new-order"] = [world.server.problem(503, "serverInternal")] * 2
        case "lost":
            world.server.lose_before["new-order"] = 2
        case _:

            async def gate(when: str, operation: str) -> None:
                world.server.unreachable = (when, operation) == ("before", "new-order")

            world.server.gate = gate
    await world.fail()
    cost = (Counted.CERTIFICATES_PER_SET, SET)
    found = (await kept(world)).get(cost)
    if how in {"refused", "unreachable"}:
        assert found is None
    else:
        assert found
        assert round(found["left"]) == 3


async def test_a_failed_authorization_counts_and_no_certificate_does(world: World) -> None:
    """
    Each name by itself; after five the CA is not asked for an hour's fifth.
    """
    world.server.refuse["a.example"] = {"type": "urn:ietf:params:acme:error:dns", "detail": "no"}
    for fails in range(1, 6):
        assert (await world.fail()).type == "dns"
        (kid,) = world.server.accounts
        assert round((await kept(world))[Counted.FAILURES_PER_NAME, f"a.example at {kid}"]["left"]) == 5 - fails
    assert (Counted.FAILURES_PER_NAME, f"b.example at {kid}") not in await kept(world)
    assert await left(world, Counted.CERTIFICATES_PER_SET) is None
    assert round(await left(world, Counted.ORDERS) or 0) == 295
    world.restart()
    problem = await world.fail()
    assert problem.type == "budget"
    assert "5 failed authorizations per name in an hour for a.example" in problem.detail
    assert problem.retry_after is not None
    assert problem.retry_after <= dt.timedelta(minutes=12)
    await world.issue(dataclasses.replace(SPEC, names=(Name("b.example"),)))


async def test_an_authorization_that_failed_while_nobody_looked_counts(world: World) -> None:
    """
    A daemon that dies each time that the CA looks burns no more than is there.
    """
    world.server.refuse["a.example"] = {"type": "urn:ietf:params:acme:error:dns", "detail": "no"}
    await world.stop_at("challenge", "after")
    await world.stop_at("new-order", "before")
    (kid,) = world.server.accounts
    assert round((await kept(world))[Counted.FAILURES_PER_NAME, f"a.example at {kid}"]["left"]) == 4


async def test_dying_between_paying_and_ordering_gives_nothing_back(world: World) -> None:
    """
    A crash loop comes to its end here, before it does at the CA.
    """
    world.server.lists_orders = False
    for died in range(1, 6):
        await world.stop_at("new-order", "before")
        assert round(await left(world, Counted.CERTIFICATES_PER_SET) or 0) == 5 - died
    assert (await world.fail()).type == "budget"
    assert not world.server.orders


async def test_dying_while_an_account_is_made_gives_nothing_back(world: World) -> None:
    """
    As above. The key stays, so that the CA makes one account at most.
    """
    for died in range(1, 3):
        await world.stop_at("new-account", "before") if died == 1 else await world.stop_at("new-account", "after")
        assert round((await kept(world))[Counted.ACCOUNTS, ""]["left"]) == 9
    refusal = world.server.problem(429, "rateLimited", "too many new registrations (10)", retry_after="3600")
    fresh = World()
    fresh.server.scripted["new-account"] = [refusal]
    assert (await fresh.fail()).type == "rateLimited"
    fresh.restart()
    assert round((await kept(fresh))[Counted.ACCOUNTS, ""]["left"]) == 10
    await fresh.documents.delete("accounts", "fake")
    problem = await fresh.fail()
    assert problem.type == "budget"
    assert "10 accounts in 3 hours" in problem.detail


async def test_a_disk_that_takes_nothing_orders_nothing(world: World) -> None:
    """
    What could not be written down must not be spent at the CA.
    """
    await world.issue(OTHER)
    put = world.documents.put

    async def full(kind: str, key: str, document: Any) -> None:
        if kind == KIND:
            raise StateError("disk", "is full", "make room")
        await put(kind, key, document)

    world.documents.put = full  # type: ignore[method-assign]
    world.server.log.clear()
    with pytest.raises(StateError):
        await world.issue()
    assert "new-order" not in world.server.log


async def test_a_damaged_document_is_told_and_begun_anew(world: World, tmp_path: Path) -> None:
    """
    A certificate that is never renewed would be worse than a refusal by the CA.
    """
    world.documents = DirectoryDocuments(directory=str(tmp_path), events=(events := Recorder()))  # type: ignore[assignment]
    world.restart()
    await world.issue()
    (file,) = (tmp_path / KIND).iterdir()
    file.write_bytes(b"{")
    world.restart()
    await world.issue()
    assert [event for event, _ in events.events] == ["state.damaged"]
    assert round(await left(world, Counted.CERTIFICATES_PER_SET) or 0) == 4
    file.write_text('{"format": 2}')
    world.restart()
    with pytest.raises(StateError, match="newer Gatelodge"):
        await world.issue()


async def test_a_private_ca_is_not_counted() -> None:
    """
    Nor is anything written about it.
    """
    world = World()
    world.authority = dataclasses.replace(world.authority, production=False)
    world.restart()
    for _ in range(7):
        await world.issue()
    assert not await world.documents.list(KIND)


async def test_many_orders_at_once_share_writes(world: World) -> None:
    """
    A house of many sites writes a few times, and all is there.
    """
    writes = 0
    put = world.documents.put

    async def counting(kind: str, key: str, document: Any) -> None:
        nonlocal writes
        writes += kind == KIND
        await asyncio.sleep(0.001)
        await put(kind, key, document)

    world.documents.put = counting  # type: ignore[method-assign]
    specs = [
        CertificateSpec(name=f"s{number}", names=(Name(f"s{number}.example.com"),), issuer=SPEC.issuer)
        for number in range(40)
    ]
    async with asyncio.TaskGroup() as group:
        for spec in specs:
            group.create_task(world.issue(spec))
    assert round(await left(world, Counted.CERTIFICATES_PER_DOMAIN) or 0) == 10
    assert round(await left(world, Counted.ORDERS) or 0) == 260
    assert writes < 60


async def test_what_is_left_is_shown(world: World) -> None:
    """
    Of each CA that is named, what is not full, after a restart.
    """
    await world.issue()
    budgets = Budgets(documents=world.documents, clock=world.clock)
    assert budgets.shown([world.authority]) == []
    await budgets.load()
    shown = {entry["limit"]: entry for entry in map(dict, budgets.shown([world.authority]))}
    assert set(shown) == set(Counted) - {Counted.FAILURES_PER_NAME}
    entry = shown[Counted.CERTIFICATES_PER_SET]
    assert (entry["ca"], entry["whose"], entry["of"], entry["closed_until"]) == ("fake", SET, 5, None)
    assert entry["source"].startswith("https://")
    assert limits.told(LIMITS[LETSENCRYPT][0]) == "10 accounts in 3 hours"


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("www.example.com", "example.com"),
        ("*.example.co.uk", "example.co.uk"),
        ("a.b.example.com.cn", "example.com.cn"),
        ("me.github.io", "me.github.io"),
        ("github.io", "github.io"),
        ("com", "com"),
        ("a.xn--55qx5d.cn", "a.xn--55qx5d.cn"),
        ("host.nowhere", "host.nowhere"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
    ],
)
def test_registered_domains(name: str, domain: str) -> None:
    """
    By the Public Suffix List; addresses by themselves, or by their network.
    """
    assert registered(name) == domain


#: A daemon that orders one certificate after the other from a CA with the limits of Let's Encrypt, and says when it has one.
GREEDY = """
import asyncio, contextlib, sys, time
from gatelodge.core.limits import LIMITS
from gatelodge.issuers.acme.issuer import Acme
from gatelodge.issuers.keys import NewKeys
from gatelodge.model import AcmeIssuer, CertificateAuthority, CertificateSpec, Name
from gatelodge.runtime.events.log import Silence
from gatelodge.runtime.system import SystemClock, Web
from gatelodge.stores.documents import DirectoryDocuments

class Anything:
    type = "http-01"
    async def refuses(self, names, *, alias):
        return {}
    @contextlib.asynccontextmanager
    async def published(self, challenges, **_):
        yield

async def main(state, directory, root):
    LIMITS[directory] = LIMITS["https://acme-v02.api.letsencrypt.org/directory"]
    async with Web(root=root) as http:
        acme = Acme(
            authority=CertificateAuthority(name="pebble", directory=directory, root=root), http=http, clock=SystemClock(),
            documents=DirectoryDocuments(directory=state), keys=NewKeys(), solvers={"http-01": Anything()}, email=None,
            events=Silence(),
        )
        while True:
            name = f"s{time.time_ns()}.example"
            spec = CertificateSpec(name=name, names=(Name(name),), issuer=AcmeIssuer(ca="pebble"))
            async with acme.issue(spec, progress=str):
                print(name, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.live
async def test_a_daemon_that_is_killed_while_it_orders(tmp_path: Path) -> None:
    """
    With kill -9, at some moment of many orders, again and again: what is on disk is never more than what is left at the CA.
    """
    state = tmp_path / "state"
    state.mkdir()
    async with running(tmp_path, environment={"PEBBLE_VA_ALWAYS_VALID": "1"}) as world:
        began = world.clock.now()
        for milliseconds in (2, 9, 17, 31, 53):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", GREEDY, str(state), world.ca.directory, world.ca.root, stdout=asyncio.subprocess.PIPE
            )  # fmt: skip
            assert process.stdout
            assert await process.stdout.readline()
            await asyncio.sleep(milliseconds / 1000)
            process.kill()
            await process.wait()
        world.documents = DirectoryDocuments(directory=str(state))  # type: ignore[assignment]
        ordered = await (await world.acme()._account.client(progress=str)).orders()
        document: Any = await world.documents.get(KIND, world.ca.directory)
        buckets = {
            entry["counted"]: entry["left"]
            for entry in document["buckets"]
            if entry["counted"] != "CERTIFICATES_PER_SET"
        }
        filled = (world.clock.now() - began) / dt.timedelta(hours=3) * 300
        assert len(ordered) >= 5
        assert 300 - buckets["ORDERS"] + filled >= len(ordered)
        assert round(buckets["ACCOUNTS"]) == 9
