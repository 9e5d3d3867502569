"""
Waiting for whichever comes first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def first(*ways: Coroutine[object, object, object]) -> None:
    """
    Return once one of several coroutines has ended, with the others cancelled and gone.

    Raises: what the one that ended first raised, in an ExceptionGroup.
    """
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []

        async def run(way: Coroutine[object, object, object]) -> None:
            await way
            for task in tasks:
                if task is not asyncio.current_task():
                    task.cancel()

        tasks += [group.create_task(run(way)) for way in ways]
