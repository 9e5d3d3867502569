"""
Runs what blocks in threads of its own, a few at once and for a limited time, so that nothing else ever waits for it.

A thread cannot be ended from outside. One that does not come back is left to itself: it is a daemon thread, so that it keeps neither
the event loop's executor nor the end of the process, and it is told not to begin anything more. Of such only so many may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Answer = TypeVar("_Answer")

_AT_ONCE = 4

#: Seconds for one piece of work, and for its turn to come.
_SECONDS = 90.0
_PATIENCE = 300.0

#: Threads that may be left to themselves; each costs some memory.
_MOST_LOST = 16


class Stuck(Exception):
    """
    The work did not end in time, or could not begin.
    """


class GivenUp(Exception):
    """
    Nobody waits for the work any more.
    """


class Ticket:
    """
    Tells a thread whether it is still waited for.
    """

    def __init__(self) -> None:
        self._void = threading.Event()

    def give_up(self) -> None:
        """
        Let the thread begin nothing more.
        """
        self._void.set()

    def check(self) -> None:
        """
        Go on only when the work is still wanted. Asked by the thread before each change that it makes.

        Raises:
            GivenUp: it is not.
        """
        if self._void.is_set():
            raise GivenUp


class Threads:
    """
    Work that shares a key is done one after the other; of the rest, a few at once.
    """

    def __init__(self, *, seconds: float = _SECONDS, patience: float = _PATIENCE, most_lost: int = _MOST_LOST) -> None:
        self._seconds = seconds
        self._patience = patience
        self._most_lost = most_lost
        self._lost = 0
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._locks: dict[str, asyncio.Lock] = {}

    async def run(self, key: str, work: Callable[[Ticket], _Answer]) -> _Answer:
        """
        Do a piece of work and return its answer. Whoever is cancelled leaves at once; the next with that key still waits until the
        thread has ended, or its time is over.

        Raises:
            Stuck: it took too long.
        """
        try:
            async with asyncio.timeout(self._patience):
                leave = await self._enter(key)
        except TimeoutError:
            raise Stuck(
                f"its turn did not come within {self._patience:g} s: what was before it takes too long"
            ) from None
        if self._lost >= self._most_lost:
            leave()
            raise Stuck(f"{self._lost} earlier requests have not come back; restart Gatelodge")
        call = _Call(work, seconds=self._seconds, leave=leave, lost=self._count)
        call.start()
        try:
            return await call.answer
        except asyncio.CancelledError:
            call.ticket.give_up()
            raise

    async def _enter(self, key: str) -> Callable[[], None]:
        lock = self._locks.setdefault(key, asyncio.Lock())
        await lock.acquire()
        try:
            await self._slots.acquire()
        except BaseException:
            lock.release()
            raise

        def leave() -> None:
            self._slots.release()
            lock.release()

        return leave

    def _count(self, change: int) -> None:
        self._lost += change


class _Call(Generic[_Answer]):
    """
    One piece of work in its thread. Everything but `_body` happens in the event loop.
    """

    def __init__(
        self,
        work: Callable[[Ticket], _Answer],
        *,
        seconds: float,
        leave: Callable[[], None],
        lost: Callable[[int], None],
    ) -> None:
        self._work = work
        self._seconds = seconds
        self._leave = leave
        self._lost = lost
        self._late = False
        self._loop = asyncio.get_running_loop()
        self.ticket = Ticket()
        self.answer: asyncio.Future[_Answer] = self._loop.create_future()

    def start(self) -> None:
        """
        Begin.

        Raises:
            Stuck: the system lets no thread begin.
        """
        self._alarm = self._loop.call_later(self._seconds, self._expire)
        try:
            threading.Thread(target=self._body, name="gatelodge-dns-lexicon", daemon=True).start()
        except RuntimeError as error:
            self._end()
            raise Stuck(f"the system gives no thread: {error}") from error

    def _body(self) -> None:
        try:
            answer = self._work(self.ticket)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the one who waits must hear of it
            self._tell(self._failed, error)
        else:
            self._tell(self._done, answer)

    def _tell(self, callback: Callable[..., None], outcome: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            self._loop.call_soon_threadsafe(callback, outcome)

    def _done(self, answer: _Answer) -> None:
        self._end()
        if not self.answer.done():
            self.answer.set_result(answer)

    def _failed(self, error: BaseException) -> None:
        self._end()
        if not self.answer.done():
            self.answer.set_exception(error)

    def _end(self) -> None:
        if self._late:
            self._lost(-1)
            return
        self._alarm.cancel()
        self._leave()

    def _expire(self) -> None:
        self._late = True
        self._lost(1)
        self.ticket.give_up()
        self._leave()
        if not self.answer.done():
            self.answer.set_exception(Stuck(f"no answer within {self._seconds:g} s"))
