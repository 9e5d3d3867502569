"""
`status`: how things stand, once or again and again.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gatelodge.cli import terminal
from gatelodge.cli.options import config_file, config_option, examples, guessed_door, json_option, load, names

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from gatelodge.config.shape import Config

#: How often `--watch` looks when nobody says. Seconds.
_EVERY = 2.0

#: Oftener is of no use, and keeps a small machine busy. Seconds.
_OFTENEST = 0.2


@click.command(
    epilog=examples("gatelodge status", "gatelodge status wiki.example.com", "gatelodge status --watch"),
)
@config_option
@json_option
@click.option(
    "--watch",
    metavar="[SECONDS]",
    is_flag=False,
    flag_value=str(_EVERY),
    help=f"Show it again every SECONDS ({_EVERY:g}), until Ctrl-C. Where nobody looks, only when it changed.",
)
@click.argument("name", required=False, shell_complete=names("part"))
def status(*, as_json: bool, watch: str | None, name: str | None) -> None:
    """
    Show sites, certificates, next renewals and last failures; with the NAME of one, all that is known of it.
    """
    every, name = _interval(watch, name)
    sight = _Sight(config_file())
    if every is not None:
        _watch(sight, name, every, as_json=as_json)
    document = sight.look()
    if as_json:
        from gatelodge.cli.tables import dump

        click.echo(dump(document if name is None else _chosen(document, name)))
    else:
        on = terminal.console()
        click.echo(terminal.text(_shown(document, name, width=on.width), on), color=True)


def _interval(watch: str | None, name: str | None) -> tuple[float | None, str | None]:
    """
    Return how often to look, and of what. What follows `--watch` and is no number is the NAME.
    """
    if watch is None:
        return None, name
    try:
        return max(float(watch), _OFTENEST), name
    except ValueError:
        if name is not None:
            raise click.BadParameter(f"{watch!r} is no number of seconds", param_hint="--watch") from None
        return _EVERY, watch


class _Sight:
    """
    Sees how things stand: through the running daemon, else by looking alone.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._answered = False
        self._gone_since: str | None = None
        self._last: dict[str, Any] | None = None

    def look(self) -> dict[str, Any]:
        """
        Return the report.

        Raises:
            GatelodgeError, OSError: there is no daemon, and it cannot be seen without one.
        """
        from gatelodge.api.client import NotRunning

        try:
            door = guessed_door(self._file)
            document = _from_daemon(door) if door is not None else alone(load(self._file))
        except NotRunning:
            document = alone(load(self._file))
        return document

    def again(self) -> dict[str, Any]:
        """
        Return the report; of a daemon that answered before and does not now, with since when. What was seen last stays where nothing
        can be seen now.

        Raises:
            GatelodgeError, OSError: as `look`, and nothing was seen before.
        """
        from gatelodge.errors import GatelodgeError

        try:
            document = self.look()
        except (GatelodgeError, OSError):
            if self._last is None:
                raise
            document = {**self._last, "daemon": False}
        if document["daemon"]:
            self._answered, self._gone_since = True, None
        elif self._answered:
            self._gone_since = self._gone_since or _now()
            document = {**document, "daemon_gone_since": self._gone_since, "time": _now()}
        self._last = document
        return document


def how_things_stand(config: Config) -> dict[str, Any]:
    """
    Return the report of the running daemon, else what can be seen without one.
    """
    from gatelodge.api.client import NotRunning
    from gatelodge.cli.options import door

    try:
        return _from_daemon(door(config))
    except NotRunning:
        return alone(config)


def _from_daemon(door: Any) -> dict[str, Any]:
    from gatelodge.api import client

    _, document = client.call(door, "GET", "/v1/status", timeout=30)
    return {**document, "daemon": True}


def alone(config: Config) -> dict[str, Any]:
    """
    Return the report of what can be seen without a daemon.
    """
    import asyncio

    from gatelodge.cli.plan import look
    from gatelodge.runtime.standing.report import report

    return {**report(asyncio.run(look(config)), _clock().now()), "daemon": False, "clock": None}


def _clock() -> Any:
    from gatelodge.runtime.system import SystemClock

    return SystemClock()


def _now() -> str:
    return str(_clock().now().isoformat())


def _shown(document: dict[str, Any], name: str | None, *, width: int) -> RenderableType:
    from gatelodge.cli import detail, overview

    return overview.status(document, width=width) if name is None else detail.part(document, _known(document, name))


def _chosen(document: dict[str, Any], name: str) -> dict[str, Any]:
    part = _known(document, name)
    return {
        "time": document["time"], "daemon": document["daemon"], "kind": part.kind, "name": part.name, "state": part.state,
        "entry": part.own, "certificate": part.certificate,
    }  # fmt: skip


def _known(document: dict[str, Any], name: str) -> Any:
    """
    Return the part that a person means by its NAME or by a host of it.

    Raises:
        click.UsageError: there is none.
    """
    from gatelodge.cli import standing

    found = standing.parts(document)
    if (part := standing.find(name, found)) is not None:
        return part
    import difflib

    names = sorted({part.name for part in found})
    near = difflib.get_close_matches(name, names, n=1)
    hint = (
        f"did you mean {near[0]}?" if near else f"there are: {', '.join(names[:10])}" if names else "there is nothing"
    )
    raise click.UsageError(f"nothing is called {name!r}; {hint}")


def _watch(sight: _Sight, name: str | None, every: float, *, as_json: bool) -> NoReturn:
    on = terminal.console()
    if not as_json and on.is_terminal and sys.stdout.isatty() and not on.is_dumb_terminal:
        _watch_in_place(sight, name, every, on)
    seen: Any = None
    while True:
        document = sight.again()
        now = {key: value for key, value in document.items() if key != "time"}
        if now != seen:
            if seen is not None and not as_json:
                click.echo()
            seen = now
            if as_json:
                from gatelodge.cli.tables import dump

                click.echo(dump(document if name is None else _chosen(document, name)))
            else:
                click.echo(terminal.text(_shown(document, name, width=on.width), on), color=True)
            sys.stdout.flush()
        time.sleep(every)


def _watch_in_place(sight: _Sight, name: str | None, every: float, on: Any) -> NoReturn:
    """
    Draw over what was drawn. However it ends, the terminal has its cursor again.
    """
    from rich.live import Live

    with terminal.ending(), Live(console=on, auto_refresh=False) as live:
        while True:
            live.update(_shown(sight.again(), name, width=on.width), refresh=True)
            time.sleep(every)
    raise AssertionError("it goes on until somebody ends it")
