"""
The state directory: which folders it has, who may read them, and which format it is in.

The table below is the whole decision. Folders with secrets are the owner's alone; what nginx's unprivileged workers open by path
lies in folders of its own. `prepare` is called under the lock and changes no file that another part of Gatelodge wrote.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge import durable
from gatelodge.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The format of the directory as a whole, written in its file `format`. A higher one is not touched.
FORMAT = 1

#: The state directory itself: everybody may pass, nobody else may list it.
TOP = 0o711

#: Read by the owner only; by nginx's group too when nginx is not ours and runs under another user.
SECRET = ("accounts", "ca", "certificates", "journal", "nginx")
NGINX_READS = frozenset(("certificates", "nginx"))

#: Read by everybody: what nginx serves to anyone.
PUBLIC = ("webroot", "webroot/.well-known", "webroot/.well-known/acme-challenge", "public")

#: Opened by nginx's workers by path: password files, logs that they reopen, body and proxy buffers.
WORKERS = ("auth", "log", "tmp")


@dataclasses.dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    mode: int
    group: int | None
    why: str


def prepare(
    state_directory: str,
    *,
    workers_group: int | None = None,
    nginx_group: int | None = None,
    nginx_writes: bool = False,
) -> tuple[str, ...]:
    """
    Make the state directory ready, whatever the umask, and return notes on what had to be corrected or stands in the way.

    Args:
        workers_group: the group of nginx's workers when its master is root, else None. Only root can give a folder to it.
        nginx_group: a group that may read certificates and trees, for an nginx that is neither ours nor root's.
        nginx_writes: it may write the link to the current tree too, which lies among the trees.

    Raises:
        StateError: it cannot be used: of a newer format (nothing is changed then), full, read-only, not ours, shared.
    """
    top = Path(state_directory).absolute()
    if os.geteuid() != 0:
        workers_group = None
    with durable.translated(top):
        durable.make_folders(top, mode=TOP)
        check_format(top)
        notes = [*_correct_top(top, workers_group), *_look_for_barriers(top, workers_group)]
        for folder in _folders(top, workers_group, nginx_group, writable="nginx" if nginx_writes else ""):
            notes += _correct(folder)
        _check_writable(top)
        if not (top / "format").exists():
            durable.replace(top / "format", b"%d\n" % FORMAT, beside=top / ".writable", mode=0o644)
    return tuple(notes)


def find_open_folders(top: Path) -> Iterator[tuple[Path, str]]:
    """
    Yield the folders with secrets that more than the owner and a group may look into, and the directory itself when others may write
    there, each with what is seen. `prepare` corrects them. Changes nothing.
    """
    for path, barred in ((top, stat.S_IWGRP | stat.S_IWOTH), *((top / name, stat.S_IRWXO) for name in SECRET)):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & barred:
            yield path, f"its mode is {mode:04o}, so that others may {'write' if path == top else 'look'} there"


def _folders(top: Path, workers_group: int | None, nginx_group: int | None, *, writable: str) -> Iterator[_Folder]:
    for name in SECRET:
        shared = nginx_group if name in NGINX_READS else None
        mode = 0o700 if shared is None else 0o770 if name == writable else 0o750
        yield _Folder(top / name, mode, shared, "it holds secrets")
        if name == writable:
            # Made here, and never by the script: it would be root's, and closed to us.
            yield _Folder(top / name / "mailbox", 0o700 if shared is None else 0o770, shared, "requests stand there")
    for name in PUBLIC:
        yield _Folder(top / name, 0o755, None, "nginx serves it to anyone, and nobody else may write there")
    for name in WORKERS:
        yield _Folder(top / name, 0o750, workers_group, "nginx's workers, and no others, open files there")


def check_format(top: Path) -> None:
    """
    Refuse a directory of a format that this Gatelodge does not know.

    Raises:
        StateError: it is of a newer one, or says none.
    """
    path = top / "format"
    try:
        text = durable.read(path)[:100]
    except FileNotFoundError:
        return
    try:
        number = int(text)
    except ValueError:
        raise StateError(
            str(path), "it holds no format number", f"restore it from a backup; Gatelodge before now wrote {FORMAT}"
        ) from None
    if number > FORMAT:
        raise StateError(
            str(path),
            f"the state directory is of format {number}, this Gatelodge knows {FORMAT}",
            "upgrade Gatelodge, or restore the backup from before the upgrade; nothing was changed",
        )


def _correct_top(top: Path, workers_group: int | None) -> Iterator[str]:
    """
    Leave the directory's own mode to the person who made it, unless others could write there or workers could not pass.
    """
    found = top.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & stat.S_ISVTX:
        raise StateError(
            str(top), "it is shared with others, as /tmp is", "give Gatelodge a state_directory of its own"
        )
    wanted = mode & ~(stat.S_IWGRP | stat.S_IWOTH)
    if workers_group is not None and not (found.st_gid == workers_group and mode & stat.S_IXGRP):
        wanted |= stat.S_IXOTH
    if wanted != mode:
        top.chmod(wanted)
        yield (
            f"{top}: mode {mode:04o} is {wanted:04o} now: nobody else may write there, and nginx's workers must pass through"
        )


def _look_for_barriers(top: Path, workers_group: int | None) -> Iterator[str]:
    """
    Find folders above that nginx's workers cannot pass through: uploads, large answers and http-01 tokens would fail.
    """
    if workers_group is None or os.geteuid() != 0:
        return
    for parent in top.parents:
        found = parent.stat()
        if not (found.st_mode & stat.S_IXOTH or (found.st_gid == workers_group and found.st_mode & stat.S_IXGRP)):
            yield (
                f"{parent}: nginx's workers cannot pass through it to {top}, so uploads, large answers and http-01 will fail; "
                f"chmod o+x {parent}, or put state_directory elsewhere"
            )


def _correct(folder: _Folder) -> Iterator[str]:
    durable.make_folder(folder.path, mode=folder.mode, group=folder.group)
    found = folder.path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if folder.group is not None and found.st_gid != folder.group:
        os.chown(folder.path, -1, folder.group)
        yield f"{folder.path}: group {found.st_gid} is {folder.group} now: {folder.why}"
    if mode != folder.mode:
        folder.path.chmod(folder.mode)
        yield f"{folder.path}: mode {mode:04o} is {folder.mode:04o} now: {folder.why}"


def _check_writable(top: Path) -> None:
    """
    Find out now, rather than when a certificate has been issued, that a disk is full or read-only.
    """
    path = top / ".writable"
    path.unlink(missing_ok=True)
    try:
        durable.write_new(path, bytes(4096))
    finally:
        path.unlink(missing_ok=True)
