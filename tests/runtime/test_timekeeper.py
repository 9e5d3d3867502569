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
from gatelodge.runtime.timekeeper import Timekeeper

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


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
async def test_who_is_believed(date: dt.datetime | None, newest: dt.datetime | None, *, doubted: bool) -> None:
    """
    Within an hour of the CA the clock is believed, whatever is stored.
    """
    keeper = Timekeeper(clock=FakeClock(), events=Recorder(), newest_event=newest)
    await keeper.compare([saying(date)], every=12 * HOUR)

    assert (keeper.doubt is not None) == doubted


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


class Gate:
    """
    A machine's clock, and a keeper that is asked to compare it every minute while it wants to, without an answer.
    """

    def __init__(self, *, newest_event: dt.datetime | None = None) -> None:
        self.clock, self.events = FakeClock(), Recorder()
        self.keeper = Timekeeper(clock=self.clock, events=self.events, newest_event=newest_event)

    async def ask(self, *dates: dt.datetime | None) -> bool:
        """
        Compare once, and tell whether the clock is doubted.
        """
        await self.keeper.compare([saying(date) for date in dates], every=12 * HOUR)
        return self.keeper.doubt is not None

    async def live(self, span: dt.timedelta, *, alone: bool = False) -> dt.timedelta:
        """
        Let time pass while no CA answers, or none is there (`alone`). Returns for how long the clock was doubted.
        """
        doubted = dt.timedelta(0)
        for _ in range(span // dt.timedelta(minutes=1)):
            self.keeper.look()
            if self.keeper.due:
                await self.ask(*(() if alone else (None,)))
            doubted += dt.timedelta(minutes=1) if self.keeper.doubt else dt.timedelta(0)
            await self.clock.advance(60)
        return doubted


async def test_what_a_ca_said_decides_while_none_answers() -> None:
    """
    A clock that is wrong is not right because the network went away; one that is right stays so; and one that is set right is believed at once.
    """
    gate = Gate()
    assert await gate.ask(START - 10 * DAY)
    assert await gate.live(3 * HOUR) == 3 * HOUR
    assert gate.keeper.doubt is not None
    assert (
        "by what a CA said before it is 2025-12-22 03:00" in gate.keeper.doubt.reason
        or "CA said" in gate.keeper.doubt.reason
    )

    gate.clock.time -= 10 * DAY

    assert await gate.live(30 * HOUR) == dt.timedelta(0)
    assert gate.events.names() == ["clock.doubted", "clock.trusted"]


async def test_no_doubt_is_for_ever_where_nobody_answers() -> None:
    """
    A CA whose own clock is wrong, and is gone: after a day the clock is taken as it is. At once, when no CA is left in the configuration.
    """
    gate = Gate()
    assert await gate.ask(START - 10 * DAY)
    assert DAY <= await gate.live(5 * DAY) <= DAY + dt.timedelta(minutes=2)
    assert gate.events.names() == ["clock.doubted", "clock.trusted"]

    gate = Gate()
    assert await gate.ask(START - 10 * DAY)
    assert await gate.live(DAY, alone=True) <= dt.timedelta(minutes=1)
    gate.clock.time += 20000 * DAY
    assert await gate.live(DAY, alone=True) == dt.timedelta(0)


async def test_a_clock_that_was_set_while_no_ca_answers_is_doubted_for_an_hour() -> None:
    """
    Nobody can say whether it is right. Each time anew, whatever was doubted before; and it is compared soon after that.
    """
    gate = Gate()
    assert not await gate.ask(START)
    for _ in range(3):
        gate.clock.time += DAY

        assert HOUR <= await gate.live(7 * HOUR) <= HOUR + dt.timedelta(minutes=2)

    assert gate.events.names() == ["clock.doubted", "clock.trusted"] * 3

    gate = Gate()
    assert await gate.ask(START - 10 * DAY)
    assert await gate.live(2 * HOUR) == 2 * HOUR

    gate.clock.time += 100 * DAY

    assert HOUR <= await gate.live(7 * HOUR) <= HOUR + dt.timedelta(minutes=2)
    assert await gate.ask(START)


@pytest.mark.parametrize("answers", [True, False])
async def test_who_believed_a_clock_without_a_ca_asks_again_soon(*, answers: bool) -> None:
    """
    In an hour, in place of the twelve that a CA's word is good for.
    """
    gate = Gate()
    assert not await gate.ask(START)
    gate.clock.time += DAY
    await gate.live(HOUR + dt.timedelta(minutes=2))
    if answers:
        assert not await gate.ask(gate.clock.now())
    assert gate.keeper.doubt is None
    await gate.clock.advance(3600)

    assert gate.keeper.due is not answers


async def test_what_was_done_in_the_future_is_doubted_once() -> None:
    """
    It says the same for ever, and so would we.
    """
    gate = Gate(newest_event=START + 1000 * DAY)

    assert HOUR <= await gate.live(2 * DAY) <= HOUR + dt.timedelta(minutes=2)
    assert gate.events.names() == ["clock.doubted", "clock.trusted"]


async def test_a_machine_that_slept_was_not_set() -> None:
    """
    Both clocks go on while it is suspended.
    """
    gate = Gate()
    assert not await gate.ask(START)
    await gate.clock.advance(8 * 3600)

    assert await gate.live(13 * HOUR) == dt.timedelta(0)


async def test_a_ca_of_the_year_9999_is_borne() -> None:
    """
    Its Date is one that Python can say, and later ones are not.
    """
    gate = Gate()
    assert await gate.ask(dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC))
    await gate.live(3 * HOUR)

    assert gate.keeper.doubt is None
