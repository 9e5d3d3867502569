"""
Doubts the clock: a machine without one of its own starts in the past, and an hour of error makes certificates look fresh or
dead.

The CA's Date decides whenever it can be had. Within an hour of it the clock is believed, whatever is stored. Further off,
issuance and expiry judgements pause and the CA is asked again every minute. While none answers, the time by what the last one said decides,
for a day. A clock that was set to something else, or that is before the newest stored event, is doubted for an hour. Then it is taken as it is:
nobody can be asked, and the LAN's own names and alarms cannot wait for ever. All of it is forgotten with the process.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import TYPE_CHECKING

from gatelodge.core.observed import Doubt
from gatelodge.errors import GatelodgeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from gatelodge.ports import Clock, Events

TOLERANCE = dt.timedelta(hours=1)
ASK_AGAIN = dt.timedelta(minutes=1)


class _Why(enum.Enum):
    """
    What a doubt stands on.
    """

    SAYS = enum.auto()
    SAID = enum.auto()
    SET = enum.auto()
    BEHIND = enum.auto()


#: How long a doubt may last that no CA is there to ask about.
_LONGEST: Mapping[_Why, dt.timedelta] = {
    _Why.SAID: dt.timedelta(days=1),
    _Why.SET: dt.timedelta(hours=1),
    _Why.BEHIND: dt.timedelta(hours=1),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """
    A CA's time, and ours when it said so: seconds by which they are before the clock that nobody sets.
    """

    right: float
    ours: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Unsure:
    """
    A doubt, what our clock showed then (as `_Answer.ours`), and since when.
    """

    why: _Why
    ours: float
    since: float


class Timekeeper:
    """
    Holds the present doubt. Before the first look it doubts for as long as that look takes.
    """

    def __init__(self, *, clock: Clock, events: Events, newest_event: dt.datetime | None) -> None:
        self._clock = clock
        self._events = events
        self._newest_event = newest_event
        self._answer: _Answer | None = None
        self._believed: float | None = None
        self._unsure: _Unsure | None = None
        self._compared = self._offset()
        self.doubt: Doubt | None = Doubt(reason="the clock was not compared yet", until=clock.now() + ASK_AGAIN)
        self._due_at = clock.monotonic()

    @property
    def due(self) -> bool:
        """
        Tell whether the clock should be compared now: it never was, the time to ask again has come, or it was set.
        """
        return _apart(self._offset(), self._compared) or self._clock.monotonic() >= self._due_at

    def look(self) -> None:
        """
        Doubt a clock that was set since it was compared, until it is compared again.
        """
        if self.doubt is None and _apart(self._offset(), self._compared):
            reason = "the clock was set and not compared yet"
            self.doubt = Doubt(reason=reason, until=self._clock.now() + ASK_AGAIN)

    async def compare(self, dates: Sequence[Callable[[], Awaitable[dt.datetime]]], *, every: dt.timedelta) -> None:
        """
        Ask the first CA that answers for its time, and judge.

        Args:
            every: how long a believed clock is left alone.
        """
        date = await _first_answer(dates)
        now, self._compared = self._clock.now(), self._offset()
        if date is not None:
            self._answer = _Answer(right=date.timestamp() - self._clock.monotonic(), ours=self._compared)
        elif not dates:  # nobody will ever answer
            self._answer = self._believed = None
        found = _wrong(now, date) if date is not None else self._without_answer(now)
        if found is not None and date is None and self._lasts_too_long(found[0]):
            self._answer = self._newest_event = found = None
        was_told, sure = self._unsure is not None, date is not None or self._answer is not None
        if found is None:
            if was_told:
                self._events.emit("clock.trusted")
            self.doubt, self._unsure, self._believed = None, None, self._compared
            alone = every if sure or not dates else min(every, _LONGEST[_Why.SET])
            self._due_at = self._clock.monotonic() + alone.total_seconds()
            return
        why, reason = found
        if not was_told:
            self._events.emit("clock.doubted", level="warning", reason=reason)
        if self._unsure is None or self._is_another(why, self._unsure):
            self._unsure = _Unsure(why=why, ours=self._compared, since=self._clock.monotonic())
        self.doubt = Doubt(reason=reason, until=now + ASK_AGAIN)
        self._due_at = self._clock.monotonic() + ASK_AGAIN.total_seconds()

    def _without_answer(self, now: dt.datetime) -> tuple[_Why, str] | None:
        said = self._remembered()
        if said is not None and _wrong(now, said) is None:
            return None
        if said is not None and self._answer is not None and not _apart(self._answer.ours, self._compared):
            told = f"this machine's clock says {_text(now)}, and by what a CA said before it is {_text(said)}; set the clock (NTP)"
            return _Why.SAID, told
        if said is not None or (self._believed is not None and _apart(self._believed, self._compared)):
            set_to = f"this machine's clock was set to {_text(now)}"
            return (
                _Why.SET,
                f"{set_to}, and no CA answers that could say whether it is right; it is believed when one does, or in an hour",
            )
        if self._newest_event is not None and now < self._newest_event:
            done = f"something was done here at {_text(self._newest_event)}"
            return _Why.BEHIND, f"this machine's clock says {_text(now)}, but {done}; set the clock (NTP)"
        return None

    def _remembered(self) -> dt.datetime | None:
        """
        Return the time by what a CA said last.
        """
        if self._answer is None:
            return None
        try:
            return dt.datetime.fromtimestamp(self._answer.right + self._clock.monotonic(), dt.UTC)
        except (ValueError, OverflowError):  # it said the year 9999
            return None

    def _lasts_too_long(self, why: _Why) -> bool:
        unsure = self._unsure
        if unsure is None or self._is_another(why, unsure):
            return False
        return self._clock.monotonic() - unsure.since >= _LONGEST[why].total_seconds()

    def _is_another(self, why: _Why, unsure: _Unsure) -> bool:
        return why is not unsure.why or _apart(unsure.ours, self._compared)

    def _offset(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()


def _wrong(now: dt.datetime, date: dt.datetime) -> tuple[_Why, str] | None:
    """
    Say that a clock is wrong by a CA's Date, or None.
    """
    if abs(now - date) <= TOLERANCE:
        return None
    return _Why.SAYS, f"this machine's clock says {_text(now)}, the CA's says {_text(date)}; set the clock (NTP)"


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
