"""
When certificates are renewed, and when people are alarmed: for every lifetime there is or will be.
"""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import START

from gatelodge.core.renewal import ALARMS, LATE, SERIOUS, SHORT_LIFE, alarm, late, renew_at

LIVES = st.timedeltas(min_value=dt.timedelta(minutes=1), max_value=dt.timedelta(days=4000))
SHARES = st.floats(min_value=-0.5, max_value=1.5)


@pytest.mark.parametrize(
    ("life", "after"),
    [
        (dt.timedelta(days=90), dt.timedelta(days=60)),
        (dt.timedelta(days=45), dt.timedelta(days=30)),
        (dt.timedelta(days=10), dt.timedelta(days=6, hours=16)),
        (dt.timedelta(hours=160), dt.timedelta(hours=80)),
        (dt.timedelta(hours=1), dt.timedelta(minutes=30)),
    ],
)
def test_known_lifetimes(life: dt.timedelta, after: dt.timedelta) -> None:
    """
    90, 45 and 10 days are renewed with a third left, 160 hours and less with half.
    """
    due = renew_at(not_before=START, not_after=START + life)
    assert abs(due - (START + after)) < dt.timedelta(seconds=1)


@given(life=LIVES)
def test_renewed_while_good(life: dt.timedelta) -> None:
    """
    Renewal is due in the second half of a life and before its last quarter: never before, never too late.
    """
    due = renew_at(not_before=START, not_after=START + life)
    second = dt.timedelta(seconds=1)
    assert START + life / 2 - second <= due <= START + life * 2 / 3 + second
    assert due < START + life


@given(one=LIVES, other=LIVES)
def test_longer_lives_are_not_renewed_earlier(one: dt.timedelta, other: dt.timedelta) -> None:
    """
    Of two lives the longer one is never due earlier.
    """
    shorter, longer = sorted((one, other))
    assert renew_at(not_before=START, not_after=START + shorter) <= renew_at(not_before=START, not_after=START + longer)


@given(life=LIVES, shares=st.tuples(SHARES, SHARES))
def test_alarm_only_rises(life: dt.timedelta, shares: tuple[float, float]) -> None:
    """
    An alarm never falls as time goes on, whatever the clock shows, and stays within its levels.
    """
    earlier, later = (
        alarm(not_before=START, not_after=START + life, now=START + life * share) for share in sorted(shares)
    )
    assert 0 <= earlier <= later <= len(ALARMS) + 1


@given(life=LIVES)
def test_no_alarm_before_renewal(life: dt.timedelta) -> None:
    """
    Nobody is alarmed at the moment when renewal falls due: first it may be tried.
    """
    end = START + life
    assert alarm(not_before=START, not_after=end, now=renew_at(not_before=START, not_after=end)) == 0


@given(life=LIVES.filter(lambda life: life > dt.timedelta(hours=1)))
def test_every_level_is_reached(life: dt.timedelta) -> None:
    """
    Each alarm is given before the certificate ends, the last one when it has.
    """
    end = START + life
    moments = [end - life * share for share in ALARMS]
    levels = [alarm(not_before=START, not_after=end, now=moment + dt.timedelta(seconds=1)) for moment in moments]
    assert levels == [1, 2, 3]
    assert alarm(not_before=START, not_after=end, now=end) == len(ALARMS) + 1


def test_alarms_fall() -> None:
    """
    The levels stand in the order in which a life passes them.
    """
    assert list(ALARMS) == sorted(ALARMS, reverse=True)
    assert dt.timedelta(hours=160) < SHORT_LIFE


def test_lateness_is_counted_from_when_renewal_was_due() -> None:
    """
    Nothing at first; then each share of the time that is gone; then the end. Half of it gone is serious.
    """
    due, end = START, START + dt.timedelta(days=80)
    levels = [
        late(due=due, not_after=end, now=START + dt.timedelta(days=day)) for day in (0, 9, 10, 20, 40, 60, 70, 80, 90)
    ]
    assert levels == [0, 0, 1, 2, 3, 4, 5, 6, 6]
    assert LATE[SERIOUS - 1] == 1 / 2


@given(life=LIVES, shares=st.tuples(SHARES, SHARES))
def test_lateness_only_rises(life: dt.timedelta, shares: tuple[float, float]) -> None:
    """
    Whatever the clock shows, also when renewal is due after the end.
    """
    for due in (START, START + life, START + 2 * life):
        earlier, later = (late(due=due, not_after=START + life, now=START + life * share) for share in sorted(shares))
        assert 0 <= earlier <= later <= len(LATE) + 1
