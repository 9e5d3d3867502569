"""
Makes copies of certificates for other programs, and knows which are whole: by what was written down when they were made.

It decides nothing about when. A copy counts as made only when its program has run, so that a crash in between has both done again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import TYPE_CHECKING, Any

from gatelodge import programs
from gatelodge.core.observed import Exported
from gatelodge.credentials import fetch
from gatelodge.durable import in_thread
from gatelodge.errors import ExportError, SecretMissing
from gatelodge.exports import folders
from gatelodge.exports.formats import contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatelodge.core.observed import Held
    from gatelodge.model import Export, Secret
    from gatelodge.ports import Clock, Documents, Issued

EXPORTS = "journal/exports"

#: A copy that was made again just now is not looked at: whoever changes it each time would have it made without end. Seconds.
_REST = 60.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """
    A copy as it was made: what it is of, and the digests of its files.
    """

    exported: Exported
    files: Mapping[str, str]


class FileExporter:
    """
    Implements `ports.Exporter` on the file system.
    """

    def __init__(self, *, documents: Documents, clock: Clock, state_directory: str) -> None:
        self._documents = documents
        self._clock = clock
        self._state_directory = state_directory
        self._made: dict[str, _Made] | None = None
        self._seen: dict[str, tuple[object, bool]] = {}
        self._again_at: dict[str, float] = {}

    async def look(self, exports: Iterable[Export]) -> Mapping[str, Exported]:
        """
        Return the copies that are whole, as `ports.Exporter` says. Files are read again only when they look different.
        """
        made = await self._known()
        wanted = [(export, made[export.mark]) for export in exports if export.mark in made]
        if not wanted:
            return {}
        return await in_thread(
            lambda: {
                export.mark: known.exported
                for export, known in wanted
                if self._rests(export) or self._is_whole(export, known)
            }
        )

    async def export(self, held: Held, issued: Issued, export: Export) -> None:
        """
        Make a copy, as `ports.Exporter` says.
        """
        files = contents(held.name, issued, export, self._password(export))
        made = await self._known()
        before = made.pop(export.mark, None)
        if before is not None:
            await self._documents.delete(EXPORTS, export.mark)
        await in_thread(lambda: folders.write(export, files, state_directory=self._state_directory))
        known = _Made(
            exported=Exported(content=held.content, digest=export.digest),
            files={name: _digest(content) for name, content in files.items()},
        )
        if export.command:
            await _told(held, export)
            if not await in_thread(lambda: self._is_whole(export, known)):
                raise ExportError(
                    export.place,
                    f"{export.command[0]} changed the files, or took them away",
                    "let it work on files of its own, and leave these as they are",
                )
        if before is not None and before.exported == known.exported:
            self._again_at[export.mark] = self._clock.monotonic()
        made[export.mark] = known
        await self._documents.put(EXPORTS, export.mark, {"place": export.place, **dataclasses.asdict(known)})

    def _password(self, export: Export) -> Secret | None:
        if export.password is None:
            return None
        try:
            return fetch(export.password)
        except SecretMissing as error:
            raise ExportError(export.place, f"its password is not there: {error.where} {error.problem}", error.remedy) from error  # fmt: skip

    async def _known(self) -> dict[str, _Made]:
        if self._made is None:
            found = await self._documents.list(EXPORTS)
            self._made = {mark: made for mark, document in found.items() if (made := _read(document))}
        return self._made

    def _rests(self, export: Export) -> bool:
        at = self._again_at.get(export.mark)
        return at is not None and self._clock.monotonic() - at < _REST

    def _is_whole(self, export: Export, known: _Made) -> bool:
        """
        Tell whether the files are there with what was written into them.
        """
        paths = {name: f"{export.directory}/{name}" for name in export.files}
        try:
            look = (known, *(_look(path) for path in paths.values()))
            if export.mark not in self._seen or self._seen[export.mark][0] != look:
                whole = {name: _digest(_content(path)) for name, path in paths.items()} == known.files
                self._seen[export.mark] = (look, whole)
        except OSError:
            return False
        return self._seen[export.mark][1]


def _look(path: str) -> tuple[int, int, int]:
    found = os.lstat(path)
    return found.st_ino, found.st_mtime_ns, found.st_size


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(1024 * 1024)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def _told(held: Held, export: Export) -> None:
    """
    Run the program of a copy.

    Raises:
        ExportError: it could not be run, failed, or took too long.
    """
    seconds = export.timeout.total_seconds()
    environment = programs.few_variables(
        {
            "GATELODGE_CERTIFICATE": held.name,
            "GATELODGE_NAMES": " ".join(held.names),
            "GATELODGE_PLACE": export.place,
        }
    )
    remedy = "run it by hand"
    try:
        ran = await programs.run(export.command, seconds=seconds, environment=environment)
    except TimeoutError:
        what = f"did not end within {seconds:g} s and was killed"
    except (OSError, ValueError) as error:
        what, remedy = programs.unstarted(error)
    else:
        if not ran.status:
            return
        what = programs.why(ran)
    raise ExportError(
        export.place, f"the files are written, but {export.command[0]} {what}", f"{remedy}; it is tried again"
    )


def _read(document: Mapping[str, Any]) -> _Made | None:
    try:
        return _Made(exported=Exported(**document["exported"]), files=dict(document["files"]))
    except (KeyError, TypeError, ValueError):
        return None
