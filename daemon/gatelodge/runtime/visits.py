"""
Brings what nginx logs of visits to the daemon's stdout, for whoever tails it there.

nginx writes a file, and a thread of ours reads it: when nobody empties stdout, the thread waits alone, and no site does. It decides
nothing, and never writes to the file.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge import durable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

#: How often it is looked for new lines. Seconds.
_LOOK_SECONDS = 0.3

_AT_ONCE = 256 * 1024


@contextlib.contextmanager
def brought_out(log: str, *, to: int = 1) -> Iterator[None]:
    """
    Write what is added to a log, from now on, to a file descriptor, inside the context. A log that is put aside is read to its end.
    """
    stop = threading.Event()
    path = Path(log)
    opened = _open(path)
    if opened is not None:
        opened.seek(0, os.SEEK_END)
    thread = threading.Thread(target=_follow, args=(path, opened, to, stop), name="visits", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=2 * _LOOK_SECONDS)


def _follow(path: Path, opened: FileIO | None, to: int, stop: threading.Event) -> None:
    try:
        while True:
            ending = stop.is_set()
            opened = opened or _open(path)
            if opened is not None:
                another = _is_another(path, opened)
                if not _copy(opened, to):
                    return
                if another:
                    # nginx may write to the old one until it is told: it was read to its end after the new one was there.
                    opened.close()
                    opened = None
                    continue
            if ending:
                return
            stop.wait(_LOOK_SECONDS)
    finally:
        if opened is not None:
            opened.close()


def _open(path: Path) -> FileIO | None:
    try:
        return os.fdopen(durable.open_regular(path), "rb", buffering=0)
    except OSError:
        return None


def _is_another(path: Path, opened: FileIO) -> bool:
    try:
        return path.stat().st_ino != os.fstat(opened.fileno()).st_ino
    except OSError:
        return False


def _copy(opened: FileIO, to: int) -> bool:
    """
    Copy what is new. False when nobody reads it any more.
    """
    while part := opened.read(_AT_ONCE):
        rest = memoryview(part)
        try:
            while rest:
                rest = rest[os.write(to, rest) :]
        except OSError:
            return False
    return True
