"""
Writes events down: one JSON object a line in `events.jsonl`, and on stderr for whoever watches.

On a terminal stderr gets lines for people, coloured and in local time, otherwise JSON. Nothing else is written to stderr while the daemon runs:
what libraries log as an error becomes an event too. It never raises and never holds up work: an event that cannot be written
to disk is shown on stderr and forgotten.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gatelodge.model.log import Level, LogFormat, LogSettings
from gatelodge.runtime.events import files as event_files
from gatelodge.runtime.events import text as event_text
from gatelodge.runtime.events.files import FILE, event_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.ports import Clock, Events


#: So many files share the room that the log has: what goes at once, when it is used up, is a part of it.
_FILES = 3


#: Not blocking, so that a named pipe in its place cannot hold the daemon up.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC


class EventLog:
    """
    Implements `ports.Events` on the state directory and stderr.
    """

    def __init__(
        self, *, directory: str, clock: Clock, stream: TextIO | None = None, settings: LogSettings | None = None
    ) -> None:
        self._directory = directory
        self._path = Path(directory, FILE)
        self._clock = clock
        self._settings = settings or LogSettings()
        self._stream = stream or sys.stderr
        last = event_files.last_of(self._path)
        at = event_time(last) if last else None
        self._day = (at or clock.now()).date().isoformat()
        self._id = event_files.last_id(directory) or _first_id(directory, clock)

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        """
        Write an event down, as `ports.Events` says.
        """
        now = self._clock.now()
        with contextlib.suppress(OSError):
            self._make_room(now)
        self._id += 1
        entry: dict[str, object] = {
            "id": self._id,
            "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": event,
            **{name.replace("__", "."): value for name, value in fields.items()},
        }
        try:
            self._append(_json(entry))
        except (OSError, ValueError) as error:
            entry["log.error"] = f"{self._path} cannot be written: {getattr(error, 'strerror', None) or error}"
        with contextlib.suppress(OSError, ValueError):
            self._show(entry)

    def use(self, settings: LogSettings) -> None:
        """
        Go on with other settings.
        """
        self._settings = settings

    def _make_room(self, now: dt.datetime) -> None:
        """
        End the file when its day is over or it is large, and let old files go.

        Old is reckoned from the day that ended, when that is before now: a clock that has just jumped ahead must not take the log with it.
        """
        day, before = now.date().isoformat(), self._day
        size = self._path.stat().st_size if self._path.exists() else 0
        if size and (day != before or size >= self._settings.max_size // _FILES):
            event_files.end(self._directory, last=self._id, day=before)
            oldest = dt.date.fromisoformat(min(day, before)) - self._settings.keep
            most = self._settings.max_size - self._settings.max_size // _FILES
            event_files.prune(self._directory, oldest=oldest.isoformat(), most_bytes=most)
        self._day = day

    def _append(self, line: str) -> None:
        descriptor = os.open(self._path, _APPEND, 0o600)
        try:
            # One write a line, so that a reader never sees half of one; a line cut short by a crash is ended first.
            size = os.fstat(descriptor).st_size
            broken = size and not _ends_line(self._path, size)
            content = (("\n" if broken else "") + line + "\n").encode(errors="backslashreplace")
            if os.write(descriptor, content) < len(content):
                # The disk had room for a part of it.
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)

    def _show(self, entry: Mapping[str, Any]) -> None:
        if Level(entry["level"]).rank < self._settings.level.rank:
            return
        terminal, asked = self._stream.isatty(), self._settings.format
        if asked is LogFormat.TEXT or (asked is LogFormat.AUTO and terminal):
            # https://no-color.org; a terminal that says so knows no colours.
            colours = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
            line = event_text.line(entry, colours=colours)
        else:
            line = _json(entry)
        self._stream.write(line + "\n")
        self._stream.flush()


def _json(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, default=str)


def _first_id(directory: str, clock: Clock) -> int:
    """
    Return the id before the first of a log that begins: 0 in a new state directory. In one that was used before somebody removed the log, the
    seconds since 1970: above all ids that were given, since events are rarer than one a second.
    """
    used = any(any(Path(directory, name).glob("*")) for name in ("accounts", "certificates", "journal"))
    return int(clock.now().timestamp()) if used else 0


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


class _LibraryErrors(logging.Handler):
    """
    Turns what libraries log as errors into events.
    """

    def __init__(self, log: Events) -> None:
        super().__init__(logging.ERROR)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.emit("library.error", level="error", logger=record.name, error__detail=record.getMessage())


def capture_libraries(log: Events) -> None:
    """
    Route what libraries log to events, so that stderr holds events only.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_LibraryErrors(log))
    root.setLevel(logging.ERROR)
