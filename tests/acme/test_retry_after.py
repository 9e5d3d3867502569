"""
Reading Retry-After and Date.
"""

from __future__ import annotations

import datetime as dt
import os
import time

import pytest

from gatelodge.acme import retry_after
from gatelodge.ports import HttpResponse

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 5 ", 5),
        ("99999999999999999999", retry_after.LONGEST.total_seconds()),
        ("9999999999", retry_after.LONGEST.total_seconds()),
        ("Sun, 01 Mar 2026 12:01:00 GMT", 60),
        ("Sun, 01 Mar 2026 12:01:00 -0000", 60),
        ("Sun, 01 Mar 2026 20:01:00 +0800", 60),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 01 Mar 9999 11:00:00 GMT", retry_after.LONGEST.total_seconds()),
    ],
)
def test_seconds_and_dates_are_durations(value: str, seconds: float) -> None:
    """
    Both forms are read, never below nothing nor above the longest wait that is believed.
    """
    found = retry_after.parse(value, now=NOW)
    assert found is not None
    assert found.total_seconds() == seconds


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "Sun, 99 Mar 2026 12:01:00 GMT", "٣", "Sun, 01 Mar"])
def test_what_cannot_be_read_is_nothing(value: str) -> None:
    """
    Nonsense is passed over rather than guessed at.
    """
    assert retry_after.parse(value, now=NOW) is None


def test_the_machines_time_zone_does_not_matter() -> None:
    """
    An HTTP-date is UTC also where local time is eight hours ahead.
    """
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Shanghai"
    time.tzset()
    try:
        found = retry_after.parse("Sun, 01 Mar 2026 12:01:00 -0000", now=NOW)
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()
    assert found == dt.timedelta(minutes=1)


def test_a_date_counts_from_the_answers_own_date() -> None:
    """
    With a clock of ours that is a year behind, the wait is still a minute.
    """
    headers = {"date": ("Sun, 01 Mar 2026 12:00:00 GMT",), "retry-after": ("Sun, 01 Mar 2026 12:01:00 GMT",)}
    response = HttpResponse(status=503, headers=headers, body=b"")
    assert retry_after.of_answer(response, now=NOW - dt.timedelta(days=365)) == dt.timedelta(minutes=1)


def test_no_header_is_no_wait() -> None:
    """
    An answer without Retry-After asks for nothing.
    """
    assert retry_after.of_answer(HttpResponse(status=503, headers={}, body=b""), now=NOW) is None


def test_a_month_is_not_believed() -> None:
    """
    A certificate would expire meanwhile.
    """
    assert retry_after.parse("2592000", now=NOW) == dt.timedelta(days=1)
