"""
The nginx that is ours, given trees that it must prove to serve.

It decides nothing about what is served. It never writes into a pipe that nginx holds, never kills an nginx because the daemon
fails, and leaves no tree current that nginx was not seen to serve.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.core.desired import ACCESS_LOG
from gatelodge.core.observed import Nginx as NginxObserved
from gatelodge.durable import in_thread
from gatelodge.errors import NginxError, NginxMissing, NginxRefused
from gatelodge.model import Listener
from gatelodge.nginx import process
from gatelodge.nginx.binary import capabilities
from gatelodge.nginx.blame import explain, reasons, written
from gatelodge.nginx.listening import find_clashes, find_closed, sockets
from gatelodge.nginx.log import ErrorLog, put_aside
from gatelodge.nginx.master import Master
from gatelodge.nginx.staging import stage
from gatelodge.nginx.tree import Trees
from gatelodge.nginx.trial import Trial
from gatelodge.nginx.witness import Witness, blaming_streams
from gatelodge.nginx.writing.reading import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gatelodge.core.tree import Capabilities, Rendered
    from gatelodge.model import NginxSettings
    from gatelodge.nginx.process import Process, Socket
    from gatelodge.nginx.tree import Tree
    from gatelodge.ports import Clock


@dataclasses.dataclass(frozen=True, slots=True)
class _Before:
    """
    What there is to go back to: the last proven tree, the master that ran, and the path of its program, as far as known. `workers` are
    those that served.
    """

    tree: Tree | None
    master: Process | None
    binary: str | None
    workers: tuple[Process, ...]


class Managed:
    """
    Implements `ports.Nginx` with trees in `STATE/nginx` and a master that daemonises itself.
    """

    def __init__(self, *, state_directory: str, settings: NginxSettings, clock: Clock) -> None:
        self._state = Path(state_directory)
        self._settings = settings
        self._clock = clock
        self._trees = Trees(self._state / "nginx")
        self._log = ErrorLog(self._state / "log" / "error.log")
        # A path of the person's own is the person's to rotate.
        self._visits = self._state / "log" / ACCESS_LOG
        self._master = Master(folder=self._state / "nginx", entry=self._trees.entry, log=self._log.path, clock=clock)
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
        master = self._master.find()
        if not self._changing and master:
            aside = [log for log in (self._log.path, self._visits) if put_aside(log)]
            if aside:
                master.send(signal.SIGUSR1)
        remembered = self._master.recall(master)
        trees = self._trees.trees()
        current = self._trees.current()
        return NginxObserved(
            capabilities=found,
            missing=missing,
            running=remembered.generation if master else None,
            pid=master.pid if master else None,
            version=remembered.program.version if remembered.program else None,
            current=next((tree.generation for tree in trees if tree.generation.number == current), None),
            generations=tuple(tree.generation for tree in trees),
            reloaded_at=remembered.reloaded_at,
            draining=self._master.count_draining() if master else 0,
        )

    async def apply(self, rendered: Rendered, *, progress: Callable[[str], None] = lambda _: None) -> int:
        """
        Stage, test, swap, reload and prove a tree. What nginx runs is not touched before the test is passed.

        Where a reload cannot do it, another master takes the place of the one that runs.
        """
        found = await in_thread(functools.partial(capabilities, self._settings))
        before = await in_thread(self._before)
        with self._change() as files:
            progress("writing the files")
            number = await stage(self._trees, rendered, clock=self._clock)
            files.update(written(rendered, folder=str(self._trees.folder(number))))
            swapped = False
            try:
                progress(f"testing generation {number}: its ports, and nginx -t")
                await self._examine(number, rendered, found, before)
                swapped = True
                await in_thread(functools.partial(self._trees.swap, number))
                witness = self._witness()
                progress(f"{'loading' if before.master else 'starting nginx with'} generation {number}")
                await self._serve(number, rendered.listeners, found)
                shown = before.tree.served if before.tree else frozenset()
                changed = [each for each in rendered.served if each not in shown]
                progress(f"waiting until nginx serves generation {number}, as a visitor sees it")
                with blaming_streams(rendered):
                    await witness.prove(number, proof=rendered.proof, proxied=rendered.proof_proxied, served=changed)
                await in_thread(functools.partial(self._trees.mark_proven, number))
                await self._remember(number, reloaded=before.master is not None)
            except BaseException:
                if swapped:
                    with contextlib.suppress(NginxError):  # what is told is why this tree was not served
                        await self._go_back(before)
                await in_thread(functools.partial(self._trees.remove, number))
                raise
            progress("waiting until old workers take no visitors any more")
            await self._master.left(before.workers)
        return number

    async def roll_back(self) -> None:
        """
        Go back to the last proven tree; without one, an nginx that runs is stopped.
        """
        with self._change():
            await self._go_back(await in_thread(self._before))

    async def start(self) -> None:
        """
        Start nginx on the current tree, unless it runs: then it is adopted.
        """
        with self._change():
            if await in_thread(self._master.find):
                return
            found = await in_thread(functools.partial(capabilities, self._settings))
            current = await in_thread(self._trees.current)
            tree = await in_thread(functools.partial(self._trees.tree, current)) if current is not None else None
            if tree is None:
                raise NginxRefused("there is no tree to start nginx on yet")
            await self._master.start(tree.generation.number, tree.listeners, found)

    async def stop(self, *, grace: float) -> None:
        """
        Stop nginx by QUIT, then TERM; KILL if that was not enough.
        """
        await self._master.stop(grace=grace)

    async def exited(self) -> None:
        """
        Return when the master has ended, whoever started it.
        """
        await self._master.exited()

    async def prune(self, generations: Iterable[int]) -> None:
        """
        Delete trees; never the one that runs either.
        """
        await in_thread(functools.partial(self._prune, frozenset(generations)))

    def _prune(self, generations: frozenset[int]) -> None:
        running = self._master.recall(self._master.find()).generation
        for number in generations - {self._trees.current(), self._trees.last_proven(), running}:
            self._trees.remove(number)

    async def site_text(self, site: str) -> str | None:
        """
        Return a site's text in the last proven tree.
        """
        return await in_thread(functools.partial(self._site_text, site))

    def _site_text(self, site: str) -> str | None:
        number = self._trees.last_proven()
        return self._trees.kept(number, site) if number is not None else None

    @contextlib.contextmanager
    def _change(self) -> Iterator[dict[str, str]]:
        """
        Leave the error log where it is while its end is watched, and say what to do where nginx's own words do not. Yields what is to
        hold the files of ours that nginx may speak of.
        """
        self._changing = True
        files: dict[str, str] = {}
        try:
            yield files
        except NginxRefused as error:
            told = explain(error.output, files, access_log=self._settings.access_log)
            raise NginxRefused(told, error.guilty, reasons(told, error.guilty)) from error
        finally:
            self._changing = False

    def _witness(self) -> Witness:
        """
        Begin to watch, before nginx is told of a tree.
        """
        return Witness(
            address=self._settings.address,
            clock=self._clock,
            refused=functools.partial(self._log.emergencies, self._log.end()),
            ended=self._ended,
        )

    def _ended(self) -> str:
        if self._master.find():
            return ""
        return f"nginx ended while it took up its configuration; {self._log.path} may say why"

    def _before(self) -> _Before:
        number = self._trees.last_proven()
        master = self._master.find()
        program = self._master.recall(master).program
        tree = self._trees.tree(number) if number is not None else None
        workers = process.workers(master) if master else ()
        return _Before(tree, master, program.path if program else None, workers)

    async def _examine(self, number: int, rendered: Rendered, found: Capabilities, before: _Before) -> None:
        """
        Ask everything that can be asked of a tree before nginx is given it.
        """
        master = before.master
        if master is None:
            await self._master.clear_orphans(rendered.listeners, found)
        held = await in_thread(lambda: self._held(master)) if master else frozenset()
        # First, since nginx's own words for an address that it cannot have name no site.
        closed = await in_thread(
            functools.partial(find_closed, rendered.listeners, ipv6=found.ipv6, held=held, master=master)
        )
        if closed:
            raise NginxRefused("\n".join(closed.values()), self._listening_there(closed, rendered))
        settled = await in_thread(functools.partial(self._texts, before.tree, rendered))
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
        texts = {site: self._trees.site_text(tree.generation.number, site) for site in rendered.parts}
        return {site: text for site, text in texts.items() if text is not None}

    def _held(self, master: Process) -> frozenset[Socket]:
        """
        Return the sockets that a master holds; those of the tree that it runs when the kernel does not show them.
        """
        tree = self._trees.tree(self._master.recall(master).generation)
        return process.sockets(master) or sockets(tree.listeners if tree else (), ipv6=True)

    def _takes(self, master: Process, listeners: Iterable[Listener]) -> bool:
        """
        Tell whether a master can open these listeners beside what it holds, which it does until a reload is over.
        """
        return not find_clashes(sockets(listeners, ipv6=True), self._held(master))

    def _listening_there(self, closed: Iterable[Listener], rendered: Rendered) -> frozenset[str]:
        """
        Return the sites and streams that ask for listeners which cannot be opened; nobody for those that are the whole house's.
        """
        named = {part: read(text) for part, text in rendered.parts.items()}
        streams = [names.asked for part, names in named.items() if part not in rendered.sites]
        house = {Listener(port=port) for port in (self._settings.http_port, self._settings.https_port)}
        if not house.difference(*streams).isdisjoint(closed):
            return frozenset()
        return frozenset(part for part, names in named.items() if not names.asked.isdisjoint(closed))

    async def _serve(self, number: int, listeners: frozenset[Listener], found: Capabilities) -> None:
        """
        Make the current tree that of the running nginx, by a reload where that can do it, or start one.
        """
        master = await in_thread(self._master.find)
        if master is None:
            await self._master.start(number, listeners, found)
        elif await in_thread(lambda: self._takes(master, listeners) and self._master.is_of(master, found)):
            master.send(signal.SIGHUP)
        else:
            await self._master.replace(number, listeners, found)

    async def _go_back(self, before: _Before) -> None:
        """
        Make the last proven tree current and served again; without one, nothing is current and nothing runs.

        Raises:
            NginxRefused, NginxUnproven: it is current, and not served.
            NginxMissing: the program cannot be run.
        """
        tree = before.tree
        await in_thread(functools.partial(self._trees.swap, tree.generation.number if tree else None))
        master = await in_thread(self._master.find)
        if tree is None:
            await self.stop(grace=1)
            return
        if master is None and before.master is None:
            return
        # Its program does not matter here: it may be the only one that still knows the tree's syntax.
        if master and before.master in {None, master} and await in_thread(lambda: self._takes(master, tree.listeners)):
            witness = self._witness()
            master.send(signal.SIGHUP)
            await witness.prove(tree.generation.number, proof=tree.proof, proxied=tree.proof_proxied, served=())
        else:
            await self._start_again(tree, before.binary)
        await self._remember(tree.generation.number, reloaded=True)

    async def _start_again(self, tree: Tree, binary: str | None) -> None:
        """
        Start nginx on a tree that was proven before: from the program on which it was, else from the one that is found now.
        """
        failed: list[NginxError] = []
        for path in (binary, self._settings.binary):
            if path is None:
                continue
            settings = dataclasses.replace(self._settings, binary=path)
            try:
                found = await in_thread(functools.partial(capabilities, settings))
                witness = self._witness()
                await self._master.replace(tree.generation.number, tree.listeners, found)
                await witness.prove(tree.generation.number, proof=tree.proof, proxied=tree.proof_proxied, served=())
            except NginxError as error:
                failed.append(error)
            else:
                return
        raise failed[0]

    async def _remember(self, generation: int, *, reloaded: bool) -> None:
        await in_thread(functools.partial(self._master.remember, generation, reloaded=reloaded))
