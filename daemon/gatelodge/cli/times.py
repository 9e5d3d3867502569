"""
Tells times as people say them: "in 23 days", "3 hours ago", "0:42". Pure.
"""

from __future__ import annotations

import datetime as dt

#: The units that are named, largest first. Seconds.
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))

_HOUR, _MINUTE = 3600, 60


def moment(text: str | None) -> str:
    """
    Return a time as a person reads it: local, to the minute.
    """
    return dt.datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M") if text else ""


def day(text: str | None) -> str:
    """
    Return the local day of a time.
    """
    return moment(text)[:10]


def seconds(text: str, now: str) -> float:
    """
    Return how long after `now` a time is.
    """
    return (dt.datetime.fromisoformat(text) - dt.datetime.fromisoformat(now)).total_seconds()


def span(length: float) -> str:
    """
    Return a length of time in the largest unit of which there is one: "23 days". Less than a second counts as none.
    """
    whole = abs(int(length))
    size, unit = next(((size, unit) for size, unit in _UNITS if whole >= size), _UNITS[-1])
    number = whole // size
    return f"{number} {unit}{'' if number == 1 else 's'}"


def relative(text: str | None, now: str) -> str:
    """
    Return a time as a distance from now: "in 12 days", "3 hours ago", "now".
    """
    if not text:
        return ""
    distance = seconds(text, now)
    if abs(distance) < 1:
        return "now"
    return f"in {span(distance)}" if distance > 0 else f"{span(distance)} ago"


def stopwatch(length: float) -> str:
    """
    Return how long something goes on: 0:42, 1:02:03.
    """
    whole = max(int(length), 0)
    hours, rest = divmod(whole, _HOUR)
    minutes, left = divmod(rest, _MINUTE)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
