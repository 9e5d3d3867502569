"""
Asks for many things at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from gatelodge.errors import GatelodgeError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

_Result = TypeVar("_Result")


async def together(ways: Iterable[Coroutine[object, object, _Result]]) -> list[_Result]:
    """
    Run coroutines at once and return their results in order, once all have ended.

    Raises: what the first in order raised of those that failed.
    """
    # Failures are handed over as values: before Python 3.13 a group that fails while it is cancelled forgets that it was.
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_outcome(way)) for way in ways]
    outcomes = [task.result() for task in tasks]
    for outcome in outcomes:
        if isinstance(outcome, GatelodgeError):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, GatelodgeError)]


async def _outcome(way: Coroutine[object, object, _Result]) -> _Result | GatelodgeError:
    try:
        return await way
    except GatelodgeError as error:
        return error
