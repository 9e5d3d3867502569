"""
Notices that the configuration file changed, once it has stood still; and that other files did, at once.

An editor or a copy may leave half a file for a moment; a file is read when its size and mtime have not moved for two seconds.
Who reads the others sees to that himself. Polled, because inotify does not cross network file systems and container mounts reliably.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gatelodge.durable import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gatelodge.ports import Clock

_POLL_SECONDS = 1.0
_STILL_SECONDS = 2.0

#: How a file looks: inode, size, mtime, ctime; None when it cannot be seen.
_Look: TypeAlias = tuple[int, int, int, int] | None


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


async def watch_all(paths: Callable[[], Iterable[str]], *, clock: Clock, changed: Callable[[], None]) -> None:
    """
    Call `changed` whenever one of some files looks different. Which ones they are is asked each time. Never returns.
    """
    known: Mapping[str, _Look] = {}
    while True:
        wanted = tuple(paths())
        # They may lie on a disk that is far away.
        seen = await in_thread(functools.partial(_look_at, wanted)) if wanted else {}
        if any(known.get(path, look) != look for path, look in seen.items()):
            changed()
        known = seen
        await clock.sleep(_POLL_SECONDS)


def _look_at(paths: Iterable[str]) -> Mapping[str, _Look]:
    return {path: _look(path) for path in paths}


def _look(path: str) -> _Look:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
