"""
Keeps the copies that nginx reads, in a folder that only root can write, and the link to the one that is current.

    KEEP/generations/NUMBER-MARK/   http.conf  prelude.conf  sites/  tls/  certificates/NAME/versions/V/
    KEEP/current -> generations/…
    KEEP/undo                       what was current before a change that has no answer yet
    KEEP/lock                       held by the one helper that works

A copy is whole or not there, never changes, and has a mark of its own, so that a number that comes again does not touch what nginx
reads. What it wrote has reached the disk when it returns.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
from typing import TYPE_CHECKING

from gatelodge.rootside.rules import NUMBER
from gatelodge.rootside.tree import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY = re.compile(rf"(?P<number>{NUMBER})-[0-9a-f]{{8}}")
_NONE = "none"


class Copies:
    """
    The copies under one folder.
    """

    def __init__(self, keep: Path) -> None:
        self._keep = keep
        self._all = keep / "generations"
        self._current = keep / "current"
        self._undo = keep / "undo"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """
        Make the folder ready, and keep other helpers waiting inside the context.

        Raises:
            OSError: it is not only ours to write, or cannot be written.
        """
        own_folder(self._keep)
        opened = os.open(self._keep / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            self._all.mkdir(mode=0o755, exist_ok=True)
            yield
        finally:
            os.close(opened)

    def new_name(self, number: int) -> str:
        """
        Return a name for a copy of a tree, which no copy has.
        """
        return f"{number}-{os.urandom(4).hex()}"

    def path(self, name: str) -> str:
        """
        Return where a copy lies.
        """
        return str(self._all / name)

    def write(self, name: str, files: Mapping[str, bytes]) -> None:
        """
        Write a copy. A file that the current one has just so is a link to it, which is kind to an SD card.

        Raises:
            OSError: it could not be written.
        """
        staged = self._all / ".new"
        shutil.rmtree(staged, ignore_errors=True)
        before = self._current
        for path, content in files.items():
            file = staged / path
            file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            secret = file.name == PRIVATE
            try:
                same = (before / path).read_bytes() == content
            except OSError:
                same = False
            if same:
                os.link(before / path, file)
            else:
                _write_new(file, content, mode=0o600 if secret else 0o644)
        os.sync()  # once for all: a thousand files one by one take minutes on an SD card
        staged.rename(self._all / name)
        _sync(self._all)

    def current(self) -> str | None:
        """
        Return the name of the current copy.
        """
        try:
            name = self._current.readlink().name
        except OSError:
            return None
        return name if _COPY.fullmatch(name) else None

    def number(self) -> int | None:
        """
        Return the number of the tree whose copy is current.
        """
        found = _COPY.fullmatch(self.current() or "")
        return int(found["number"]) if found else None

    def begin(self, name: str | None) -> str | None:
        """
        Make a copy current, or none, and write down what was before. Returns that.

        Raises:
            OSError: the link could not be written.
        """
        before = self.current()
        replace(self._undo, f"{before or _NONE}\n".encode(), mode=0o600)
        self._swap(name)
        return before

    def end(self) -> None:
        """
        Let a change stay: it has its answer.
        """
        self._undo.unlink(missing_ok=True)
        _sync(self._keep)

    def take_back(self) -> bool:
        """
        Take back a change that has no answer, and tell whether there was one.

        Raises:
            OSError: the link could not be written.
        """
        try:
            before = self._undo.read_text().strip()
        except FileNotFoundError:
            return False
        if before == _NONE or (_COPY.fullmatch(before) and (self._all / before).is_dir()):
            self._swap(None if before == _NONE else before)
        self.end()
        return True

    def prune(self, *kept: str | None) -> None:
        """
        Delete every copy but the current one and these.
        """
        for each in self._all.iterdir():
            if each.name not in {self.current(), *kept}:
                shutil.rmtree(each, ignore_errors=True)

    def tidy(self) -> None:
        """
        Delete what runs that were killed left: every copy but the current one and the two newest.
        """
        newest = sorted(self._all.iterdir(), key=lambda each: each.lstat().st_mtime_ns)[-2:]
        self.prune(*(each.name for each in newest))

    def drop(self, name: str) -> None:
        """
        Delete a copy that did not become current.
        """
        if name != self.current():
            shutil.rmtree(self._all / name, ignore_errors=True)

    def _swap(self, name: str | None) -> None:
        if name is None:
            self._current.unlink(missing_ok=True)
        else:
            staged = self._keep / ".current"
            staged.unlink(missing_ok=True)
            staged.symlink_to(f"generations/{name}")
            staged.replace(self._current)
        _sync(self._keep)


def own_folder(folder: Path) -> None:
    """
    Make a folder that only we can write, or see that it is one.

    Raises:
        OSError: it is somebody else's, or others can write there.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o755)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{folder} must be a folder that its owner, this user, alone can write")


def replace(path: Path, content: bytes, *, mode: int, group: int | None = None) -> None:
    """
    Write a file whole or not at all, in a folder that only we can write.

    Raises:
        OSError: it could not be written.
    """
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    _write_new(beside, content, mode=mode, group=group, last=True)
    beside.replace(path)
    _sync(path.parent)


def _write_new(path: Path, content: bytes, *, mode: int, group: int | None = None, last: bool = False) -> None:
    with os.fdopen(os.open(path, _CREATE, 0o600), "wb") as file:
        if group is not None:
            os.fchown(file.fileno(), -1, group)
        os.fchmod(file.fileno(), mode)
        file.write(content)
        if last:
            file.flush()
            os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
