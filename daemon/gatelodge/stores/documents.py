"""
Documents on disk, one file each: implements `ports.Documents`.

    STATE/KIND/KEY.json     {"format": 1, "key": "…", "document": {…}}
    STATE/KIND/.new-…       one that was not finished: never looked at, swept before the first write into its folder

A file that cannot be read stays where it is, for a person to look at, until its key is written again: `get` raises (damage as
`StateDamaged`, so that its reader can count it as none), `list` leaves it out and tells once. One of a newer format stops
everything and is not touched.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import json
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelodge import durable
from gatelodge.errors import StateDamaged, StateError
from gatelodge.stores.naming import check_kind, file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model import JsonObject
    from gatelodge.ports import Events

#: The number that every document carries. A higher one is not touched.
FORMAT = 1

_DENIED = frozenset((errno.EACCES, errno.EPERM))

#: A document on its way to the disk.
_UNFINISHED = re.compile(r"\.new-[0-9]+", re.ASCII)

#: So many names a guest may use, apart from those of all others.
_NUMBERS = 1_000_000


class DirectoryDocuments:
    """
    Implements `ports.Documents` in the state directory. `events` hears of files that cannot be read (`state.damaged`).
    """

    def __init__(self, *, directory: str, events: Events | None = None, guest: bool = False) -> None:
        """
        Args:
            guest: another process may be at work here, which holds the lock: nothing of its is swept, no name of its is used, and
                what is written belongs to the directory's owner.
        """
        self._guest = guest
        self._directory = Path(directory).absolute()
        self._events = events
        self._told: set[tuple[Path, int]] = set()
        self._swept: set[Path] = set()
        self._sweeping = threading.Lock()
        self._numbers = itertools.count(os.getpid() * _NUMBERS if guest else 0)

    async def get(self, kind: str, key: str) -> JsonObject | None:
        """
        Return a document, as `ports.Documents.get`.
        """
        path = self._path(kind, key)
        found = await durable.in_thread(functools.partial(_load, path))
        if found is None:
            return None
        held, document = found
        if held != key:
            raise _damaged(path, "it belongs to another key")
        return document

    async def put(self, kind: str, key: str, document: JsonObject) -> None:
        """
        Write a document, as `ports.Documents.put`.
        """
        content = {"format": FORMAT, "key": key, "document": dict(document)}
        text = json.dumps(content, indent=2, allow_nan=False).encode() + b"\n"
        await durable.in_thread(functools.partial(self._write, self._path(kind, key), text))

    async def delete(self, kind: str, key: str) -> None:
        """
        Remove a document, as `ports.Documents.delete`.
        """
        await durable.in_thread(functools.partial(_remove, self._path(kind, key)))

    async def list(self, kind: str) -> Mapping[str, JsonObject]:
        """
        Return all documents of a kind, as `ports.Documents.list`.
        """
        folder = self._directory / check_kind(kind)
        documents, damaged = await durable.in_thread(functools.partial(_load_all, folder))
        for path, mtime, problem in damaged:
            if self._events and (path, mtime) not in self._told:
                self._told.add((path, mtime))
                self._events.emit("state.damaged", level="warning", path=str(path), error__detail=problem)
        return documents

    def _path(self, kind: str, key: str) -> Path:
        return self._directory / check_kind(kind) / file_name(key)

    def _write(self, path: Path, text: bytes) -> None:
        with durable.translated(path):
            with self._sweeping:
                self._prepare(path.parent)
            names = (f".new-{number}" for number in self._numbers)
            beside = next(free for name in names if not os.path.lexists(free := path.with_name(name)))
            durable.replace(path, text, beside=beside)
            if self._guest:
                self._hand_over(path)

    def _hand_over(self, path: Path) -> None:
        """
        Give what root wrote to the owner of the directory, who must be able to read it.
        """
        owner = self._directory.stat()
        for each in (path, path.parent):
            if os.geteuid() == 0 and each.stat().st_uid != owner.st_uid:
                os.chown(each, owner.st_uid, owner.st_gid)

    def _prepare(self, folder: Path) -> None:
        """
        Make a kind's folder and those above it, and sweep it once: before our first write no file there is being written.

        Only files that are named as ours are removed, and none behind a symbolic link: what lies there may be anybody's.
        """
        if folder in self._swept and folder.is_dir():
            return
        folders = [self._directory / above for above in reversed(folder.relative_to(self._directory).parents)]
        for above in folders:
            durable.make_folders(above)
        durable.make_folder(folder)
        if self._guest:
            return
        if folder not in self._swept and not any(each.is_symlink() for each in (*folders[1:], folder)):
            with os.scandir(folder) as entries:
                left = [each.path for each in entries if _UNFINISHED.fullmatch(each.name) and _is_file(each)]
            for path in left:
                Path(path).unlink()
        self._swept.add(folder)


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def _remove(path: Path) -> None:
    with durable.translated(path), contextlib.suppress(FileNotFoundError):
        path.unlink()
        durable.sync_folder(path.parent)


def _load_all(folder: Path) -> tuple[dict[str, JsonObject], list[tuple[Path, int, str]]]:
    documents: dict[str, JsonObject] = {}
    damaged = []
    with durable.translated(folder):
        try:
            paths = sorted(folder.iterdir())
        except FileNotFoundError:
            return {}, []
    for path in paths:
        if path.name.startswith(".") or path.suffix != ".json":
            continue
        try:
            found = _load(path)
            if found is None:
                continue
            key, document = found
            if not _is_of(key, path):
                raise _damaged(path, "it belongs to another key")
        except (StateDamaged, _Denied) as error:
            damaged.append((path, _mtime(path), error.problem))
        else:
            documents[key] = document
    return documents, damaged


def _is_of(key: str, path: Path) -> bool:
    try:
        return file_name(key) == path.name
    except ValueError:
        return False  # no key is spelled so


class _Denied(StateError):
    """
    A document that may be well, and that this user may not read.
    """


def _damaged(path: Path, problem: str) -> StateDamaged:
    return StateDamaged(str(path), problem, "restore it from a backup or move it away; what it held is forgotten then")


def _load(path: Path) -> tuple[str, JsonObject] | None:
    try:
        content: Any = json.loads(durable.read(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in durable.BROKEN:
            raise _damaged(path, f"it cannot be read ({error.strerror})") from error
        found = durable.state_error(path, error)
        if error.errno in _DENIED:
            found = _Denied(found.path, found.problem, found.remedy)
        raise found from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is not JSON ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise _damaged(path, "it has no format number")
    if content["format"] > FORMAT:
        raise StateError(
            str(path),
            f"this was written by a newer Gatelodge (format {content['format']}, this one knows {FORMAT})",
            "upgrade Gatelodge; nothing was changed",
        )
    key, document = content.get("key"), content.get("document")
    if not isinstance(key, str) or not isinstance(document, dict):
        raise _damaged(path, "it holds no document")
    return key, document


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
