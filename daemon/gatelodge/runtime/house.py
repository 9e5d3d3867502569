"""
The whole daemon, put together: the loop, the configuration file, the signals, the admin service; and one pass without them.

It owns the order of starting and stopping. SIGTERM and SIGINT stop within ten seconds: jobs are cancelled (an order in flight
is taken up at the next start), then nginx gets QUIT and after 7 seconds TERM. SIGHUP reads the configuration again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from typing import TYPE_CHECKING

import gatelodge
from gatelodge.errors import ConfigError, GatelodgeError, describe_mistake
from gatelodge.runtime.watch import watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from gatelodge.config.shape import Config
    from gatelodge.ports import Clock, Events
    from gatelodge.runtime.gate import Gate
    from gatelodge.runtime.reconcile import Look, Reconciler

#: How long nginx may finish requests when the daemon stops. Seconds.
STOP_GRACE = 7.0


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
    read: Callable[[], Config]
    make_gate: Callable[[Config], Gate]

    async def run(self, *, admin: AbstractAsyncContextManager[None], leave_nginx: bool) -> None:
        """
        Run until told to stop.
        """
        stop, impatient = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def asked_to_stop() -> None:
            (impatient if stop.is_set() else stop).set()
            self.reconciler.wake()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload_config)
        self._tell_start()
        try:
            async with admin, asyncio.TaskGroup() as group:
                watcher = group.create_task(watch(self.config_file, clock=self.clock, changed=self.reload_config))
                await self.reconciler.run(stop=stop)
                watcher.cancel()
        finally:
            if not leave_nginx:
                await self.reconciler.gate.nginx.stop(grace=0 if impatient.is_set() else STOP_GRACE)
            self.events.emit("daemon.stopped", nginx="left running" if leave_nginx else "stopped")
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    async def settle(self, *, leave_nginx: bool, stop: asyncio.Event) -> Look | None:
        """
        Do everything that can be done now, once, and return the last look. An nginx that was started for it is stopped again.
        """
        nginx = self.reconciler.gate.nginx
        ran_before = (await nginx.observe()).running is not None
        self.reconciler.ask(once=True)
        try:
            await self.reconciler.run(stop=stop, until=lambda look: look.settled)
        finally:
            if not leave_nginx and not ran_before:
                await nginx.stop(grace=STOP_GRACE)
        return self.reconciler.latest

    def reload_config(self) -> None:
        """
        Read the configuration again. A bad one is refused, and the old one goes on.
        """
        try:
            config = self.read()
            if config.state_directory != self.config.state_directory:
                self.events.emit(
                    "config.refused", level="error",
                    error__detail="state_directory changed; stop the daemon, move the directory, start it again",
                )  # fmt: skip
                return
            gate = self.make_gate(config)
        except ConfigError as error:
            mistakes = [describe_mistake(mistake, error.file) for mistake in error.mistakes]
            self.events.emit("config.refused", level="error", mistakes=mistakes)
            return
        except GatelodgeError as error:
            self.events.emit("config.refused", level="error", error__detail=str(error))
            return
        before, now = set(self.config.sites), set(config.sites)
        self.config = config
        self.events.emit(
            "config.loaded",
            file=self.config_file,
            sites=len(now),
            added=sorted(now - before),
            removed=sorted(before - now),
            warnings=[describe_mistake(mistake, self.config_file) for mistake in config.warnings],
        )
        self.reconciler.use(gate)

    def _tell_start(self) -> None:
        self.events.emit(
            "daemon.started",
            version=gatelodge.__version__,
            pid=os.getpid(),
            file=self.config_file,
            sites=len(self.config.sites),
            warnings=[describe_mistake(mistake, self.config_file) for mistake in self.config.warnings],
        )
