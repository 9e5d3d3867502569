"""
An nginx in memory, for the simulated world.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from gatelodge.core.observed import Nginx as NginxObserved
from gatelodge.core.tree import Capabilities, Generation
from gatelodge.errors import NginxMissing, NginxRefused, NginxUnproven
from gatelodge.nginx.writing.stream import is_left_out

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable

    from gatelodge.core.tree import Rendered
    from gatelodge.ports import Clock

CAPABILITIES = Capabilities(binary="/usr/sbin/nginx", version=(1, 28, 0), modules=frozenset({"http_v2_module"}))


@dataclasses.dataclass(slots=True)
class _Tree:
    rendered: Rendered
    generation: Generation


class FakeNginx:
    """
    Implements `ports.Nginx`. What it does not like can be changed at any time: `refuses` is asked about each part's name
    and text, `missing` says why there is no program, `unproven` why a tree is not proven, `closed` why nginx does not start.
    `reloads` counts how often it was reloaded.
    """

    def __init__(self, *, clock: Clock, capabilities: Capabilities = CAPABILITIES) -> None:
        self.capabilities = capabilities
        self.refuses: Callable[[str, str], bool] = lambda _site, text: "nonsense" in text
        self.missing: str | None = None
        self.unproven: str | None = None
        self.closed: str | None = None
        self.draining = 0
        self.reloads = 0
        self._clock = clock
        self._trees: dict[int, _Tree] = {}
        self._current: int | None = None
        self._running: int | None = None
        self._highest = 0
        self._pid = 100
        self._reloaded_at: dt.datetime | None = None
        self._started = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def serving(self) -> Rendered | None:
        """
        The tree that visitors get, None when nothing runs.
        """
        return self._trees[self._running].rendered if self._running is not None else None

    def crash(self) -> None:
        """
        End the running nginx, as kill -9 does.
        """
        self._end()

    async def observe(self) -> NginxObserved:
        current = self._trees.get(self._current) if self._current is not None else None
        return NginxObserved(
            capabilities=None if self.missing else self.capabilities,
            missing=self.missing,
            running=self._running,
            pid=self._pid if self._running is not None else None,
            current=current.generation if current else None,
            generations=tuple(self._trees[number].generation for number in sorted(self._trees)),
            reloaded_at=self._reloaded_at,
            draining=self.draining if self._running is not None else 0,
        )

    async def apply(self, rendered: Rendered, *, progress: Callable[[str], None] = lambda _: None) -> int:
        progress("writing the files")
        await asyncio.sleep(0)
        self._check_program()
        guilty = frozenset(part for part, text in rendered.parts.items() if self.refuses(part, text))
        self._highest += 1
        if guilty:
            raise NginxRefused(f"[emerg] in {', '.join(sorted(guilty))}", guilty)
        if self._running is None and self.closed:
            raise NginxRefused(self.closed)
        if self.unproven:
            raise NginxUnproven(self.unproven)
        number = self._highest
        generation = Generation(
            number=number,
            digest=rendered.digest,
            proven=True,
            created_at=self._clock.now(),
            references=rendered.references,
        )
        self._trees[number] = _Tree(rendered, generation)
        self._current = number
        self._run(number)
        return number

    async def roll_back(self) -> None:
        await asyncio.sleep(0)
        self._current = self._last_proven()
        if self._running is None:
            return
        if self._current is None:
            self._end()
        else:
            self._run(self._current)

    async def start(self) -> None:
        await asyncio.sleep(0)
        if self._running is not None:
            return
        self._check_program()
        if self._current is None or self.closed:
            raise NginxRefused(self.closed or "there is no tree to start it on yet")
        self._run(self._current)

    async def stop(self, *, grace: float) -> None:
        del grace
        await asyncio.sleep(0)
        if self._running is not None:
            self._end()

    async def exited(self) -> None:
        if self._running is None:
            self._started.clear()
            await self._started.wait()
        await self._ended.wait()

    async def prune(self, generations: Iterable[int]) -> None:
        for number in frozenset(generations) - {self._current, self._last_proven(), self._running}:
            self._trees.pop(number, None)

    async def site_text(self, site: str) -> str | None:
        number = self._last_proven()
        text = self._trees[number].rendered.parts.get(site) if number is not None else None
        return None if text is None or is_left_out(text) else text

    def leave_unproven(self, rendered: Rendered) -> None:
        """
        Leave behind what a daemon does that dies between swap and proof: a current tree that was not proven.
        """
        self._highest += 1
        generation = Generation(
            number=self._highest,
            digest=rendered.digest,
            proven=False,
            created_at=self._clock.now(),
            references=rendered.references,
        )
        self._trees[self._highest] = _Tree(rendered, generation)
        self._current = self._highest

    def _check_program(self) -> None:
        if self.missing:
            raise NginxMissing(self.capabilities.binary, self.missing)

    def _last_proven(self) -> int | None:
        return max((number for number, tree in self._trees.items() if tree.generation.proven), default=None)

    def _run(self, number: int) -> None:
        if self._running is None:
            self._pid += 1
            self._ended = asyncio.Event()
            self._started.set()
            self._reloaded_at = None
        else:
            self._reloaded_at = self._clock.now()
            self.reloads += 1
        self._running = number

    def _end(self) -> None:
        self._running = None
        self._ended.set()
