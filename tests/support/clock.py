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
        while (at := self.next_waking()) is not None and at <= end:
            self.jump(at)
            for _ in range(20):
                await asyncio.sleep(0)
        self._move(end)

    def next_waking(self) -> float | None:
        """
        Return when the next sleeper is to be woken, in elapsed seconds; None when nobody sleeps.
        """
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    @property
    def sleeping(self) -> int:
        """
        How many sleep.
        """
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def jump(self, elapsed: float) -> None:
        """
        Move time on at once, as a machine does that was suspended, and wake whoever overslept.
        """
        self._move(max(elapsed, self.elapsed))
        while (at := self.next_waking()) is not None and at <= self.elapsed:
            heapq.heappop(self._sleepers)[2].set_result(None)

    def _move(self, elapsed: float) -> None:
        self.time += dt.timedelta(seconds=elapsed - self.elapsed)
        self.elapsed = elapsed
