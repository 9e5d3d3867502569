"""
The disk: real files, and what of them outlives a loss of power.

The daemon's own file code runs on a real folder. What it fsyncs is noted, and after a loss of power the folder is built anew from that:
a file that was not synced is whole, cut short or empty, and a folder whose entries were not synced is as it was or as it became, as chance
has it (POSIX promises no more; fsync(2)). Who is killed in the middle of blocking work goes on in a folder that nobody looks at any more.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tests.simulation.scheduler import PROCESS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

#: A folder's entry: the inode, and where it leads when it is a link.
_Entry: TypeAlias = tuple[int, str | None]

#: After so many changes, what nothing names any more is forgotten.
_TIDY_AFTER = 4000


class Disk:
    """
    The disk below a folder; `state` is the state directory on it. `before_write` is called before anything is made or synced, with what it is; it may raise, or kill.
    `full` while nothing more can be written.
    """

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.full = False
        self.before_write: Callable[[str], None] = lambda _: None
        self.syncs = 0
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
        real = {name: getattr(os, name) for name in ("fsync", "open", "mkdir")}

        def fsync(descriptor: int) -> None:
            if PROCESS.get():
                self._at("sync")
                self._synced(descriptor)
            else:
                real["fsync"](descriptor)

        def opened(path: object, flags: int, *more: object, **named: object) -> int:
            if PROCESS.get() and flags & os.O_CREAT:
                self._at("create")
            return real["open"](path, flags, *more, **named)

        def mkdir(*arguments: object, **named: object) -> None:
            if PROCESS.get():
                self._at("create")
            real["mkdir"](*arguments, **named)

        ours = {"fsync": fsync, "open": opened, "mkdir": mkdir}
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
        old, self._image, self._next = self._image, self._next, None
        beside = self._folder / "beside"
        beside.symlink_to(self._image)
        beside.replace(self.state)
        shutil.rmtree(old)
        self._names.clear()
        self._contents.clear()
        self._believe(self._image)

    def hide(self) -> None:
        """
        Let nobody find anything any more.
        """
        self.state.unlink()

    def _at(self, step: str) -> None:
        self.before_write(step)
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
            self._names[found.st_ino] = _entries(Path(f"/proc/self/fd/{descriptor}").readlink())
        else:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            self._contents[found.st_ino] = (path.read_bytes(), stat.S_IMODE(found.st_mode))
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
        elif synced != now and self._chance.random() < 0.5:
            content, mode = synced
        place.write_bytes(content)
        place.chmod(mode)
        if path is not None:
            times = path.stat()
            os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))


def _entries(folder: Path) -> dict[str, _Entry]:
    with os.scandir(folder) as found:
        return {
            each.name: (each.inode(), str(Path(each.path).readlink()) if each.is_symlink() else None) for each in found
        }
