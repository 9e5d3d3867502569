"""
Decides when a certificate is renewed: always by a fraction of its life, never by days.

Lifetimes shrink (Let's Encrypt: 90 days, 45 from 2028, 160 hours for `shortlived`); a rule in days would be wrong for one of
them. Source of the fractions: https://letsencrypt.org/docs/integration-guide/ ("renew when one third of the lifetime is left,
one half below 10 days").
"""

from __future__ import annotations

import datetime as dt

#: A certificate that lives shorter than this is renewed at half of its life.
SHORT_LIFE = dt.timedelta(days=10)

LEFT = 1 / 3
LEFT_WHEN_SHORT = 1 / 2

#: How long an unused certificate is kept after it expired.
KEEP_UNUSED = dt.timedelta(days=30)

#: The share of its life that a certificate has left when people are told that it is expiring: renewal should have happened.
ALARMS = (1 / 4, 1 / 8, 1 / 16)


def renew_at(*, not_before: dt.datetime, not_after: dt.datetime) -> dt.datetime:
    """
    Return the moment from which a certificate is due for renewal.
    """
    life = not_after - not_before
    left = LEFT_WHEN_SHORT if life < SHORT_LIFE else LEFT
    return not_after - life * left


def alarm(*, not_before: dt.datetime, not_after: dt.datetime, now: dt.datetime) -> int:
    """
    Return how many of the alarm levels a certificate has passed: 0 while all is well, `len(ALARMS) + 1` once it has expired.
    """
    if now >= not_after:
        return len(ALARMS) + 1
    life = not_after - not_before
    return sum(not_after - now <= life * share for share in ALARMS)
