"""
Tells trouble that passes by itself from an answer to what was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatelodge.errors import Problem

#: Problems that pass: the same request may succeed later. So does every 5xx.
PASSING = frozenset({"unreachable", "timeout", "rateLimited", "badNonce", "serverInternal"})

_SERVER_ERROR = 500


def passes(problem: Problem) -> bool:
    """
    Tell whether a problem is passing trouble, and no answer to what was asked.
    """
    return problem.type in PASSING or (problem.status or 0) >= _SERVER_ERROR
