"""
The folder of one certificate: its immutable versions, and the link `current` for other programs.

    NAME/versions/1/…      a version; numbers go up from 1 and none is used twice
    NAME/current           → versions/1, a relative link
    NAME/versions/.…       work that was not finished, or versions on their way out: never looked at, swept by the next writer

A version appears by one rename and goes by one rename, so nobody ever reads half of one. Links in the place of folders and
files are not followed. Nothing here takes turns: callers make sure that one at a time works on a folder, readers excepted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING

from gatelodge import durable
from gatelodge.errors import StateError
from gatelodge.stores import contents

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gatelodge.core.observed import Held
    from gatelodge.ports import Issued

#: No file of a version is near this size; what is larger is not read into memory.
_MOST_BYTES = 1 << 20

#: No number grows so long; a longer name is none of ours.
_LONGEST_NUMBER = 18

#: What a read says when the machine is short of something: no file is to blame, and nothing may be concluded from it.
_SHORT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """
    What one certificate's folder holds: its numbers in order, those that are intact, the newest of these, and why the newest of
    all is not intact when it is not.

    `closed` says why no version may follow: one that may be well, newer than the newest intact, cannot be read by us.
    """

    numbers: tuple[int, ...] = ()
    intact: tuple[int, ...] = ()
    held: Held | None = None
    damage: str | None = None
    closed: StateError | None = None


def unreadable(path: Path, error: OSError) -> Lineage:
    """
    Return what is known of a certificate none of whose versions could be looked at.

    Raises:
        OSError: the machine is short of something, so that it says nothing about the certificate.
    """
    closed = _refusal(path, error)
    return Lineage(damage=str(closed), closed=closed)


def check_name(name: str) -> str:
    """
    Return a certificate's name, which is also its folder's.

    Raises:
        ValueError: it would be no folder inside the store.
    """
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} cannot be the name of a certificate: it names no folder of the store")
    return name


def path_of(folder: Path, number: int) -> Path:
    """
    Return the path of a version.
    """
    return folder / "versions" / str(number)


def numbers(folder: Path) -> tuple[int, ...]:
    """
    Return the numbers of the versions in a folder, in order; none for a folder that is not there, or is a link.
    """
    return tuple(sorted(int(e.name) for e in _numbered(folder) if e.is_dir(follow_symlinks=False)))


def _numbered(folder: Path) -> list[os.DirEntry[str]]:
    """
    Return what is called by a number among the versions of a folder, whatever it is.
    """
    if not (_is_folder(folder) and _is_folder(folder / "versions")):
        return []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder / "versions") as entries:
        return [each for each in entries if _is_number(each.name)]
    return []


def last_used(folder: Path) -> int:
    """
    Return the highest number that was ever used, 0 when none was. `current` remembers it when the versions are gone.
    """
    try:
        name = (folder / "current").readlink().name
    except OSError:
        name = ""
    taken = [int(each.name) for each in _numbered(folder)]
    return max(int(name) if _is_number(name) else 0, *taken, 0)


def look(folder: Path, name: str) -> Lineage:
    """
    Read and check all versions of a certificate.

    Raises:
        OSError: the folder cannot be looked at, or the machine is short of something.
    """
    found: list[int] = []
    intact: list[int] = []
    held, damage, closed = None, None, None
    for number in reversed(numbers(folder)):
        path = path_of(folder, number)
        try:
            each, _ = load(folder, name, number)
        except contents.Damaged as error:
            if not _is_folder(path):
                continue  # deleted while it was read, by the daemon beside which this reads
            damage = damage or (None if intact else f"{path}/{error}")
        except (OSError, StateError) as error:
            refusal = _refusal(path, error)
            if not intact:
                damage, closed = damage or str(refusal), closed or refusal
        else:
            intact.append(number)
            held = held or each
        found.append(number)
    return Lineage(
        numbers=tuple(reversed(found)), intact=tuple(reversed(intact)), held=held, damage=damage, closed=closed
    )


def _refusal(path: Path, error: OSError | StateError) -> StateError:
    if isinstance(error, StateError):
        return error
    if error.errno in _SHORT:
        raise error
    return durable.state_error(path, error)


def load(folder: Path, name: str, number: int) -> tuple[Held, Issued]:
    """
    Read and check one version.

    Raises:
        Damaged: a file of it is gone or broken, or they do not agree.
        OSError: a file cannot be read, though it may be well.
        StateError: it was written by a newer Gatelodge.
    """
    path = path_of(folder, number)
    files = {file: _read(path, file) for file in contents.FILES}
    try:
        return contents.understand(files, name=name, version=number, directory=str(path))
    except contents.Newer as error:
        raise StateError(
            str(path / contents.META), f"this is {error}", "upgrade Gatelodge; nothing was changed"
        ) from error


def stage(folder: Path, files: Mapping[str, bytes], *, group: int | None) -> Path:
    """
    Write a version's files down to the disk where nobody looks, and return the path.
    """
    mode = 0o700 if group is None else 0o750
    for path in (folder, folder / "versions"):
        if path.is_symlink():
            raise StateError(str(path), "a symbolic link stands in the place of our folder", "remove the link")
        durable.make_folder(path, mode=mode, group=group)
    sweep(folder)
    staged = folder / "versions" / ".new"
    durable.stage_folder(staged, files, group=group)
    return staged


def commit(folder: Path, staged: Path, number: int) -> None:
    """
    Make a staged version one that is held, and `current`. When this raises, it is neither.
    """
    try:
        durable.move_folder(staged, path_of(folder, number))
        point_current(folder, number)
    except BaseException:
        with contextlib.suppress(OSError):
            retire(folder, number)
        raise


def point_current(folder: Path, number: int) -> None:
    """
    Let `current` point at a version. Nothing is written when it does already.
    """
    target, link = f"versions/{number}", folder / "current"
    if link.is_symlink() and str(link.readlink()) == target:
        return
    beside = folder / ".current"
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(link)
    durable.sync_folder(folder)


def retire(folder: Path, number: int) -> None:
    """
    Delete a version: by one rename for those who read, then for good.
    """
    gone = folder / "versions" / f".gone-{number}"
    durable.move_folder(path_of(folder, number), gone)
    shutil.rmtree(gone, ignore_errors=True)


def clear(folder: Path) -> None:
    """
    Delete all versions, by one rename. What stays is `current`, pointing nowhere: it remembers the last number.
    """
    if not numbers(folder):
        return
    point_current(folder, last_used(folder))
    gone = folder / ".gone"
    shutil.rmtree(gone, ignore_errors=True)
    durable.move_folder(folder / "versions", gone)
    shutil.rmtree(gone, ignore_errors=True)


def sweep(folder: Path) -> None:
    """
    Remove what unfinished work left behind.
    """
    for parent in (folder, folder / "versions"):
        if not _is_folder(parent):
            return
        with os.scandir(parent) as entries:
            left = [parent / entry.name for entry in entries if entry.name.startswith(".")]
        for path in left:
            if _is_folder(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _read(path: Path, file: str) -> bytes:
    try:
        return durable.read(path / file, most=_MOST_BYTES, follow=False)
    except OSError as error:
        if error.errno in durable.BROKEN:
            raise contents.Damaged(file, f"it cannot be read ({error.strerror})") from error
        raise


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError as error:
        if error.errno in durable.BROKEN:
            return False
        raise


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and not name.startswith("0") and len(name) <= _LONGEST_NUMBER
