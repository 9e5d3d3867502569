"""
The nginx that others run, given trees inside its `http {}` and `stream {}`, which it must prove to serve.

It never starts, stops or kills that nginx, and edits no file of its owner's. A tree is proven as a visitor sees it, since nothing else
of that nginx need be within reach; a reload that others order only takes up what is current.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from gatelodge.core.observed import Nginx as NginxObserved
from gatelodge.durable import in_thread
from gatelodge.errors import NginxError, NginxMissing, NginxRefused, NginxUnproven
from gatelodge.nginx.blame import explain, find_complaints, find_guilty, reasons, written
from gatelodge.nginx.proof import ask_generation
from gatelodge.nginx.staging import stage
from gatelodge.nginx.witness import Witness, blaming_streams

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable

    from gatelodge.core.tree import Capabilities, Rendered
    from gatelodge.model import NginxSettings
    from gatelodge.nginx.reloading import Reloading
    from gatelodge.nginx.tree import Tree, Trees
    from gatelodge.ports import Clock

#: How often it is looked whether nginx came, went, or was upgraded.
_LOOK_SECONDS = 5.0

#: For how long a worker of the tree before may answer after the new ones do: the master tells the old ones to leave 100 ms after it
#: started the new (ngx_process_cycle.c), and on a busy machine they come to it later.
_LEAVING_SECONDS = 2.0


class External:
    """
    Implements `ports.Nginx` with trees in `STATE/nginx` for an nginx that includes the current one's `http.conf`, or a copy of it.
    """

    def __init__(self, *, trees: Trees, reloading: Reloading, settings: NginxSettings, clock: Clock) -> None:
        self._trees = trees
        self._reloading = reloading
        self._settings = settings
        self._clock = clock
        self._seen: tuple[int | None, object] = (None, None)
        self._proven: tuple[int, float] | None = None

    async def observe(self) -> NginxObserved:
        """
        Look at what is known of the program, at the trees, and ask nginx which of them it serves.
        """
        return await in_thread(self._observe)

    def _observe(self) -> NginxObserved:
        found, missing = self._find()
        trees = self._trees.trees()
        number = self._reloading.current()
        current = next((tree for tree in trees if tree.generation.number == number), None)
        running = self._running(current)
        self._seen = (running, found or missing)
        return NginxObserved(
            capabilities=found,
            missing=missing,
            ours=False,
            running=running,
            version=found.version if found else None,
            current=current.generation if current else None,
            generations=tuple(tree.generation for tree in trees),
            reloaded_at=self._reloaded_at(trees),
        )

    def _running(self, current: Tree | None) -> int | None:
        """
        Return which tree nginx serves. That an old worker still answers, just after the new ones did, says nothing.
        """
        running = _served(current)
        if running is None or current is None or self._proven is None:
            return running
        number, at = self._proven
        leaving = number == current.generation.number and self._clock.monotonic() < at + _LEAVING_SECONDS
        return number if leaving else running

    def _reloaded_at(self, trees: tuple[Tree, ...]) -> dt.datetime | None:
        proven = [at for tree in trees if (at := self._trees.proven_at(tree.generation.number)) is not None]
        return max(proven) if len(proven) > 1 else None

    async def apply(self, rendered: Rendered, *, progress: Callable[[str], None] = lambda _: None) -> int:
        """
        Stage a tree, have it tested and loaded, and prove it. On any failure what was proven before is current and loaded again.
        """
        progress("writing the files")
        number = await stage(self._trees, rendered, clock=self._clock)
        before = await in_thread(self._last_proven)
        loaded = False
        try:
            progress(f"having generation {number} tested and loaded")
            said = await self._reloading.load(number)
            loaded = True
            self._judge(said, number, rendered, before)
            progress(f"waiting until nginx serves generation {number}, as a visitor sees it")
            await self._prove(number, rendered, before)
            await in_thread(functools.partial(self._trees.mark_proven, number))
            self._proven = number, self._clock.monotonic()
        except NginxRefused as error:
            await self._give_up(number, before, loaded=loaded)
            guilty = error.guilty or self._blame(error.output, number, rendered, before)
            files = written(rendered, folder=str(self._trees.folder(number)))
            told = explain(error.output, files, access_log=self._settings.access_log)
            raise NginxRefused(told, guilty, reasons(told, guilty)) from error
        except BaseException:
            await self._give_up(number, before, loaded=loaded or await in_thread(self._reloading.current) == number)
            raise
        return number

    def _judge(self, said: str, number: int, rendered: Rendered, before: Tree | None) -> None:
        """
        Refuse a tree of which nginx said that it takes it but for a part: a name that somebody else's server has too.
        """
        complaints = find_complaints(said, folder=str(self._trees.folder(number)))
        if complaints and (guilty := self._blame(complaints, number, rendered, before)):
            raise NginxRefused(complaints, guilty)

    def _blame(self, output: str, number: int, rendered: Rendered, before: Tree | None) -> frozenset[str]:
        texts = {}
        if before is not None:
            texts = {part: self._trees.site_text(before.generation.number, part) or "" for part in rendered.parts}
        return find_guilty(output, rendered.parts, folder=str(self._trees.folder(number)), settled=texts)

    async def _prove(self, number: int, rendered: Rendered, before: Tree | None) -> None:
        shown = before.served if before else frozenset()
        changed = [each for each in rendered.served if each not in shown]
        witness = Witness(address=self._settings.address, clock=self._clock)
        try:
            await witness.prove(number, proof=rendered.proof, proxied=rendered.proof_proxied, served=())
        except NginxUnproven as error:
            raise NginxUnproven(
                f"{error}; does nginx's http {{}} have the line include {self._reloading.entry()}; and is it reached at "
                f"[nginx] address {self._settings.address}?"
            ) from error
        line = self._reloading.entry().replace("http.con", "stream.con")
        with blaming_streams(rendered, hint=f"; does nginx's stream {{}} have the line include {line};?"):
            await witness.prove(number, proof="", served=changed)

    async def _give_up(self, number: int, before: Tree | None, *, loaded: bool) -> None:
        """
        Go back to what was proven, and delete a tree that was not.
        """
        if loaded:
            with contextlib.suppress(NginxError):  # what is told is why the tree was not served
                await self._reloading.load(before.generation.number if before else None)
        if await in_thread(self._reloading.current) != number:
            await in_thread(functools.partial(self._trees.remove, number))

    async def roll_back(self) -> None:
        """
        Go back to the last proven tree; without one, none is current.
        """
        before = await in_thread(self._last_proven)
        await self._reloading.load(before.generation.number if before else None)
        if before is not None:
            witness = Witness(address=self._settings.address, clock=self._clock)
            await witness.prove(before.generation.number, proof=before.proof, proxied=before.proof_proxied, served=())

    async def start(self) -> None:
        """
        Start nothing: others do.

        Raises:
            NginxRefused: it does not run.
        """
        if (await self.observe()).running is None:
            raise NginxRefused(f"nginx does not answer at {self._settings.address}, and others start it: start it")

    async def stop(self, *, grace: float) -> None:
        """
        Stop nothing: others do.
        """
        del grace

    async def exited(self) -> None:
        """
        Return when nginx has gone, or come, or is another, than when it was observed last: looked at every few seconds, from outside.
        """
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            if await in_thread(self._look) != self._seen:
                return

    def _look(self) -> tuple[int | None, object]:
        found, missing = self._find()
        number = self._reloading.current()
        return self._running(self._trees.tree(number) if number is not None else None), found or missing

    def _find(self) -> tuple[Capabilities | None, str | None]:
        try:
            return self._reloading.find(), None
        except NginxMissing as error:
            return None, str(error)

    async def prune(self, generations: Iterable[int]) -> None:
        """
        Delete trees; never one that is current, proven last, or served.
        """
        await in_thread(functools.partial(self._prune, frozenset(generations)))

    def _prune(self, generations: frozenset[int]) -> None:
        current = self._reloading.current()
        served = _served(self._trees.tree(current) if current is not None else None)
        for number in generations - {current, self._trees.last_proven(), served}:
            self._trees.remove(number)

    async def site_text(self, site: str) -> str | None:
        """
        Return a site's text in the last proven tree.
        """
        before = await in_thread(self._last_proven)
        return self._trees.kept(before.generation.number, site) if before is not None else None

    def _last_proven(self) -> Tree | None:
        number = self._trees.last_proven()
        return self._trees.tree(number) if number is not None else None


def _served(current: Tree | None) -> int | None:
    """
    Return which tree nginx says that it serves, where the current one has it say so; None when nothing answers.
    """
    if current is None:
        return None
    if not current.proof:
        return current.generation.number  # there is no listener to ask at
    return ask_generation(current.proof, proxied=current.proof_proxied)
