"""
Decides whether nginx would take a tree, and which sites and streams are guilty when not. Nothing that runs is touched: `nginx -t` gets a pid
file, a log and temporary folders of its own, under one folder that is deleted afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import tempfile
from typing import TYPE_CHECKING

from gatelodge import durable
from gatelodge.core.parts import place
from gatelodge.core.tree import GENERATION
from gatelodge.errors import NginxMissing, NginxRefused
from gatelodge.nginx.blame import find_complaints, find_guilty
from gatelodge.nginx.writing.quote import spell_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gatelodge.core.tree import Capabilities, Rendered
    from gatelodge.ports import Clock

#: How long one test may take: a minute, and more when there are very many sites (1 000 take 1.1 s on a fast machine).
_TEST_SECONDS = 60
_TEST_SECONDS_PER_SITE = 0.05

#: How long guilty sites are looked for altogether.
_SEARCH_SECONDS = 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """
    A staged tree before its judge. `settled` are the texts of the parts of the last proven tree.
    """

    found: Capabilities
    state: Path
    number: int
    rendered: Rendered
    settled: Mapping[str, str]
    clock: Clock

    async def hold(self) -> None:
        """
        Return when nginx takes the tree.

        Raises:
            NginxRefused: it does not; names every guilty part that could be found in time.
            NginxMissing: nginx cannot be run.
            StateError: the folder for the test cannot be written.
        """
        with self._scratch() as scratch:
            everyone = frozenset(self.rendered.parts)
            output = await self._test(scratch, everyone)
            if not output:
                return
            guilty, outputs = await self._find_guilty(scratch, output)
        raise NginxRefused("\n".join(outputs), guilty)

    async def _find_guilty(self, scratch: Path, output: str) -> tuple[frozenset[str], list[str]]:
        """
        Name the guilty one after another, testing without those that were found, since nginx stops at the first. Return them, and
        all that nginx said.
        """
        deadline = self.clock.monotonic() + _SEARCH_SECONDS
        everyone = frozenset(self.rendered.parts)
        guilty: frozenset[str] = frozenset()
        outputs: list[str] = []
        while output and self.clock.monotonic() < deadline:
            found = self._blame(output) - guilty
            outputs.append(output)
            if not found:
                return guilty | await self._search(scratch, everyone - guilty, deadline), outputs
            guilty |= found
            output = await self._test(scratch, everyone - guilty)
        return guilty, outputs

    def _blame(self, output: str) -> frozenset[str]:
        return find_guilty(output, self.rendered.parts, folder=self._folder, settled=self.settled)

    async def _search(self, scratch: Path, among: frozenset[str], deadline: float) -> frozenset[str]:
        """
        Find the guilty by halves: first those that changed, since the others were served before.
        """
        parts = self.rendered.parts
        ordered = [part for part in parts if part in among]
        changed = [part for part in ordered if self.settled.get(part) != parts[part]]
        unchanged = [part for part in ordered if part not in changed]
        if not changed or await self._test(scratch, frozenset(unchanged)):
            changed, unchanged = ordered, []
            if await self._test(scratch, frozenset()):
                return frozenset()
        return await self._halve(scratch, frozenset(unchanged), changed, deadline)

    async def _halve(self, scratch: Path, good: frozenset[str], suspects: list[str], deadline: float) -> frozenset[str]:
        if not suspects or self.clock.monotonic() > deadline or not await self._test(scratch, good.union(suspects)):
            return frozenset()
        if len(suspects) == 1:
            return frozenset(suspects)
        middle = len(suspects) // 2
        first = await self._halve(scratch, good, suspects[:middle], deadline)
        good |= frozenset(suspects[:middle]) - first
        return first | await self._halve(scratch, good, suspects[middle:], deadline)

    async def _test(self, scratch: Path, parts: frozenset[str]) -> str:
        """
        Return nginx's complaints about the tree with only these parts; nothing when it has none.
        """
        config = scratch / "nginx.conf"
        with durable.translated(config):
            config.write_text(self._entry(scratch, parts))
        seconds = _TEST_SECONDS + _TEST_SECONDS_PER_SITE * len(parts)
        words = [self.found.binary, "-t", "-c", str(config), "-p", f"{scratch}/"]
        words += ["-e", f"{scratch}/log/error.log"] if self.found.at_least(1, 19, 5) else []
        code, output = await _run(words, seconds, scratch)
        if code is None:
            return f"nginx -t did not end within {seconds:.0f} s"
        complaints = find_complaints(output, folder=self._folder)
        return complaints if code == 0 else complaints or output.strip() or f"nginx -t ended with {code}"

    @property
    def _folder(self) -> str:
        return f"{self.state}/nginx/generations/{self.number}"

    def _entry(self, scratch: Path, parts: frozenset[str]) -> str:
        """
        Write the entry for a test: other paths to write to, and only some parts. Without streams it does not speak of their module.
        """
        rendered = self.rendered
        streams = {place(part) for part in parts if part not in rendered.sites}
        text = (rendered.entry if streams else rendered.without_streams or rendered.entry).replace(
            GENERATION, str(self.number)
        )
        left_out = [place(part) for part in rendered.parts if part not in parts]
        if left_out:
            ends = {f"/{end}{closing}" for end in left_out for closing in (";", '";')}
            text = "\n".join(line for line in text.splitlines() if _end(line) not in ends) + "\n"
        state, trial = spell_path(str(self.state)), spell_path(str(scratch))
        for written in ("/nginx/nginx.pid", "/log/", "/tmp/"):  # noqa: S108 - folders of the state directory
            text = text.replace(f"{state}{written}", f"{trial}{written.removeprefix('/nginx')}")
        return text

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        scratch = self.state / "nginx" / ".trial"
        shutil.rmtree(scratch, ignore_errors=True)
        with durable.translated(scratch):
            for folder in ("log", "tmp"):
                (scratch / folder).mkdir(parents=True)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _end(line: str) -> str:
    """
    Return a path's last two parts, with what follows it on its line.
    """
    return line[max(line.rfind("/", 0, max(line.rfind("/"), 0)), 0) :]


async def _run(words: list[str], seconds: float, folder: Path) -> tuple[int | None, str]:
    """
    Run a program, and return its exit code (None when it did not end in time) and what it said.
    """
    with tempfile.TemporaryFile(dir=folder) as said:
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, cwd="/"
            )
        except OSError as error:
            raise NginxMissing(words[0], error.strerror or str(error)) from error
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            return None, ""
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        said.seek(0)
        return process.returncode, said.read().decode(errors="replace")
