"""
What dynamic DNS decides: what is ours, what is not, and how often it writes.
"""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from gatelodge.core.addresses import HOLD, REMEMBER, Decision, Fact, Keep, LeaveAlone, Standing, Write, decide

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
HOST = "home.example.org"
OLD, NEW, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.9"


def standing(*ipv4: str, ipv6: tuple[str, ...] = (), cname: str | None = None) -> Standing:
    """
    Return what stands under a name.
    """
    return Standing(ipv4=frozenset(ipv4), ipv6=frozenset(ipv6), cname=cname)


def fact(written: str | None = None, intended: str | None = None, kind: str = "A") -> Fact:
    """
    Return what is known of the host.
    """
    return Fact(host=HOST, kind=kind, written=written, intended=intended)


@pytest.mark.parametrize(
    ("known", "there", "decision"),
    [
        (fact(), standing(), Write(instead_of=None)),
        (fact(), standing(NEW), Keep()),
        (fact(OLD), standing(NEW), Keep()),
        (fact(OLD), standing(OLD), Write(instead_of=OLD)),
        (fact(OLD), standing(), Write(instead_of=None)),
        (fact(OLD, intended=OTHER), standing(OTHER), Write(instead_of=OTHER)),
        (fact(OLD, intended=OTHER), standing(OLD), Write(instead_of=OLD)),
        (fact(None, intended=OTHER), standing(OTHER), Write(instead_of=OTHER)),
        (fact(OLD), standing(ipv6=("2001:db8::9",)), Write(instead_of=None)),
        (fact(OLD), standing(OLD, ipv6=("2001:db8::9",)), Write(instead_of=OLD)),
    ],
)
def test_what_is_ours_or_nobodys_is_written(known: Fact, there: Standing, decision: Decision) -> None:
    """
    Nothing there, what we wrote, what we were about to write. The other family does not matter.
    """
    assert decide(known, there, NEW) == decision


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (
            standing(cname="elsewhere.test"),
            f"{HOST} is a CNAME to elsewhere.test, which Gatelodge did not write; delete it ",
        ),
        (standing(NEW, cname="elsewhere.test"), "is a CNAME to elsewhere.test"),
        (standing(OTHER), f"{HOST} has A {OTHER}, which Gatelodge did not write; delete it "),
        (standing(OLD, OTHER), f"has A {OLD}, {OTHER}, which Gatelodge did not write; delete them "),
        (standing(NEW, OTHER), f"has A {NEW}, {OTHER}, which Gatelodge did not write"),
        (standing(OLD, NEW), f"has A {OLD}, {NEW}, which Gatelodge did not write"),
    ],
)
def test_what_somebody_else_set_is_left_alone(there: Standing, told: str) -> None:
    """
    It is said what is there, and both ways out. An address of ours beside another is not ours alone.
    """
    decision = decide(fact(OLD, intended=OLD), there, NEW)
    assert isinstance(decision, LeaveAlone)
    assert told in decision.reason
    assert decision.reason.endswith("to have the address kept, or take the host out of [ddns]")


def test_families_are_decided_apart() -> None:
    """
    AAAA goes by IPv6 addresses alone.
    """
    known, there = fact("2001:db8::1", kind="AAAA"), standing(OTHER, ipv6=("2001:db8::1",))
    assert decide(known, there, "2001:db8::2") == Write(instead_of="2001:db8::1")
    assert decide(known, there, "2001:db8::1") == Keep()
    alien = decide(known, standing(ipv6=("2001:db8::9",)), "2001:db8::2")
    assert isinstance(alien, LeaveAlone)
    assert "AAAA 2001:db8::9" in alien.reason


def writes_of(minutes: int, known: Fact) -> list[int]:
    """
    Return the minutes in which a fact is written, where the address changes each minute.
    """
    written = []
    for minute in range(minutes):
        now = NOW + minute * MINUTE
        if known.held_until(now) is None:
            known = known.after_writing(f"192.0.2.{minute % 2}", now)
            written.append(minute)
    return written


def test_a_line_that_flaps_makes_few_writes() -> None:
    """
    The first at once, then after 5, 10, 20 and 40 minutes, and about three an hour from then on.
    """
    written = writes_of(24 * 60, fact())
    assert written[:5] == [0, 5, 15, 35, 75]
    assert all(later - earlier >= 20 for earlier, later in itertools.pairwise(written[3:]))
    assert len(written) <= 24 * 3


def test_a_line_that_changes_once_a_day_is_written_at_once() -> None:
    """
    An hour later all is forgotten.
    """
    known = fact().after_writing(OLD, NOW)
    assert known.held_until(NOW) == NOW + HOLD[1]
    assert known.held_until(NOW + HOLD[1]) is None
    known = known.after_writing(NEW, NOW + REMEMBER + MINUTE)
    assert known.writes == (NOW + REMEMBER + MINUTE,)
    assert known.held_until(NOW + REMEMBER + MINUTE) == NOW + REMEMBER + MINUTE + HOLD[1]


@pytest.mark.parametrize("ahead", [dt.timedelta(minutes=3), dt.timedelta(days=400)])
def test_writes_that_lie_ahead_hold_nothing_up(ahead: dt.timedelta) -> None:
    """
    A clock was wrong when they were dated; they are forgotten with the next write.
    """
    known = fact()
    for minutes in range(4):
        known = known.after_writing(OLD, NOW + ahead + minutes * MINUTE)
    assert known.held_until(NOW) is None
    known = known.after_writing(NEW, NOW)
    assert known.writes == (NOW,)
    assert known.held_until(NOW + 4 * MINUTE) == NOW + HOLD[1]


def test_many_writes_wait_an_hour_at_most() -> None:
    """
    Beyond the table its last row goes on.
    """
    known = Fact(host=HOST, kind="A", writes=tuple(NOW + second * dt.timedelta(seconds=1) for second in range(50)))
    assert known.held_until(NOW + MINUTE) == NOW + dt.timedelta(seconds=49) + HOLD[-1]


def test_a_write_ends_what_was_intended_or_wrong() -> None:
    """
    The address is ours, and nothing else is.
    """
    known = Fact(host=HOST, kind="A", written=OLD, intended=NEW, problem="it did not work").after_writing(NEW, NOW)
    assert (known.ours, known.intended, known.problem) == ({NEW}, None, None)
