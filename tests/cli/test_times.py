"""
Times as people say them.
"""

from __future__ import annotations

import datetime as dt

import pytest
from tests.support.reports import DAY, NOW, at

from gatelodge.cli import times


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (dt.timedelta(0), "now"),
        (dt.timedelta(milliseconds=900), "now"),
        (-dt.timedelta(milliseconds=900), "now"),
        (dt.timedelta(seconds=1), "in 1 second"),
        (dt.timedelta(seconds=59), "in 59 seconds"),
        (dt.timedelta(seconds=61), "in 1 minute"),
        (dt.timedelta(minutes=59, seconds=59), "in 59 minutes"),
        (dt.timedelta(hours=3), "in 3 hours"),
        (DAY, "in 1 day"),
        (12 * DAY, "in 12 days"),
        (-dt.timedelta(hours=2), "2 hours ago"),
        (-400 * DAY, "400 days ago"),
    ],
)
def test_times_are_told_by_their_distance(distance: dt.timedelta, text: str) -> None:
    """
    In the largest unit that fits, and never as more than it is: 59 minutes and 59 seconds are no hour yet.
    """
    assert times.relative(at(distance), NOW) == text


def test_no_time_is_nothing() -> None:
    """
    What has no time yet leaves its cell empty.
    """
    assert times.relative(None, NOW) == times.moment(None) == times.day(None) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5.0, "0:00"), (0.9, "0:00"), (42.0, "0:42"), (125.5, "2:05"), (3723.0, "1:02:03")]
)
def test_what_goes_on_has_a_stopwatch(seconds: float, text: str) -> None:
    """
    Minutes and seconds, hours when there are any; a clock that was set back shows none.
    """
    assert times.stopwatch(seconds) == text
