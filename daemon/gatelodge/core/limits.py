"""
What CAs allow, as data: each limit with how much, in what time, which orders it does not count, and the page that says so.

Numbers change: where they are out of date, the CA says so itself (`refused` reads its words), and that wins.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Counted(enum.StrEnum):
    """
    What a limit counts, and for whom.
    """

    ACCOUNTS = "accounts"
    ORDERS = "orders"
    CERTIFICATES_PER_DOMAIN = "certificates per registered domain"
    CERTIFICATES_PER_SET = "certificates per set of names"
    FAILURES_PER_NAME = "failed authorizations per name"


class Kind(enum.StrEnum):
    """
    What an order is to its CA: of names that it knows not, of names that it certified, or a replacement in its window (RFC 9773).
    """

    NEW = "new"
    RENEWAL = "renewal"
    REPLACEMENT = "replacement"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """
    One limit: so many in a time, refilled evenly. `exempt` are the orders that it does not count. `source` is the page that says so.
    """

    counted: Counted
    count: int
    period: dt.timedelta
    exempt: frozenset[Kind] = frozenset()
    source: str


_HOUR = dt.timedelta(hours=1)
_DAY = dt.timedelta(days=1)
_LETSENCRYPT = "https://letsencrypt.org/docs/rate-limits/"
_STAGING = "https://letsencrypt.org/docs/staging-environment/"
_REPLACEMENTS = frozenset({Kind.REPLACEMENT})
_RENEWALS = frozenset({Kind.RENEWAL, Kind.REPLACEMENT})


def _limits(source: str, *, accounts: int, orders: int, domain: int, names: int, failures: int) -> tuple[Limit, ...]:
    """
    Write Let's Encrypt's limits: its two servers have the same ones with other numbers. A replacement in its ARI window is exempt
    from all of them, the renewal of a set of names from two.
    """
    return (
        Limit(
            counted=Counted.ACCOUNTS,
            count=accounts,
            period=3 * _HOUR,
            source=f"{source}#new-registrations-per-ip-address",
        ),
        Limit(
            counted=Counted.ORDERS,
            count=orders,
            period=3 * _HOUR,
            exempt=_RENEWALS,
            source=f"{source}#new-orders-per-account",
        ),
        Limit(
            counted=Counted.CERTIFICATES_PER_DOMAIN,
            count=domain,
            period=7 * _DAY,
            exempt=_RENEWALS,
            source=f"{source}#new-certificates-per-registered-domain",
        ),
        Limit(
            counted=Counted.CERTIFICATES_PER_SET,
            count=names,
            period=7 * _DAY,
            exempt=_REPLACEMENTS,
            source=f"{source}#new-certificates-per-exact-set-of-identifiers",
        ),
        Limit(
            counted=Counted.FAILURES_PER_NAME,
            count=failures,
            period=_HOUR,
            exempt=_REPLACEMENTS,
            source=f"{source}#authorization-failures-per-identifier-per-account",
        ),
    )


#: What each CA allows, by its directory. Of others of the public ones nothing is published, and they get `GENEROUS`; a private CA
#: has no limits.
LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "https://acme-v02.api.letsencrypt.org/directory": _limits(
        _LETSENCRYPT, accounts=10, orders=300, domain=50, names=5, failures=5
    ),
    "https://acme-staging-v02.api.letsencrypt.org/directory": _limits(
        _STAGING, accounts=50, orders=1500, domain=30_000, names=30_000, failures=200
    ),
}

#: For public CAs that publish no numbers: enough for everybody, and an end to a loop.
GENEROUS = (
    Limit(counted=Counted.ORDERS, count=300, period=3 * _HOUR, source="our own choice"),
    Limit(counted=Counted.FAILURES_PER_NAME, count=30, period=_HOUR, source="our own choice"),
)


def limits_of(directory: str, *, public: bool) -> tuple[Limit, ...]:
    """
    Return the limits of a CA by its directory.
    """
    return LIMITS.get(directory, GENEROUS if public else ())


#: What Let's Encrypt writes when it refuses, or the part of its page that it points to, by the limit that was met (Boulder
#: ratelimits/limiter.go, `Decision.Result`).
_WORDS = (
    (Counted.CERTIFICATES_PER_SET, re.compile(r"exact[ -]set[ -]of", re.IGNORECASE)),
    (Counted.FAILURES_PER_NAME, re.compile(r"failed authorizations|authorization-failures", re.IGNORECASE)),
    (Counted.ORDERS, re.compile(r"new[ -]orders", re.IGNORECASE)),
    (Counted.ACCOUNTS, re.compile(r"new[ -]registrations", re.IGNORECASE)),
    (
        Counted.CERTIFICATES_PER_DOMAIN,
        re.compile(r"already issued for|certificates-per-registered-domain", re.IGNORECASE),
    ),
)


def refused(detail: str) -> Counted | None:
    """
    Return the limit that a refusal names; None when it names none that is known.
    """
    return next((counted for counted, words in _WORDS if words.search(detail)), None)


def told(limit: Limit) -> str:
    """
    Write a limit in words: "5 certificates per set of names in 7 days".
    """
    hours = limit.period // _HOUR
    period = f"{hours // 24} days" if hours > 24 and not hours % 24 else f"{hours} hours" if hours > 1 else "an hour"  # noqa: PLR2004 - a day
    return f"{limit.count} {limit.counted} in {period}"
