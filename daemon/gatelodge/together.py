"""
Asks for many things at once, and holds many at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

from gatelodge.errors import GatelodgeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable
    from contextlib import AbstractAsyncContextManager

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


@contextlib.asynccontextmanager
async def entered(given: Iterable[AbstractAsyncContextManager[None]]) -> AsyncIterator[None]:
    """
    Enter contexts at once, and leave them at once: in a hurry, as a cancelled task does, only when whoever is inside was cancelled.

    Raises: what the first in order raised of those that could not be entered; the others are left again.
    """
    contexts, leave = list(given), asyncio.Event()
    outcomes: dict[int, GatelodgeError] = {}
    failed: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        doors = [asyncio.Event() for _ in contexts]
        for number, (context, door) in enumerate(zip(contexts, doors, strict=True)):
            group.create_task(_hold(context, door, leave, outcomes, number))
        for door in doors:
            await door.wait()
        if not outcomes:
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised again below, once all were left as they should be
                failed = error
        leave.set()
    if failed is not None:
        raise failed
    if outcomes:
        raise outcomes[min(outcomes)]


async def _hold(
    context: AbstractAsyncContextManager[None],
    door: asyncio.Event,
    leave: asyncio.Event,
    outcomes: dict[int, GatelodgeError],
    number: int,
) -> None:
    try:
        async with context:
            door.set()
            await leave.wait()
    except GatelodgeError as error:
        outcomes[number] = error
    finally:
        door.set()
