"""
Reads times that were written down, and takes none that cannot be compared with now.
"""

from __future__ import annotations

import datetime as dt


def read(text: object) -> dt.datetime:
    """
    Return a time in UTC, as RFC 3339 and we write it.

    Raises:
        ValueError: it is none, says no offset, or lies outside of what can be counted.
    """
    try:
        moment = dt.datetime.fromisoformat(str(text))
        if moment.tzinfo is not None:
            return moment.astimezone(dt.UTC)
    except OverflowError:
        pass
    raise ValueError(f"{text!r} is no time")
