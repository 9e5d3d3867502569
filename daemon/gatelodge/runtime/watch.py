"""
Notices that the files of the configuration changed, once they have stood still; and that other files did, at once.

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


async def watch(paths: Callable[[], Iterable[str]], *, clock: Clock, changed: Callable[[], None]) -> None:
    """
    Call `changed` whenever some files have changed and stood still. Which ones they are is asked each time. Never returns.
    """
    known = _look_at(paths())
    while True:
        await clock.sleep(_POLL_SECONDS)
        seen = _look_at(paths())
        if _alike(known, seen):
            known = seen
            continue
        while True:
            await clock.sleep(_STILL_SECONDS)
            again = _look_at(paths())
            if again == seen:
                break
            seen = again
        # A file that is gone for a moment is being written anew; until then the old one goes on.
        there = {path: look for path, look in seen.items() if look is not None}
        told, known = not _alike(known, there), seen
        if told:
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
        if not _alike(known, seen):
            changed()
        known = seen
        await clock.sleep(_POLL_SECONDS)


def _alike(known: Mapping[str, _Look], seen: Mapping[str, _Look]) -> bool:
    """
    Tell whether every file looks as it did before. One that was not watched before changed nothing.
    """
    return all(known.get(path, look) == look for path, look in seen.items())


def _look_at(paths: Iterable[str]) -> Mapping[str, _Look]:
    return {path: _look(path) for path in paths}


def _look(path: str) -> _Look:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
