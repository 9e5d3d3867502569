"""
Reads nginx's error log, and puts logs aside that grew too large. nginx alone writes them.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from gatelodge import durable

if TYPE_CHECKING:
    from pathlib import Path

#: One file of this size, and the one before it, are kept.
LARGEST = 10 * 1024 * 1024

_READ_AT_ONCE = 64 * 1024


class ErrorLog:
    """
    The file at `path`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def end(self) -> int:
        """
        Return where the next line will stand.
        """
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def emergencies(self, since: int) -> str:
        """
        Return the `[emerg]` lines from a place on: nginx's reasons for not taking a configuration.
        """
        try:
            with os.fdopen(durable.open_regular(self.path), "rb") as file:
                file.seek(since)
                text = file.read(_READ_AT_ONCE).decode(errors="replace")
        except OSError:
            return ""
        lines = [line.partition("[emerg] ")[2] for line in text.splitlines() if "[emerg] " in line]
        # nginx tries to bind five times, and writes its number and the same words each time.
        return "\n".join(dict.fromkeys(f"[emerg] {line.partition(': ')[2]}" for line in lines))


def put_aside(log: Path) -> bool:
    """
    Put a log that grew too large aside. True when it was: nginx must open a new one then (USR1).
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > LARGEST:
            log.replace(log.with_suffix(".log.1"))
            return True
    return False
