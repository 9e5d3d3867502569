"""
Decides whether a CA can be asked within its rate limits, and when it can be otherwise: token buckets, as CAs keep them.

What a CA allows is data (`limits`). Our count is a lower bound of what is left: others may share the account or the domain, so a
429 of the CA's own always wins, and is remembered until the time that it names. A bucket is spent before the request is sent:
what we do not know to have failed is counted as done. How full a bucket is, by a clock that jumps, stands in `bucket`; which
ones an order takes from, in `charges`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

from gatelodge.core import bucket
from gatelodge.core.bucket import Level
from gatelodge.core.charges import set_of
from gatelodge.core.limits import Counted, Limit, told
from gatelodge.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gatelodge.core.charges import Bucket
    from gatelodge.model import JsonObject, Name

#: The type of the problem that stands for an empty bucket.
SHORT = "budget"

#: A CA that refuses and does not say for how long is left alone for this long.
UNSAID = dt.timedelta(hours=1)

#: A set of names whose last certificate is older than that was certified by nobody whom its CA remembers.
_REMEMBERED = dt.timedelta(days=400)

#: What counts as one: fractions of a bucket are sums of fractions.
_ONE = 1 - 1e-6


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """
    A bucket that is empty, or that the CA closed, and when it can be asked of again.
    """

    limit: Limit
    whose: str
    until: dt.datetime
    closed: bool

    def problem(self, ca: str, now: dt.datetime) -> Problem:
        """
        Return it as why an issuance failed.
        """
        of = f" for {self.whose}" if self.whose else ""
        when = f"{self.until:%Y-%m-%d %H:%M} UTC"
        if self.closed:
            what = f"{ca} refused before: it allows {told(self.limit)}{of}, and asked to be left alone until {when}"
        else:
            what = f"{ca} allows {told(self.limit)}{of}, and none is left by our own count; the next is free at {when}"
        remedy = "" if self.closed else "; `gatelodge renew --force` asks it all the same"
        detail = f"{what} ({self.limit.source}); the CA was not asked{remedy}"
        return Problem(type=SHORT, detail=detail, retry_after=max(self.until - now, dt.timedelta(0)))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """
    What is left at one CA. A bucket that is not there is full. `certified` are the sets of names that we have had certificates for,
    with the time of the last: to order one again is a renewal.
    """

    limits: tuple[Limit, ...]
    levels: Mapping[Bucket, Level] = dataclasses.field(default_factory=dict)
    certified: Mapping[str, dt.datetime] = dataclasses.field(default_factory=dict)

    def shortage(self, costs: Iterable[Bucket], now: dt.datetime) -> Shortage | None:
        """
        Return what is missing, the longest wait first; None when all can be paid.
        """
        missing = [each for cost in costs if (each := self._missing(cost, now))]
        return max(missing, key=lambda each: each.until, default=None)

    def closure(self, costs: Iterable[Bucket], now: dt.datetime) -> Shortage | None:
        """
        Return what the CA itself has closed, whatever our own count is.
        """
        missing = [each for cost in costs if (each := self._closed(cost, now))]
        return max(missing, key=lambda each: each.until, default=None)

    def spend(self, costs: Iterable[Bucket], now: dt.datetime) -> Budget:
        """
        Take one out of each bucket. One that is empty stays so: it was known, and asked for all the same.
        """
        return self._changed(costs, now, by=-1)

    def give_back(self, costs: Iterable[Bucket], now: dt.datetime) -> Budget:
        """
        Put one into each bucket again: what it was taken for is known not to have been done.
        """
        return self._changed(costs, now, by=1)

    def postpone(self, costs: Iterable[Bucket], now: dt.datetime) -> Budget:
        """
        Take what was taken before as taken now: a bucket that was full before has not refilled since.
        """
        listed = tuple(costs)
        return self.give_back(listed, now).spend(listed, now)

    def close(self, costs: Iterable[Bucket], now: dt.datetime, *, until: dt.datetime) -> Budget:
        """
        Remember that the CA refused until a time.
        """
        levels = dict(self.levels)
        for cost in costs:
            limit = self._limit(cost)
            if limit is not None:
                levels[cost] = dataclasses.replace(
                    bucket.changed(limit, levels.get(cost), now), closed_until=min(until, now + bucket.LONGEST)
                )
        return dataclasses.replace(self, levels=levels)

    def certify(self, names: Iterable[Name], now: dt.datetime) -> Budget:
        """
        Remember that there was a certificate for these names.
        """
        return dataclasses.replace(self, certified={**self.certified, set_of(names): now})

    def left(self, cost: Bucket, now: dt.datetime) -> int | None:
        """
        Return how many are left in a bucket, None when nothing limits it.
        """
        limit = self._limit(cost)
        if limit is None:
            return None
        if self._closed(cost, now):
            return 0
        return int(min(limit.count, max(0.0, bucket.certain(limit, self.levels.get(cost), now))))

    def settled(self, now: dt.datetime) -> Budget:
        """
        Forget the buckets that are full again, so that what is kept does not grow for ever; and what only a wrong clock can have
        written: a bucket that was last touched in the future was touched now.
        """
        kept = {
            cost: bucket.sensible(limit, level, now)
            for cost, level in self.levels.items()
            if (limit := self._limit(cost)) is not None
        }
        kept = {
            cost: level
            for cost, level in kept.items()
            if (limit := self._limit(cost)) is not None
            and (bucket.certain(limit, level, now) < limit.count or level.closed_until is not None)
        }
        certified = {each: at for each, at in self.certified.items() if now - at < _REMEMBERED}
        return dataclasses.replace(self, levels=kept, certified=certified)

    def shown(self, now: dt.datetime) -> Iterator[JsonObject]:
        """
        Yield the buckets that are not full, as JSON objects for people and programs.
        """
        for cost, level in sorted(self.settled(now).levels.items()):
            limit = self._limit(cost)
            if limit is not None:
                yield {
                    "limit": str(limit.counted),
                    "whose": cost[1],
                    "left": self.left(cost, now),
                    "of": limit.count,
                    "period": limit.period.total_seconds(),
                    "full_at": bucket.when(limit, level, now, limit.count).isoformat(),
                    "closed_until": level.closed_until.isoformat() if level.closed_until else None,
                    "source": limit.source,
                }

    def document(self) -> JsonObject:
        """
        Return it as a JSON object, its limits left out.
        """
        return {
            "buckets": [
                {
                    "counted": counted.name,
                    "whose": whose,
                    "left": level.left,
                    "at": level.at.isoformat(),
                    "since": level.since.isoformat(),
                    "closed_until": level.closed_until.isoformat() if level.closed_until else None,
                }
                for (counted, whose), level in self.levels.items()
            ],
            "certified": {each: at.isoformat() for each, at in self.certified.items()},
        }

    def _changed(self, costs: Iterable[Bucket], now: dt.datetime, *, by: float) -> Budget:
        levels = dict(self.levels)
        for cost in costs:
            limit = self._limit(cost)
            if limit is not None:
                levels[cost] = bucket.changed(limit, levels.get(cost), now, by=by)
        return dataclasses.replace(self, levels=levels)

    def _missing(self, cost: Bucket, now: dt.datetime) -> Shortage | None:
        closed, limit, level = self._closed(cost, now), self._limit(cost), self.levels.get(cost)
        if limit is None or level is None:
            return None
        until = now if bucket.certain(limit, level, now) >= _ONE else bucket.when(limit, level, now, 1)
        if closed is not None and closed.until >= until:
            return closed
        return Shortage(limit=limit, whose=cost[1], until=until, closed=False) if until > now else None

    def _closed(self, cost: Bucket, now: dt.datetime) -> Shortage | None:
        limit, level = self._limit(cost), self.levels.get(cost)
        until = bucket.sensible_closure(level.closed_until, now) if level is not None else None
        return (
            None if limit is None or until is None else Shortage(limit=limit, whose=cost[1], until=until, closed=True)
        )

    def _limit(self, cost: Bucket) -> Limit | None:
        return next((limit for limit in self.limits if limit.counted is cost[0]), None)


def from_document(document: JsonObject, limits: tuple[Limit, ...]) -> Budget:
    """
    Return what was kept. An entry that makes no sense is left out, as if its bucket were full: the CA's own word is heard again soon
    enough, and a certificate that is never renewed would be worse.
    """
    found: dict[str, Any] = dict(document)
    buckets, certified = found.get("buckets"), found.get("certified")
    levels = dict(filter(None, map(_bucket, buckets))) if isinstance(buckets, list) else {}
    sets = {str(each): _time(at) for each, at in certified.items()} if isinstance(certified, dict) else {}
    return Budget(limits=limits, levels=levels, certified={each: at for each, at in sets.items() if at is not None})


def _bucket(entry: Any) -> tuple[Bucket, Level] | None:
    try:
        at, closed_until = _time(entry["at"]), _time(entry.get("closed_until"))
        since = _time(entry.get("since")) or at
        cost = Counted[entry["counted"]], str(entry["whose"])
        left = float(entry["left"])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None
    # No number at all is less than none.
    if at is None or since is None or left != left:  # noqa: PLR0124 - NaN
        return None
    return cost, Level(left=left, at=at, since=min(since, at), closed_until=closed_until)


def _time(value: Any) -> dt.datetime | None:
    try:
        time = dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo is not None else None
