"""
Shows on stderr what is being done while somebody waits for it: drawn in place on a terminal, else a line for each change of a step.

It only looks, from a thread of its own: at a running daemon's jobs, or at those of the loop in this process. That it cannot look
harms nobody. Nothing of it is left on a terminal when the work is over, so that stdout's result stands alone.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import click

from gatelodge.cli import terminal, times
from gatelodge.cli.layout import grid, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console, RenderableType
    from rich.live import Live

    from gatelodge.api.client import Door

#: How often it is looked. Seconds.
EVERY = 0.25

#: A daemon that does not answer at once is asked again the next time. Seconds.
_PATIENCE = 2.0

#: What jobs without a name of their own are about, by their key.
_TITLES = {"nginx": "nginx", "addresses": "dynamic DNS", "prune": "old files"}

#: What is looked at in every pass, and says nothing to people.
_HIDDEN = frozenset({"clock"})

#: What somebody waits for who asked for one certificate.
_WAITED_FOR = frozenset({"certificate", "nginx"})

#: The most rows that are drawn, and the room that is left for what stands above.
_ROWS, _ABOVE = 20, 3


class Row(NamedTuple):
    """
    A job that runs: what it is about, what it is at, and for how many seconds.
    """

    title: str
    step: str
    seconds: float


def rows(document: dict[str, Any], only: str | None = None) -> list[Row]:
    """
    Return the jobs of an answer to `/v1/jobs`, the longest first.

    Args:
        only: the certificate that is waited for: leave out what has nothing to do with certificates, and while something is done for
            this one, others.
    """
    found = []
    keys = [job["job"].partition(":") for job in document["jobs"]]
    some = only is not None and any(name == only for _, _, name in keys)
    for job, (kind, _, name) in zip(document["jobs"], keys, strict=True):
        if kind in _HIDDEN or (only is not None and kind not in _WAITED_FOR) or (some and name not in {"", only}):
            continue
        length = max(-times.seconds(job["step_since"], document["time"]), 0.0)
        found.append(
            Row(_TITLES.get(kind, readable(name).removeprefix("acme:") or kind), readable(job["step"]), length)
        )
    return sorted(found, key=lambda row: (-row.seconds, row.title))


class View:
    """
    Looks again and again, and shows what it sees.
    """

    def __init__(self, ask: Callable[[], dict[str, Any]], draw: _Drawing, *, only: str | None) -> None:
        self._ask = ask
        self._draw = draw
        self._only = only
        self._over = threading.Event()

    def follow(self, ask: Callable[[], dict[str, Any]]) -> None:
        """
        Look at the loop of this process from now on. What happens there is told by its events, so lines are not.
        """
        self._ask = ask
        self._draw.beside_events()

    def run(self) -> None:
        """
        Look until it is over.
        """
        while not self._over.wait(EVERY):
            with contextlib.suppress(
                Exception
            ):  # whoever cannot be asked now, or answers in other words, is asked again
                self._draw.show(rows(self._ask(), self._only))

    def end(self) -> None:
        """
        Look no more.
        """
        self._over.set()


class _Drawing(Protocol):
    def show(self, found: Sequence[Row]) -> None: ...

    def beside_events(self) -> None: ...


class Lines:
    """
    Writes a line whenever a job is at another step, without a control character.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._told: dict[str, str] = {}
        self._silent = False

    def show(self, found: Sequence[Row]) -> None:
        """
        Write the steps that are new.
        """
        if self._silent:
            return
        for row in found:
            if self._told.get(row.title) != row.step:
                self._told[row.title] = row.step
                self._write(f"{row.title}: {row.step}")

    def beside_events(self) -> None:
        """
        Write nothing from now on: stderr is for events, a JSON object each.
        """
        self._silent = True


class InPlace:
    """
    Draws the jobs on a terminal, over what it drew before.
    """

    def __init__(self, live: Live, on: Console) -> None:
        self._live = live
        self._on = on

    def show(self, found: Sequence[Row]) -> None:
        """
        Draw what runs now.
        """
        height = max(min(_ROWS, self._on.height - _ABOVE), 1)
        self._live.update(table(found, width=self._on.width, height=height), refresh=True)

    def beside_events(self) -> None:
        """
        Go on: events are written above.
        """


def table(found: Sequence[Row], *, width: int, height: int) -> RenderableType:
    """
    Return jobs as rows that fit, and how many more there are.
    """
    from rich.console import Group
    from rich.text import Text

    if not found:
        return Text()
    cells = [(Text(row.title, style="bold"), row.step, Text(times.stopwatch(row.seconds), "cyan")) for row in found]
    shown = grid(("", "", ""), cells[:height], width=width, elastic=(1, 0))
    more = len(found) - height
    return Group(shown, Text(f"and {more} more", style="dim")) if more > 0 else shown


@contextlib.contextmanager
def shown(door: Door, *, only: str | None = None, quiet: bool = False) -> Iterator[View | None]:
    """
    Show what the daemon behind a door does, inside the context; or what `View.follow` names.

    Args:
        only: the certificate that is waited for; None for everything.
        quiet: show nothing; then there is no view.
    """
    if quiet:
        yield None
        return
    with _drawing() as draw:
        view = View(lambda: _asked(door), draw, only=only)
        thread = threading.Thread(target=view.run, name="progress", daemon=True)
        thread.start()
        try:
            yield view
        finally:
            view.end()
            thread.join()


@contextlib.contextmanager
def _drawing() -> Iterator[_Drawing]:
    if not sys.stderr.isatty():
        yield Lines(lambda line: click.echo(line, err=True))
        return
    on = terminal.console(err=True)
    if on.is_dumb_terminal:
        yield Lines(lambda line: click.echo(line, err=True))
        return
    from rich.live import Live

    with terminal.ending(), Live(console=on, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        yield InPlace(live, on)


def _asked(door: Door) -> dict[str, Any]:
    from gatelodge.api import client

    return client.call(door, "GET", "/v1/jobs", timeout=_PATIENCE)[1]
