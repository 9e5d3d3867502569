"""
Writes and removes http-01 tokens under a webroot, for nginx's unprivileged workers to read.

What a CA sends becomes a file name here, and the webroot may be writable by others: names are checked, folders below the webroot
are opened one by one and never through a symbolic link, and files appear whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where tokens lie (RFC 8555 §8.3).
FOLDERS = (".well-known", "acme-challenge")

#: base64url (RFC 8555 §8.1), no longer than a file name may be.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)

#: A token's file while it is written.
_FRESH = re.compile(r"\.[A-Za-z0-9_-]{1,200}\.new", re.ASCII)

_FOLDER_MODE = 0o755
_FILE_MODE = 0o644


def write(webroot: str, token: str, content: str) -> None:
    """
    Write a token's file, readable by all whatever the umask is.

    Raises:
        OSError: it cannot be written.
        ValueError: the token is not base64url.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"the token {token!r} is not base64url")
    with _opened(webroot, make=True) as folder:
        fresh = f".{token}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=folder)
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        try:
            with os.fdopen(file, "w", encoding="ascii") as output:
                output.write(content)
                os.fchmod(output.fileno(), _FILE_MODE)
            os.rename(fresh, token, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(fresh, dir_fd=folder)
            raise


def remove(webroot: str, token: str) -> None:
    """
    Remove a token's file. Nothing happens when there is none, or it cannot be removed: an old token harms nobody.
    """
    with contextlib.suppress(OSError), _opened(webroot, make=False) as folder:
        os.unlink(token, dir_fd=folder)


def sweep(webroot: str, *, before: float) -> None:
    """
    Remove the files that a killed process left behind: those that are named as tokens and last written before that time.

    For a webroot of our own only: other ACME clients name their tokens alike. What cannot be removed stays.
    """
    with contextlib.suppress(OSError), _opened(webroot, make=False) as folder:
        for name in os.listdir(folder):  # noqa: PTH208 - an open folder has no path
            if not (_TOKEN.fullmatch(name) or _FRESH.fullmatch(name)):
                continue
            with contextlib.suppress(OSError):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and found.st_mtime < before:
                    os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def _opened(webroot: str, *, make: bool) -> Iterator[int]:
    """
    Open the folder of tokens, and make it where it is missing.
    """
    if make:
        _make_webroot(Path(webroot))
    folder = os.open(webroot, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in FOLDERS:
            if make:
                _make_folder(name, folder)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _make_webroot(path: Path) -> None:
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(_FOLDER_MODE)


def _make_folder(name: str, parent: int) -> None:
    try:
        os.mkdir(name, _FOLDER_MODE, dir_fd=parent)
    except FileExistsError:
        return
    # Only what was made here, and again without following a link that was put in its place.
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        os.fchmod(made, _FOLDER_MODE)
    finally:
        os.close(made)
