"""
Tells trouble that passes by itself from an answer to what was asked, and a request that nobody acted on from one of which that is
not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.errors import HttpDisconnected, IssuanceError

if TYPE_CHECKING:
    from gatelodge.errors import Problem, TransientError

#: Problems that pass: the same request may succeed later. So does every 5xx.
PASSING = frozenset({"unreachable", "timeout", "rateLimited", "badNonce", "serverInternal"})

_SERVER_ERROR = 500


def passes(problem: Problem) -> bool:
    """
    Tell whether a problem is passing trouble, and no answer to what was asked.
    """
    return problem.type in PASSING or (problem.status or 0) >= _SERVER_ERROR


def may_have_acted(error: IssuanceError | TransientError) -> bool:
    """
    Tell whether a CA may have acted on a request that failed so.
    """
    if isinstance(error, IssuanceError):
        return error.problem.type == "badAnswer" or (error.problem.status or 0) >= _SERVER_ERROR
    return isinstance(error, HttpDisconnected)
