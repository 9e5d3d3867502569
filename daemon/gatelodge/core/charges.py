"""
Which of a CA's limits an order counts for, and for whom: the buckets that it takes one out of.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

from gatelodge.core.limits import Counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gatelodge.core.limits import Kind, Limit
    from gatelodge.model import Name

#: A limit, and for whom it counts.
Bucket: TypeAlias = tuple[Counted, str]

#: Characters of a set's names that are kept to show whose bucket it is.
_SHOWN = 200


def set_of(names: Iterable[Name]) -> str:
    """
    Name a set of names, whatever their order: by themselves when they are few.
    """
    listed = sorted(names)
    whole = ", ".join(listed)
    if len(whole) <= _SHOWN:
        return whole
    return f"{listed[0]} and {len(listed) - 1} more ({hashlib.sha256(whole.encode()).hexdigest()[:16]})"


def of_order(
    names: Iterable[Name],
    kind: Kind | None,
    limits: Iterable[Limit],
    *,
    account: str,
    registered: Callable[[str], str],
) -> frozenset[Bucket]:
    """
    Return the buckets that an order takes one out of.

    Args:
        kind: None for one that nothing exempts.
        account: its URL: some limits count for it alone.
        registered: returns the registered domain of a name (the address itself, or its network, of an address).
    """
    listed = sorted(names)
    whose: dict[Counted, list[str]] = {
        Counted.ORDERS: [account],
        Counted.CERTIFICATES_PER_DOMAIN: [registered(name.removeprefix("*.")) for name in listed],
        Counted.CERTIFICATES_PER_SET: [set_of(listed)],
    }
    counted = [limit.counted for limit in limits if kind not in limit.exempt]
    return frozenset((each, one) for each in counted for one in whose.get(each, []))


def of_failures(
    names: Iterable[Name], kind: Kind | None, limits: Iterable[Limit], *, account: str
) -> frozenset[Bucket]:
    """
    Return the buckets that failed authorizations of these names take one out of; what is empty among them forbids to try.
    """
    counts = any(limit.counted is Counted.FAILURES_PER_NAME and kind not in limit.exempt for limit in limits)
    return frozenset((Counted.FAILURES_PER_NAME, f"{name} at {account}") for name in names) if counts else frozenset()


def of_certificates(costs: Iterable[Bucket]) -> frozenset[Bucket]:
    """
    Return those of an order's costs that its certificate is counted by, not the order.
    """
    signed = {Counted.CERTIFICATES_PER_DOMAIN, Counted.CERTIFICATES_PER_SET}
    return frozenset(cost for cost in costs if cost[0] in signed)
