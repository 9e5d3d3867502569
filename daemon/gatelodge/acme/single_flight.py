"""
Does a thing once for all who want it at the same moment, and gives them one outcome.

So that a hundred orders that begin together register one account and, when the server is dead, find that out once and not one
after another.
"""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING

from gatelodge.errors import GatelodgeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class SingleFlight:
    """
    One piece of work at a time; who comes while it runs shares its end. Who was to do it and is cancelled leaves it to the next.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._ended = 0
        self._failure: GatelodgeError | None = None

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """
        Do the work, or wait until somebody else has done it.

        Raises: what the work raised.
        """
        seen = self._ended
        async with self._lock:
            if self._ended == seen:
                self._failure = None
                try:
                    await work()
                except GatelodgeError as error:
                    self._failure = error
                self._ended += 1
            if self._failure is not None:
                # A copy: an exception raised in many tasks would gather the traceback of each.
                raise copy.copy(self._failure) from self._failure
