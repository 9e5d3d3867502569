"""
Changes to files that are whole or not at all, whatever the umask, a crash or a cancellation does; and reads that end, whatever stands there.

A file is written beside its place, fsynced, renamed into it, and its folder fsynced: rename(2) is atomic, and only an fsync of
the folder makes it last (fsync(2)). Modes are set after creation, so that no umask can widen or narrow them. What the files
mean is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gatelodge.errors import StateError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

#: What is read at once: a block of that size is made for it, however small the file is.
_PIECE = 64 * 1024

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

#: What a read says when a file is gone or broken, as against a machine that is short of something or a user who may not.
BROKEN = frozenset(
    (
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EIO, errno.EBADMSG, errno.EUCLEAN),
        *(errno.EINVAL, errno.ENODEV),
    )
)

#: No document is near this size; what is larger is not read into memory.
MOST_BYTES = 16 << 20

_NOT_OURS = "let its owner run Gatelodge, or give it to the user who does (chown -R)"

_REMEDIES = {
    errno.ENOSPC: ("the disk is full", "make room there"),
    errno.EDQUOT: ("the disk quota is used up", "make room there or raise the quota"),
    errno.EFBIG: ("the file would be larger than is allowed", "raise the limit on file sizes (ulimit -f)"),
    errno.EROFS: ("the file system is read-only", "mount it writable; a container's volume without :ro"),
    errno.EACCES: ("permission is denied", _NOT_OURS),
    errno.EPERM: ("the operation is not permitted", _NOT_OURS),
    errno.EIO: ("the disk reports an error", "look at the kernel's log; replace the disk and restore a backup"),
    errno.ENOTDIR: ("a part of the path is no folder", "move what stands there away"),
    errno.EISDIR: ("there is a folder where a file should be", "move it away"),
    errno.EEXIST: ("something else stands in its place", "move it away"),
    errno.ELOOP: ("there is a symbolic link in its place", "move it away"),
    errno.ENAMETOOLONG: ("the name is too long for the file system", "give it a shorter one"),
    errno.ENOLCK: ("the file system has no locks", "put the state directory on a local disk"),
    errno.EMFILE: ("too many files are open", "raise the limit on open files (ulimit -n)"),
}


def state_error(path: Path, error: OSError) -> StateError:
    """
    Say what went wrong with a file of ours, and what to do.
    """
    problem, remedy = _REMEDIES.get(
        error.errno or 0, (error.strerror or type(error).__name__, "look at the path and its file system")
    )
    place = Path(error.filename) if isinstance(error.filename, str) else path
    return StateError(str(place if place.is_absolute() else path), problem, remedy)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """
    Let an OSError out as a StateError; `path` names the place when the error does not.
    """
    try:
        yield
    except OSError as error:
        raise state_error(path, error) from error


async def in_thread(work: Callable[[], T], *, stop: threading.Event | None = None) -> T:
    """
    Run blocking work in a thread. A cancellation waits until it has ended, so that nobody's work goes on behind his back.

    Args:
        stop: set on cancellation; work that looks at it can end earlier.
    """
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        await asyncio.wait([future])
    except asyncio.CancelledError:
        if stop:
            stop.set()
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):  # the first one is raised below
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # seen, so that asyncio does not report it as lost
        raise
    return future.result()


def read(path: Path, *, most: int = MOST_BYTES, follow: bool = True) -> bytes:
    """
    Return what a regular file holds. A named pipe holds nobody up, and nothing that has no end is read.

    Args:
        follow: a symbolic link in its place is followed. Not where somebody else may write.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger than `most` bytes.
    """
    descriptor = open_regular(path, follow=follow)
    try:
        content = b""
        while len(content) <= most and (part := os.read(descriptor, min(most + 1 - len(content), _PIECE))):
            content += part
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise OSError(errno.EINVAL, "it is far too large", str(path))
    return content


def open_regular(path: Path, *, follow: bool = True) -> int:
    """
    Open a regular file for reading, as `read`, and return its descriptor.

    Raises:
        OSError: it cannot be read, or is none.
    """
    descriptor = os.open(path, _READ if follow else _READ | os.O_NOFOLLOW)
    with contextlib.ExitStack() as left:
        left.callback(os.close, descriptor)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            left.pop_all()
            return descriptor
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def make_folder(path: Path, *, mode: int = 0o700, group: int | None = None) -> None:
    """
    Make a folder that survives a crash. One that is there already is left as it is.

    Raises:
        OSError: it cannot be made, or something else stands there.
    """
    try:
        path.mkdir(mode)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(mode)
    sync_folder(path.parent)


def make_folders(path: Path, *, mode: int = 0o700, group: int | None = None) -> None:
    """
    Make a folder as `make_folder` does, and those above it that are missing, open to all for passing and looking.
    """
    if not path.parent.exists():
        make_folders(path.parent, mode=0o755)
    make_folder(path, mode=mode, group=group)


def write_new(path: Path, content: bytes, *, mode: int = 0o600, group: int | None = None) -> None:
    """
    Write a file that must not exist yet, down to the disk. Its folder is left to the caller.

    Raises:
        OSError: it could not be written; a part of it may be there.
    """
    # Without a file object, which asks the kernel four more things: each lets another thread in, and certificates come by the hundred.
    file = os.open(path, _CREATE, 0o600)
    try:
        if group is not None:
            os.fchown(file, -1, group)
        os.fchmod(file, mode)
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    finally:
        os.close(file)


def replace(path: Path, content: bytes, *, beside: Path, mode: int = 0o600, group: int | None = None) -> None:
    """
    Write a file, new or in the place of an old one.

    Args:
        beside: a path in the same folder that nobody else uses, where it is written first. What a process that died, or a backup of that
            moment, left there is removed.

    Raises:
        OSError: it could not be written; the old one is still there.
    """
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    try:
        write_new(beside, content, mode=mode, group=group)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def stage_folder(path: Path, files: Mapping[str, bytes], *, group: int | None = None) -> None:
    """
    Write a folder of files down to the disk, readable by the owner and, when given, the group. Whatever stood there is removed.

    Raises:
        OSError: it could not be written; a part of it may be there.
    """
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(0o700)
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(0o700 if group is None else 0o750)
    for name, content in files.items():
        write_new(path / name, content, mode=0o600 if group is None else 0o640, group=group)
    sync_folder(path)


def move_folder(path: Path, target: Path) -> None:
    """
    Rename a folder within its parent, down to the disk.
    """
    path.rename(target)
    sync_folder(target.parent)


def sync_folder(path: Path) -> None:
    """
    Make what was created, renamed or removed in a folder survive a crash.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
