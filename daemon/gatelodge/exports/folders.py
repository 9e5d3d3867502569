"""
Writes files into a folder that is not ours: whole or not at all, with their mode and owner from the first moment, and never through
a link that somebody else may have put there.

What is there under other names is left alone. Several files cannot take their places in one moment in a folder that others own;
they do one right after the other, when all of them are on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gatelodge.model import Export

_PASS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

#: Links on one path that are followed (path_resolution(7)).
_MOST_LINKS = 40

#: A folder of ours is made for its owner and group.
_FOLDER_MODE = 0o750

_REMEDIES = {
    errno.ENOENT: "make the folder that should hold it",
    errno.EACCES: "let the daemon's user write there, or run the daemon as root",
    errno.EROFS: "mount it writable; a container's volume without :ro",
    errno.ENOSPC: "make room there",
    errno.ENOTDIR: "move what stands there away",
}


def write(export: Export, contents: Mapping[str, bytes], *, state_directory: str) -> None:
    """
    Put files in place, in the order in which they are given.

    Raises:
        ExportError: one of them could not be written, and none was put in place; or, should that itself fail, some were.
    """
    try:
        uid, gid = _owner(export)
        with _opened(export.directory, uid, gid, state_directory) as folder:
            try:
                for name, content in contents.items():
                    _refuse_others(folder, name, export)
                    _stage(folder, name, content, export, (uid, gid))
                for name in contents:
                    os.rename(_beside(name), name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                for name in contents:
                    with contextlib.suppress(OSError):
                        os.unlink(_beside(name), dir_fd=folder)
            _sync(folder)
    except OSError as error:
        raise ExportError(
            export.place,
            f"it cannot be written: {error.strerror}",
            _REMEDIES.get(error.errno or 0, "look at the folder and its file system"),
        ) from error


def _beside(name: str) -> str:
    return f".{name}.gatelodge"


def _stage(folder: int, name: str, content: bytes, export: Export, owner: tuple[int, int]) -> None:
    """
    Write a file beside its place, down to the disk. It is nobody else's before it is as it must be.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_beside(name), dir_fd=folder)  # of a daemon that died
    with os.fdopen(os.open(_beside(name), _NEW, 0o600, dir_fd=folder), "wb") as file:
        _give(file.fileno(), owner, export)
        os.fchmod(file.fileno(), export.mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _give(descriptor: int, owner: tuple[int, int], export: Export) -> None:
    try:
        if owner != (-1, -1):
            os.fchown(descriptor, *owner)
    except PermissionError as error:
        whom = ":".join(each or "" for each in (export.owner, export.group))
        raise ExportError(
            export.place,
            f"the daemon's user may not give files to {whom}",
            "run the daemon as root, or leave `owner` out and make its user a member of the `group`",
        ) from error


def _refuse_others(folder: int, name: str, export: Export) -> None:
    """
    Refuse to take the place of something that is no file.
    """
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "something that is no file"
        raise ExportError(f"{export.directory}/{name}", f"there is {what} in its place", "move it away")


@contextlib.contextmanager
def _opened(path: str, uid: int, gid: int, state_directory: str) -> Iterator[int]:
    """
    Hold a folder open inside the context, made now if only it is missing. Links on the way are followed when they are root's or our own.
    """
    ours = _identity(Path(state_directory).stat()) if Path(state_directory).exists() else None
    folder, left, links = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), Path(path).parts[1:], 0
    try:
        while left:
            part, left = left[0], left[1:]
            target = _link(folder, part, path)
            if target is not None:
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                left = (*(each for each in Path(target).parts if each != "/"), *left)
                part = "/" if target.startswith("/") else "."
            elif not left:
                _make(folder, part, uid, gid)
            inner = os.open(part, _PASS, dir_fd=folder)
            os.close(folder)
            folder = inner
            if _identity(os.fstat(folder)) == ours:
                raise ExportError(path, "it leads into the state directory, which is the daemon's own", "name another")
        yield folder
    finally:
        os.close(folder)


def _link(folder: int, part: str, path: str) -> str | None:
    """
    Return where a part of a path leads, None when it is no link.
    """
    try:
        found = os.stat(part, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(found.st_mode):
        return None
    if found.st_uid not in {0, os.geteuid()}:
        raise ExportError(path, f"{part} on this path is a link of another user's", "name the folder itself")
    return os.readlink(part, dir_fd=folder)


def _make(folder: int, part: str, uid: int, gid: int) -> None:
    try:
        os.mkdir(part, 0o700, dir_fd=folder)
    except FileExistsError:
        return
    made = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        with contextlib.suppress(PermissionError):  # giving the files will say so
            os.fchown(made, uid, gid)
        os.fchmod(made, _FOLDER_MODE)
    finally:
        os.close(made)


def _owner(export: Export) -> tuple[int, int]:
    """
    Return the numbers of the user and group that get the files, -1 for none in particular.
    """
    return (
        _number(export, export.owner, lambda name: pwd.getpwnam(name).pw_uid, "user"),
        _number(export, export.group, lambda name: grp.getgrnam(name).gr_gid, "group"),
    )


def _number(export: Export, name: str | None, find: Callable[[str], int], kind: str) -> int:
    if name is None:
        return -1
    if name.isdecimal():
        return int(name)
    try:
        return find(name)
    except KeyError:
        raise ExportError(
            export.place, f"there is no {kind} {name} on this machine", "write another, or its number"
        ) from None


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _sync(folder: int) -> None:
    """
    Make what was renamed survive a crash, where the folder may be read.
    """
    with contextlib.suppress(PermissionError):
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fsync(readable)
        finally:
            os.close(readable)
