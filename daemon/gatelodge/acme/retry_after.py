"""
Reads `Retry-After` and `Date` (RFC 9110 §10.2.3, §6.6.1). Pure.

A time without a zone is UTC, whatever the machine's own zone is: read as local time, a wait in Asia/Shanghai would be eight
hours wrong.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatelodge.ports import HttpResponse

#: The longest wait that is believed. Some windows are longer (Let's Encrypt: a week, https://letsencrypt.org/docs/rate-limits/);
#: to be refused once a day costs less than a certificate that expires because a server said a month.
LONGEST = dt.timedelta(days=1)

_SECONDS = re.compile(r"[0-9]+", re.ASCII)
_MOST_DIGITS = 10


def of_answer(response: HttpResponse, *, now: dt.datetime) -> dt.timedelta | None:
    """
    Return how long an answer asks to wait; None when it does not say, or not in a way that can be read.

    A date is counted from the answer's own `Date` where it has one, so that a wrong clock of ours does not matter.
    """
    value = response.header("retry-after")
    return None if value is None else parse(value, now=date_of(response) or now)


def parse(value: str, *, now: dt.datetime) -> dt.timedelta | None:
    """
    Return a `Retry-After` value as a duration from `now`, between nothing and `LONGEST`.
    """
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return LONGEST if len(text) > _MOST_DIGITS else min(dt.timedelta(seconds=int(text)), LONGEST)
    at = http_date(text)
    return None if at is None else min(max(at - now, dt.timedelta(0)), LONGEST)


def date_of(response: HttpResponse) -> dt.datetime | None:
    """
    Return an answer's `Date`.
    """
    return http_date(response.header("date") or "")


def http_date(text: str) -> dt.datetime | None:
    """
    Return an HTTP-date as an aware time in UTC; None when it is none.
    """
    try:
        parsed = email.utils.parsedate_to_datetime(text)
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)
        return aware.astimezone(dt.UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
