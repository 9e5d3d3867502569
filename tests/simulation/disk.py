"""
The disk: real files, and what of them outlives a loss of power.

The daemon's own file code runs on a real folder. What it fsyncs is noted, and after a loss of power the folder is built anew from that:
a file that was not synced is whole, cut short or empty, and a folder whose entries were not synced is as it was or as it became, as chance
has it (POSIX promises no more; fsync(2)). Who is killed in the middle of blocking work goes on in a folder that nobody looks at any more.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import functools
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tests.simulation.faults import CUT_SHORT, NOT_SYNCED
from tests.simulation.scheduler import PROCESS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

#: A folder's entry: the inode, and where it leads when it is a link.
_Entry: TypeAlias = tuple[int, str | None]

#: What makes something, and what changes what is there, with whether folders may be made, moved, opened to others or removed by it.
_MAKING = ("open", "mkdir")
_CHANGING = {"replace": False, "unlink": False, "rename": True, "rmdir": True, "symlink": False, "chmod": True}

#: After so many changes, what nothing names any more is forgotten.
_TIDY_AFTER = 4000


class Disk:
    """
    The disk below a folder; `state` is the state directory on it.

    `before_write` is called before anything is made or synced, with what it is, and with what cuts short what was written; it may raise, or kill.
    `before_change` is called before anything is moved or removed, and may raise. `lost` hears what a loss of power took. `full` while nothing more
    can be written.

    `changes` counts by the folder's name what may have changed one of its files, and `moves` what may have changed more than that, `touched` all:
    who looks at the disk need not look again before. `moved` are the certificates about whose folders something may have changed; whoever looks
    at them empties it, and "" stands for any.
    """

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.full = False
        self.before_write: Callable[[str, Callable[[], None]], None] = lambda _step, _cut: None
        self.before_change: Callable[[], None] = lambda: None
        self.lost: Callable[[str], None] = lambda _: None
        self.syncs = 0
        self.changes: collections.Counter[str] = collections.Counter()
        self.moves = 0
        self.moved: set[str] = set()
        self.touched = 0
        self.state = folder / "state"
        self._folder = folder
        self._chance = chance
        self._images = 0
        self._image = self._new_image()
        self._next: Path | None = None
        self._names: dict[int, dict[str, _Entry]] = {}
        self._contents: dict[int, tuple[bytes, int]] = {}
        self.state.symlink_to(self._image)
        self._believe(self._image)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """
        Have the daemon's calls noted inside the context.
        """
        real = {name: getattr(os, name) for name in (*_MAKING, *_CHANGING, "fsync")}

        def fsync(descriptor: int) -> None:
            if PROCESS.get():
                self._at("sync", functools.partial(_cut_short, descriptor))
                self._synced(descriptor)
            else:
                real["fsync"](descriptor)

        def opened(path: object, flags: int, *more: object, **named: object) -> int:
            if flags & os.O_CREAT and PROCESS.get():
                self._at("create")
                self.changes[_folder(path)] += 1
                self.touched += 1
            return _open(path, flags, *more, **named)

        def mkdir(*arguments: object, **named: object) -> None:
            if PROCESS.get():
                self._at("create")
            _mkdir(*arguments, **named)
            self.touched += 1
            self._moved(arguments[0])

        def changing(work: Callable[..., object], *, moves: bool) -> Callable[..., object]:
            def changed(path: object, *arguments: object, **named: object) -> object:
                self.before_change()
                self.changes[_folder(path)] += 1
                self.touched += 1
                if moves:
                    self._moved(path)
                return work(path, *arguments, **named)

            return changed

        _open, _mkdir = real["open"], real["mkdir"]
        ours: dict[str, Callable[..., object]] = {"fsync": fsync, "open": opened, "mkdir": mkdir}
        ours |= {name: changing(real[name], moves=moves) for name, moves in _CHANGING.items()}
        for name, work in ours.items():
            setattr(os, name, work)
        try:
            yield
        finally:
            for name, work in real.items():
                setattr(os, name, work)

    def lose_power(self) -> None:
        """
        Lose what was not synced, from the next `back` on.
        """
        target = self._new_image()
        paths = {path.lstat().st_ino: path for path in (self._image, *self._image.rglob("*"))}
        self._build(self._image.stat().st_ino, target, paths)
        self._next = target

    def let_go(self) -> None:
        """
        Keep everything as it is, from the next `back` on, whatever somebody dead still does.
        """
        target = self._new_image()
        target.rmdir()
        shutil.copytree(self._image, target, symlinks=True)
        self._next = target

    def back(self) -> None:
        """
        Go on with what is left.
        """
        if self._next is None:
            return
        self.touched += 1
        self.moves += 1
        self.moved.add("")
        old, self._image, self._next = self._image, self._next, None
        beside = self._folder / "beside"
        beside.symlink_to(self._image)
        beside.replace(self.state)
        shutil.rmtree(old)
        self._names.clear()
        self._contents.clear()
        self._believe(self._image)

    def _moved(self, path: object) -> None:
        self.moves += 1
        name = str(path).partition("/certificates/")[2].partition("/")[0]
        # Inside of a folder that is being removed paths are relative; its own was noted.
        if name:
            self.moved.add(name)

    def _at(self, step: str, cut: Callable[[], None] = lambda: None) -> None:
        self.before_write(step, cut)
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _new_image(self) -> Path:
        self._images += 1
        path = self._folder / f"image-{self._images}"
        path.mkdir()
        return path

    def _synced(self, descriptor: int) -> None:
        self.syncs += 1
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            self._names[found.st_ino] = _entries(descriptor)
        else:
            content = Path(f"/proc/self/fd/{descriptor}").read_bytes()
            self._contents[found.st_ino] = (content, stat.S_IMODE(found.st_mode))
        if self.syncs % _TIDY_AFTER == 0:
            self._tidy()

    def _believe(self, folder: Path) -> None:
        """
        Take everything in a folder for synced.
        """
        self._names[folder.stat().st_ino] = _entries(folder)
        for path in folder.iterdir():
            if path.is_symlink():
                continue
            if path.is_dir():
                self._believe(path)
            else:
                self._contents[path.stat().st_ino] = (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))

    def _tidy(self) -> None:
        named = {entry[0] for entries in self._names.values() for entry in entries.values()}
        named |= {path.lstat().st_ino for path in (self._image, *self._image.rglob("*"))}
        self._names = {inode: found for inode, found in self._names.items() if inode in named}
        self._contents = {inode: found for inode, found in self._contents.items() if inode in named}

    def _build(self, inode: int, target: Path, paths: dict[int, Path]) -> None:
        path = paths.get(inode)
        durable = self._names.get(inode, {})
        now = durable if path is None else _entries(path)
        entries = now if now == durable or self._chance.random() < 0.5 else durable
        if entries != now:
            self.lost(NOT_SYNCED)
        for name in sorted(entries):
            inner, leads = entries[name]
            place, where = target / name, paths.get(inner)
            if leads is not None:
                place.symlink_to(leads)
            elif inner in self._names or (where is not None and where.is_dir()):
                place.mkdir()
                self._build(inner, place, paths)
                if where is not None:
                    place.chmod(stat.S_IMODE(where.stat().st_mode))
            else:
                self._write(inner, place, where)
        if path is not None:
            target.chmod(stat.S_IMODE(path.stat().st_mode))

    def _write(self, inode: int, place: Path, path: Path | None) -> None:
        synced = self._contents.get(inode)
        now = (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) if path is not None else synced
        assert now is not None, "a name that leads nowhere"
        content, mode = now
        if synced is None:
            content = content[: self._chance.choice((0, len(content) // 2, len(content)))]
            if content != now[0]:
                self.lost(CUT_SHORT)
        elif synced != now and self._chance.random() < 0.5:
            content, mode = synced
            self.lost(NOT_SYNCED)
        place.write_bytes(content)
        place.chmod(mode)
        if path is not None:
            times = path.stat()
            os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))


def _cut_short(descriptor: int) -> None:
    """
    Leave half of what was written to a file.
    """
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        os.ftruncate(descriptor, found.st_size // 2)


def _folder(path: object) -> str:
    """
    Return the name of the folder that a file lies in.
    """
    return str(path).rsplit("/", 2)[-2] if "/" in str(path) else ""


def _entries(folder: Path | int) -> dict[str, _Entry]:
    """
    List what is in a folder, named by its path or by a descriptor.
    """
    within = {"dir_fd": folder} if isinstance(folder, int) else {}
    with os.scandir(folder) as found:
        return {
            each.name: (each.inode(), os.readlink(each.path, **within) if each.is_symlink() else None) for each in found
        }
