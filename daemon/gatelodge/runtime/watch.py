"""
Notices that the configuration file changed, once it has stood still.

An editor or a copy may leave half a file for a moment; a file is read when its size and mtime have not moved for two seconds.
Polled, because inotify does not cross network file systems and container mounts reliably.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.ports import Clock

_POLL_SECONDS = 1.0
_STILL_SECONDS = 2.0


async def watch(path: str, *, clock: Clock, changed: Callable[[], None]) -> None:
    """
    Call `changed` whenever a file has changed and stood still. Never returns.
    """
    known = _look(path)
    while True:
        await clock.sleep(_POLL_SECONDS)
        seen = _look(path)
        if seen == known:
            continue
        while True:
            await clock.sleep(_STILL_SECONDS)
            if (again := _look(path)) == seen:
                break
            seen = again
        known = seen
        if seen is not None:
            changed()


def _look(path: str) -> tuple[int, int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
