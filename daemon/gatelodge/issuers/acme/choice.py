"""
Decides by which solver each name is proven: the first, in the order of the configuration, that can.

Asked before an order is made, so that a name nobody can prove costs the CA nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.errors import IssuanceError, Problem, Subproblem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatelodge.model import Name
    from gatelodge.ports import Solver


async def choose(names: Sequence[Name], solvers: Sequence[Solver], *, alias: Name | None) -> Mapping[Name, Solver]:
    """
    Return a solver for each name.

    Raises:
        IssuanceError: some name can be proven by none of them now. It has the type of what the last solver in order said of the first such name, and says
            what each said.
    """
    chosen: dict[Name, Solver] = {}
    said: dict[Name, list[Problem]] = {name: [] for name in names}
    for solver in solvers:
        left = [name for name in names if name not in chosen]
        refused = await solver.refuses(left, alias=alias) if left else {}
        for name, problem in refused.items():
            said[name].append(problem)
        chosen |= {name: solver for name in left if name not in refused}
    open_names = [name for name in names if name not in chosen]
    if not open_names:
        return chosen
    raise IssuanceError(_together(open_names, said))


def _together(names: Sequence[Name], said: Mapping[Name, Sequence[Problem]]) -> Problem:
    first, *_ = names
    problems = said[first] or [Problem(type="noSolver", detail=f"{first}: there is no way to prove it")]
    subproblems = tuple(
        Subproblem(type=problem.type, detail=problem.detail, identifier=name)
        for name in names
        for problem in said[name]
    )
    return Problem(
        type=problems[-1].type,
        detail="; ".join(dict.fromkeys(problem.detail for problem in problems)) + "; the CA was not asked",
        subproblems=subproblems,
        retry_after=max((problem.retry_after for problem in problems if problem.retry_after), default=None),
    )
