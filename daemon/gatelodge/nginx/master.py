"""
The master process of the nginx that is ours: found, started, given a tree, replaced, watched and stopped.

It replaces a master that cannot take a tree by a reload, since it was started from another program than the one that was found,
or holds a port in another shape (nginx binds nothing over itself). It never kills an nginx because the daemon fails, and does not
know whether a tree is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import signal
from typing import TYPE_CHECKING

from gatelodge import durable
from gatelodge.durable import in_thread
from gatelodge.errors import StateError
from gatelodge.nginx import binary, process
from gatelodge.nginx.launch import Launch
from gatelodge.nginx.listening import find_closed
from gatelodge.nginx.memory import Memory, Remembered

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from gatelodge.core.tree import Capabilities
    from gatelodge.model import Listener
    from gatelodge.nginx.process import Process
    from gatelodge.ports import Clock

_POLL_SECONDS = 0.02

#: How often an nginx is looked for that somebody else started, or the daemon under an older configuration.
_LOOK_SECONDS = 5

#: After QUIT and its grace: how long TERM may take, and then KILL. nginx kills workers that do not heed TERM after about a second
#: (ngx_master_process_cycle). With a grace of 7 s all is over before the 10 s that Docker gives.
_TERM_SECONDS = 2.0
_KILL_SECONDS = 0.5

#: How long each signal has to make nginx give up its ports.
_LEAVE_SECONDS = 5.0

#: How long workers that were told to leave may go on taking visitors: nginx tells them a tenth of a second after it has new ones. They
#: are looked at so often at least, since a machine may have stood still meanwhile.
_LEAVING_SECONDS = 5.0
_LEAVING_LOOKS = 25


class Master:
    """
    The master that runs `entry`, writes its log to `log`, and whose pid file lies in `folder`.
    """

    def __init__(self, *, folder: Path, entry: Path, log: Path, clock: Clock) -> None:
        self._pid_file = folder / "nginx.pid"
        self._memory = Memory(folder / "running")
        self._entry = entry
        self._log = log
        self._clock = clock
        self._stirred = asyncio.Event()

    def find(self) -> Process | None:
        """
        Return the running master, or None. One that was told to leave, and finishes old connections, is none. Blocks.
        """
        named = (process.read_pid(self._pid_file), self._memory.recall().pid)
        return process.find_master((pid for pid in named if pid), self._entry)

    def recall(self, master: Process | None) -> Remembered:
        """
        Return what is remembered of a master. Blocks.
        """
        return self._memory.recall().of(master)

    def count_draining(self) -> int:
        """
        Count the workers that finish old connections, those of masters that were replaced included. Blocks.
        """
        return sum(map(process.draining, process.masters(self._entry)))

    async def left(self, workers: Collection[Process]) -> None:
        """
        Return once these workers take no more visitors, or did not come to it in time: one that hangs is no reason to go back.
        """
        deadline, looks = self._clock.monotonic() + _LEAVING_SECONDS, 0
        while await in_thread(lambda: any(map(process.accepts, workers))):
            looks += 1
            if looks >= _LEAVING_LOOKS and self._clock.monotonic() >= deadline:
                return
            await self._clock.sleep(_POLL_SECONDS)

    def is_of(self, master: Process, found: Capabilities) -> bool:
        """
        Tell whether a master was started from the program that was found. Blocks.

        Of one that somebody else started, while there was no daemon, the kernel knows it.

        Raises:
            NginxMissing: the program is gone again.
        """
        known, wanted = self.recall(master).program, binary.identify(found)
        return known == wanted if known else process.program(master) == (wanted.inode, wanted.changed)

    async def start(self, generation: int, listeners: Collection[Listener], found: Capabilities) -> None:
        """
        Start a master on the current tree, and remember what it is. It listens when this returns.

        Raises:
            NginxRefused: it did not start.
            NginxMissing: the program cannot be run.
        """
        await self.clear_orphans(listeners, found)
        try:
            await in_thread(functools.partial(self._launch, generation, found))
        finally:
            self._stirred.set()

    def _launch(self, generation: int, found: Capabilities) -> None:
        program = binary.identify(found)
        Launch(found=found, entry=self._entry, log=self._log, master=self.find).run()
        master = self.find()
        if master:
            self._memory.write(
                Remembered(pid=master.pid, started=master.started, generation=generation, program=program)
            )

    async def replace(self, generation: int, listeners: Collection[Listener], found: Capabilities) -> None:
        """
        Let the running master leave, and start one on the current tree as soon as the ports are free.

        What visitors have open goes on: the old workers finish it within `drain`, as after a reload.

        Raises: as `start`.
        """
        master = await in_thread(self.find)
        if master:
            await in_thread(self._disown)
            await self._free((master,), listeners, found)
        await self.start(generation, listeners, found)

    def _disown(self) -> None:
        """
        Forget the master, before it is told to leave: nobody takes it for the one that serves from then on.

        The pid file stays, since nginx complains when it cannot delete it at its end.
        """
        self._memory.write(Remembered())
        with durable.translated(self._pid_file):
            self._pid_file.write_text("leaving\n")

    def remember(self, generation: int, *, reloaded: bool) -> None:
        """
        Note what nginx was given. A start is no reload: the first one after it need not wait. Blocks.
        """
        master = self.find()
        if master:
            known = dataclasses.replace(self.recall(master), pid=master.pid, started=master.started)
            at = self._clock.now() if reloaded else None
            self._memory.write(dataclasses.replace(known, generation=generation, reloaded_at=at))

    async def stop(self, *, grace: float) -> None:
        """
        Stop nginx by QUIT, then TERM; KILL if that was not enough. Masters that were replaced are stopped too.
        """
        everyone = await in_thread(functools.partial(process.masters, self._entry))
        if not everyone:
            return
        crew = await in_thread(lambda: [worker for master in everyone for worker in process.workers(master)])
        with contextlib.suppress(StateError):  # a full disk keeps nobody from stopping
            await in_thread(self._disown)
        steps = ((signal.SIGQUIT, grace), (signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS))
        for number, seconds in steps:
            for master in everyone:
                master.send(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    for master in everyone:
                        await process.ended(master)
                    break
        for worker in crew:
            # Only a killed master leaves any.
            worker.send(signal.SIGKILL)

    async def exited(self) -> None:
        """
        Return when the master has ended, whoever started it, or another has taken its place.
        """
        while True:
            self._stirred.clear()
            master = await in_thread(self.find)
            if master:
                with process.watching(master, self._stirred):
                    await self._stirred.wait()
                process.reap(master)
                if not master.alive() or await in_thread(self.find) != master:
                    return
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._stirred.wait()

    async def clear_orphans(self, listeners: Collection[Listener], found: Capabilities) -> None:
        """
        End the workers that a killed master left behind, if they hold these ports.
        """
        await self._free(await in_thread(functools.partial(process.orphans, self._log)), listeners, found)

    async def _free(self, holders: tuple[Process, ...], listeners: Collection[Listener], found: Capabilities) -> None:
        """
        Make processes give up their ports: first by QUIT, which closes them at once and lets open connections finish.
        """
        for number in (signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL):
            if not holders:
                return
            for each in holders:
                each.send(number)
            deadline = self._clock.monotonic() + _LEAVE_SECONDS
            while self._clock.monotonic() < deadline and any(each.alive() for each in holders):
                if not await in_thread(functools.partial(find_closed, listeners, ipv6=found.ipv6)):
                    return
                await self._clock.sleep(_POLL_SECONDS)
            holders = tuple(each for each in holders if each.alive())
