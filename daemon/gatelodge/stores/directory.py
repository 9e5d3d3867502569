"""
The certificates on disk: implements `ports.Store`.

What is known of the files is kept in memory, together with how they looked (inode, mtime, size); `index` reads again only what
looks different. It watches the two files that nginx opens, of the newest version and of the one held, and the list of versions.
The others are read again when one of these changes, and after `verify`: to watch them too would double the time of an idle
pass. `index` also mends what a crash may have left (see `folder`), unless the store was opened read-only, to look at it beside a
daemon that runs.

It decides nothing about which certificates should be there, and deletes none of its own accord.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gatelodge import durable
from gatelodge.errors import StateError
from gatelodge.ports import Index
from gatelodge.stores import contents, folder
from gatelodge.stores.folder import Lineage

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gatelodge.core.observed import Held
    from gatelodge.core.tree import VersionRef
    from gatelodge.model import CertificateSpec
    from gatelodge.ports import Clock, Issued

_WATCHED = (contents.FULL_CHAIN, contents.KEY)

#: How a file or folder looks: inode, mtime, size; None when it is not there.
_Look: TypeAlias = tuple[int, int, int] | None


#: How often a certificate is looked at again when its versions came and went meanwhile.
_LOOKS = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """
    What one certificate's folder held when it was read, and how the watched paths (relative to the store) looked just before.
    """

    lineage: Lineage
    looks: Mapping[str, _Look]


class DirectoryStore:
    """
    Implements `ports.Store` in a folder, `STATE/certificates`.

    The folder is made when it is missing; until then the store is empty. Files are readable by the owner only, or also by
    `group` when given.
    """

    def __init__(self, *, directory: str, clock: Clock, group: int | None = None, read_only: bool = False) -> None:
        self._directory = Path(directory).absolute()
        self._clock = clock
        self._group = group
        self._read_only = read_only
        self._known: dict[str, _Known] = {}
        # Work on one certificate takes turns, in threads: a turn lasts until the files are whole, cancelled or not.
        self._turns: dict[str, threading.Lock] = {}

    async def put(self, spec: CertificateSpec, issued: Issued) -> Held:
        """
        Store a new version, as `ports.Store.put`.
        """
        stop = threading.Event()
        work = functools.partial(self._put, spec, issued, self._clock.now(), stop)
        return await durable.in_thread(work, stop=stop)

    async def index(self) -> Index:
        """
        Return what is held, as `ports.Store.index`.
        """
        return await durable.in_thread(self._index)

    async def verify(self, names: Iterable[str] | None = None) -> None:
        """
        Forget what is known, as `ports.Store.verify`.
        """
        doubted = self._known.keys() if names is None else frozenset(names)
        self._known = {name: known for name, known in self._known.items() if name not in doubted}

    async def read(self, name: str, version: int) -> Issued:
        """
        Return a version, as `ports.Store.read`.
        """
        return await durable.in_thread(functools.partial(self._read, name, version))

    async def prune(self, versions: Iterable[VersionRef]) -> None:
        """
        Delete versions, as `ports.Store.prune`. One that is newest, and one that is the newest intact, stay.
        """
        asked: dict[str, set[int]] = {}
        for name, number in versions:
            asked.setdefault(folder.check_name(name), set()).add(number)
        await durable.in_thread(functools.partial(self._prune, asked))

    async def delete(self, name: str) -> None:
        """
        Delete a certificate, as `ports.Store.delete`. An empty folder stays, which remembers the last number.
        """
        await durable.in_thread(functools.partial(self._delete, name))

    def _put(self, spec: CertificateSpec, issued: Issued, now: dt.datetime, stop: threading.Event) -> Held:
        path = self._path(spec.name)
        checked = contents.check(spec, issued, stored_at=now)
        files = checked.files()
        with self._turn(spec.name), durable.translated(path):
            before = self._lineage(spec.name)
            if before.closed:
                raise before.closed
            contents.check_successor(before.held, spec)
            durable.make_folders(self._directory, mode=0o700 if self._group is None else 0o750, group=self._group)
            number = 1 + folder.last_used(path)
            try:
                staged = folder.stage(path, files, group=self._group)
                _go_on_unless(stop, path)
                folder.commit(path, staged, number)
            except BaseException:
                with contextlib.suppress(OSError):
                    folder.sweep(path)
                raise
            held = checked.held(version=number, directory=str(folder.path_of(path, number)))
            after = Lineage(numbers=(*before.numbers, number), intact=(*before.intact, number), held=held)
            self._known[spec.name] = _Known(lineage=after, looks=self._looks(spec.name, (number,)))
            return held

    def _index(self) -> Index:
        known = self._known
        lineages: dict[str, Lineage] = {}
        with durable.translated(self._directory):
            names = self._names()
            changed = frozenset(self._changed(names))
            for name in names:
                each = known.get(name)
                # Whoever prunes beside us, or looked before it was there, has it forgotten: that is no reason to leave it out.
                if each is None or name in changed:
                    with self._turn(name):
                        each = known[name] = self._learn(name)
                lineages[name] = each.lineage
        for name in known.keys() - lineages.keys():
            known.pop(name, None)
        return Index(
            held={name: each.held for name, each in lineages.items() if each.held},
            versions={name: each.intact for name, each in lineages.items() if each.intact},
            damaged={name: each.damage for name, each in lineages.items() if each.damage},
            closed=frozenset(name for name, each in lineages.items() if each.closed),
        )

    def _read(self, name: str, version: int) -> Issued:
        path = self._path(name)
        with durable.translated(path):
            if version not in folder.numbers(path):
                raise KeyError((name, version))
            try:
                return folder.load(path, name, version)[1]
            except contents.Damaged as error:
                raise StateError(
                    str(folder.path_of(path, version)), str(error), "restore it from a backup, or renew the certificate"
                ) from error

    def _prune(self, asked: Mapping[str, set[int]]) -> None:
        for name, unwanted in asked.items():
            path = self._path(name)
            with self._turn(name), durable.translated(path):
                lineage = self._lineage(name)
                if lineage.closed:
                    continue  # not ours to tidy up while a part of it cannot be read
                kept = {*lineage.numbers[-1:], *lineage.intact[-1:]}
                for number in (set(lineage.numbers) & unwanted) - kept:
                    folder.retire(path, number)
                self._known.pop(name, None)

    def _delete(self, name: str) -> None:
        path = self._path(name)
        with self._turn(name), durable.translated(path):
            folder.clear(path)
            self._known.pop(name, None)

    def _lineage(self, name: str) -> Lineage:
        """
        Return what a certificate's folder holds now. It must be our turn.
        """
        known = self._known.get(name)
        if known is None or self._changed([name]):
            known = self._known[name] = self._learn(name)
        return known.lineage

    def _learn(self, name: str) -> _Known:
        path = self._path(name)
        if not self._read_only:
            with contextlib.suppress(OSError):  # a disk that is full or read-only can still be read
                folder.sweep(path)
        try:
            for _ in range(_LOOKS):
                numbers = tuple(folder.numbers(path))
                looks = self._looks(name, numbers)
                lineage = folder.look(path, name)
                if lineage.numbers == numbers:
                    break  # else a daemon beside us put one there and took another away, and we saw neither
        except OSError as error:
            return _Known(lineage=folder.unreadable(path, error), looks={})
        if lineage.held and not lineage.closed and not self._read_only:
            with contextlib.suppress(OSError):
                folder.point_current(path, lineage.held.version)
        watched = _paths(name, {*lineage.numbers[-1:], *lineage.intact[-1:]})
        return _Known(lineage=lineage, looks={each: look for each, look in looks.items() if each in watched})

    def _names(self) -> list[str]:
        try:
            with os.scandir(self._directory) as entries:
                return [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []

    def _changed(self, names: Sequence[str]) -> list[str]:
        """
        Return those names whose files look different from when they were read, or could not be read: what a file may do does not
        show in how it looks.
        """
        if not names:
            return []
        known = self._known
        with self._opened() as store:
            return [
                name
                for name in names
                if (each := known.get(name)) is None or each.lineage.closed or not _look_alike(each.looks, store)
            ]

    def _looks(self, name: str, numbers: Iterable[int]) -> dict[str, _Look]:
        if not self._directory.is_dir():
            return {}
        with self._opened() as store:
            return {path: _look(path, store) for path in _paths(name, numbers)}

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _path(self, name: str) -> Path:
        return self._directory / folder.check_name(name)

    def _turn(self, name: str) -> threading.Lock:
        return self._turns.setdefault(name, threading.Lock())


def _go_on_unless(stop: threading.Event, path: Path) -> None:
    if stop.is_set():
        raise StateError(str(path), "storing was cancelled", "nothing was stored")


def _paths(name: str, numbers: Iterable[int]) -> tuple[str, ...]:
    return (f"{name}/versions", *(f"{name}/versions/{number}/{file}" for number in numbers for file in _WATCHED))


def _look_alike(looks: Mapping[str, _Look], store: int) -> bool:
    for path, look in looks.items():  # noqa: SIM110 - a tenth of an idle index over 10 000 certificates
        if _look(path, store) != look:
            return False
    return True


def _look(path: str, store: int) -> _Look:
    try:
        found = os.stat(path, dir_fd=store, follow_symlinks=False)  # relative to a folder: half the time
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
