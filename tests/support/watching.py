"""
Watches over every test: no secret is printed, logged, emitted or raised, and no event is emitted that is in no table. A test after which one
was fails, with the place and without the secret.

What a test sees of the world is tapped here, in the tests' process alone: secrets as they are made, events, errors, what the
command line and other processes of ours print, and the folders that tests work in, before they are gone. Nothing is watched in a
daemon itself; what it wrote is read.
"""

from __future__ import annotations

import asyncio.subprocess
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.documented import undocumented
from tests.support.leaks import Watch
from tests.support.recorder import Recorder

from gatelodge import errors
from gatelodge.errors import GatelodgeError
from gatelodge.model import Secret
from gatelodge.runtime.events.files import read
from gatelodge.runtime.events.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

WATCH = Watch()

_PROGRAM = "gatelodge"

_PACKAGE = str(Path(errors.__file__).parent)

#: Variables with such names are given to a process as its secrets.
_SECRET_NAMES = ("SECRET", "TOKEN", "PASSWORD", "HMAC")


def pytest_configure(config: pytest.Config) -> None:
    """
    Tap what tests see.
    """
    del config
    if not WATCH.busy:
        WATCH.busy = True
        for owner, name, tap in TAPS:
            setattr(owner, name, tap(getattr(owner, name)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """
    A test begins.
    """
    WATCH.begin()
    WATCH.made_up_events = item.get_closest_marker("made_up_events") is not None
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    A part of a test is over: look at what it printed and why it failed, and after the last at its folder.
    """
    report = yield
    titles = [title for title, text in report.sections if WATCH.look(text, f"“{title}”")]
    if titles:
        hidden = [
            (title, "(left out: it holds a secret)" if title in titles else text) for title, text in report.sections
        ]
        report.sections = hidden
        item._report_sections.clear()
    if report.longrepr is not None and WATCH.look(str(report.longrepr), "why the test failed"):
        report.longrepr = "(left out: it holds a secret)"
    if report.when == "teardown":
        folder = getattr(item, "funcargs", {}).get("tmp_path")
        if isinstance(folder, Path):
            WATCH.look_in(folder)
    places = WATCH.told()
    if places:
        report.outcome = "failed"
        before = f"{report.longrepr}\n\n" if report.longrepr is not None else ""
        report.longrepr = before + "\n".join(places)
    return report


def _secrets(init: Callable[..., None]) -> Callable[..., None]:
    def tapped(self: Secret, value: str) -> None:
        init(self, value)
        if isinstance(value, str):
            WATCH.learn(value, "a Secret")

    return tapped


def _errors(init: Callable[..., None]) -> Callable[..., None]:
    def tapped(self: GatelodgeError, *arguments: object) -> None:
        init(self, *arguments)
        if _ours(sys._getframe(1)):
            WATCH.look(repr(arguments), f"what {type(self).__name__} says")

    return tapped


def _ours(frame: FrameType | None) -> bool:
    """
    Tell whether an error is made by the code, not by a fake that plays a foreign one.
    """
    while frame is not None and frame.f_code.co_filename == errors.__file__:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_PACKAGE)


def _events(emit: Callable[..., None]) -> Callable[..., None]:
    def tapped(self: object, event: str, *, level: str = "info", **fields: object) -> None:
        WATCH.look(repr(fields), f"the event {event}")
        told = undocumented(event, level, {name.replace("__", ".") for name in fields})
        if told is not None and not WATCH.made_up_events:
            WATCH.note(told)
        emit(self, event, level=level, **fields)

    return tapped


def _folders(cleanup: Callable[..., None]) -> Callable[..., None]:
    def tapped(self: tempfile.TemporaryDirectory[str]) -> None:
        try:
            _look_through(Path(self.name))
        finally:
            cleanup(self)

    return tapped


def _look_through(folder: Path) -> None:
    """
    Look at what a folder holds before it is gone.
    """
    if not folder.is_dir():
        return
    WATCH.look_in(folder)
    if WATCH.made_up_events:
        return
    for path in {path.parent for path in folder.rglob("events*.jsonl")}:
        for entry in read(str(path)):
            told = undocumented(entry["event"], str(entry.get("level")), set(entry))
            if told is not None:
                WATCH.note(told)


def _processes(init: Callable[..., None]) -> Callable[..., None]:
    def tapped(self: subprocess.Popen[Any], *arguments: Any, **words: Any) -> None:
        for name, value in (words.get("env") or {}).items():
            if any(part in name.upper() for part in _SECRET_NAMES) and os.environ.get(name) != value:
                WATCH.learn(os.fsdecode(value), f"${name}")
        init(self, *arguments, **words)

    return tapped


def _said(process: object, *texts: str | bytes | None) -> None:
    """
    Look at what a process of ours printed.
    """
    command = getattr(process, "args", ())
    words = [os.fsdecode(word) for word in command] if isinstance(command, list | tuple) else [str(command)]
    program, *rest = words or [""]
    if Path(program).name == _PROGRAM or ("python" in program and any(_PROGRAM in word for word in rest)):
        for text in texts:
            if text:
                shown = text.decode(errors="replace") if isinstance(text, bytes) else text
                WATCH.look(shown, f"what `{_PROGRAM}` printed")


def _communicate(communicate: Callable[..., Any]) -> Callable[..., Any]:
    def tapped(self: subprocess.Popen[Any], *arguments: Any, **words: Any) -> Any:
        told = communicate(self, *arguments, **words)
        _said(self, *told)
        return told

    return tapped


def _communicate_async(communicate: Callable[..., Any]) -> Callable[..., Any]:
    async def tapped(self: asyncio.subprocess.Process, *arguments: Any, **words: Any) -> Any:
        process = getattr(self._transport, "_proc", None)
        told = await communicate(self, *arguments, **words)
        _said(process, *told)
        return told

    return tapped


def _captured(readouterr: Callable[..., Any]) -> Callable[..., Any]:
    def tapped(self: pytest.CaptureFixture[str]) -> Any:
        told = readouterr(self)
        for text, where in ((told.out, "stdout"), (told.err, "stderr")):
            WATCH.look(text if isinstance(text, str) else text.decode(errors="replace"), where)
        return told

    return tapped


TAPS: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (Secret, "__init__", _secrets),
    (GatelodgeError, "__init__", _errors),
    (EventLog, "emit", _events),
    (Recorder, "emit", _events),
    (tempfile.TemporaryDirectory, "cleanup", _folders),
    (subprocess.Popen, "__init__", _processes),
    (subprocess.Popen, "communicate", _communicate),
    (asyncio.subprocess.Process, "communicate", _communicate_async),
    (pytest.CaptureFixture, "readouterr", _captured),
)
