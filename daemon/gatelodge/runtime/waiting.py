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
        # Each way is a task of its own: one that is cancelled before its first step was still awaited.
        tasks = [group.create_task(way) for way in ways]

        def cancel_others(_: asyncio.Task[object]) -> None:
            for task in tasks:
                task.cancel()

        for task in tasks:
            task.add_done_callback(cancel_others)
