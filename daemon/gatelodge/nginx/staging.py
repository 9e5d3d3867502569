"""
Writes a tree beside the loop, so that nothing of it stays when the work is cut short. It decides nothing.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from gatelodge.durable import in_thread

if TYPE_CHECKING:
    from gatelodge.core.tree import Rendered
    from gatelodge.nginx.tree import Trees
    from gatelodge.ports import Clock


async def stage(trees: Trees, rendered: Rendered, *, clock: Clock) -> int:
    """
    Write a tree under a new number, and return that. Cancelled, it leaves none.

    Raises:
        StateError: it cannot be written.
    """
    staged: list[int] = []
    try:
        await in_thread(lambda: staged.append(trees.stage(rendered, now=clock.now())))
    except asyncio.CancelledError:
        for number in staged:
            await in_thread(functools.partial(trees.remove, number))
        raise
    return staged[0]
