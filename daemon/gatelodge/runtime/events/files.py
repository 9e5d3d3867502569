"""
Where events lie on disk, and how they are read: each once, across the ends of files and restarts of the daemon.

`events.jsonl` is written to; when its day is over, or when it is large, it becomes `events-DAY-ID.jsonl`, named after its last event. That
is one renaming, so a crash loses nothing. A reader goes by the ids alone, never by names or dates: clocks can be wrong. Nothing
is written here but by `end` and `prune`, which only the event log calls.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelodge import durable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import BufferedReader

FILE = "events.jsonl"

_ENDED = re.compile(r"events-(\d{4}-\d\d-\d\d)-(\d{1,18})\.jsonl")

#: Who follows the log looks for new events this often. Seconds.
FOLLOW_SECONDS = 0.3

#: So much of a file's end is looked at for its last event, and so many times more when that is longer.
_TAIL_BYTES = 64 * 1024
_WIDER = 8

#: The log never holds more of its file system than one part in so many.
_PART_OF_DISK = 10

#: No log gets so far: an id above it is damage.
_MOST_ID = 1 << 63

#: A file begins with the id and the time of its first event; so many bytes tell it from every other.
_HEAD_BYTES = 64


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Ended:
    """
    A file that is not written to any more: the id and the day of its last event, and where it is.
    """

    last: int
    day: str
    path: Path


def ended(directory: str) -> list[Ended]:
    """
    List the files that are not written to any more, oldest first.

    Raises:
        PermissionError: the state directory is somebody else's.
    """
    try:
        matches = [_ENDED.fullmatch(path.name) for path in Path(directory).iterdir()]
    except FileNotFoundError:
        return []
    return sorted(Ended(int(match[2]), match[1], Path(directory, match[0])) for match in matches if match)


def end(directory: str, *, last: int, day: str) -> None:
    """
    Give the file that is written to its name for good. Its last event has this id and day.

    Raises:
        OSError: it stays as it is.
    """
    while (kept := Path(directory, f"events-{day}-{last}.jsonl")).exists():
        last += 1  # by hand, somebody made ids begin anew
    Path(directory, FILE).rename(kept)


def prune(directory: str, *, oldest: str, most_bytes: int) -> None:
    """
    Remove files of days before `oldest` (YYYY-MM-DD), and the oldest while all are larger than `most_bytes` together, or than a tenth
    of their file system.

    Raises:
        OSError: one cannot be removed.
    """
    disk = os.statvfs(directory)
    room = min(most_bytes, disk.f_frsize * disk.f_blocks // _PART_OF_DISK)
    for file in reversed(ended(directory)):
        room -= file.path.stat().st_size
        if room < 0 or file.day < oldest:
            file.path.unlink()
            room = -1  # nothing older is kept without it


def read(directory: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
    """
    Yield the events that are kept, oldest first. Lines that are no events are passed over, and so are files that hold nothing after
    that id.
    """
    # The newest file is opened first: what is renamed meanwhile is missed by nobody.
    with contextlib.ExitStack() as stack:
        newest_file, inode = None, -1
        with contextlib.suppress(FileNotFoundError):
            newest_file = stack.enter_context(_open(Path(directory, FILE)))
            inode = os.fstat(newest_file.fileno()).st_ino
        for file in ended(directory):
            with contextlib.suppress(FileNotFoundError):
                if file.last > after and file.path.stat().st_ino != inode:
                    yield from _all_of(file)
        if newest_file is not None:
            yield from _parsed(newest_file)


def _open(path: Path) -> BufferedReader:
    """
    Open a file of events. What stands in the place of one, and could be waited for or read for ever, is as good as none.

    Raises:
        FileNotFoundError: it is not there.
        PermissionError: it is somebody else's.
    """
    try:
        return os.fdopen(durable.open_regular(path), "rb")
    except OSError as error:
        if error.errno in durable.BROKEN:
            raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
        raise


def _all_of(file: Ended) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError), _open(file.path) as lines:
        yield from _parsed(lines)


def _parsed(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if (entry := parse(line.decode(errors="replace"))) is not None:
            yield entry


class Reader:
    """
    Reads events as they come, each once and in order, across ends of files and restarts of the daemon. While nothing is new,
    looking costs one call of the system.
    """

    def __init__(self, directory: str, *, after: int = 0) -> None:
        """
        Args:
            after: the id of the last event that is known already; 0 for none. When all files were removed since, and ids began
                anew, what the daemon told since its last start is new.
        """
        self._directory = directory
        self._path = Path(directory, FILE)
        self._seen = after
        self._begun = after == 0
        self._looked: tuple[int, int, int] | None = None
        self._place: tuple[int, bytes, int] = (-1, b"", 0)

    @property
    def seen(self) -> int:
        """
        The id of the last event that was yielded, or was known before.
        """
        return self._seen

    def new(self) -> Iterator[dict[str, Any]]:
        """
        Yield the events that were not yielded before, oldest first.

        Raises:
            PermissionError: the log is somebody else's.
        """
        if not self._begun:
            self._seen = min(self._seen, _known(self._directory, self._seen))
            self._begun = True
        for entry in self._entries():
            number = entry.get("id")
            if isinstance(number, int) and number > self._seen:
                self._seen = number
                yield entry

    def _entries(self) -> Iterator[dict[str, Any]]:
        """
        Yield what was added to the file since the last time; all that may be new when it is another file now.
        """
        try:
            if self._looked is not None and self._looked == _look(self._path.stat()):
                return
            file = _open(self._path)
        except FileNotFoundError:
            # Between the end of one file and the first line of the next.
            for older in ended(self._directory):
                if older.last > self._seen:
                    yield from _all_of(older)
            return
        with file:
            found = os.fstat(file.fileno())
            inode, head, position = self._place
            start = file.read(_HEAD_BYTES)
            if inode != found.st_ino or found.st_size < position or not start.startswith(head):
                # Listed after the file was opened, so that none is missed that becomes an old one meanwhile.
                for older in ended(self._directory):
                    if older.last > self._seen:
                        yield from _all_of(older)
                position = 0
            file.seek(position)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                position += len(line)
                if (entry := parse(line.decode(errors="replace"))) is not None:
                    yield entry
        self._place = found.st_ino, start, position
        self._looked = _look(found)


def _look(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _known(directory: str, after: int) -> int:
    """
    Return `after` when the log has come that far; else the id before the daemon's last start: the log was begun anew, or its end
    was lost with the machine's power.
    """
    if last_id(directory) >= after:
        return after
    before, begun = 0, 0
    for entry in read(directory):
        if entry["event"] == "daemon.started":
            begun = before
        before = entry["id"] if isinstance(entry.get("id"), int) else before
    return begun


def last_id(directory: str) -> int:
    """
    Return the highest id that is known to have been given; 0 for none.

    Raises:
        PermissionError: the log is somebody else's.
    """
    last = newest(directory)
    number = last.get("id") if last else 0
    files = ended(directory)
    return max(number if isinstance(number, int) else 0, files[-1].last if files else 0)


def newest(directory: str) -> dict[str, Any] | None:
    """
    Return the last event that was written down, or None.
    """
    paths = [Path(directory, FILE)]
    with contextlib.suppress(OSError):
        paths += [file.path for file in reversed(ended(directory)[-1:])]
    for path in paths:
        if (entry := last_of(path)) is not None:
            return entry
    return None


def last_of(path: Path) -> dict[str, Any] | None:
    """
    Return the last event of a file, or None. One that is longer than the part of the file that is read first is read all the same.
    """
    with contextlib.suppress(OSError), _open(path) as file:
        size, tail = file.seek(0, os.SEEK_END), _TAIL_BYTES
        while size:
            file.seek(max(0, size - tail))
            # Lines end with a newline alone: an event may hold what Unicode, too, calls the end of a line (U+2028).
            for line in reversed(file.read().split(b"\n")):
                if (entry := parse(line.decode(errors="replace"))) is not None:
                    return entry
            if tail >= size:
                break
            tail *= _WIDER
    return None


def parse(line: str) -> dict[str, Any] | None:
    """
    Return a line's event, or None when it is none.
    """
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
        return None
    # Ids go on from the last one: one that is none, or absurd, would have them begin anew, and followers miss what comes.
    number = entry.get("id")
    return entry if type(number) is int and 0 < number < _MOST_ID else None


def event_time(entry: dict[str, Any]) -> dt.datetime | None:
    """
    Return when an event happened.
    """
    try:
        return dt.datetime.fromisoformat(entry["time"]).astimezone(dt.UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
