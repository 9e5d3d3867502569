"""
Writes events down: one JSON object a line in `events.jsonl`, and on stderr for whoever watches.

On a terminal stderr gets coloured lines in local time, otherwise JSON. Nothing else is written to stderr while the daemon runs:
what libraries log as an error becomes an event too. It never raises and never holds up work: an event that cannot be written
to disk is shown on stderr and forgotten.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from gatelodge.ports import Clock

FILE = "events.jsonl"

#: A file this large is renamed to `events.jsonl.1`, that one to `.2`; older ones go.
_ROTATE_BYTES = 8 * 1024 * 1024
_KEEP = 2

#: Who follows the log looks for new events this often. Seconds.
FOLLOW_SECONDS = 0.3

_TAIL_BYTES = 64 * 1024


class EventLog:
    """
    Implements `ports.Events` on the state directory and stderr.
    """

    def __init__(self, *, directory: str, clock: Clock, stream: TextIO | None = None) -> None:
        self._path = Path(directory) / FILE
        self._clock = clock
        self._logger = _logger(stream or sys.stderr)
        last = newest(directory)
        number = last.get("id") if last else 0
        self._id = number if isinstance(number, int) else 0

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        """
        Write an event down, as `ports.Events` says.
        """
        self._id += 1
        entry: dict[str, object] = {
            "id": self._id,
            "time": self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": event,
            **{name.replace("__", "."): value for name, value in fields.items()},
        }
        try:
            self._append(json.dumps(entry, ensure_ascii=False, default=str))
        except (OSError, ValueError) as error:
            entry["log.error"] = f"{self._path} cannot be written: {getattr(error, 'strerror', None) or error}"
        with contextlib.suppress(OSError, ValueError):
            self._logger.msg(**entry)

    def _append(self, line: str) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # One write a line, so that a reader never sees half of one; a line cut short by a crash is ended first.
            size = os.fstat(descriptor).st_size
            broken = size and not _ends_line(self._path, size)
            os.write(descriptor, (("\n" if broken else "") + line + "\n").encode(errors="backslashreplace"))
        finally:
            os.close(descriptor)
        if size > _ROTATE_BYTES:
            for number in range(_KEEP, 0, -1):
                older = self._path if number == 1 else self._path.with_name(f"{FILE}.{number - 1}")
                if older.exists():
                    older.replace(self._path.with_name(f"{FILE}.{number}"))


def _ends_line(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


class Silence:
    """
    Implements `ports.Events` for those who only look.
    """

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        """
        Do nothing.
        """


def read(directory: str) -> Iterator[dict[str, Any]]:
    """
    Yield all events that are kept, oldest first. Lines that are no events are passed over.
    """
    base = Path(directory)
    for name in [*(f"{FILE}.{number}" for number in range(_KEEP, 0, -1)), FILE]:
        with contextlib.suppress(FileNotFoundError), (base / name).open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if (entry := parse(line)) is not None:
                    yield entry


class Reader:
    """
    Reads events as they come, each once, across rotation and restarts of the daemon.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._seen = 0
        self._place: tuple[int, int] = (-1, 0)

    def new(self) -> Iterator[dict[str, Any]]:
        """
        Yield the events that were not yielded before, oldest first.

        Raises:
            PermissionError: the log is somebody else's.
        """
        for entry in self._entries():
            number = entry.get("id")
            if isinstance(number, int) and number > self._seen:
                self._seen = number
                yield entry

    def _entries(self) -> Iterator[dict[str, Any]]:
        """
        Yield what was added to the file since the last time; all that is kept when it is another file now.
        """
        inode, position = self._place
        try:
            file = (Path(self._directory) / FILE).open("rb")
        except FileNotFoundError:
            return
        with file:
            found = os.fstat(file.fileno())
            if found.st_ino != inode or found.st_size < position:
                yield from read(self._directory)
                position = found.st_size
            file.seek(position)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                position += len(line)
                if (entry := parse(line.decode(errors="replace"))) is not None:
                    yield entry
        self._place = found.st_ino, position


def newest(directory: str) -> dict[str, Any] | None:
    """
    Return the last event that was written down, or None.
    """
    for name in (FILE, f"{FILE}.1"):
        with contextlib.suppress(OSError), (Path(directory) / name).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            for line in reversed(file.read().decode(errors="replace").splitlines()):
                if (entry := parse(line)) is not None:
                    return entry
    return None


def parse(line: str) -> dict[str, Any] | None:
    """
    Return a line's event, or None when it is none.
    """
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("event"), str) else None


def event_time(entry: dict[str, Any]) -> dt.datetime | None:
    """
    Return when an event happened.
    """
    try:
        return dt.datetime.fromisoformat(entry["time"]).astimezone(dt.UTC)
    except (KeyError, TypeError, ValueError):
        return None


def _logger(stream: TextIO) -> Any:
    human = stream.isatty() and "NO_COLOR" not in os.environ
    processors: list[structlog.typing.Processor] = [_shape]
    if stream.isatty():
        processors.append(structlog.dev.ConsoleRenderer(colors=human, timestamp_key="time", pad_event_to=0))
    else:
        processors = [_in_order, structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]
    return structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=processors,
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _in_order(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """
    Put what every event has first, as in the file.
    """
    head = {name: entry.pop(name) for name in ("id", "time", "level", "event") if name in entry}
    return {**head, **entry}


def _shape(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """
    Make an event readable for a person: local time, no running number.
    """
    entry.pop("id", None)
    at = event_time(dict(entry))
    if at is not None:
        entry["time"] = at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return entry


class _LibraryErrors(logging.Handler):
    """
    Turns what libraries log as errors into events.
    """

    def __init__(self, log: EventLog) -> None:
        super().__init__(logging.ERROR)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.emit("library.error", level="error", logger=record.name, error__detail=record.getMessage())


def capture_libraries(log: EventLog) -> None:
    """
    Route what libraries log to events, so that stderr holds events only.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_LibraryErrors(log))
    root.setLevel(logging.ERROR)
