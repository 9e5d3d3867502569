"""
Getting certificates from a CA that is unkind, and taking orders up again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.support.fake_acme import DIRECTORY, URN, Board, FakeAcme, FakeOrder
from tests.support.quick_clock import QuickClock

from gatelodge.core import backoff
from gatelodge.core.failures import classify
from gatelodge.errors import IssuanceError, Problem, StateError
from gatelodge.issuers.acme.issuer import Acme
from gatelodge.issuers.keys import NewKeys
from gatelodge.model import AcmeIssuer, CertificateAuthority, CertificateSpec, KeyKind, Name
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.ports import HttpResponse, Issued

SPEC = CertificateSpec(
    name="home", names=(Name("a.example"), Name("b.example")), issuer=AcmeIssuer(ca="fake"), profile="classic"
)
ORDERS = "journal/orders"


class Events:
    """
    Keeps what is emitted.
    """

    def __init__(self) -> None:
        self.emitted: list[tuple[str, dict[str, object]]] = []

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        self.emitted.append((event, {"level": level, **fields}))


class World:
    """
    A CA, a solver, a disk, and an issuer that can die and come back.
    """

    def __init__(self, *, lists_orders: bool = True) -> None:
        self.clock = QuickClock()
        self.board = Board()
        self.server = FakeAcme(self.clock, self.board, lists_orders=lists_orders)
        self.documents = MemoryDocuments()
        self.events = Events()
        self.texts: list[str] = []
        self.authority = CertificateAuthority(name="fake", directory=DIRECTORY)
        self.solvers = {"http-01": self.board}
        self.options: dict[str, Any] = {}
        self.restart()

    def restart(self) -> None:
        self.acme = Acme(
            authority=self.authority,
            http=self.server,
            documents=self.documents,
            clock=self.clock,
            keys=NewKeys(),
            solvers=self.solvers,
            email=None,
            events=self.events,
            **self.options,
        )
        self.server.log.clear()

    async def issue(self, spec: CertificateSpec = SPEC) -> Issued:
        async with self.acme.issue(spec, progress=self.texts.append) as issued:
            return issued

    async def fail(self, spec: CertificateSpec = SPEC) -> Problem:
        with pytest.raises(IssuanceError) as caught:
            await self.issue(spec)
        return caught.value.problem

    async def record(self, name: str = SPEC.name) -> Any:
        return await self.documents.get(ORDERS, name)

    async def stop_at(self, operation: str, when: str = "before", spec: CertificateSpec = SPEC) -> None:
        """
        Issue until a request of that operation, and die there.
        """
        reached = asyncio.Event()

        async def gate(now: str, asked: str) -> None:
            if (now, asked) == (when, operation):
                reached.set()
                await asyncio.Event().wait()

        self.server.gate = gate
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.issue(spec))
            await reached.wait()
            task.cancel()
        assert not self.board.visible
        self.server.gate = None
        self.restart()


@pytest.fixture
def world() -> World:
    """
    A CA that lists orders.
    """
    return World()


def leaf(issued: Issued) -> x509.Certificate:
    """
    Return the first certificate of a chain.
    """
    return x509.load_pem_x509_certificates(issued.chain.encode())[0]


async def test_a_certificate_is_issued(world: World) -> None:
    """
    For the spec's names and a key of its own, with all challenges visible at once, and nothing left behind.
    """
    issued = await world.issue()
    key = serialization.load_pem_private_key(issued.private_key.reveal().encode(), None)
    assert leaf(issued).public_key() == key.public_key()
    assert issued.chain.startswith("-----BEGIN CERTIFICATE-----")
    assert world.board.calls == [SPEC.names]
    assert not world.board.visible
    assert await world.record() is None
    assert {"registering at fake", "ordering from fake"} <= set(world.texts)
    assert [event for event, _ in world.events.emitted] == ["account.registered"]
    sent = [payload for operation, payload in world.server.payloads if operation == "new-order"]
    assert sent[0]["profile"] == "classic"


@pytest.mark.parametrize("kind", [KeyKind.ECDSA_P384, KeyKind.RSA_2048])
async def test_each_kind_of_key_is_certified(world: World, kind: KeyKind) -> None:
    """
    The key is of the kind that the spec asks for.
    """
    issued = await world.issue(dataclasses.replace(SPEC, key=kind))
    size = leaf(issued).public_key().key_size  # type: ignore[union-attr]
    assert size == {KeyKind.ECDSA_P384: 384, KeyKind.RSA_2048: 2048}[kind]


async def test_the_record_is_on_disk_before_the_ca_is_asked(world: World) -> None:
    """
    First without a URL, then with it before anything else is asked; with all that is needed to take the order up.
    """
    seen: list[tuple[str, object]] = []

    async def gate(when: str, operation: str) -> None:
        record = await world.record()
        if when == "before" and record is not None:
            seen.append((operation, record["url"]))

    world.server.gate = gate
    async with world.acme.issue(SPEC, progress=world.texts.append):
        record = await world.record()
    (url,) = [f"https://ca.test/order/{number}" for number in world.server.orders]
    assert seen[0] == ("new-order", None)
    assert {found for _, found in seen[1:]} == {url}
    assert record["url"] == url
    assert record["digest"] == SPEC.digest
    assert record["begun"] == 1
    assert record["names"] == ["a.example", "b.example"]
    assert record["private_key"].startswith("-----BEGIN PRIVATE KEY-----")
    assert dt.datetime.fromisoformat(record["at"]) == QuickClock().now()
    assert (record["certificate"], record["ca"], record["directory"]) == ("home", "fake", DIRECTORY)
    assert (record["key"], record["profile"]) == ("ecdsa-p256", "classic")


async def test_the_record_stays_when_storing_fails(world: World) -> None:
    """
    The certificate was not stored, so the next try fetches the same one again.
    """
    with pytest.raises(StateError):
        async with world.acme.issue(SPEC, progress=world.texts.append) as first:
            raise StateError("disk", "is full", "make room")
    assert await world.record() is not None
    world.restart()
    second = await world.issue()
    assert second.private_key == first.private_key
    assert len(world.server.orders) == world.server.issued == 1


async def test_names_that_are_proven_already_are_skipped(world: World) -> None:
    """
    A CA may remember an authorization; then nothing needs to be visible.
    """
    world.server.reuse = True
    await world.issue()
    await world.issue()
    assert len(world.board.calls) == 1
    assert world.server.issued == 2


async def test_slow_checks_and_slow_signing_are_waited_for(world: World) -> None:
    """
    The first looks come quickly, later ones less often; a Retry-After above nothing wins.
    """
    world.server.validation_polls = 4
    await world.issue()
    assert world.clock.slept == pytest.approx([0.05, 0.075, 0.1125, 0.16875])
    world.clock.slept.clear()
    world.server.validation_polls, world.server.processing_polls = 0, 2
    world.server.poll_headers = {"retry_after": "7"}
    await world.issue()
    assert world.clock.slept == [0.05, 0.05, 7, 7]


@pytest.mark.parametrize("status", ["pending", "ready", "processing", "valid"])
async def test_statuses_of_the_future_are_waited_out(world: World, status: str) -> None:
    """
    A status that nobody knows yet comes once in place of each; the order gets there all the same.
    """
    world.server.processing_polls = 1
    world.server.status_names[status] = "meditating"
    await world.issue()
    assert world.server.issued == 1


async def test_a_ca_that_never_finishes_is_left_alone(world: World) -> None:
    """
    After five minutes the try ends as `timeout`, and the next one takes the same order up.
    """
    world.server.processing_polls = 10_000
    problem = await world.fail()
    assert problem.type == "timeout"
    assert "waiting for fake to sign" in problem.detail
    assert 299 < world.clock.elapsed < 320
    world.server.orders[next(iter(world.server.orders))].polls = 0
    await world.issue()
    assert len(world.server.orders) == world.server.issued == 1


async def test_a_huge_retry_after_is_kept_and_not_slept(world: World) -> None:
    """
    A CA that asks for a day gets it from whoever plans the next try, not from a job that hangs.
    """
    world.server.poll_headers = {"retry_after": "86400"}
    world.server.processing_polls = 2
    problem = await world.fail()
    assert (problem.type, problem.retry_after) == ("timeout", dt.timedelta(days=1))
    assert world.clock.elapsed < 1
    assert await world.record() is not None


async def test_a_failed_check_fails_the_order(world: World) -> None:
    """
    The CA's words reach the reader with the name; open authorizations are given up; the record is closed.
    """
    world.server.validation_polls = 1
    world.server.refuse["b.example"] = {
        "type": URN + "dns",
        "detail": "NXDOMAIN",
        "subproblems": [{"type": URN + "dns", "detail": "remote: NXDOMAIN"}],
    }
    problem = await world.fail()
    assert problem.type == "dns"
    assert [(sub.identifier, sub.detail) for sub in problem.subproblems] == [
        ("b.example", "NXDOMAIN"),
        (None, "remote: NXDOMAIN"),
    ]
    assert await world.record() is None
    assert not world.board.visible


async def test_a_failed_self_check_costs_nothing(world: World) -> None:
    """
    No challenge is answered, so nothing counts as failed; the order is kept, and however often it fails, there is one.
    """
    world.board.fail = IssuanceError(Problem(type="selfCheck", detail="404"))
    for _ in range(3):
        assert (await world.fail()).type == "selfCheck"
        world.restart()
    before = await world.record()
    assert {operation for operation, _ in world.server.payloads} == {
        "new-account",
        "new-order",
        "order",
        "authorization",
    }
    assert {each.status for each in world.server.authorizations.values()} == {"pending"}
    world.board.fail = None
    assert (await world.issue()).private_key.reveal() == before["private_key"]
    assert len(world.server.orders) == world.server.issued == 1


async def test_what_is_proven_is_not_given_up(world: World) -> None:
    """
    Other certificates live on valid authorizations; only open ones are deactivated.
    """
    world.server.reuse = True
    await world.issue(dataclasses.replace(SPEC, name="other", names=SPEC.names[:1]))
    world.server.offered = ("dns-01",)
    assert (await world.fail()).type == "noSolver"
    assert [each.status for each in world.server.authorizations.values()] == ["valid", "deactivated"]


async def test_giving_up_is_done_in_kindness_only(world: World) -> None:
    """
    A CA that cannot be told does not hide why the order failed.
    """
    world.server.offered = ("dns-01",)
    world.server.scripted["order"] = [world.server.problem(404, "malformed")]
    assert (await world.fail()).type == "noSolver"
    assert await world.record() is None


async def test_a_name_that_no_solver_can_prove_is_explained(world: World) -> None:
    """
    The problem names what the CA offers, what we have, and for a wildcard what to do.
    """
    world.server.offered = ("dns-01", "dns-persist-01")
    problem = await world.fail(dataclasses.replace(SPEC, names=(Name("*.a.example"),)))
    assert problem.type == "noSolver"
    assert "*.a.example" in problem.detail
    assert "dns-01, dns-persist-01" in problem.detail
    assert "http-01" in problem.detail
    assert "one by one" in problem.detail
    assert await world.record() is None


async def test_the_first_solver_that_can_is_used(world: World) -> None:
    """
    Each name is proven by one solver, and each solver gets all of its names at once.
    """
    dns = Board("dns-01")
    world.server.boards = (world.board, dns)
    world.solvers = {"dns:home": dns, "http-01": world.board}
    world.restart()
    await world.issue(dataclasses.replace(SPEC, challenges=("dns:home", "http-01")))
    assert (dns.calls, world.board.calls) == ([SPEC.names], [])


async def test_a_solver_that_refuses_a_name_leaves_it_to_the_next(world: World) -> None:
    """
    One name by one way, the other by the other, within one certificate.
    """
    dns = Board("dns-01")
    first, *others = SPEC.names
    dns.refused = {first: Problem(type="dnsZone", detail=f"{first}: no zone of home holds it")}
    world.server.boards = (world.board, dns)
    world.solvers = {"dns:home": dns, "http-01": world.board}
    world.restart()
    await world.issue(dataclasses.replace(SPEC, challenges=("dns:home", "http-01")))
    assert (dns.calls, world.board.calls) == ([tuple(others)], [(first,)])


async def test_what_nobody_can_prove_costs_the_ca_nothing(world: World) -> None:
    """
    No order is made; what each solver said is told.
    """
    dns = Board("dns-01")
    dns.refused = {name: Problem(type="dnsCredentials", detail=f"{name}: the key is unknown") for name in SPEC.names}
    world.board.refused = {name: Problem(type="noSolver", detail=f"{name}: not by http") for name in SPEC.names}
    world.solvers = {"dns:home": dns, "http-01": world.board}
    world.restart()
    problem = await world.fail(dataclasses.replace(SPEC, challenges=("http-01", "dns:home")))
    assert problem.type == "dnsCredentials"
    assert "the key is unknown" in problem.detail
    assert "not by http" in problem.detail
    assert "newOrder" not in world.server.log
    assert await world.record() is None


async def test_a_record_that_some_name_server_lacks_ends_the_order(world: World) -> None:
    """
    The challenge is not answered and its authorization is given up, so that no CA looks before it is mended.
    """
    world.board.fail = IssuanceError(Problem(type="propagation", detail="ns2.example.net lacks it"))
    assert (await world.fail()).type == "propagation"
    assert {each.status for each in world.server.authorizations.values()} == {"deactivated"}
    assert await world.record() is None


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ("key", "another key"),
        ("names", "other.test"),
        ("expired", "expired on 2025-12-31"),
        ("expiring", "expires on 2026-01-01 00:50 UTC already"),
        ("future", "begins on 2026-01-01 02:00"),
        ("long", "a chain of"),
        ("kind", "neither a host's nor an address: RFC822Name"),
        ("escape", "for  ]0;owned , not for a.example"),
        ("garbage", "no certificate"),
        ("cut", "a chain that is cut off"),
    ],
)
async def test_a_wrong_certificate_is_not_handed_out(world: World, lie: str, words: str) -> None:
    """
    What came is checked, and asked for again; when it is always wrong, the order is dead.
    """
    world.server.lie = lie
    problem = await world.fail()
    assert problem.type == "badAnswer"
    assert words in problem.detail
    assert world.server.log.count("certificate") == 3
    assert await world.record() is None


async def test_a_certificate_that_lives_for_minutes_is_taken(world: World) -> None:
    """
    What is left is its whole life.
    """
    world.server.lie = "brief"
    assert (await world.issue()).chain.startswith("-----BEGIN CERTIFICATE-----")


async def test_a_certificate_that_begins_a_little_ahead_is_taken(world: World) -> None:
    """
    A clock of ours that is slow by minutes refuses nothing.
    """
    world.server.lie = "soon"
    issued = await world.issue()
    assert issued.chain.startswith("-----BEGIN CERTIFICATE-----")
    assert await world.record() is None


@pytest.mark.parametrize("status", [404, 410])
async def test_a_certificate_that_is_refused_is_ordered_anew(world: World, status: int) -> None:
    """
    A valid order never ends by itself, so it is not asked for ever for a certificate that the CA does not hand out.
    """
    world.server.scripted["certificate"] = [world.server.answer(b"<html>", status)] * 3
    assert (await world.fail()).type == "badAnswer"
    assert await world.record() is None
    await world.issue()
    assert len(world.server.orders) == 2


@pytest.mark.parametrize("status", [200, 404])
async def test_a_page_in_place_of_a_certificate_costs_nothing(world: World, status: int) -> None:
    """
    It may be a gateway's: the certificate is fetched again a little later.
    """
    world.server.scripted["certificate"] = [world.server.answer(b"<html>", status)] * 2
    await world.issue()
    assert (len(world.server.orders), world.server.issued) == (1, 1)


async def test_bytes_that_are_no_text_between_certificates_are_passed_over(world: World) -> None:
    """
    What stands beside the PEM is dropped, whatever it is.
    """
    world.server.lie = "prologue"
    assert (await world.issue()).chain.startswith("-----BEGIN")


@pytest.mark.parametrize("operation", ["new-order", "authorization", "order", "finalize"])
async def test_garbage_is_a_bad_answer(world: World, operation: str) -> None:
    """
    Whatever request it answers, garbage costs a try and not more: no traceback, no token left, and the next try succeeds.
    """
    world.server.processing_polls = 1
    world.server.scripted[operation] = [world.server.answer(b"\x00\xff{", 200, location="https://ca.test/order/0")]
    if operation == "new-order":
        await world.issue()
        return
    assert (await world.fail()).type == "badAnswer"
    await world.issue()
    assert world.server.issued == 1


async def test_an_order_for_other_names_is_refused(world: World) -> None:
    """
    A CA that mixes up its orders does not get our CSR.
    """
    other = dataclasses.replace(SPEC, name="other", names=(Name("c.example"),))
    await world.stop_at("authorization", spec=other)
    (number,) = world.server.orders
    document = world.server._order_document(number)
    world.server.scripted["new-order"] = [
        world.server.answer(document, 201, location=f"https://ca.test/order/{number}")
    ]
    problem = await world.fail()
    assert (problem.type, "other names" in problem.detail) == ("badAnswer", True)


@pytest.mark.parametrize("operation", ["directory", "nonce", "new-account", "new-order", "order", "finalize"])
async def test_an_unreachable_ca_is_named(world: World, operation: str) -> None:
    """
    Wherever it happens, the problem is `unreachable`, with the CA and its host.
    """
    world.server.processing_polls = 1

    async def gate(when: str, asked: str) -> None:
        if (when, asked) == ("before", operation):
            world.server.unreachable = True

    world.server.gate = gate
    problem = await world.fail()
    assert problem.type == "unreachable"
    assert backoff.BY_FAILURE[classify(problem)] == backoff.TRANSIENT
    assert "fake (ca.test)" in problem.detail
    world.server.gate, world.server.unreachable = None, False
    await world.issue()
    assert len(world.server.orders) == 1


@pytest.mark.parametrize("when", ["lose_before", "lose_after"])
@pytest.mark.parametrize(
    "operation",
    [
        "directory",
        "nonce",
        "new-account",
        "new-order",
        "authorization",
        "challenge",
        "order",
        "finalize",
        "certificate",
    ],
)
async def test_a_lost_answer_costs_nothing(world: World, when: str, operation: str) -> None:
    """
    Each request's answer can be lost, with the request acted on or not, and one certificate comes of one order.
    """
    getattr(world.server, when)[operation] = 1
    await world.issue()
    assert len(world.server.orders) == world.server.issued == 1
    assert await world.record() is None


async def test_a_lost_order_costs_one_more_where_no_list_is_kept() -> None:
    """
    Let's Encrypt keeps no list of orders: the lost one cannot be found, so another is begun, and counted.
    """
    world = World(lists_orders=False)
    world.server.lose_after["new-order"] = 1
    async with world.acme.issue(SPEC, progress=world.texts.append):
        assert (await world.record())["begun"] == 2
    assert (len(world.server.orders), world.server.issued) == (2, 1)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda server: server.problem(429, "rateLimited", "too many", retry_after="3600"), "rateLimited"),
        (lambda server: server.problem(400, "rejectedIdentifier", "policy"), "rejectedIdentifier"),
        (lambda server: server.problem(403, "userActionRequired", "new terms"), "userActionRequired"),
    ],
)
async def test_a_refused_order_leaves_no_record(
    world: World, answer: Callable[[FakeAcme], HttpResponse], kind: str
) -> None:
    """
    Nothing was begun, so nothing is to be taken up; a Retry-After is kept.
    """
    world.server.scripted["new-order"] = [answer(world.server)]
    problem = await world.fail()
    assert problem.type == kind
    assert (problem.retry_after is not None) == (kind == "rateLimited")
    assert await world.record() is None


@pytest.mark.parametrize("kind", ["rateLimited", "serverInternal"])
async def test_passing_trouble_keeps_the_order(world: World, kind: str) -> None:
    """
    A limit or an outage in the middle: the next try goes on with the same order.
    """
    status = 429 if kind == "rateLimited" else 500
    world.server.scripted["finalize"] = [world.server.problem(status, kind, retry_after="60") for _ in range(4)]
    assert (await world.fail()).type == kind
    assert not world.board.visible
    world.restart()
    world.server.scripted.clear()
    await world.issue()
    assert len(world.server.orders) == world.server.issued == 1


async def test_a_finalize_that_comes_too_early_is_sent_again(world: World) -> None:
    """
    A server that has not heard yet that the order is ready says `orderNotReady`; that is no failure.
    """
    world.server.scripted["finalize"] = [world.server.problem(403, "orderNotReady")]
    await world.issue()
    assert world.server.issued == 1


@pytest.mark.parametrize("kind", ["orderNotReady", "unauthorized", "malformed"])
async def test_a_csr_before_the_server_knows_that_the_names_are_proven_costs_nothing(
    world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whatever it says then: the order is good, and it is waited for.
    """
    world.server.scripted["finalize"] = [world.server.problem(403, kind)]
    known, status = 0, FakeAcme._order_status

    def lagging(server: FakeAcme, order: FakeOrder) -> str:
        nonlocal known
        known += status(server, order) == "ready"
        return "pending" if 0 < known < 3 else status(server, order)

    monkeypatch.setattr(FakeAcme, "_order_status", lagging)
    await world.issue()
    assert (len(world.server.orders), world.server.issued) == (1, 1)


async def test_a_refused_csr_ends_the_order(world: World) -> None:
    """
    It would be refused again.
    """
    world.server.scripted["finalize"] = [world.server.problem(400, "badCSR", "no such key type")]
    assert (await world.fail()).type == "badCSR"
    assert await world.record() is None


async def test_two_certificates_for_the_same_names_do_not_meet(world: World) -> None:
    """
    Let's Encrypt gives the same pending order to both, and only one key can have it: so they go one after the other.
    """
    twin = dataclasses.replace(SPEC, name="home.p384", key=KeyKind.ECDSA_P384)
    running = most = 0

    async def gate(when: str, operation: str) -> None:
        nonlocal running, most
        if (when, operation) == ("before", "new-order"):
            running += 1
            most = max(most, running)
        if (when, operation) == ("after", "certificate"):
            running -= 1

    world.server.gate = gate
    async with asyncio.TaskGroup() as group:
        group.create_task(world.issue())
        group.create_task(world.issue(twin))
    assert (most, world.server.issued) == (1, 2)


async def test_many_at_once_register_once_and_stay_within_bounds(world: World) -> None:
    """
    120 certificates: one account, no more than 50 orders on the way at any moment.
    """
    specs = [dataclasses.replace(SPEC, name=f"s{n}", names=(Name(f"s{n}.example"),)) for n in range(120)]
    running = most = 0

    async def gate(when: str, operation: str) -> None:
        nonlocal running, most
        if (when, operation) == ("before", "new-order"):
            running += 1
            most = max(most, running)
        if (when, operation) == ("after", "certificate"):
            running -= 1

    world.server.gate = gate
    async with asyncio.TaskGroup() as group:
        for spec in specs:
            group.create_task(world.issue(spec))
    assert world.server.issued == 120
    assert most <= 50
    assert len(world.server.accounts) == 1
    assert world.server.log.count("new-account") == 1
    assert await world.documents.list(ORDERS) == {}


def test_keys_never_show() -> None:
    """
    The repr of an issuer and of its parts holds no key.
    """
    world = World()

    async def run() -> None:
        async with world.acme.issue(SPEC, progress=world.texts.append) as issued:
            shown = repr([issued, world.events.emitted, world.texts, vars(world.acme)])
            assert "PRIVATE" not in shown
            assert issued.private_key.reveal() not in shown

    asyncio.run(run())
