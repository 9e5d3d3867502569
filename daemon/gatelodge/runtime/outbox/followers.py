"""
Follows the event log for whoever is told of events: the log is the outbox, so that a crash loses nothing.

Each target has a place in the log of its own, written down: what was done for an event is done once, and once more at most when the daemon dies in
the middle of it. A target that is new begins at the newest event. What goes wrong with one concerns no other, and never the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from gatelodge.errors import StateError
from gatelodge.model import Hook
from gatelodge.runtime.events.files import last_id
from gatelodge.runtime.outbox.hooks import HookFollower
from gatelodge.runtime.outbox.messages import MessageFollower

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.core.desired import Desired
    from gatelodge.model import Notify
    from gatelodge.ports import Clock, Documents, Events, Notifier

#: The log is looked at this often. Seconds.
_EVERY = 1.0

#: When something went wrong that should not, a target is left alone for so long. Seconds.
_AFTER_TROUBLE = 60.0

#: How long one pass waits at its end for messages and hooks. What is left is done at the next start. Seconds.
_DRAIN = 300.0


class Follower(Protocol):
    """
    Does what is to be done for one target.
    """

    async def begin(self, after: int) -> None:
        """
        Take up the place in the log; one that is new begins after this event.

        Raises:
            StateError: it cannot be read or written.
        """
        ...

    async def step(self, *, last: bool) -> None:
        """
        Do what is to be done now; the `last` time, also what could wait.
        """
        ...


class Followers:
    """
    The targets of the configuration.
    """

    def __init__(
        self,
        *,
        directory: str,
        documents: Documents,
        clock: Clock,
        events: Events,
        spread: Callable[[], float],
        notifier: Callable[[Notify], Notifier],
        host: str,
    ) -> None:
        """
        Args:
            directory: the state directory, which holds the log.
            spread: returns a random number from 0 up to 1, for jitter.
            notifier: makes what sends messages to a target.
            host: this machine's name.
        """
        self._directory = directory
        self._documents = documents
        self._clock = clock
        self._events = events
        self._spread = spread
        self._notifier = notifier
        self._host = host
        self._followers: dict[Notify | Hook, Follower] = {}
        self._again_at: dict[Notify | Hook, float] = {}
        self._tasks: dict[Notify | Hook, asyncio.Task[None]] = {}

    async def begin(self, desired: Desired) -> None:
        """
        Take up the places of all targets, so that what comes from now on is told.
        """
        wanted: set[Notify | Hook] = {*desired.notify, *desired.hooks}
        for gone in self._followers.keys() - wanted:
            del self._followers[gone]
        now = self._clock.monotonic()
        for target in wanted - self._followers.keys():
            if now < self._again_at.get(target, now):
                continue
            follower = self._made(target)
            try:
                await follower.begin(last_id(self._directory))
            except (OSError, StateError) as error:
                self._events.emit("state.failed", level="error", error__detail=str(error))
                self._again_at[target] = now + _AFTER_TROUBLE
                continue
            self._followers[target] = follower

    async def run(self, desired: Callable[[], Desired]) -> None:
        """
        Follow the log until cancelled.

        Args:
            desired: returns what is desired now: targets come and go with it.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                await self._drop(self._tasks.keys() - {*desired().notify, *desired().hooks})
                await self.begin(desired())
                for target, follower in self._followers.items():
                    if target not in self._tasks:
                        self._tasks[target] = group.create_task(self._follow(target, follower))
                await self._clock.sleep(_EVERY)

    async def drain(self) -> None:
        """
        Do everything that is to be done for what happened, once, as far as that goes quickly.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN), asyncio.TaskGroup() as group:
                for target, follower in self._followers.items():
                    group.create_task(self._step(target, follower, last=True))

    async def _drop(self, targets: set[Notify | Hook]) -> None:
        """
        End what is done for targets that are no more: before another begins in the place of one.
        """
        ended = [self._tasks.pop(target) for target in targets]
        for task in ended:
            task.cancel()
        if ended:
            await asyncio.wait(ended)

    async def _follow(self, target: Notify | Hook, follower: Follower) -> None:
        while True:
            well = await self._step(target, follower, last=False)
            await self._clock.sleep(_EVERY if well else _AFTER_TROUBLE)

    async def _step(self, target: Notify | Hook, follower: Follower, *, last: bool) -> bool:
        """
        Do what is to be done for a target now, and tell whether that went well.
        """
        try:
            await follower.step(last=last)
        except Exception as error:  # noqa: BLE001 - the seam around one target: a bug in one must not stop the others, or the loop
            self._events.emit(
                "job.failed",
                level="error",
                doing=f"tell {target.name} what happened",
                error__type="internal",
                error__detail=f"{type(error).__name__}: {error}",
            )
            return False
        return True

    def _made(self, target: Notify | Hook) -> Follower:
        if isinstance(target, Hook):
            return HookFollower(hook=target, directory=self._directory, documents=self._documents, events=self._events)
        return MessageFollower(
            target=target,
            notifier=self._notifier(target),
            directory=self._directory,
            documents=self._documents,
            clock=self._clock,
            events=self._events,
            spread=self._spread,
            host=self._host,
        )
