"""
Waiting for a condition with a deadline, never for an amount of time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], object] | Callable[[], Awaitable[object]], *, seconds: float = 20) -> None:
    """
    Return once the condition holds.

    Raises:
        TimeoutError: it did not in time.
    """
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if hasattr(answer, "__await__"):
                answer = await answer
            if answer:
                return
            await asyncio.sleep(0.01)
