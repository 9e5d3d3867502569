"""
The lock on a state directory: one process works on it, and the next one is told who does.

The kernel holds the lock (flock(2)) and frees it when the process ends, however it ends. What the file says is for people only.
The file itself is never removed: a lock on a removed file excludes nobody.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge import durable
from gatelodge.errors import StateLocked
from gatelodge.stores.state import TOP

if TYPE_CHECKING:
    from types import TracebackType

    from gatelodge.ports import Clock

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Lock:
    """
    A context manager that holds the lock inside, and makes the state directory when it is missing.

    Entering never waits.

    Raises:
        StateLocked: another process holds it.
        StateError: there can be no lock.
    """

    def __init__(self, *, directory: str, clock: Clock, command: str) -> None:
        self._directory = Path(directory).absolute()
        self._clock = clock
        self._command = command
        self._descriptor: int | None = None

    def __enter__(self) -> None:
        path = self._directory / "lock"
        with durable.translated(path):
            durable.make_folders(self._directory, mode=TOP)
            descriptor = os.open(path, _FLAGS, 0o600)
            try:
                self._take(path, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
        self._descriptor = descriptor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Not by closing alone: a program that is just being started has a copy until its exec is through.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _take(self, path: Path, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateLocked(
                str(path),
                f"the state directory is in use by {_holder(descriptor)}",
                "let that one do the work, or stop it first",
            ) from error
        os.fchmod(descriptor, 0o600)
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "command": self._command,
            "since": self._clock.now().isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode() + b"\n", 0)


def held_by(directory: str, *, locks: Path = Path("/proc/locks")) -> str | None:
    """
    Say who works on a state directory, in his own words; None when nobody does. It takes no lock, and so stands in nobody's way.

    Args:
        locks: where the kernel lists all locks (proc_locks(5)).

    Raises:
        PermissionError: the lock's file may not be read, and somebody holds it.
    """
    path = Path(directory) / "lock"
    try:
        inode = path.stat().st_ino
        # 1: FLOCK  ADVISORY  WRITE 812 08:01:2752627 0 EOF
        held = any(f":{inode} " in row and " FLOCK " in row for row in locks.read_text().splitlines())
    except FileNotFoundError:
        return None
    if not held:
        return None
    with path.open("rb") as file:
        return _holder(file.fileno())


def _holder(descriptor: int) -> str:
    """
    Say who holds the lock. The host is told too: in a container a pid means nothing outside.
    """
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} on {holder['host']} ({holder['command']}) since {holder['since']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "another process, which did not say who it is"
