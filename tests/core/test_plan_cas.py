"""
The planner with several CAs: who is asked when, and what becomes of names that are refused.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.planning import NOW, World, fresh_world, held, spec

from gatelodge.core import asking
from gatelodge.core.actions import Obtain, Reason, certificate_key, digest, tries
from gatelodge.core.observed import Attempt, InFlight, Job, Requests
from gatelodge.errors import Problem, Subproblem
from gatelodge.model import AcmeIssuer, Alternative, CertificateSpec, Name, OnBadName

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)

A = dataclasses.replace(
    spec("a.example"),
    others=(Alternative(issuer=AcmeIssuer(ca="second"), profile="theirs"), Alternative(issuer=AcmeIssuer(ca="third"))),
)
FIRST, SECOND, THIRD = A.ways
MANY = dataclasses.replace(
    A, names=(Name("a.example"), Name("b.example"), Name("c.example")), on_bad_name=OnBadName.SUBSET, others=()
)


def attempt(
    way: CertificateSpec,
    kind: str,
    *,
    failures: int = 1,
    wait: dt.timedelta = HOUR,
    blamed: tuple[str, ...] = (),
    partial: bool = False,
) -> Attempt:
    """
    A failure just now.
    """
    action = Obtain(spec=way, reason=Reason.MISSING, partial=partial)
    subproblems = tuple(Subproblem(type=kind, detail="no", identifier=name) for name in blamed)
    return Attempt(
        tries=tries(action), digest=digest(action), failures=failures, at=NOW, retry_at=NOW + wait,
        problem=Problem(type=kind, detail="it failed", subproblems=subproblems),
    )  # fmt: skip


def world_of(wanted: CertificateSpec, *failed: Attempt, **observed: object) -> World:
    """
    A world that shows the placeholder, in which this failed.
    """
    world = fresh_world(wanted)
    world.failing = frozenset({str(each) for each in wanted.issuers})
    world.settle(take=None)
    world.now = NOW
    changes = {"attempts": {each.tries: each for each in failed}, **observed}
    world.observed = dataclasses.replace(world.observed, **changes)  # type: ignore[arg-type]
    world.failing = frozenset()
    return world


def asked(world: World) -> list[tuple[str, Reason]]:
    """
    Whom the next plan asks, and why.
    """
    return [(str(action.spec.issuer), action.reason) for action in world.plan().actions if isinstance(action, Obtain)]


def test_the_first_is_asked_first() -> None:
    """
    For its own profile, and alone: what it is asked for is what it would be asked for if there were no others.
    """
    (action,) = [each for each in world_of(A).plan().actions if isinstance(each, Obtain)]

    assert action.spec == FIRST
    assert (action.spec.profile, action.spec.others) == (None, ())


@pytest.mark.parametrize(
    "kind",
    [
        "unreachable",
        "serverInternal",
        "rateLimited",
        "rejectedIdentifier",
        "caa",
        "externalAccount",
        "malformed",
        "badAnswer",
    ],
)
def test_the_next_is_asked_at_once(kind: str) -> None:
    """
    When a CA is down, has had enough, says no, or does not take us, the next one is asked now, for its own profile.
    """
    world = world_of(A, attempt(FIRST, kind))
    (action,) = [each for each in world.plan().actions if isinstance(each, Obtain)]

    assert action.spec == SECOND
    assert action.spec.profile == "theirs"
    assert asking.left(A, SECOND, world.observed.attempts) == attempt(FIRST, kind)


@pytest.mark.parametrize("kind", ["dns", "connection", "tls", "selfCheck", "propagation", "dnsCredentials"])
def test_what_another_would_meet_as_well_is_waited_for(kind: str) -> None:
    """
    A name that cannot be proven is no reason to go elsewhere, until it has failed three times: another CA may look from elsewhere.
    """
    assert asked(world_of(A, attempt(FIRST, kind, failures=2))) == []
    assert asked(world_of(A, attempt(FIRST, kind, failures=3))) == [("acme:second", Reason.MISSING)]


def test_a_full_disk_sends_nobody_elsewhere() -> None:
    """
    What a CA has signed waits for room; another's certificate could not be stored either.
    """
    assert asked(world_of(A, attempt(FIRST, "state", failures=10))) == []


def test_when_all_are_held_back_the_earliest_counts() -> None:
    """
    It is looked again when the first of them may be asked, whichever that is; then that one is asked.
    """
    world = world_of(
        A,
        attempt(FIRST, "rateLimited", wait=3 * HOUR),
        attempt(SECOND, "unreachable", wait=HOUR),
        attempt(THIRD, "rejectedIdentifier", wait=2 * HOUR),
    )
    assert asked(world) == []
    assert world.plan().look_at == NOW + HOUR

    world.now = NOW + HOUR

    assert asked(world) == [("acme:second", Reason.MISSING)]

    world.now = NOW + 3 * HOUR

    assert asked(world) == [("acme:pebble", Reason.MISSING)]


def test_a_certificate_of_the_second_is_a_good_one() -> None:
    """
    It is not replaced because the first can be asked again; its renewal asks the first.
    """
    mine = held(SECOND, version=2)
    world = world_of(A)
    found = {**world.observed.held, "a.example": mine}
    world.observed = dataclasses.replace(world.observed, held=found)
    assert asked(world) == []

    world.now = NOW + 61 * DAY

    assert asked(world) == [("acme:pebble", Reason.DUE)]


def test_one_of_nobodys_is_replaced() -> None:
    """
    A CA that left the list, and another profile, make it another certificate.
    """
    world = world_of(A)
    for other in (dataclasses.replace(SECOND, profile=None), dataclasses.replace(FIRST, issuer=AcmeIssuer(ca="old"))):
        found = {**world.observed.held, "a.example": held(other, version=2)}
        world.observed = dataclasses.replace(world.observed, held=found)
        assert asked(world) == [("acme:pebble", Reason.CHANGED)]


def test_an_order_is_finished_where_it_was_begun() -> None:
    """
    A daemon that died while the second was asked goes on there, though the first may be asked again; not while that one is held back.
    """
    begun = InFlight(certificate="a.example", issuer="acme:second", digest=SECOND.digest, begun=1, at=NOW)
    world = world_of(A, attempt(FIRST, "unreachable", wait=-HOUR), in_flight={"a.example": begun})
    assert asked(world) == [("acme:second", Reason.MISSING)]

    failed = attempt(SECOND, "timeout")
    world = world_of(A, failed, in_flight={"a.example": begun})

    assert asked(world) == [("acme:pebble", Reason.MISSING)]


@pytest.mark.parametrize("way", A.ways)
def test_a_job_at_any_of_them_goes_on(way: CertificateSpec) -> None:
    """
    It is stopped when what it works on is not asked for any more.
    """
    key = certificate_key("a.example")
    world = world_of(A, jobs={key: Job(key=key, digest=way.digest, since=NOW)})
    assert not world.plan().actions

    world.desired = dataclasses.replace(
        world.desired, certificates={**world.desired.certificates, "a.example": spec("b.example")}
    )

    assert any(type(action).__name__ == "Cancel" for action in world.plan().actions)


def test_who_asks_for_a_renewal_overrides_all_waits_at_the_first() -> None:
    """
    And when that one fails, the others are asked as long as their own waits allow.
    """
    world = world_of(A, attempt(FIRST, "rateLimited"), requests=Requests(renew=frozenset({"a.example"})))
    assert asked(world) == [("acme:pebble", Reason.REQUESTED)]

    again = Requests(again=frozenset({"a.example"}))
    held_now = {"a.example": held(FIRST, version=2)}
    world = world_of(A, attempt(FIRST, "unreachable"), requests=again)
    world.observed = dataclasses.replace(world.observed, held={**world.observed.held, **held_now})
    assert asked(world) == [("acme:second", Reason.REQUESTED)]

    world.observed = dataclasses.replace(world.observed, attempts={})

    assert asked(world) == []


# Names that are refused


def parts(world: World) -> list[tuple[tuple[str, ...], bool, Reason]]:
    """
    For which names the next plan asks, and whether these are a part.
    """
    return [
        (tuple(action.spec.names), action.partial, action.reason)
        for action in world.plan().actions
        if isinstance(action, Obtain)
    ]


def test_the_good_names_are_had_without_the_bad_one() -> None:
    """
    The whole is tried first; then, when names are to blame, what is left of it, which has failures of its own.
    """
    failed = attempt(MANY, "dns", blamed=("b.example",))
    world = world_of(MANY, failed)
    assert parts(world) == [(("a.example", "c.example"), True, Reason.MISSING)]

    part = dataclasses.replace(MANY, names=(Name("a.example"), Name("c.example")))
    failed_too = attempt(part, "connection", blamed=("c.example",), partial=True)

    assert parts(world_of(MANY, failed, failed_too)) == [(("a.example",), True, Reason.MISSING)]


def test_nothing_is_left_out_unless_that_is_wanted() -> None:
    """
    By default a certificate is had for all of its names or not at all.
    """
    whole = dataclasses.replace(MANY, on_bad_name=OnBadName.FAIL)

    assert parts(world_of(whole, attempt(whole, "dns", blamed=("b.example",)))) == []


@pytest.mark.parametrize(
    ("kind", "blamed"),
    [
        ("dns", ()),
        ("dns", ("a.example", "b.example", "c.example")),
        ("unreachable", ("b.example",)),
        ("rateLimited", ("b.example",)),
    ],
)
def test_there_is_no_part_when_no_name_is_to_blame(kind: str, blamed: tuple[str, ...]) -> None:
    """
    Nor when each of them is: then nothing would be left.
    """
    assert parts(world_of(MANY, attempt(MANY, kind, blamed=blamed))) == []


def test_a_name_in_quotes_is_blamed() -> None:
    """
    Boulder says of a single one only in words that it will not issue for it.
    """
    failed = attempt(MANY, "rejectedIdentifier")
    failed = dataclasses.replace(
        failed, problem=Problem(type="rejectedIdentifier", detail='Cannot issue for "c.example": no')
    )

    assert parts(world_of(MANY, failed)) == [(("a.example", "b.example"), True, Reason.MISSING)]


def test_the_rest_is_tried_at_the_pace_of_its_failures() -> None:
    """
    While a part is held nothing is done before the whole may be tried again; when the part falls due first, it is renewed.
    """
    failed = attempt(MANY, "dns", blamed=("b.example",), wait=DAY)
    part = dataclasses.replace(MANY, names=(Name("a.example"), Name("c.example")))
    world = world_of(MANY, failed)
    held_part = {**world.observed.held, "a.example": held(part, version=2)}
    world.observed = dataclasses.replace(world.observed, held=held_part)
    assert parts(world) == []
    assert world.plan().look_at <= NOW + DAY

    world.now = NOW + DAY
    assert parts(world) == [(MANY.names, False, Reason.CHANGED)]

    later = dataclasses.replace(failed, at=NOW + 60 * DAY, retry_at=NOW + 61 * DAY)
    world.now = NOW + 60 * DAY
    world.observed = dataclasses.replace(world.observed, attempts={later.tries: later})

    assert parts(world) == [(part.names, True, Reason.CHANGED)]


def test_a_part_that_lost_a_name_is_kept_while_it_lasts() -> None:
    """
    A name that is refused now but is on what is held stays there until that falls due; a name that is good again is taken in.
    """
    part = dataclasses.replace(MANY, names=(Name("a.example"), Name("c.example")))
    failed = attempt(MANY, "dns", blamed=("b.example", "c.example"))
    world = world_of(MANY, failed)
    found = {**world.observed.held, "a.example": held(part, version=2)}
    world.observed = dataclasses.replace(world.observed, held=found)
    assert parts(world) == []

    mended = attempt(MANY, "dns", blamed=("c.example",))
    world.observed = dataclasses.replace(world.observed, attempts={mended.tries: mended})

    assert parts(world) == [(("a.example", "b.example"), True, Reason.CHANGED)]


# Properties

KINDS = st.sampled_from(
    ["unreachable", "rateLimited", "dns", "connection", "caa", "policy", "state", "externalAccount"]
)


@st.composite
def failures(draw: st.DrawFn) -> list[Attempt]:
    """
    Draw what failed at some of the CAs.
    """
    return [
        attempt(
            way, draw(KINDS), failures=draw(st.integers(1, 5)), wait=dt.timedelta(minutes=draw(st.integers(-60, 60)))
        )
        for way in A.ways
        if draw(st.booleans())
    ]


@given(failures())
@settings(deadline=None)
def test_whoever_is_asked_is_the_first_whose_time_has_come(failed: list[Attempt]) -> None:
    """
    One CA at most is asked at a time, nobody whose wait is not over, and nobody after one that may be asked. When none is, it is looked again
    when the first of those that count may be.
    """
    world = world_of(A, *failed)
    found = asked(world)
    waiting = {asking.issuer_of(each): each for each in failed if each.retry_at > NOW}

    assert len(found) <= 1
    order = [str(issuer) for issuer in A.issuers]
    if found:
        ((issuer, _),) = found
        assert issuer not in waiting
        assert all(before in waiting for before in order[: order.index(issuer)])
    else:
        assert order[0] in waiting
        assert world.plan().look_at <= max(each.retry_at for each in waiting.values())


@given(failures(), st.sets(st.sampled_from([str(issuer) for issuer in A.issuers])))
@settings(deadline=None)
def test_it_comes_in_the_end_when_one_of_them_can(failed: list[Attempt], broken: set[str]) -> None:
    """
    Whatever failed before: nothing waits for ever, and a certificate is held from a CA that works.
    """
    world = world_of(A, *failed)
    world.failing = frozenset(broken)
    for _ in range(10):
        world.settle()
        world.now += DAY
    mine = world.observed.held.get("a.example")

    if len(broken) < len(A.issuers):
        assert mine is not None
        assert mine.satisfies(A)
        assert mine.issuer not in broken
    else:
        assert mine is None
