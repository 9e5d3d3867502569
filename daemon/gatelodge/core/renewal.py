"""
Decides when a certificate is renewed: always by a fraction of its life, never by days.

Lifetimes shrink (Let's Encrypt: 90 days, 45 from 2028, 160 hours for `shortlived`); a rule in days would be wrong for one of
them. Source of the fractions: https://letsencrypt.org/docs/integration-guide/ ("renew when one third of the lifetime is left,
one half below 10 days").
"""

from __future__ import annotations

import datetime as dt
import functools

#: So many moments are kept in memory.
_KNOWN = 20_000

#: A certificate that lives shorter than this is renewed at half of its life.
SHORT_LIFE = dt.timedelta(days=10)

LEFT = 1 / 3

#: The least time between two certificates of one name, whatever their dates say.
LEAST_REST = dt.timedelta(hours=1)

#: A certificate that begins further ahead than this was dated by a wrong clock, and no visitor trusts it yet.
AHEAD = dt.timedelta(hours=1)
LEFT_WHEN_SHORT = 1 / 2

#: How long an unused certificate is kept after it expired.
KEEP_UNUSED = dt.timedelta(days=30)

#: The share that is gone of the time from when renewal was due to the end, without success, when people are told so; from
#: `SERIOUS` on it is an error.
LATE = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 7 / 8)
SERIOUS = 3

#: The share of its life that a certificate which the user brings has left when he is told that it is expiring.
ALARMS = (1 / 4, 1 / 8, 1 / 16)

#: A certificate that the user brings may live for years, and he needs weeks: nothing is told as if it lived longer than this.
LONGEST_BROUGHT = dt.timedelta(days=120)


def renew_at(*, not_before: dt.datetime, not_after: dt.datetime) -> dt.datetime:
    """
    Return the moment from which a certificate is due for renewal.
    """
    life = not_after - not_before
    left = LEFT_WHEN_SHORT if life < SHORT_LIFE else LEFT
    return not_after - life * left


@functools.lru_cache(maxsize=_KNOWN)
def due_at(*, not_before: dt.datetime, not_after: dt.datetime, stored_at: dt.datetime) -> dt.datetime:
    """
    Return the moment from which a certificate is renewed: as `renew_at`, but never right after it was stored, since the next
    one from a CA that issues them half dead would be due as well. Kept, since every pass wants that of every certificate.
    """
    floor = stored_at + max((not_after - stored_at) * LEFT, LEAST_REST)
    return max(renew_at(not_before=not_before, not_after=not_after), floor)


def alarm(*, not_before: dt.datetime, not_after: dt.datetime, now: dt.datetime, brought: bool = False) -> int:
    """
    Return how many of the alarm levels a certificate has passed: 0 while all is well, `len(ALARMS) + 1` once it has expired.

    Args:
        brought: a person renews it.
    """
    if now >= not_after:
        return len(ALARMS) + 1
    life = not_after - not_before
    if brought:
        life = min(life, LONGEST_BROUGHT)
    return sum(not_after - now <= life * share for share in ALARMS)


def late(*, due: dt.datetime, not_after: dt.datetime, now: dt.datetime) -> int:
    """
    Return how many of the levels of lateness a certificate has passed: 0 while all is well, `len(LATE) + 1` once it has expired.

    Args:
        due: when renewal was due.
    """
    if now >= not_after:
        return len(LATE) + 1
    if now < due or due >= not_after:
        return 0
    return sum(now - due >= (not_after - due) * share for share in LATE)
