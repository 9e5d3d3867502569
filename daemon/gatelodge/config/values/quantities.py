"""
Decides how times and sizes are written: `"90s"`, `"1h30m"`, `"10m"`, `"0"`.
"""

from __future__ import annotations

import datetime as dt
import re

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable

DURATION = r"([0-9]{1,6}d)?([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,9}s)?"
SIZE = r"([0-9]{1,15})([kKmMgG]?)"

#: nginx counts times in milliseconds in a machine word, which on a 32-bit machine ends after 24.8 days
#: (https://nginx.org/en/docs/syntax.html, ngx_parse_time in its source).
LONGEST = dt.timedelta(days=24)

_SECONDS = (86400, 3600, 60, 1)
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

#: One pebibyte: whoever writes more has mistaken the unit.
_LARGEST = 1 << 50


def duration(text: str, *, least: dt.timedelta = dt.timedelta(seconds=1), most: dt.timedelta = LONGEST) -> dt.timedelta:
    """
    Read a length of time in days, hours, minutes and seconds.

    Raises:
        Unreadable: it is not one, or outside the bounds.
    """
    found = re.fullmatch(DURATION, text)
    if not text or found is None:
        raise Unreadable(f"{quoted(text)} is not a duration", 'write a number with its unit: "90s", "12h", "1h30m"')
    seconds = sum(int(part[:-1]) * unit for part, unit in zip(found.groups(), _SECONDS, strict=True) if part)
    length = dt.timedelta(seconds=seconds)
    if not least <= length <= most:
        raise Unreadable(
            f"{quoted(text)} is too {'short' if length < least else 'long'}",
            f'write at least "{_written(least)}" and at most "{_written(most)}"',
        )
    return length


def size(text: str) -> int:
    """
    Read a number of bytes, with k, m or g for 1024, 1024² or 1024³ of them; 0 has no limit.

    Raises:
        Unreadable: it is not one.
    """
    found = re.fullmatch(SIZE, text)
    if found is None:
        raise Unreadable(f"{quoted(text)} is not a size", 'write "10m", "2g", or "0" for no limit')
    number = int(found[1]) * _BYTES[found[2].lower()]
    if number > _LARGEST:
        raise Unreadable(f"{quoted(text)} is more than anybody sends", 'write "0" for no limit')
    return number


def _written(length: dt.timedelta) -> str:
    """
    Write a bound in its largest whole unit.
    """
    seconds = int(length.total_seconds())
    unit, name = next((unit, name) for unit, name in zip(_SECONDS, "dhms", strict=True) if seconds % unit == 0)
    return f"{seconds // unit}{name}"
