"""
Writes times and sizes as nginx reads them (https://nginx.org/en/docs/syntax.html). It knows no directive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt


def seconds(duration: dt.timedelta) -> str:
    """
    Write a duration: in seconds, or in milliseconds when it has a part of one. Nothing is written as no time at all.
    """
    whole = duration.total_seconds()
    return f"{int(whole)}s" if whole == int(whole) else f"{max(1, int(whole * 1000))}ms"
