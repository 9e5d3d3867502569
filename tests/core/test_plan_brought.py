"""
What the planner does with certificates that the user brings in files.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from tests.core.planning import NOW, fresh_world, held, names_of, placeholder, spec

from gatelodge.core.actions import Cancel, Obtain, Reason, Take, certificate_key, digest, tries
from gatelodge.core.brought import STILL
from gatelodge.core.observed import Attempt, Doubt, Held, InFiles, InFlight, Job, Requests
from gatelodge.core.plan import Plan, plan
from gatelodge.errors import Problem
from gatelodge.model import FILES, INTERNAL_HOST, CertificateSpec, FileIssuer, Name

DAY = dt.timedelta(days=1)
WIKI = dataclasses.replace(spec("wiki.example"), issuer=FileIssuer(certificate="/x.crt", key="/x.key"))
THERE = InFiles(mark="m1", chain="c1")


def planned(
    now: dt.datetime = NOW, *, wanted: CertificateSpec = WIKI, there: InFiles | None = THERE, **observed: object
) -> Plan:
    """
    Plan for one certificate, its files being as they are.
    """
    world = fresh_world(wanted)
    internal = world.desired.certificates["gatelodge.invalid"]
    stand_ins = {internal.name: placeholder(internal), **observed.pop("held", {})}  # type: ignore[dict-item]
    brought = {} if there is None else {"wiki.example": there}
    seen = dataclasses.replace(world.observed, held=stand_ins, brought=brought, **observed)  # type: ignore[arg-type]
    return plan(world.desired, seen, None, now)


def taken(**changes: object) -> dict[str, Held]:
    """
    Return the certificate as it is held once it was taken.
    """
    known: dict[str, object] = {"issuer": FILES, "chain": "c1"}
    return {"wiki.example": dataclasses.replace(held(WIKI), **{**known, **changes})}  # type: ignore[arg-type]


def failed(action: object, **changes: object) -> dict[str, Attempt]:
    """
    Return the attempt that is left when an action failed.
    """
    assert isinstance(action, Take)
    attempt = Attempt(
        tries=tries(action), digest=digest(action), failures=1, problem=Problem(type=FILES, detail=""), at=NOW,
        retry_at=NOW + DAY,
    )  # fmt: skip
    return {attempt.tries: dataclasses.replace(attempt, **changes)}  # type: ignore[arg-type]


def reason(found: Plan) -> Reason | None:
    """
    Return why it is taken; None when nothing is done.
    """
    assert all(isinstance(action, Take) for action in found.actions)
    return next((action.reason for action in found.actions if isinstance(action, Take)), None)


def test_it_is_taken_in_place_of_nothing_of_a_placeholder_and_of_anybody_elses() -> None:
    """
    At once: no CA is asked, no nginx and no clock is needed.
    """
    assert reason(planned()) is Reason.MISSING
    assert reason(planned(held={"wiki.example": placeholder(WIKI)})) is Reason.MISSING
    assert reason(planned(held={"wiki.example": held(spec("wiki.example"))})) is Reason.CHANGED
    assert reason(planned(doubt=Doubt(reason="1970", until=NOW + DAY))) is Reason.MISSING


def test_what_is_held_as_the_files_have_it_is_left_alone_for_ever() -> None:
    """
    Nobody renews it, whatever its dates; it may be for more names than the site has hosts.
    """
    assert reason(planned(held=taken())) is None
    assert reason(planned(NOW + 400 * DAY, held=taken())) is None
    assert reason(planned(held=taken(names=(Name("*.example"), Name("other.example"))))) is None
    assert reason(planned(held=taken(), in_flight={})) is None


def test_it_is_taken_again_when_its_files_hold_another_or_it_is_not_enough() -> None:
    """
    Another chain; a host more in the configuration; damage in the store; a person who says so.
    """
    assert reason(planned(held=taken(chain="c0"))) is Reason.REPLACED
    more = dataclasses.replace(WIKI, names=(*WIKI.names, Name("chat.example")))
    assert reason(planned(wanted=more, held=taken())) is Reason.CHANGED
    assert reason(planned(held=taken(), damaged={"wiki.example": "gone"})) is Reason.DAMAGED
    assert reason(planned(held=taken(), requests=Requests(renew=frozenset({"wiki.example"})))) is Reason.REQUESTED


def test_what_is_of_no_use_leaves_the_old_one_and_is_tried_when_it_changes() -> None:
    """
    Once, since the try says why; then when the files change, a host is added, somebody asks, or its time has come.
    """
    broken = InFiles(mark="m2", chain=None)
    (take,) = planned(there=broken, held=taken()).actions
    attempts = failed(take)
    assert names_of(planned(there=broken, held=taken(), attempts=attempts)) == []
    assert names_of(planned(there=broken, attempts=attempts)) == []
    assert reason(planned(NOW + DAY, there=broken, held=taken(), attempts=attempts)) is Reason.REPLACED
    other = dataclasses.replace(broken, mark="m3")
    assert reason(planned(there=other, held=taken(), attempts=attempts)) is Reason.REPLACED
    asked = Requests(renew=frozenset({"wiki.example"}))
    assert reason(planned(there=broken, held=taken(), attempts=attempts, requests=asked)) is Reason.REQUESTED
    more = dataclasses.replace(WIKI, names=(*WIKI.names, Name("chat.example")))
    assert reason(planned(wanted=more, there=broken, held=taken(), attempts=attempts)) is Reason.CHANGED


def test_files_that_are_mended_to_what_is_held_are_taken_so_that_the_failure_is_over() -> None:
    """
    A failure of somebody else's, an order from before, is none of theirs.
    """
    (take,) = planned(there=InFiles(mark="m2", chain=None), held=taken()).actions
    assert reason(planned(held=taken(), attempts=failed(take))) is Reason.FAILED
    assert reason(planned(held=taken(), attempts=failed(take, digest="abandon"))) is None


def test_files_that_are_being_changed_are_looked_at_again_soon() -> None:
    """
    Until then they count as they were.
    """
    changing = dataclasses.replace(THERE, changing=True)
    found = planned(there=changing, held=taken())
    assert (found.actions, found.look_at) == ((), NOW + STILL)


def test_files_that_were_not_looked_at_say_nothing() -> None:
    """
    The placeholder is shown then, as for everything that is not there.
    """
    assert names_of(planned(there=None)) == []
    assert names_of(planned(there=None, held=taken())) == []


@pytest.mark.parametrize(("job", "cancelled"), [("another", True), ("files:another", False)])
def test_an_order_that_still_runs_is_stopped_and_a_taking_is_not(job: str, *, cancelled: bool) -> None:
    """
    A taking is over in a moment; an order for what was asked before is not wanted any more.
    """
    key = certificate_key("wiki.example")
    found = planned(jobs={key: Job(key=key, digest=job, since=NOW)})
    assert list(found.actions) == ([Cancel(job=key)] if cancelled else [])


def test_an_order_that_was_begun_is_given_up_when_another_issuer_is_asked() -> None:
    """
    By files, and by the local CA, which would make a certificate after the other for an order that it does not know.
    """
    begun = InFlight(certificate="wiki.example", issuer="acme:pebble", digest="d", begun=1, at=NOW)
    in_flight = {"wiki.example": begun}
    assert names_of(planned(held=taken(), in_flight=in_flight)) == ["Abandon certificate:wiki.example"]
    local = spec("wiki.example", local=True)
    mine = {"wiki.example": held(local)}
    assert names_of(planned(wanted=local, held=mine, in_flight=in_flight)) == ["Abandon certificate:wiki.example"]
    (obtain,) = planned(wanted=local, held={"wiki.example": held(local, age=80 * DAY)}, in_flight=in_flight).actions
    assert isinstance(obtain, Obtain), "one job a key: the order is given up after that"


def test_no_tree_is_made_before_it_is_taken_so_that_nobody_is_shown_the_placeholder() -> None:
    """
    But once its files turn out to be of no use.
    """
    world = fresh_world(WIKI)
    internal = world.desired.certificates[INTERNAL_HOST]
    seen = dataclasses.replace(
        world.observed,
        held={INTERNAL_HOST: placeholder(internal)},
        versions={INTERNAL_HOST: (1,)},
        brought={"wiki.example": THERE},
    )
    world.observed = seen
    (take,) = world.plan().actions
    assert isinstance(take, Take)
    world.observed = dataclasses.replace(seen, attempts=failed(take))
    assert names_of(world.plan()) == ["ApplyTree nginx"]
