"""
Puts what is seen from here beside what a CA says of names that it could not prove, and lets nobody ask again before that can have
been mended.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.acme import problems
from gatelodge.core.failures import Failure, classify
from gatelodge.errors import Problem, Subproblem
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.ports import Challenge
    from gatelodge.ports.advice import Adviser, Finding

#: The least wait once it is plain what somebody has to mend: as after a third refusal (`core.backoff.REFUSED`), since the first two
#: tries more would only cost the CA's limits.
EXPLAINED = dt.timedelta(minutes=100)

#: Names that are looked at. Of many, the others have the same trouble.
_MOST = 5

_OF_THE_WAY = frozenset({Failure.DNS, Failure.REACHABILITY})


async def beside(problem: Problem, answers: Mapping[str, Challenge], adviser: Adviser | None) -> Problem:
    """
    Return a problem with what is seen from here of the names in it.

    Args:
        answers: what is visible now, by name.
    """
    blamed = [sub for sub in problem.subproblems if sub.identifier in answers and _is_of_the_way(sub)][:_MOST]
    if adviser is None or not blamed:
        return problem
    looks = await together(adviser.look(answers[sub.identifier or ""]) for sub in blamed)
    seen = {sub: look for sub, look in zip(blamed, looks, strict=True) if look is not None}
    subproblems = tuple(_told(sub, seen.get(sub)) for sub in problem.subproblems)
    detail = problem.detail
    if len(subproblems) == 1:
        detail = f"{subproblems[0].identifier}: {subproblems[0].detail}"
    wait = problem.retry_after
    if any(look.explains for look in seen.values()):
        wait = max(wait or EXPLAINED, EXPLAINED)
    return dataclasses.replace(problem, detail=detail, subproblems=subproblems, retry_after=wait)


def _is_of_the_way(sub: Subproblem) -> bool:
    return classify(Problem(type=sub.type, detail=sub.detail)) in _OF_THE_WAY


def _told(sub: Subproblem, look: Finding | None) -> Subproblem:
    if look is None:
        return sub
    return dataclasses.replace(sub, detail=f"{sub.detail}; seen from here: {problems.shown(look.text)}")
