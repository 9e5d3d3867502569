"""
What the planner does with certificates that other tools hold.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from tests.core.planning import NOW, fresh_world, held, names_of, placeholder, spec

from gatelodge.core.actions import Obtain, Reason, digest, key, tries
from gatelodge.core.observed import Attempt, Job, Offer
from gatelodge.core.plan import Plan, plan
from gatelodge.errors import Problem
from gatelodge.model import ADOPTED, INTERNAL_HOST

DAY = dt.timedelta(days=1)
WIKI = dataclasses.replace(spec("wiki.example"), adopt="/etc/letsencrypt/live/wiki.example", challenges=("dns:home",))
OFFER = Offer(fingerprint="aa", not_after=NOW + 30 * DAY)


def planned(now: dt.datetime = NOW, **observed: object) -> Plan:
    """
    Plan for one certificate that may be adopted.
    """
    world = fresh_world(WIKI)
    internal = world.desired.certificates["gatelodge.invalid"]
    stand_ins = {internal.name: placeholder(internal), **observed.pop("held", {})}  # type: ignore[dict-item]
    return plan(
        world.desired, dataclasses.replace(world.observed, held=stand_ins, offers={"wiki.example": OFFER}, **observed),
        None, now,
    )  # type: ignore[arg-type] # fmt: skip


def adopted(**changes: object) -> object:
    """
    Return the certificate as it is held once it was adopted.
    """
    known: dict[str, object] = {"issuer": ADOPTED, "fingerprint": "aa", "not_after": NOW + 30 * DAY}
    return dataclasses.replace(held(WIKI), **{**known, **changes})  # type: ignore[arg-type]


def test_it_is_held_in_place_of_nothing_and_of_a_placeholder() -> None:
    """
    An older Gatelodge made a placeholder for each certificate.
    """
    assert names_of(planned()) == ["Adopt adopt:wiki.example"]
    assert names_of(planned(held={"wiki.example": placeholder(WIKI)})) == ["Adopt adopt:wiki.example"]


def test_ours_is_asked_for_at_once_and_takes_its_place_for_good() -> None:
    """
    An adopted one is served meanwhile, and never in place of one that a CA gave us.
    """
    (obtain,) = planned(held={"wiki.example": adopted()}).actions
    assert isinstance(obtain, Obtain)
    assert obtain.reason is Reason.ADOPTED
    assert names_of(planned(held={"wiki.example": held(WIKI)})) == []


def test_a_newer_one_of_the_other_tool_is_taken_while_ours_does_not_come() -> None:
    """
    It goes on renewing; an older one, or the same, changes nothing.
    """
    older = adopted(not_after=NOW + 2 * DAY, fingerprint="bb")
    assert names_of(planned(held={"wiki.example": older})) == ["Adopt adopt:wiki.example"]
    newer = adopted(not_after=NOW + 60 * DAY, fingerprint="cc")
    assert [type(each) for each in planned(held={"wiki.example": newer}).actions] == [Obtain]


def test_it_takes_the_place_of_one_whose_files_are_damaged() -> None:
    """
    Where nothing else is held: it is valid, and ours is asked for all the same. Of an older version that is whole nothing more is wanted.
    """
    damaged = {"wiki.example": "privkey.pem is empty"}
    assert names_of(planned(damaged=damaged)) == ["Adopt adopt:wiki.example"]
    older = adopted(not_after=NOW + 2 * DAY, fingerprint="bb")
    assert "Adopt adopt:wiki.example" not in names_of(planned(held={"wiki.example": older}, damaged=damaged))


def test_what_has_expired_is_not_adopted() -> None:
    """
    The placeholder says no less.
    """
    assert names_of(planned(OFFER.not_after)) == ["Obtain certificate:wiki.example"]


def test_what_cannot_be_used_leaves_the_placeholder() -> None:
    """
    Until its files change, or its time comes.
    """
    (adopt,) = planned().actions
    attempt = Attempt(
        tries=tries(adopt), digest=digest(adopt), failures=1, problem=Problem(type="adopt", detail=""), at=NOW,
        retry_at=NOW + DAY,
    )  # fmt: skip
    assert names_of(planned(attempts={attempt.tries: attempt})) == ["Obtain certificate:wiki.example"]
    changed = dataclasses.replace(attempt, digest="other files")
    assert names_of(planned(attempts={attempt.tries: changed})) == ["Adopt adopt:wiki.example"]


def test_no_tree_is_made_before_it_is_held_so_that_nobody_is_shown_the_placeholder() -> None:
    """
    Neither while it is being read; but once it was of no use.
    """
    world = fresh_world(WIKI)
    internal = world.desired.certificates[INTERNAL_HOST]
    world.observed = dataclasses.replace(
        world.observed,
        held={INTERNAL_HOST: placeholder(internal)},
        versions={INTERNAL_HOST: (1,)},
        offers={"wiki.example": OFFER},
    )
    (adopt,) = world.plan().actions
    assert key(adopt) == "adopt:wiki.example"
    seen = world.observed
    world.observed = dataclasses.replace(seen, jobs={key(adopt): Job(key=key(adopt), digest=digest(adopt), since=NOW)})
    assert world.plan().actions == ()
    attempt = Attempt(
        tries=tries(adopt), digest=digest(adopt), failures=1, problem=Problem(type="adopt", detail=""), at=NOW,
        retry_at=NOW + DAY,
    )  # fmt: skip
    world.observed = dataclasses.replace(seen, attempts={attempt.tries: attempt})
    assert "ApplyTree nginx" in names_of(world.plan())
