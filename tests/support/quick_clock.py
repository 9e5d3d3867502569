"""
A clock on which nobody waits: whoever sleeps moves time on.
"""

from __future__ import annotations

import asyncio
import datetime as dt

from tests.support.clock import START


class QuickClock:
    """
    Implements `ports.Clock`. For one piece of work at a time: sleepers do not wait for each other.
    """

    def __init__(self, start: dt.datetime = START) -> None:
        self.time = start
        self.elapsed = 0.0
        self.slept: list[float] = []

    def now(self) -> dt.datetime:
        return self.time

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.elapsed += max(seconds, 0)
        self.time += dt.timedelta(seconds=max(seconds, 0))
        await asyncio.sleep(0)
