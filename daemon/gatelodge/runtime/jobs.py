"""
Runs work beside the loop: at most one job a key, each in the one TaskGroup, each end waking the loop.

It decides nothing and swallows nothing: a job handles its own failures; what escapes from one is a bug and ends the daemon.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from gatelodge.core.observed import Job

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gatelodge.ports import Clock


class Jobs:
    """
    The jobs that run.
    """

    def __init__(self, *, group: asyncio.TaskGroup, clock: Clock, ended: Callable[[], None]) -> None:
        """
        Args:
            group: owns the tasks.
            ended: called whenever a job has ended.
        """
        self._group = group
        self._clock = clock
        self._ended = ended
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def running(self) -> Mapping[str, Job]:
        """
        The jobs that run now, by key.
        """
        return dict(self._jobs)

    def start(self, key: str, digest: str, work: Callable[[], Awaitable[None]]) -> None:
        """
        Start a job. Nothing happens when one with this key runs.
        """
        if key in self._jobs:
            return
        self._jobs[key] = Job(key=key, digest=digest, since=self._clock.now())
        self._tasks[key] = self._group.create_task(self._run(key, work), name=key)

    def step(self, key: str, step: str) -> None:
        """
        Say what a job is at. Said again, it is the same step going on.
        """
        if key in self._jobs and self._jobs[key].step != step:
            self._jobs[key] = dataclasses.replace(self._jobs[key], step=step, step_since=self._clock.now())

    def cancel(self, key: str) -> None:
        """
        Ask a job to stop; it cleans up and ends by itself.
        """
        if key in self._tasks:
            self._tasks[key].cancel()

    def cancel_all(self) -> None:
        """
        Ask every job to stop.
        """
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            # Cancelled by us: the job is over and the group goes on. Cancelled from above: so is everything.
            if task is None or task.uncancel() > 0:
                raise
        finally:
            del self._jobs[key]
            del self._tasks[key]
            self._ended()
