"""
A terminal of a size, with the command in it: what a person sees and types.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator
    from pathlib import Path

#: Whatever moves the cursor or changes colours (ECMA-48 §5.4).
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"

#: What the machine of a test may have set, and people set to say how things look.
_SAID = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "GATELODGE_CONFIG")


def environment(**more: str) -> dict[str, str]:
    """
    Return the environment of a terminal that knows colours, in which nobody said anything.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _SAID}
    return {**kept, "TERM": "xterm-256color", **more}


class Seen:
    """
    A command in a terminal. `text` is all that came out so far, stdout and stderr as they came.
    """

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self._bytes = b""

    @property
    def text(self) -> str:
        """
        Everything that was written to the terminal.
        """
        return self._bytes.decode(errors="replace")

    @property
    def plain(self) -> str:
        """
        The same without what moves the cursor or changes colours.
        """
        return CONTROL.sub("", self.text).replace("\r\n", "\n")

    def until(self, what: str, *, after: int = 0, seconds: float = 30) -> int:
        """
        Return the place behind a text, once it is there.

        Raises:
            AssertionError: it did not come in time, or the command ended without it.
        """
        deadline = time.monotonic() + seconds
        while (place := self.plain.find(what, after)) < 0:
            assert self._read(deadline), f"{what!r} is not in {self.plain[after:]!r}"
        return place + len(what)

    def end(self, number: signal.Signals | None = None, *, seconds: float = 30) -> int:
        """
        Wait until the command has ended, by a signal if one is given, and return its exit code.
        """
        if number is not None:
            self.process.send_signal(number)
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self.process.wait(timeout=seconds)

    def type(self, text: str) -> None:
        """
        Type.
        """
        os.write(self._master, text.encode())

    def _read(self, deadline: float) -> bool:
        """
        Take what comes next. False when nothing more will.
        """
        ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return False
        try:
            part = os.read(self._master, 65536)
        except OSError:  # so a terminal says that nobody is there any more
            return False
        self._bytes += part
        return bool(part)


@contextlib.contextmanager
def seen(*words: str, config: Path, columns: int = 80, lines: int = 40, **more: str) -> Iterator[Seen]:
    """
    Run a verb in a terminal. What still runs at the end is ended.
    """
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "gatelodge", *words, "-c", str(config)],
            stdin=slave, stdout=slave, stderr=slave, env=environment(**more), start_new_session=True,
            preexec_fn=_controls,  # noqa: PLW1509 - the test's own threads hold no lock that a child needs
        )  # fmt: skip
    finally:
        os.close(slave)
    try:
        yield Seen(process, master)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)


def _controls() -> None:
    """
    Make the terminal the one that this process is controlled from, so that Ctrl-C reaches it.
    """
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
