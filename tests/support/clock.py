"""
A clock that stands still until it is told to move.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
import itertools

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class FakeClock:
    """
    Implements `ports.Clock`. Sleepers wake when `advance` passes their time, in order.
    """

    def __init__(self, start: dt.datetime = START) -> None:
        self.time = start
        self.elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> dt.datetime:
        return self.time

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.elapsed + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """
        Move time on, waking each sleeper at its own moment and letting it run before the next.
        """
        end = self.elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self._sleepers)
            self._move(at)
            if not woken.done():
                woken.set_result(None)
            for _ in range(20):
                await asyncio.sleep(0)
        self._move(end)

    def _move(self, elapsed: float) -> None:
        self.time += dt.timedelta(seconds=elapsed - self.elapsed)
        self.elapsed = elapsed
