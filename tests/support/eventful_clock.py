"""
A quick clock on which things happen: at a moment, while everybody believes to be waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.quick_clock import QuickClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class EventfulClock(QuickClock):
    """
    Implements `ports.Clock`. What was planned for a moment is done before whoever slept past it wakes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._planned: list[tuple[float, Callable[[], Awaitable[object]]]] = []

    def at(self, seconds: float, do: Callable[[], Awaitable[object]]) -> None:
        """
        Plan something for so many seconds after the start.
        """
        self._planned.append((seconds, do))

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        due = [each for each in self._planned if each[0] <= self.elapsed]
        self._planned = [each for each in self._planned if each not in due]
        for _, do in due:
            await do()
