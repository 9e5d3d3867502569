"""
Time: the world's, which is true and by which CAs live, and the machine's, which may be wrong.
"""

from __future__ import annotations

import asyncio
import collections
import datetime as dt
from typing import TYPE_CHECKING

from tests.support.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable


class TrueClock:
    """
    The world's time. Implements `ports.Clock`.
    """

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self.monotonic = elapsed

    def now(self) -> dt.datetime:
        return START + dt.timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))


class MachineClock(TrueClock):
    """
    The machine's clock: `off` by so many seconds. `wakings` are the moments at which who sleeps by it is to be woken.
    """

    def __init__(self, elapsed: Callable[[], float]) -> None:
        super().__init__(elapsed)
        self.off = 0.0
        self.wakings: collections.Counter[float] = collections.Counter()

    async def sleep(self, seconds: float) -> None:
        moment = self.monotonic() + max(seconds, 0.0)
        self.wakings[moment] += 1
        try:
            await super().sleep(seconds)
        finally:
            self.wakings[moment] -= 1
            if not self.wakings[moment]:
                del self.wakings[moment]

    def now(self) -> dt.datetime:
        return super().now() + dt.timedelta(seconds=self.off)
