"""
Reaches an nginx on this machine by commands: the tree is made current, then each command is run, the first that fails ends it.

The daemon alone writes `current` here. Commands are run without a shell, for a limited time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import subprocess
import tempfile
from typing import TYPE_CHECKING

from gatelodge.durable import in_thread
from gatelodge.errors import NginxAway, NginxRefused
from gatelodge.nginx.binary import capabilities
from gatelodge.nginx.others import listening

if TYPE_CHECKING:
    from gatelodge.core.tree import Capabilities
    from gatelodge.model import ByCommands, NginxSettings
    from gatelodge.nginx.tree import Trees
    from gatelodge.ports import Clock

#: How long one command may take: a test of 1 000 TLS sites takes a second on a fast machine, ten on a small one.
_SECONDS = 60

#: How long it is believed where others listen. A test that fails has it asked again at once.
_FRESH = 3600.0

_MOST_SHOWN = 4000


class Commands:
    """
    Implements `reloading.Reloading`.
    """

    def __init__(self, *, trees: Trees, settings: NginxSettings, by: ByCommands, ours: str, clock: Clock) -> None:
        """
        Args:
            ours: the folder that holds our trees.
        """
        self._trees = trees
        self._settings = settings
        self._commands = by.commands
        self._ours = ours
        self._clock = clock
        self._strangers: tuple[float, str, frozenset[str]] | None = None

    def find(self) -> Capabilities:
        """
        Ask the program, as `Reloading` says.
        """
        found = capabilities(self._settings)
        return dataclasses.replace(found, user=None, group=None, strangers=self._others(found.binary))

    def _others(self, binary: str) -> frozenset[str]:
        now, known = self._clock.monotonic(), self._strangers
        if known is None or known[1] != binary or now - known[0] > _FRESH:
            # What it says may hold secrets of others: only where they listen is taken from it.
            done = subprocess.run(  # noqa: S603 - the program that the configuration names
                [binary, "-T"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False, cwd="/"
            )
            known = self._strangers = (now, binary, listening(done.stdout.decode(errors="replace"), ours=self._ours))
        return known[2]

    def current(self) -> int | None:
        """
        Read our own link, as `Reloading` says.
        """
        return self._trees.current()

    def entry(self) -> str:
        """
        Return a path through our own link, as `Reloading` says.
        """
        return f"{self._ours}/current/http.con[f]"

    async def load(self, number: int | None) -> str:
        """
        Make a tree current and run the commands, as `Reloading` says.
        """
        before = await in_thread(self._trees.current)
        await in_thread(functools.partial(self._trees.swap, number))
        said = ""
        try:
            for words in self._commands:
                said += await _run(words)
        except BaseException:
            self._strangers = None
            await in_thread(functools.partial(self._trees.swap, before))
            raise
        return said


async def _run(words: tuple[str, ...]) -> str:
    """
    Run a command and return what it said.

    Raises:
        NginxRefused: it failed.
        NginxMissing: it cannot be run, or does not end.
    """
    shown = " ".join(words)
    with tempfile.TemporaryFile() as said:
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", start_new_session=True
            )
        except OSError as error:
            raise NginxAway(
                words[0], f"[nginx] reload: {shown} cannot be run: {error.strerror}; write its absolute path"
            ) from error
        try:
            async with asyncio.timeout(_SECONDS):
                await process.wait()
        except TimeoutError:
            raise NginxAway(
                words[0], f"[nginx] reload: {shown} did not end within {_SECONDS} s; see what it waits for"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        said.seek(0)
        output = said.read(_MOST_SHOWN).decode(errors="replace").strip()
    if process.returncode:
        raise NginxRefused(output or f"[nginx] reload: {shown} ended with {process.returncode} and said nothing")
    return f"{output}\n"
