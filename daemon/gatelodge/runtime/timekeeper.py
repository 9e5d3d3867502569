"""
Doubts the clock: a machine without one of its own starts in the past, and an hour of error makes certificates look fresh or
dead.

The CA's Date decides whenever it can be had. Within an hour of it the clock is believed, whatever is stored. Further off,
issuance and expiry judgements pause and the CA is asked again every minute. While no CA answers, what the last one said holds for as long as
nobody sets the clock. A clock that was set since, or a time before the newest stored event, pauses too, for one hour at most: nobody can be
asked.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.core.observed import Doubt
from gatelodge.errors import GatelodgeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gatelodge.ports import Clock, Events

TOLERANCE = dt.timedelta(hours=1)
ASK_AGAIN = dt.timedelta(minutes=1)
LONGEST_PAUSE_WITHOUT_CA = dt.timedelta(hours=1)


def judge(*, now: dt.datetime, date: dt.datetime | None, newest_event: dt.datetime | None) -> str | None:
    """
    Say why the clock is doubted, or None.

    Args:
        date: the CA's time, None when it cannot be had.
        newest_event: when the last event was written down.
    """
    if date is not None:
        if abs(now - date) <= TOLERANCE:
            return None
        return f"this machine's clock says {_text(now)}, the CA's says {_text(date)}; set the clock (NTP)"
    if newest_event is not None and now < newest_event:
        return (
            f"this machine's clock says {_text(now)}, but something was done here at {_text(newest_event)}; "
            "set the clock (NTP)"
        )
    return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """
    A CA's time, and ours when it said so: seconds by which they are before the clock that nobody sets.
    """

    right: float
    ours: float


class Timekeeper:
    """
    Holds the present doubt. Before the first look it doubts for as long as that look takes.
    """

    def __init__(self, *, clock: Clock, events: Events, newest_event: dt.datetime | None) -> None:
        self._clock = clock
        self._events = events
        self._newest_event = newest_event
        self._paused_since: float | None = None
        self._offset = self._wall_offset()
        self._answer: _Answer | None = None
        self.doubt: Doubt | None = Doubt(reason="the clock was not compared yet", until=clock.now() + ASK_AGAIN)
        self._due_at = clock.monotonic()

    @property
    def due(self) -> bool:
        """
        Tell whether the clock should be compared now: it never was, the time to ask again has come, or it was set.
        """
        return self._was_set() or self._clock.monotonic() >= self._due_at

    def look(self) -> None:
        """
        Doubt a clock that was set since it was compared, until it is compared again.
        """
        if self.doubt is None and self._was_set():
            reason = "the clock was set and not compared yet"
            self.doubt = Doubt(reason=reason, until=self._clock.now() + ASK_AGAIN)

    async def compare(self, dates: Sequence[Callable[[], Awaitable[dt.datetime]]], *, every: dt.timedelta) -> None:
        """
        Ask the first CA that answers for its time, and judge.

        Args:
            every: how long a believed clock is left alone.
        """
        date = await _first_answer(dates)
        now, self._offset = self._clock.now(), self._wall_offset()
        if date is not None:
            self._answer = _Answer(right=date.timestamp() - self._clock.monotonic(), ours=self._offset)
        else:
            date = self._remembered()
        reason = self._judge(now, date)
        if reason is not None and date is None and self._paused_long_enough():
            self._answer = reason = None
        told = self.doubt.reason if self.doubt is not None and self._paused_since is not None else None
        if reason is None:
            if told is not None:
                self._events.emit("clock.trusted")
            self.doubt, self._paused_since = None, None
            alone = every if date is not None or not dates else min(every, LONGEST_PAUSE_WITHOUT_CA)
            self._due_at = self._clock.monotonic() + alone.total_seconds()
            return
        if told is None:
            self._events.emit("clock.doubted", level="warning", reason=reason)
            self._paused_since = self._clock.monotonic()
        self.doubt = Doubt(reason=reason, until=now + ASK_AGAIN)
        self._due_at = self._clock.monotonic() + ASK_AGAIN.total_seconds()

    def _remembered(self) -> dt.datetime | None:
        """
        Return the time by what a CA said before, unless the clock was set since: that may have been what it needed.
        """
        said = self._answer
        if said is None or _apart(said.ours, self._offset):
            return None
        return dt.datetime.fromtimestamp(said.right + self._clock.monotonic(), dt.UTC)

    def _judge(self, now: dt.datetime, date: dt.datetime | None) -> str | None:
        if date is None and self._answer is not None:
            return f"this machine's clock was set to {_text(now)}, and no CA answers that could say whether it is right"
        return judge(now=now, date=date, newest_event=self._newest_event)

    def _paused_long_enough(self) -> bool:
        since = self._paused_since
        return since is not None and self._clock.monotonic() - since >= LONGEST_PAUSE_WITHOUT_CA.total_seconds()

    def _was_set(self) -> bool:
        return _apart(self._wall_offset(), self._offset)

    def _wall_offset(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()


def _apart(one: float, other: float) -> bool:
    return abs(one - other) > TOLERANCE.total_seconds() / 2


async def _first_answer(dates: Sequence[Callable[[], Awaitable[dt.datetime]]]) -> dt.datetime | None:
    for ask in dates:
        try:
            return await ask()
        except GatelodgeError:
            continue
    return None


def _text(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
