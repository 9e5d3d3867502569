"""
Decides how things look where they are printed: whether in colour, and how wide.

What people set wins over what is found: NO_COLOR (https://no-color.org), else FORCE_COLOR or CLICOLOR_FORCE
(https://bixense.com/clicolors), else whether it is a terminal that knows colours. Light: rich is imported by who prints with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console, RenderableType

#: The width where there is no terminal: whatever stands in a line is wanted whole by who searches it.
_UNLIMITED = 10_000

#: Digits of a width that makes sense.
_LONGEST_WIDTH = 4

#: A shell's exit code for what a signal ended, but for the signal's number.
_KILLED = 128


def asked(environment: Mapping[str, str] | None = None) -> bool | None:
    """
    Say whether somebody wants colours; None when nobody said, so that the place decides.
    """
    found = os.environ if environment is None else environment
    if found.get("NO_COLOR") or found.get("TERM") == "dumb":
        return False
    if found.get("FORCE_COLOR") or found.get("CLICOLOR_FORCE", "0") not in {"", "0"}:
        return True
    return False if found.get("CLICOLOR") == "0" else None


def console(*, err: bool = False) -> Console:
    """
    Return what prints with rich, on stdout or stderr.
    """
    from rich.console import Console

    stream, wanted = sys.stderr if err else sys.stdout, asked()
    tty = stream.isatty()
    told = _columns()
    width = told if tty else told or _UNLIMITED
    return Console(
        _environ=_without_sizes(),
        stderr=err,
        width=width,
        color_system=None if wanted is False or not (wanted or tty) else "auto" if tty else "standard",
        force_terminal=True if wanted else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _columns() -> int | None:
    """
    Return the width that somebody asks for; None for what is no width.
    """
    told = os.environ.get("COLUMNS", "")
    return int(told) or None if told.isascii() and told.isdigit() and len(told) <= _LONGEST_WIDTH else None


def _without_sizes() -> dict[str, str]:
    """
    Return the environment without the sizes in it: rich takes for a number what `int` does not.
    """
    return {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}


def text(content: RenderableType, on: Console) -> str:
    """
    Return what a console would print, without spaces at the ends of lines.
    """
    with on.capture() as captured:
        on.print(content)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).rstrip()


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """
    Have what is inside left as if by an exception when the terminal goes away or somebody ends this, so that it can clean up.
    """

    def leave(number: int, _: object) -> None:
        raise SystemExit(_KILLED + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
