"""
The one scheduler: an event loop whose time is made up, whose order is drawn from a seed, and whose processes can be killed.

Time moves when nothing else can happen. Which of several tasks that could go on goes first is chance, and the same chance for the
same seed: tasks are counted, so that no address in memory decides anything. What blocks (`run_in_executor`) is done in one piece, at a
moment of its own. A process is everything that was begun in one context; once it is killed nothing of it runs any more, not even what
a `finally` would do, as after kill -9.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine

#: The process that code belongs to; 0 is the world.
PROCESS: contextvars.ContextVar[int] = contextvars.ContextVar("process", default=0)

#: So many rounds without a rest are a daemon that runs hot.
_HOT = 200_000

#: How long blocking work takes, in seconds.
_THREAD = (0.0002, 0.01)


class RunsHot(AssertionError):
    """
    The daemon is never calm.
    """


class _Counted(asyncio.Task[Any]):
    """
    A task that knows how many were made before it.
    """

    number: int


class Scheduler(asyncio.BaseEventLoop):
    """
    The loop. `calm` is called whenever nothing can happen before time moves; `oversleep` is given the next moment at which something
    happens, and may put it off; `blocking` is called before blocking work and returns for how many seconds more it takes.
    """

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance
        self.calm: Callable[[], None] = lambda: None
        self.oversleep: Callable[[float], float] = lambda moment: moment
        self.blocking: Callable[[], float] = lambda: 0.0
        self.killed: set[int] = set()
        self.rounds = 0
        self._elapsed = 0.0
        self._numbers = itertools.count()
        self._graves: list[tuple[int, _Counted]] = []
        self._contexts: dict[int, contextvars.Context] = {}
        self._owners: dict[int, int] = {}
        self._living: dict[int, list[_Counted]] = {}
        self._rounds_without_rest = 0
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        """
        Return the seconds since the world began.
        """
        return self._elapsed

    def begin(self, process: int, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """
        Begin a process.
        """
        context = self._contexts[process] = contextvars.Context()
        context.run(PROCESS.set, process)
        self._living[process] = []
        return self.create_task(work, context=context)

    def within(self, process: int, work: Callable[[], None]) -> None:
        """
        Do something at once in a process that lives.
        """
        self._contexts[process].run(work)

    def kill(self, process: int) -> None:
        """
        End a process now, wherever it is.
        """
        self.killed.add(process)
        # Kept until they are buried, for whoever forgets a coroutine runs its `finally`.
        self._graves += ((process, each) for each in self._living.pop(process, []) if not each.done())

    def in_world(self, seconds: float, happening: Callable[[], None]) -> asyncio.TimerHandle:
        """
        Have something happen in so many seconds, whoever lives then.
        """
        return self.call_later(seconds, happening, context=contextvars.Context())

    def timers(self) -> list[tuple[float, int]]:
        """
        List when something is to happen, and to which process.
        """
        return [
            (each.when(), _process(each))
            for each in self._scheduled
            if not each.cancelled() and _process(each) not in self.killed
        ]

    def bury(self) -> None:
        """
        Let go of everything that those who are killed had begun. What their coroutines do in a `finally` is done in their name: it is for the
        world to let the dead change nothing.
        """
        graves, self._graves = self._graves, []
        told, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                while graves:
                    process, task = graves.pop()
                    self._contexts[process].run(_close, task)
        finally:
            sys.unraisablehook = told
        self._contexts = {process: each for process, each in self._contexts.items() if process not in self.killed}

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """
        Do blocking work in one piece, a moment later.
        """
        del executor
        done: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            if done.cancelled():
                return
            try:
                result = func(*args)
            except BaseException as error:  # noqa: BLE001 - as an executor does
                if PROCESS.get() not in self.killed:  # else nobody would ever hear of it
                    done.set_exception(error)
            else:
                done.set_result(result)

        self.call_later(self.chance.uniform(*_THREAD) + self.blocking(), work)
        return done

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        """
        Call soon, with nothing of what only debugging wants.
        """
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """
        Call at a moment, likewise.
        """
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def get_debug(self) -> bool:
        """
        Debug nothing: it would take longer than all the rest.
        """
        return False

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        """
        Call soon: there are no threads.
        """
        return self.call_soon(callback, *args, context=context)

    def _write_to_self(self) -> None:
        pass

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        self._owners[id(agen)] = PROCESS.get()

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        # What a generator of the dead has in its `finally` is never done.
        if self._owners.pop(id(agen), 0) not in self.killed:
            self.call_soon(self.create_task, agen.aclose())

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> _Counted:
        task = _Counted(work, loop=loop, **more)
        task.number = next(self._numbers)
        context = more.get("context")
        process = PROCESS.get() if context is None else context.get(PROCESS, 0)
        self._remember(process, task)
        return task

    def _remember(self, process: int, task: _Counted) -> None:
        living = self._living.get(process)
        if living is None:
            return
        living.append(task)
        if len(living) % 512 == 0:
            self._living[process] = [each for each in living if not each.done()]

    def _run_once(self) -> None:
        self.rounds += 1
        if not self._ready:
            self.calm()
        if not self._ready and not self._stopping:
            self._rounds_without_rest = 0
            self._forget_unwanted()
            if not self._scheduled:
                raise RunsHot("nothing will ever happen again")
            self._elapsed = max(self._elapsed, self.oversleep(self._scheduled[0].when()))
        while self._scheduled and self._scheduled[0].when() <= self._elapsed:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            self._ready.append(handle)
        self._rounds_without_rest += 1
        if self._rounds_without_rest > _HOT:
            raise RunsHot("the daemon runs hot")
        ready = [each for each in self._ready if not each._cancelled]
        self._ready.clear()
        for handle in self._in_order(ready):
            if not (handle._cancelled or _process(handle) in self.killed):
                handle._run()

    def _in_order(self, ready: list[asyncio.Handle]) -> list[asyncio.Handle]:
        """
        Return what can go on in the order of chance: callbacks as they came, then tasks in any order.
        """
        if len(ready) < 2:
            return ready
        tasks, others = [], []
        for handle in ready:
            task = getattr(handle._callback, "__self__", None)
            (tasks if isinstance(task, _Counted) else others).append(handle)
        tasks.sort(key=lambda each: each._callback.__self__.number)
        self.chance.shuffle(tasks)
        return [*others, *tasks]

    def _forget_unwanted(self) -> None:
        while self._scheduled and (self._scheduled[0]._cancelled or _process(self._scheduled[0]) in self.killed):
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            if handle._cancelled:
                self._timer_cancelled_count -= 1


def _close(task: _Counted) -> None:
    """
    End a coroutine that will never go on, however often it wants to wait in its `finally`.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    for _ in range(20):
        try:
            task.get_coro().close()
        except (Exception, asyncio.CancelledError):  # noqa: BLE001, S112 - it is dead
            continue
        return


def _process(handle: asyncio.Handle) -> int:
    return handle._context.get(PROCESS, 0)
