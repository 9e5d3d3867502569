"""
Decides whether the daemon lives: not that it answers, but that its loop ends its passes. It changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.runtime.supervisor import LONGEST_PASS, PROBE_SECONDS

if TYPE_CHECKING:
    from gatelodge.ports import Clock
    from gatelodge.runtime.reconcile import Reconciler

#: How long a loop that had no reason for a pass may take to make one, unless it is known to be at one. Seconds.
_PATIENCE = 5.0

_POLL = 0.05


async def is_alive(reconciler: Reconciler, clock: Clock) -> bool:
    """
    Tell whether the loop passed not long ago, or does when it is asked to. A pass may take long, but not for ever.
    """
    asked_at = clock.monotonic()
    if asked_at - reconciler.passed_at < PROBE_SECONDS:
        return True
    reconciler.wake()
    while clock.monotonic() - asked_at < _PATIENCE:
        if reconciler.passed_at >= asked_at:
            return True
        await clock.sleep(_POLL)
    began_at = reconciler.began_at
    return began_at is not None and clock.monotonic() - began_at < LONGEST_PASS
