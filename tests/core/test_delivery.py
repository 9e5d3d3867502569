"""
When messages are sent and what stands in them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from gatelodge.core.delivery import (
    GATHER,
    GIVE_UP,
    LONGEST_TEXT,
    LONGEST_TITLE,
    MOST_AN_HOUR,
    Box,
    add,
    failed,
    message,
    send_at,
    sent,
)
from gatelodge.core.news import News
from gatelodge.model.log import Level

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)


def news(
    subject: str = "wiki.example.com",
    *,
    at: dt.datetime = NOW,
    kind: str = "certificate.failed ca_down",
    level: Level = Level.ERROR,
) -> News:
    """
    A certificate that failed.
    """
    return News(
        id=1, at=at.isoformat(), kind=kind, level=level, subject=subject, title=f"no new certificate for {subject}",
        many="no new certificates for {count} names", why="The CA is down.", todo="Wait.",
    )  # fmt: skip


def full(*more: News) -> Box:
    """
    A box with news.
    """
    return add(Box(after=1), more)


def test_news_is_gathered_for_a_minute() -> None:
    """
    From the first on; without news nothing is sent; what was dated ahead does not wait for its date.
    """
    assert send_at(Box(after=1), NOW) is None
    assert send_at(full(news(), news(at=NOW + 30 * dt.timedelta(seconds=1))), NOW + MINUTE) == NOW + GATHER
    assert send_at(full(news(at=NOW + 900 * HOUR)), NOW) == NOW + GATHER


def test_a_flood_is_one_message() -> None:
    """
    Thousands of certificates with one cause: their number, some names, why, and what to do.
    """
    told = message(full(*(news(f"site{number}.example.com") for number in range(2500))), NOW, host="gate1")

    assert told.title == "gate1: no new certificates for 2000 names"
    assert told.text.startswith("No new certificates for 2000 names.\nsite0.example.com, site1.example.com, ")
    assert "and 1990 more.\nThe CA is down.\nWait." in told.text
    assert "And 500 more; `gatelodge events` shows them all." in told.text
    assert len(told.text) <= LONGEST_TEXT


def test_one_is_told_by_its_name() -> None:
    """
    What, why, what to do.
    """
    told = message(full(news()), NOW, host="gate1")

    assert told.title == "gate1: no new certificate for wiki.example.com"
    assert told.text == "No new certificate for wiki.example.com.\nThe CA is down.\nWait."
    assert told.level is Level.ERROR


def test_several_kinds_are_one_message_the_gravest_first() -> None:
    """
    Its title says how many more there are.
    """
    other = news(kind="x", level=Level.INFO)
    told = message(full(other, news("shop.example.com")), NOW, host="gate1")

    assert told.title == "gate1: no new certificate for shop.example.com (and 1 more)"
    assert told.text.index("shop.example.com") < told.text.index("wiki.example.com")


def test_titles_are_short_whatever_the_names() -> None:
    """
    A long host name and a long subject.
    """
    told = message(full(news("x" * 200), news(kind="y")), NOW, host="h" * 64)

    assert len(told.title) <= LONGEST_TITLE


def test_few_messages_an_hour() -> None:
    """
    When that many were sent, the next waits until the first of them is an hour ago, with all that comes meanwhile.
    """
    box = Box(after=1)
    for number in range(MOST_AN_HOUR):
        box = sent(add(box, [news()]), NOW + number * MINUTE)
    later = NOW + 10 * MINUTE

    assert send_at(add(box, [news(at=later)]), later) == NOW + HOUR
    assert send_at(add(box, [news(at=NOW + 2 * HOUR)]), NOW + 2 * HOUR) == NOW + 2 * HOUR + GATHER


def test_a_service_that_is_down_is_tried_for_hours() -> None:
    """
    Less and less often, at last every hour; then it is given up, and what was said stays said.
    """
    box, now, tries = dataclasses.replace(full(news()), said={"certificate:x": ("dns",)}), NOW, 0
    while box.waiting:
        box = failed(box, now, spread=0.5)
        tries += 1
        if box.waiting:
            at = send_at(box, now)
            assert at is not None
            assert MINUTE <= at - now <= HOUR * 1.2
            now = at

    assert GIVE_UP <= now - NOW <= GIVE_UP + 2 * HOUR
    assert 10 <= tries <= 25
    assert box == Box(after=1, said={"certificate:x": ("dns",)})


def test_a_clock_that_jumped_back_holds_nothing_back() -> None:
    """
    A failure that lies ahead was dated by a clock that was wrong.
    """
    box = failed(full(news(at=NOW - 9 * HOUR)), NOW + 1000 * HOUR, spread=0)

    at = send_at(box, NOW)
    assert at is not None
    assert at <= NOW


def test_old_news_is_summed_up() -> None:
    """
    What is older than a day is one line, beside what is not.
    """
    old = [news(f"site{number}.example.com", at=NOW - 48 * HOUR) for number in range(20)]
    told = message(full(*old, news()), NOW, host="gate1")

    assert told.text.startswith("No new certificate for wiki.example.com.")
    assert "Not told before, since 2025-12-30 12:00 UTC: no new certificate for site0.example.com; " in told.text
    assert told.text.endswith("; and 10 more.")
    assert message(full(*old), NOW, host="gate1").title == "gate1: 20 older messages"
