"""
Reads the daemon's files as root, as if its user had laid a trap at each of them.

Every step of a path is opened by itself, relative to the folder before it, and follows no link. What is opened must be a folder or a
regular file that belongs to the daemon's user: a hard link to somebody else's file, a pipe that would be waited on, a device are
none. A file is read once, so that what was checked is what is used; what is larger, or more, than a tree of ours can be is not read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from gatelodge.rootside.syntax import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The largest file of a tree, all of a tree, and how many files: ten times what 1 000 sites need.
MOST_BYTES = 4 * 1024 * 1024
MOST_IN_ALL = 64 * 1024 * 1024
MOST_FILES = 20_000

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Without waiting: a pipe is opened at once, and found to be no file.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_PROBLEMS = {
    errno.ENOENT: "it is not there",
    errno.ELOOP: "it is a symbolic link, and none is followed",
    errno.ENOTDIR: "it is no folder, or a symbolic link",
}


class Source:
    """
    The daemon's state directory, read within limits that hold for all that is read through one object.
    """

    def __init__(self, state: str, *, owner: int) -> None:
        """
        Args:
            owner: the daemon's user, to whom everything must belong.
        """
        self._state = state
        self._owner = owner
        self._bytes = 0
        self._files = 0

    @contextlib.contextmanager
    def folder(self, *names: str) -> Iterator[int]:
        """
        Open a folder below the state directory, by its steps, for as long as the context lasts.

        Raises:
            RefusedError: a step of it is not a folder of the daemon's.
        """
        path = self._state
        opened = self._open(path, path, _FOLDER, None)
        try:
            self._own(opened, path)
            for name in names:
                path = f"{path}/{name}"
                before, opened = opened, self._open(name, path, _FOLDER, opened)
                os.close(before)
                self._own(opened, path)
            yield opened
        finally:
            os.close(opened)

    def read(self, folder: int, name: str, path: str, *, most: int = MOST_BYTES) -> bytes:
        """
        Return the content of a file in an open folder.

        Args:
            path: what it is called in a refusal.

        Raises:
            RefusedError: it is not a regular file of the daemon's, or too large, or one too many.
        """
        self._files += 1
        if self._files > MOST_FILES:
            raise RefusedError(f"the helper refuses a tree of more than {MOST_FILES} files")
        opened = self._open(name, path, _FILE, folder)
        try:
            status = self._own(opened, path)
            if not stat.S_ISREG(status.st_mode):
                raise RefusedError(f"the helper refuses {path}: it is no regular file")
            with os.fdopen(opened, "rb", closefd=False) as file:
                content = file.read(most + 1)
        finally:
            os.close(opened)
        self._bytes += len(content)
        if len(content) > most or self._bytes > MOST_IN_ALL:
            raise RefusedError(f"the helper refuses {path}: it, or the tree, is larger than any of ours")
        return content

    def _open(self, name: str, path: str, flags: int, folder: int | None) -> int:
        try:
            return os.open(name, flags, dir_fd=folder)
        except OSError as error:
            problem = _PROBLEMS.get(error.errno or 0, error.strerror)
            raise RefusedError(f"the helper refuses {path}: {problem}") from error

    def _own(self, opened: int, path: str) -> os.stat_result:
        status = os.fstat(opened)
        if status.st_uid != self._owner:
            raise RefusedError(f"the helper refuses {path}: it belongs to user {status.st_uid}, not to the daemon's")
        return status


def listed(folder: int, path: str) -> list[str]:
    """
    Return the names in an open folder, in order.

    Raises:
        RefusedError: there are more than a tree of ours can have.
    """
    names: list[str] = []
    with os.scandir(folder) as entries:
        for each in entries:
            names.append(each.name)
            if len(names) > MOST_FILES:
                raise RefusedError(f"the helper refuses {path}: it holds more than {MOST_FILES} files")
    return sorted(names)
