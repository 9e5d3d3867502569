"""
The event log: whole lines, running numbers, rotation, and a log that fails without stopping anybody.
"""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import FakeClock

from gatelodge.model.log import Level, LogFormat, LogSettings
from gatelodge.runtime.events import files as event_files
from gatelodge.runtime.events.log import EventLog

if TYPE_CHECKING:
    from pathlib import Path


def log_in(folder: Path, stream: io.StringIO | None = None) -> EventLog:
    """
    Return an event log in a folder.
    """
    return EventLog(directory=str(folder), clock=FakeClock(), stream=stream or io.StringIO())


def test_an_event_is_one_json_line_in_the_file_and_on_stderr(tmp_path: Path) -> None:
    """
    Both places hold the same object, with the common fields first.
    """
    stream = io.StringIO()
    log_in(tmp_path, stream).emit(
        "certificate.failed", level="error", certificate="a.example", error__type="dns", names=["a.example"]
    )

    line = (tmp_path / "events.jsonl").read_text()

    assert json.loads(line) == json.loads(stream.getvalue())
    assert list(json.loads(line).items()) == [
        ("id", 1),
        ("time", "2026-01-01T00:00:00.000Z"),
        ("level", "error"),
        ("event", "certificate.failed"),
        ("certificate", "a.example"),
        ("error.type", "dns"),
        ("names", ["a.example"]),
    ]
    assert stream.getvalue().startswith('{"id": 1, "time": ')


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    """
    A reader who remembers an id never sees it again.
    """
    log_in(tmp_path).emit("nginx.reachable")
    log_in(tmp_path).emit("nginx.reachable")

    assert [entry["id"] for entry in event_files.read(str(tmp_path))] == [1, 2]


def test_a_line_cut_short_by_a_crash_harms_no_other(tmp_path: Path) -> None:
    """
    The next event begins a line of its own.
    """
    log_in(tmp_path).emit("nginx.reachable")
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"id": 2, "ev')
    log_in(tmp_path).emit("nginx.reachable")

    assert [entry["event"] for entry in event_files.read(str(tmp_path))] == ["nginx.reachable"] * 2


def test_a_disk_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    """
    The event is still shown, with what went wrong.
    """
    stream = io.StringIO()
    log = log_in(tmp_path, stream)
    (tmp_path / "events.jsonl").mkdir()
    log.emit("certificate.renewed", certificate="a.example")

    shown = json.loads(stream.getvalue())

    assert shown["certificate"] == "a.example"
    assert "Is a directory" in shown["log.error"]


def test_a_closed_stderr_stops_nobody(tmp_path: Path) -> None:
    """
    Whoever read the log went away; the file goes on.
    """
    stream = io.StringIO()
    log = log_in(tmp_path, stream)
    stream.close()
    log.emit("nginx.reachable")

    assert [entry["event"] for entry in event_files.read(str(tmp_path))] == ["nginx.reachable"]


def test_text_that_is_no_text_stops_nobody(tmp_path: Path) -> None:
    """
    A CA can put half a character into a name; it is written down in a form that can be.
    """
    log = log_in(tmp_path)
    log.emit("certificate.failed", level="error", error__detail="\ud800-01")
    log.emit("nginx.reachable")

    assert [entry["event"] for entry in event_files.read(str(tmp_path))] == ["certificate.failed", "nginx.reachable"]


def test_only_the_owner_reads_the_log(tmp_path: Path) -> None:
    """
    Names of sites are nobody else's business.
    """
    log_in(tmp_path).emit("nginx.reachable")

    assert (tmp_path / "events.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_terminal_gets_readable_lines(tmp_path: Path) -> None:
    """
    On a terminal: local time, no JSON, no running number.
    """

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    log_in(tmp_path, stream).emit(
        "certificate.renewed", certificate="a.example", not_after="2027-02-24T12:00:00+00:00", ca="pebble"
    )
    shown = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())

    assert re.match(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info    certificate.renewed +a.example until 2027-02-24 \(pebble\)$",
        shown.strip(),
    )


@pytest.mark.parametrize(
    ("form", "tty", "text"),
    [("auto", True, True), ("auto", False, False), ("text", False, True), ("json", True, False)],
)
def test_the_format_may_be_chosen(tmp_path: Path, form: str, *, tty: bool, text: bool) -> None:
    """
    Text is for terminals, unless it is wanted elsewhere; colours are for terminals alone.
    """

    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return tty

    stream = Stream()
    log = EventLog(
        directory=str(tmp_path), clock=FakeClock(), stream=stream, settings=LogSettings(format=LogFormat(form))
    )
    log.emit("certificate.deleted", certificate="a.example")

    assert stream.getvalue().startswith("{") != text
    assert ("\x1b[" in stream.getvalue()) == (text and tty)


def test_stderr_may_be_quieter_than_the_log(tmp_path: Path) -> None:
    """
    All is kept, whatever is shown; other settings take effect at once.
    """
    stream = io.StringIO()
    log = EventLog(directory=str(tmp_path), clock=FakeClock(), stream=stream, settings=LogSettings(level=Level.WARNING))
    log.emit("certificate.deleted", certificate="a.example")
    log.emit("state.warning", level="warning", error__detail="x")
    log.use(LogSettings(level=Level.ERROR))
    log.emit("state.warning", level="warning", error__detail="y")
    log.emit("state.failed", level="error", error__detail="z")

    assert [json.loads(line)["error.detail"] for line in stream.getvalue().splitlines()] == ["x", "z"]
    assert [entry["id"] for entry in event_files.read(str(tmp_path))] == [1, 2, 3, 4]


@pytest.mark.parametrize("no_color", [True, False])
def test_colours_are_for_those_who_want_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, no_color: bool
) -> None:
    """
    NO_COLOR is heeded on a terminal (https://no-color.org).
    """

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("NO_COLOR", "1")
    if not no_color:
        monkeypatch.delenv("NO_COLOR")
    stream = Terminal()
    log_in(tmp_path, stream).emit("certificate.renewed", certificate="a.example")

    assert ("\x1b[" in stream.getvalue()) != no_color


def test_what_libraries_log_becomes_an_event(tmp_path: Path) -> None:
    """
    Nothing but events reaches stderr: shown in a process of its own, since logging is the whole process's.
    """
    program = (
        "import logging, sys; from gatelodge.runtime.events.log import EventLog, capture_libraries;"
        "from gatelodge.runtime.system import SystemClock;"
        f"capture_libraries(EventLog(directory={str(tmp_path)!r}, clock=SystemClock()));"
        "logging.getLogger('aiohttp.server').error('something %s', 'odd')"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    shown = json.loads(done.stderr)

    assert (shown["event"], shown["logger"], shown["error.detail"]) == (
        "library.error",
        "aiohttp.server",
        "something odd",
    )
    assert logging.getLogger().level != logging.ERROR


@pytest.mark.parametrize("line", ["", "nonsense", "[]", "{}", '{"event": 1}', "null"])
def test_a_line_that_is_no_event_is_passed_over(line: str) -> None:
    """
    The file may have been touched by hand.
    """
    assert event_files.parse(line) is None
