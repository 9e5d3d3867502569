"""
The whole daemon, put together: the loop, the configuration file, the signals, the admin service; and one pass without them.

It owns the order of starting and stopping. SIGTERM and SIGINT stop within ten seconds: jobs are cancelled (an order in flight
is taken up at the next start), then nginx gets QUIT and after 7 seconds TERM. SIGUSR1 stops too, and leaves nginx running for the
next start, as an upgrade wants it. SIGHUP reads the configuration again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import os
import signal
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import gatelodge
from gatelodge.core.actions import NGINX_START
from gatelodge.core.desired import STDOUT
from gatelodge.errors import ConfigError, GatelodgeError, describe_mistake
from gatelodge.model import STREAM_PREFIX
from gatelodge.runtime.standing.report import doing
from gatelodge.runtime.visits import brought_out
from gatelodge.runtime.waiting import first
from gatelodge.runtime.watch import watch, watch_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from gatelodge.config.shape import Config
    from gatelodge.model import AdminSettings
    from gatelodge.ports import Clock, Events
    from gatelodge.runtime.gate import Gate
    from gatelodge.runtime.journal import Journal
    from gatelodge.runtime.look import Look
    from gatelodge.runtime.outbox.followers import Followers
    from gatelodge.runtime.reconcile import Reconciler
    from gatelodge.runtime.standing.measures import Measures
    from gatelodge.runtime.supervisor import Supervisor

_T = TypeVar("_T")

_STOPPING = (signal.SIGTERM, signal.SIGINT)

#: How long nginx may finish requests when the daemon stops. Seconds.
STOP_GRACE = 7.0


class Admin(Protocol):
    """
    What answers to people and programs while the daemon runs.
    """

    def serving(self) -> AbstractAsyncContextManager[None]:
        """
        Answer inside the context.
        """
        ...

    async def attend(self) -> None:
        """
        Open and close addresses as the settings want it, for as long as the daemon runs.
        """
        ...

    def use(self, settings: AdminSettings) -> None:
        """
        Go on with settings that were read again; the token is fetched again in any case.
        """
        ...


@dataclasses.dataclass(kw_only=True)
class House:
    """
    The daemon's parts for one state directory. `read` reads the configuration file again; `make_gate` makes the parts that
    depend on it.
    """

    config: Config
    config_file: str
    clock: Clock
    events: Events
    reconciler: Reconciler
    journal: Journal
    measures: Measures
    read: Callable[[], Config]
    make_gate: Callable[[Config], Gate]
    followers: Followers

    async def run(self, *, admin: Admin, leave_nginx: bool, supervisor: Supervisor) -> None:
        """
        Run until told to stop.
        """
        await self.followers.begin(self.reconciler.gate.desired)
        self._tell_start()
        supervisor.begin()

        def read_again() -> bool:
            taken = self.reload_config()
            admin.use(self.config.admin)
            return taken

        reload, leave = functools.partial(supervisor.reload, read_again), asyncio.Event()
        with self._visits(), _signals(hang_up=reload, leave=leave) as stop:
            asked_at: list[float] = []

            async def note_stop() -> None:
                await stop.wait()
                asked_at.append(self.clock.monotonic())
                supervisor.stopping()

            try:
                async with admin.serving(), asyncio.TaskGroup() as group:
                    watchers = [
                        group.create_task(admin.attend()),
                        group.create_task(watch(self._written, clock=self.clock, changed=reload)),
                        group.create_task(watch_all(self._brought, clock=self.clock, changed=self.reconciler.wake)),
                        group.create_task(note_stop()),
                        group.create_task(self.followers.run(lambda: self.reconciler.gate.desired)),
                        group.create_task(supervisor.attend(self.reconciler)),
                    ]
                    await self.reconciler.run(stop=stop)
                    for watcher in watchers:
                        watcher.cancel()
            finally:
                # An nginx is stopped because somebody asked for it, never because the daemon failed.
                leave_nginx = leave_nginx or leave.is_set() or not stop.is_set()
                if not leave_nginx:
                    spent = self.clock.monotonic() - asked_at[0] if asked_at else 0.0
                    await self._stop_nginx(grace=max(STOP_GRACE - spent, 0.0))
                self.events.emit("daemon.stopped", nginx="left running" if leave_nginx else "stopped")

    async def settle(self, *, leave_nginx: bool) -> Look | None:
        """
        Do everything that can be done now, once, and return the last look. An nginx that was started for it is stopped again.

        Raises:
            StateError: the state directory cannot be read.
        """
        nginx = self.reconciler.gate.nginx
        ran_before = (await nginx.observe()).running is not None
        await self.followers.begin(self.reconciler.gate.desired)
        self.reconciler.ask(once=True)
        with _signals(hang_up=lambda: None) as stop:
            try:
                await self.reconciler.run(stop=stop, until=lambda look: look.settled)
                await first(self.followers.drain(), stop.wait())
            finally:
                if not leave_nginx and not ran_before:
                    await self._stop_nginx(grace=STOP_GRACE)
        if self.reconciler.trouble is not None:
            raise self.reconciler.trouble
        return self.reconciler.latest

    async def grant(self, wish: Callable[[Reconciler], Awaitable[_T]]) -> _T:
        """
        Do everything that can be done now, then what somebody wishes of the loop, and return the answer. An nginx that was
        started for it is stopped again.

        Raises:
            StateError: the state directory cannot be read.
            KeyboardInterrupt: a signal came first.
        """
        nginx = self.reconciler.gate.nginx
        ran_before = (await nginx.observe()).running is not None
        await self.followers.begin(self.reconciler.gate.desired)
        self.reconciler.ask(once=True)
        answers: list[_T] = []

        async def wait_and_wish() -> None:
            await self.reconciler.passed(lambda look: look.settled)
            answers.append(await wish(self.reconciler))

        with _signals(hang_up=lambda: None) as stop:
            try:
                await first(self.reconciler.run(stop=stop), wait_and_wish())
                await first(self.followers.drain(), stop.wait())
            finally:
                if not ran_before:
                    await self._stop_nginx(grace=STOP_GRACE)
        if self.reconciler.trouble is not None:
            raise self.reconciler.trouble
        if not answers:
            raise KeyboardInterrupt
        return answers[0]

    def doing(self) -> dict[str, Any]:
        """
        Return the jobs that run, as `report.doing`. It may be asked from another thread: it copies what the loop only ever replaces.
        """
        return doing(self.reconciler.running, self.clock.now())

    def reload_config(self) -> bool:
        """
        Read the configuration again, and tell whether it was taken. A bad one is refused, and the old one goes on.
        """
        try:
            config = self.read()
            if config.state_directory != self.config.state_directory:
                self.events.emit(
                    "config.refused", level="error",
                    error__detail="state_directory changed; stop the daemon, move the directory, start it again",
                )  # fmt: skip
                return False
            gate = self.make_gate(config)
        except ConfigError as error:
            mistakes = [describe_mistake(mistake, error.file or self.config_file) for mistake in error.mistakes]
            self.events.emit("config.refused", level="error", mistakes=mistakes)
            return False
        except GatelodgeError as error:
            self.events.emit("config.refused", level="error", error__detail=str(error))
            return False
        before, now = _entries(self.config), _entries(config)
        warnings = [describe_mistake(mistake, self.config_file) for mistake in config.warnings]
        if config.admin_socket != self.config.admin_socket:
            warnings.append("[admin] socket takes effect when the daemon is started again")
        if STDOUT in (log := {config.nginx.access_log, self.config.nginx.access_log}) and len(log) > 1:
            warnings.append("[nginx] access_log takes effect on the daemon's stdout when the daemon is started again")
        self.config = config
        self.events.emit(
            "config.loaded",
            file=self.config_file,
            sites=len(config.sites),
            added=sorted(now - before),
            removed=sorted(before - now),
            warnings=warnings,
        )
        self.reconciler.use(gate)
        return True

    async def _stop_nginx(self, *, grace: float) -> None:
        """
        Stop nginx, and forget that it was started not long ago: it did not end by itself.
        """
        await self.reconciler.gate.nginx.stop(grace=grace)
        await self.journal.succeeded(NGINX_START)

    def _written(self) -> Iterator[str]:
        """
        Yield the files of which the configuration is made: its own, and those of its snippets.
        """
        yield self.config_file
        yield from dict.fromkeys(each.file for each in self.config.snippet_files)

    def _brought(self) -> Iterator[str]:
        """
        Yield the files in which the user brings certificates.
        """
        for files in self.reconciler.gate.desired.brought.values():
            yield from (files.certificate, files.key)

    def _visits(self) -> AbstractContextManager[None]:
        """
        Bring visits to stdout inside the context, if they are wanted there.
        """
        desired = self.reconciler.gate.desired
        return brought_out(desired.access_log) if desired.nginx.access_log == STDOUT else contextlib.nullcontext()

    def _tell_start(self) -> None:
        self.events.emit(
            "daemon.started",
            version=gatelodge.__version__,
            pid=os.getpid(),
            file=self.config_file,
            sites=len(self.config.sites),
            warnings=[describe_mistake(mistake, self.config_file) for mistake in self.config.warnings],
        )


@contextlib.contextmanager
def _signals(*, hang_up: Callable[[], None], leave: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
    """
    Set the event that is yielded on SIGTERM and SIGINT, and call `hang_up` on SIGHUP, inside the context. SIGUSR1 sets that event and
    `leave`. Which comes first does not matter: a service manager sends SIGTERM after it, and the two may arrive together.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_and_leave() -> None:
        if leave is not None:
            leave.set()
        stop.set()

    handlers = {**dict.fromkeys(_STOPPING, stop.set), signal.SIGHUP: hang_up, signal.SIGUSR1: stop_and_leave}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield stop
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
            if stop.is_set() and number != signal.SIGINT:
                # What comes now says what is being done, and must not break it off.
                signal.signal(number, signal.SIG_IGN)


def _entries(config: Config) -> set[str]:
    """
    Name what a configuration has nginx serve.
    """
    return {*config.sites, *(f"{STREAM_PREFIX}{name}" for name in config.streams)}
