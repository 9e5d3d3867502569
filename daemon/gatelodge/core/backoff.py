"""
Decides how long to wait after a failure: literal tables, one for each class of failure.

A refusal by the CA costs its rate limits (Let's Encrypt: 5 failed authorizations per identifier and hour, one back every 12
minutes, https://letsencrypt.org/docs/rate-limits/), so those waits follow its own advice: 1 minute, 10, 100, then once a day
(https://letsencrypt.org/docs/integration-guide/). What never reached the CA costs it nothing and is tried more often: a password that a
person has to mend is tried at his DNS provider, and no CA hears of it.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.core import actions
from gatelodge.core.failures import Failure, classify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.core.observed import Attempt
    from gatelodge.errors import Problem

_MINUTE = dt.timedelta(minutes=1)

#: After a refusal. Elapsed: 1 min, 11 min, 1 h 51 min, then daily.
REFUSED = (1 * _MINUTE, 10 * _MINUTE, 100 * _MINUTE, 1440 * _MINUTE)

#: After trouble on the way. Elapsed: 1, 3, 8, 18, 38 min, 1 h 8 min, 2 h 8 min, then every hour.
TRANSIENT = tuple(minutes * _MINUTE for minutes in (1, 2, 5, 10, 20, 30, 60))

#: Over at most this time, by `JITTER`, those are spread that a CA sent away until one moment.
_SPREAD_OUT = dt.timedelta(hours=1)

#: After a CA had enough, and did not say until when. Let's Encrypt gives one certificate of a domain back every 202 minutes and one of the
#: same names every 34 hours (https://letsencrypt.org/docs/rate-limits/). Elapsed: 1 h, 4 h 22 min, 16 h 22 min, then daily.
LIMITED = tuple(minutes * _MINUTE for minutes in (60, 202, 720, 1440))

#: After nginx refused a tree, or did not start. A person is usually there and mends it, so the first waits are short.
NGINX = tuple(dt.timedelta(seconds=seconds) for seconds in (1, 5, 15, 60, 300, 900))

#: After nginx ended by itself, counted from its start, by how often in a row it was started: what ran well is started again
#: at once, what ends again and again is started less and less often.
ENDED = (dt.timedelta(0), *NGINX)

#: An nginx that ran this long after that wait has outlived its earlier ends.
STEADY = 1 * _MINUTE

#: The type of the problem that stands for an nginx that ended by itself.
NGINX_ENDED = "nginxEnded"

#: After nginx refused one site: its others go on, so there is time.
QUARANTINE = tuple(minutes * _MINUTE for minutes in (5, 30, 240, 1440))

#: Orders that a dying daemon left behind, by how often one was begun: the first is taken up at once, so that a restart
#: costs nobody time; a crash loop slows down.
BEGUN = (dt.timedelta(0), dt.timedelta(0), *REFUSED)

#: Added at random to every wait, as a share of it, so that many failures do not come back together.
JITTER = 0.2

#: Problems that no CA was asked about, or no CA's answer is to blame for: they cost nothing.
UNASKED = frozenset(
    {
        "internal", "state", "export", "selfCheck", "budget", "ephemeral",
        "dnsProvider", "dnsCredentials", "dnsZone", "dnsRecord", "dnsDelegation", "propagation",
    }
)  # fmt: skip

#: A CA that sends what is no answer may have counted an order, or a certificate, each time.
_COSTLY = frozenset({"badAnswer"})

#: The waits for each class of failure, and why they are these.
BY_FAILURE: Mapping[Failure, tuple[dt.timedelta, ...]] = {
    Failure.CREDENTIALS: REFUSED,  # each is a refused request, and a person mends it
    Failure.POLICY: REFUSED,  # the CA said no, and rules change slowly
    Failure.CAA: REFUSED,  # a failed authorization to the CA, and a person changes the record
    Failure.DNS: REFUSED,  # as above
    Failure.REACHABILITY: REFUSED,  # as above
    Failure.OURS: REFUSED,  # the CA took what we sent for wrong, and will again until we change
    Failure.RATE_LIMIT: LIMITED,
    Failure.CA_DOWN: TRANSIENT,  # costs nothing, and it is back at any time
}


def delay(tries: str, failures: int, problem: Problem, *, spread: float) -> dt.timedelta:
    """
    Return how long to wait before the next try.

    Args:
        tries: what failed, as `actions.tries` names it.
        failures: how many tries failed in a row, at least 1.
        problem: why the last one failed; its `retry_after` is the least wait, and after a rate limit the
            whole of it (RFC 8555 §6.6).
        spread: a random number from 0 up to 1.
    """
    table, asked = _table(tries, problem), problem.retry_after
    if asked is not None and table is LIMITED:
        # It says itself when it has enough no more. Those that were refused together do not come back together.
        return max(asked, _MINUTE) + JITTER * spread * min(max(asked, _MINUTE), _SPREAD_OUT)
    return max(wait(table, failures, spread=spread), asked or dt.timedelta(0))


def outlived(attempt: Attempt, now: dt.datetime) -> bool:
    """
    Tell whether an attempt speaks of an nginx that ended by itself so long ago that it says nothing of the next start.
    """
    return attempt.problem.type == NGINX_ENDED and now >= attempt.retry_at + STEADY


def _table(tries: str, problem: Problem) -> tuple[dt.timedelta, ...]:
    if problem.type == NGINX_ENDED:
        return ENDED
    if tries.startswith(actions.NGINX):
        return NGINX
    if problem.type in UNASKED:
        return TRANSIENT
    return REFUSED if problem.type in _COSTLY else BY_FAILURE[classify(problem)]


def wait(table: tuple[dt.timedelta, ...], failures: int, *, spread: float) -> dt.timedelta:
    """
    Look up the wait after so many failures (at least 1), and add its jitter.
    """
    base = table[min(failures, len(table)) - 1]
    return base * (1 + JITTER * spread)
