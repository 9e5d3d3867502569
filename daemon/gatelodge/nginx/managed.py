"""
The nginx that is ours: started, adopted, reloaded, watched and stopped, and given trees that it must prove to serve.

It decides nothing about what is served. It never writes into a pipe that nginx holds, never kills an nginx because the daemon
fails, and leaves no tree current that nginx was not seen to serve.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.core.observed import Nginx as NginxObserved
from gatelodge.durable import in_thread
from gatelodge.errors import NginxMissing, NginxRefused, NginxUnproven
from gatelodge.nginx import process
from gatelodge.nginx.binary import capabilities
from gatelodge.nginx.launch import Launch
from gatelodge.nginx.listening import find_closed
from gatelodge.nginx.log import ErrorLog
from gatelodge.nginx.memory import Memory, Remembered
from gatelodge.nginx.reading import read
from gatelodge.nginx.tree import Trees
from gatelodge.nginx.trial import Trial
from gatelodge.nginx.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gatelodge.core.tree import Capabilities, Rendered
    from gatelodge.model import Listener, NginxSettings
    from gatelodge.nginx.process import Process
    from gatelodge.nginx.tree import Tree
    from gatelodge.ports import Clock

_POLL_SECONDS = 0.02

#: How often an nginx is looked for that somebody else started, or the daemon under an older configuration.
_LOOK_SECONDS = 5

#: After QUIT and its grace: how long TERM may take, and then KILL.
_TERM_SECONDS = 5.0
_KILL_SECONDS = 5.0


class Managed:
    """
    Implements `ports.Nginx` with trees in `STATE/nginx` and a master that daemonises itself.
    """

    def __init__(self, *, state_directory: str, settings: NginxSettings, clock: Clock) -> None:
        self._state = Path(state_directory)
        self._settings = settings
        self._clock = clock
        self._trees = Trees(self._state / "nginx")
        self._memory = Memory(self._state / "nginx" / "running")
        self._log = ErrorLog(self._state / "log" / "error.log")
        self._launched = asyncio.Event()
        self._changing = False

    async def observe(self) -> NginxObserved:
        """
        Look at the program, the processes and the trees; and put a log that grew too large aside.
        """
        return await in_thread(self._observe)

    def _observe(self) -> NginxObserved:
        found, missing = None, None
        try:
            found = capabilities(self._settings)
        except NginxMissing as error:
            missing = str(error)
        master = self._master()
        if not self._changing and self._log.rotate() and master:
            master.send(signal.SIGUSR1)
        remembered = self._memory.recall()
        trees = self._trees.trees()
        current = self._trees.current()
        return NginxObserved(
            capabilities=found,
            missing=missing,
            running=remembered.generation_of(master) if master else None,
            pid=master.pid if master else None,
            current=next((tree.generation for tree in trees if tree.generation.number == current), None),
            generations=tuple(tree.generation for tree in trees),
            reloaded_at=remembered.reloaded_at,
            draining=process.draining(master) if master else 0,
        )

    async def apply(self, rendered: Rendered) -> int:
        """
        Stage, test, swap, reload and prove a tree. What nginx runs is not touched before the test is passed.
        """
        found = await in_thread(functools.partial(capabilities, self._settings))
        before = await in_thread(self._last_proven)
        with self._change():
            number = await self._stage(rendered)
            swapped = False
            try:
                await self._examine(number, rendered, found, before)
                swapped = True
                await in_thread(functools.partial(self._trees.swap, number))
                witness = self._witness()
                reloaded = await self._serve(found)
                shown = before.served if before else frozenset()
                changed = [each for each in rendered.served if each not in shown]
                await witness.prove(number, proof=rendered.proof, served=changed)
                await in_thread(functools.partial(self._trees.mark_proven, number))
                await self._remember(number, reloaded=reloaded)
            except BaseException:
                if swapped:
                    await self._go_back(before)
                await in_thread(functools.partial(self._trees.remove, number))
                raise
        return number

    async def roll_back(self) -> None:
        """
        Go back to the last proven tree; without one, an nginx that runs is stopped.
        """
        with self._change():
            before = await in_thread(self._last_proven)
            await self._go_back(before, strict=True)

    async def start(self) -> None:
        """
        Start nginx on the current tree, unless it runs: then it is adopted.
        """
        with self._change():
            if await in_thread(self._master):
                return
            found = await in_thread(functools.partial(capabilities, self._settings))
            current = await in_thread(self._trees.current)
            tree = await in_thread(functools.partial(self._trees.tree, current)) if current is not None else None
            if tree is None:
                raise NginxRefused("there is no tree to start it on yet")
            await self._clear_orphans(tree.listeners, found)
            await self._launch(found)
            await self._remember(tree.generation.number, reloaded=False)

    async def stop(self, *, grace: float) -> None:
        """
        Stop nginx by QUIT, then TERM; KILL if that was not enough.
        """
        master = await in_thread(self._master)
        if master is None:
            return
        crew = await in_thread(functools.partial(process.workers, master))
        steps = ((signal.SIGQUIT, grace), (signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS))
        for number, seconds in steps:
            master.send(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.ended(master)
                    break
        for worker in crew:
            # Only a killed master leaves any.
            worker.send(signal.SIGKILL)

    async def exited(self) -> None:
        """
        Return when the master has ended, whoever started it.
        """
        while True:
            self._launched.clear()
            master = await in_thread(self._master)
            if master:
                await process.ended(master)
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._launched.wait()

    async def prune(self, generations: Iterable[int]) -> None:
        """
        Delete trees; never the one that runs either.
        """
        await in_thread(functools.partial(self._prune, frozenset(generations)))

    def _prune(self, generations: frozenset[int]) -> None:
        master = self._master()
        running = self._memory.recall().generation_of(master) if master else None
        for number in generations - {self._trees.current(), self._trees.last_proven(), running}:
            self._trees.remove(number)

    async def site_text(self, site: str) -> str | None:
        """
        Return a site's text in the last proven tree.
        """
        return await in_thread(functools.partial(self._site_text, site))

    def _site_text(self, site: str) -> str | None:
        number = self._trees.last_proven()
        return self._trees.site_text(number, site) if number is not None else None

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        """
        Leave the error log where it is while its end is watched.
        """
        self._changing = True
        try:
            yield
        finally:
            self._changing = False

    def _master(self) -> Process | None:
        return process.find_master(self._state / "nginx" / "nginx.pid", self._trees.entry)

    def _witness(self) -> Witness:
        """
        Begin to watch, before nginx is told of a tree.
        """
        return Witness(
            address=self._settings.address,
            log=self._log,
            offset=self._log.end(),
            master=self._master,
            clock=self._clock,
        )

    def _last_proven(self) -> Tree | None:
        number = self._trees.last_proven()
        return self._trees.tree(number) if number is not None else None

    async def _stage(self, rendered: Rendered) -> int:
        staged: list[int] = []
        try:
            await in_thread(lambda: staged.append(self._trees.stage(rendered, now=self._clock.now())))
        except asyncio.CancelledError:
            for number in staged:
                await in_thread(functools.partial(self._trees.remove, number))
            raise
        return staged[0]

    async def _examine(self, number: int, rendered: Rendered, found: Capabilities, before: Tree | None) -> None:
        """
        Ask everything that can be asked of a tree before nginx is given it.
        """
        master = await in_thread(self._master)
        held: frozenset[Listener] = frozenset()
        if master is None:
            await self._clear_orphans(rendered.listeners, found)
        else:
            held = await in_thread(functools.partial(self._held, master, rendered))
        # First, since nginx's own words for an address that it cannot have name no site.
        closed = await in_thread(functools.partial(find_closed, rendered.listeners, held=held, ipv6=found.ipv6))
        if closed:
            raise NginxRefused("\n".join(closed.values()), self._listening_there(frozenset(closed), rendered))
        settled = await in_thread(functools.partial(self._texts, before, rendered))
        trial = Trial(
            found=found,
            state=self._state,
            number=number,
            rendered=rendered,
            settled=settled,
            clock=self._clock,
        )
        await trial.hold()

    def _texts(self, tree: Tree | None, rendered: Rendered) -> dict[str, str]:
        if tree is None:
            return {}
        texts = {site: self._trees.site_text(tree.generation.number, site) for site in rendered.sites}
        return {site: text for site, text in texts.items() if text is not None}

    def _held(self, master: Process, rendered: Rendered) -> frozenset[Listener]:
        """
        Return what a running nginx holds open; when that is not known, everything that could be tried.
        """
        tree = self._trees.tree(self._memory.recall().generation_of(master))
        return tree.listeners if tree else rendered.listeners

    def _listening_there(self, closed: frozenset[Listener], rendered: Rendered) -> frozenset[str]:
        """
        Return the sites that ask for listeners which cannot be opened; nobody for those that are the whole house's.
        """
        if any(each.port in {self._settings.http_port, self._settings.https_port} for each in closed):
            return frozenset()
        named = {site: read(text) for site, text in rendered.sites.items()}
        return frozenset(site for site, names in named.items() if closed & (names.plain | names.tls))

    async def _clear_orphans(self, listeners: frozenset[Listener], found: Capabilities) -> None:
        """
        End the workers that a killed master left behind: first by QUIT, which frees their ports and lets them finish.
        """
        left = await in_thread(functools.partial(process.orphans, self._log.path))
        for number in (signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL):
            if not left:
                return
            for each in left:
                each.send(number)
            deadline = self._clock.monotonic() + _TERM_SECONDS
            while self._clock.monotonic() < deadline and any(each.alive() for each in left):
                if not await in_thread(functools.partial(find_closed, listeners, held=frozenset(), ipv6=found.ipv6)):
                    return
                await self._clock.sleep(_POLL_SECONDS)
            left = tuple(each for each in left if each.alive())

    async def _serve(self, found: Capabilities) -> bool:
        """
        Reload a running nginx, or start one, on the current tree. Tell whether it was a reload.
        """
        master = await in_thread(self._master)
        if master:
            master.send(signal.SIGHUP)
            return True
        await self._launch(found)
        return False

    async def _launch(self, found: Capabilities) -> None:
        launch = Launch(found=found, entry=self._trees.entry, log=self._log.path, master=self._master)
        await in_thread(launch.run)
        self._launched.set()

    async def _go_back(self, before: Tree | None, *, strict: bool = False) -> None:
        """
        Make the last proven tree current and served again; without one, nothing is current and nothing runs.
        """
        number = before.generation.number if before else None
        await in_thread(functools.partial(self._trees.swap, number))
        master = await in_thread(self._master)
        if master is None:
            return
        if before is None:
            await self.stop(grace=1)
            return
        witness = self._witness()
        master.send(signal.SIGHUP)
        try:
            await witness.prove(before.generation.number, proof=before.proof, served=())
        except (NginxRefused, NginxUnproven):
            if strict:
                raise
            return
        await self._remember(before.generation.number, reloaded=True)

    async def _remember(self, generation: int, *, reloaded: bool) -> None:
        """
        Note what nginx was given. A start is no reload: the first one after it need not wait.
        """
        master = await in_thread(self._master)
        if master:
            remembered = Remembered(
                pid=master.pid,
                started=master.started,
                generation=generation,
                reloaded_at=self._clock.now() if reloaded else None,
            )
            await in_thread(functools.partial(self._memory.write, remembered))
