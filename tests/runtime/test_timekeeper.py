"""
The clock's doubt: the CA's Date decides; without one, what was done before is a warning.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import START, FakeClock
from tests.support.recorder import Recorder

from gatelodge.errors import HttpUnreachable
from gatelodge.runtime.timekeeper import Timekeeper, judge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("date", "newest", "doubted"),
    [
        (START, None, False),
        (START + HOUR, None, False),
        (START - HOUR, START + DAY, False),  # the CA agrees: what is stored was wrong
        (START + HOUR + dt.timedelta(seconds=1), None, True),
        (START - DAY, None, True),
        (None, None, False),
        (None, START - DAY, False),
        (None, START + dt.timedelta(seconds=1), True),
    ],
)
def test_who_is_believed(date: dt.datetime | None, newest: dt.datetime | None, *, doubted: bool) -> None:
    """
    Within an hour of the CA the clock is believed, whatever is stored.
    """
    assert (judge(now=START, date=date, newest_event=newest) is not None) == doubted


def saying(*dates: dt.datetime | None) -> Callable[[], Awaitable[dt.datetime]]:
    """
    Return a CA that says these times one after another; None is a CA that cannot be reached.
    """
    left = list(dates)

    async def ask() -> dt.datetime:
        date = left.pop(0)
        if date is None:
            raise HttpUnreachable("ca.example cannot be reached")
        return date

    return ask


async def test_a_wrong_clock_pauses_and_is_asked_about_every_minute() -> None:
    """
    Doubt begins with one event, is looked into each minute, and ends with one event when the clock was set.
    """
    clock, events = FakeClock(), Recorder()
    keeper = Timekeeper(clock=clock, events=events, newest_event=None)
    ca = saying(START + DAY, START + DAY, START + DAY + HOUR)

    assert keeper.due
    assert keeper.doubt is not None

    await keeper.compare([ca], every=12 * HOUR)

    assert not keeper.due
    assert keeper.doubt.until == clock.now() + dt.timedelta(minutes=1)

    await clock.advance(60)

    assert keeper.due

    await keeper.compare([ca], every=12 * HOUR)
    clock.time = START + DAY  # somebody sets it

    assert keeper.due

    await keeper.compare([ca], every=12 * HOUR)

    assert keeper.doubt is None
    assert not keeper.due
    assert events.names() == ["clock.doubted", "clock.trusted"]


async def test_a_good_clock_is_left_alone() -> None:
    """
    No event, no doubt, and the next look in twelve hours.
    """
    clock, events = FakeClock(), Recorder()
    keeper = Timekeeper(clock=clock, events=events, newest_event=START + DAY)
    await keeper.compare([saying(None), saying(START)], every=12 * HOUR)
    await clock.advance(11 * 3600)

    assert keeper.doubt is None
    assert not keeper.due
    assert events.names() == []

    await clock.advance(3600)

    assert keeper.due


async def test_without_a_ca_the_pause_ends_after_an_hour() -> None:
    """
    A state directory from the future cannot pause a machine without a CA for ever.
    """
    clock, events = FakeClock(), Recorder()
    keeper = Timekeeper(clock=clock, events=events, newest_event=START + 1000 * DAY)
    await keeper.compare([], every=12 * HOUR)
    for _ in range(59):
        await clock.advance(60)
        await keeper.compare([], every=12 * HOUR)

    assert keeper.doubt is not None

    await clock.advance(60)
    await keeper.compare([], every=12 * HOUR)

    assert keeper.doubt is None
    assert events.names() == ["clock.doubted", "clock.trusted"]


async def test_a_clock_that_is_set_is_compared_again() -> None:
    """
    A jump of the wall clock against the monotonic one is noticed.
    """
    clock = FakeClock()
    keeper = Timekeeper(clock=clock, events=Recorder(), newest_event=None)
    await keeper.compare([saying(START)], every=12 * HOUR)
    clock.time -= DAY

    assert keeper.due


async def test_a_clock_that_was_set_is_doubted_until_it_was_compared() -> None:
    """
    Nothing is judged between the jump and the CA's word; a clock that the CA agrees with is believed without an event.
    """
    clock, events = FakeClock(), Recorder()
    keeper = Timekeeper(clock=clock, events=events, newest_event=None)
    await keeper.compare([saying(START)], every=12 * HOUR)
    keeper.look()

    assert keeper.doubt is None

    clock.time += DAY
    keeper.look()

    assert keeper.doubt is not None

    await keeper.compare([saying(START + DAY)], every=12 * HOUR)
    keeper.look()

    assert keeper.doubt is None
    assert events.names() == []


async def test_what_a_ca_said_holds_while_none_answers() -> None:
    """
    A clock that is wrong is not right because the network went away, however long that takes; and one that is right stays so.
    """
    clock, events = FakeClock(), Recorder()
    keeper = Timekeeper(clock=clock, events=events, newest_event=None)
    await keeper.compare([saying(START - 10 * DAY)], every=12 * HOUR)
    for _ in range(90):
        await clock.advance(60)
        await keeper.compare([saying(None)], every=12 * HOUR)

        assert keeper.doubt is not None

    await keeper.compare([saying(clock.now())], every=12 * HOUR)
    await keeper.compare([saying(None)], every=12 * HOUR)

    assert keeper.doubt is None
    assert events.names() == ["clock.doubted", "clock.trusted"]

    await clock.advance(11 * 3600)

    assert not keeper.due


async def test_a_clock_that_was_set_while_no_ca_answers_is_doubted_for_an_hour() -> None:
    """
    Nobody can say whether it is right. It is believed when one does, or after an hour, and compared soon after that.
    """
    for answers in (True, False):
        clock, events = FakeClock(), Recorder()
        keeper = Timekeeper(clock=clock, events=events, newest_event=None)
        await keeper.compare([saying(START)], every=12 * HOUR)
        clock.time += DAY
        for _ in range(60):
            await keeper.compare([saying(None)], every=12 * HOUR)

            assert keeper.doubt is not None
            assert "no CA answers" in keeper.doubt.reason

            await clock.advance(60)

        await keeper.compare([saying(clock.now() if answers else None)], every=12 * HOUR)

        assert keeper.doubt is None
        assert events.names() == ["clock.doubted", "clock.trusted"]

        await clock.advance(3600)

        assert keeper.due is not answers

        await keeper.compare([saying(None)], every=12 * HOUR)

        assert keeper.doubt is None
