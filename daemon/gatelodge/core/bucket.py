"""
How full a bucket is: a token bucket, as CAs keep them, by a clock that may be wrong.

It refills with the latest time that our clock has shown, within what is believed of it: a time further ahead was written by a clock that was
wrong, and means now. What refills slowly counts only as far as it has refilled by any clock that we believe. What is counted, and for whom, is
decided in `charges`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatelodge.core.limits import Limit

#: No CA closes for longer than it counts; a later time was written by a clock that was wrong.
LONGEST = dt.timedelta(days=30)

#: Our clock is believed within an hour of the CA's (`runtime.timekeeper`), so that it may have gone two hours further since any moment.
#: What refills more often than that is not held up by it: a request that is refused costs less than the wait.
_DOUBT = dt.timedelta(hours=2)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """
    How full a bucket was at a time, and since when it has not been full. `closed_until` is what the CA itself said when it refused, if it did.
    """

    left: float
    at: dt.datetime
    since: dt.datetime
    closed_until: dt.datetime | None = None


def _refill(limit: Limit) -> dt.timedelta:
    """
    Return how long it takes until one more is there.
    """
    return limit.period / limit.count


def _doubt(limit: Limit) -> dt.timedelta:
    """
    Return how much of the time that our clock says has passed may not have.
    """
    return _DOUBT if _refill(limit) > _DOUBT else dt.timedelta(0)


def _refilled(limit: Limit, level: Level, now: dt.datetime) -> float:
    """
    Return what a bucket that has no rim would hold. It refills with the latest time that our clock has shown: when it goes to and fro, what it
    showed before is no new time.
    """
    return max(0.0, level.left) + max(dt.timedelta(0), now - level.at) / _refill(limit)


def certain(limit: Limit, level: Level | None, now: dt.datetime) -> float:
    """
    Return what a bucket that has no rim would hold by any clock that we believe; less than nothing when it was taken on doubtful time.
    """
    if level is None:
        return float(limit.count)
    level = sensible(limit, level, now)
    doubted = min(_doubt(limit), max(level.at, now) - level.since) / _refill(limit)
    return _refilled(limit, level, now) - doubted


def changed(limit: Limit, before: Level | None, now: dt.datetime, *, by: float = 0) -> Level:
    """
    Return how full a bucket is now, with so much put in.
    """
    full = certain(limit, before, now) + max(0.0, by) >= limit.count
    before = Level(left=float(limit.count), at=now, since=now) if before is None else sensible(limit, before, now)
    left = min(float(limit.count), max(0.0, min(float(limit.count), _refilled(limit, before, now)) + by))
    latest = max(before.at, now)
    return dataclasses.replace(before, left=left, at=latest, since=latest if full else before.since)


def when(limit: Limit, level: Level, now: dt.datetime, wanted: float) -> dt.datetime:
    """
    Return when so many are left by any clock that we believe: now, when they are.
    """
    if certain(limit, level, now) >= wanted:
        return now
    level = sensible(limit, level, now)
    # Until then nothing refills that would be believed.
    growing = max(now, level.at, level.since + _doubt(limit))
    return growing + max(0.0, wanted - certain(limit, level, growing)) * _refill(limit)


def sensible(limit: Limit, level: Level, now: dt.datetime) -> Level:
    """
    Return a level without what only a wrong clock can have written.
    """
    at, closed_until = min(level.at, now + _doubt(limit)), sensible_closure(level.closed_until, now)
    since = min(level.since, at)
    if (at, since, closed_until) == (level.at, level.since, level.closed_until):
        return level
    return Level(left=level.left, at=at, since=since, closed_until=closed_until)


def sensible_closure(until: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
    """
    Return when a CA opens again, None when that is over, or was written by a clock that was wrong.
    """
    return until if until is not None and now < until <= now + LONGEST else None
