"""
Takes and gives back the places of the admin socket in the file system.

A place is taken only when nothing is there, or a socket that nobody answers at (a killed daemon left it behind). Anything else is
somebody's, and stays.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

#: Root and the daemon's group may ask.
MODE = 0o660

_CONNECT_SECONDS = 1.0


def make_way(path: str) -> None:
    """
    Make a path free for a new socket.

    Raises:
        OSError: something that is not ours stands there, or the folder cannot be made.
    """
    place = Path(path)
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        found = place.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "something else stands there, which is no socket", path)
    if _answers(path):
        raise OSError(errno.EADDRINUSE, "another daemon answers there", path)
    place.unlink()


def take(path: str) -> int:
    """
    Set a new socket's mode, and return by what it is known again.
    """
    os.chmod(path, MODE)  # noqa: PTH101 - as for the next line
    return os.stat(path).st_ino  # noqa: PTH116 - one look, not a Path


def give_back(path: str, known: int) -> None:
    """
    Remove a socket, if it is still the one that was taken.
    """
    place = Path(path)
    if place.is_socket() and place.stat().st_ino == known:
        place.unlink()


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(_CONNECT_SECONDS)
        try:
            trial.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # busy, or not ours to ask: somebody's in any case
    return True
