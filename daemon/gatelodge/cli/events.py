"""
`events`: shows what happened, from the log itself, or through the daemon for those who may ask it but not read the log.

What is asked for is looked for here, whichever way events come. `-f` goes on after the last id that was seen, over ends of files and
restarts of the daemon, and shows nothing twice.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import fnmatch
import json
import re
import time
from typing import TYPE_CHECKING, Any

import click

from gatelodge.cli.options import config_file, config_option, door, guessed_door, json_option, load
from gatelodge.model import file_name, name_beside
from gatelodge.model.log import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from gatelodge.api.client import Door
    from gatelodge.config.shape import Config

#: `-f` begins with so many, as `tail` and `journalctl` do.
_FEW = 10

_AGE = re.compile(r"(?=\d)(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")
_UNITS = (604800, 86400, 3600, 60, 1)

_WHEN = "Write an age (90s, 2h, 1d12h, 2w), a day (2026-01-31, from midnight here), or a time (2026-01-31T12:00, 2026-01-31T12:00:00Z)"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    Which events are asked for; what is None or empty asks for all. `site` holds the names of a site and of its certificates.
    """

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    level: Level = Level.INFO
    patterns: tuple[str, ...] = ()
    site: frozenset[str] | None = None
    certificate: str | None = None

    def __call__(self, entry: dict[str, Any]) -> bool:
        """
        Tell whether an event is asked for.
        """
        return (
            self._in_time(entry)
            and _level(entry).rank >= self.level.rank
            and (not self.patterns or any(fnmatch.fnmatchcase(entry["event"], pattern) for pattern in self.patterns))
            and (self.site is None or not self.site.isdisjoint(_names(entry)))
            and (self.certificate is None or _is_called(entry.get("certificate"), self.certificate))
        )

    def _in_time(self, entry: dict[str, Any]) -> bool:
        from gatelodge.runtime.events.files import event_time

        if self.since is None and self.until is None:
            return True
        at = event_time(entry)
        return at is not None and (self.since is None or at >= self.since) and (self.until is None or at < self.until)


@click.command()
@config_option
@json_option
@click.option("-f", "--follow", is_flag=True, help="Go on showing new ones; begins with the last ten.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Only the last N.")
@click.option("--since", metavar="WHEN", help="Only those from then on.")
@click.option("--until", metavar="WHEN", help="Only those before.")
@click.option(
    "--site",
    metavar="HOST",
    help="Only those about a site: they name it, one of its hosts, or a certificate that serves it.",
)
@click.option("--certificate", metavar="NAME", help="Only those about a certificate, of either kind of key.")
@click.option(
    "--level", type=click.Choice([str(level) for level in Level]), default="info", help="Only this level and worse."
)
@click.option(
    "--event",
    "patterns",
    metavar="NAME",
    multiple=True,
    help="Only events of that name; * stands for anything: 'certificate.*'.",
)
def events(
    *,
    as_json: bool,
    follow: bool,
    lines: int | None,
    since: str | None,
    until: str | None,
    site: str | None,
    certificate: str | None,
    level: str,
    patterns: tuple[str, ...],
) -> None:
    """
    Show what happened.

    WHEN is an age (90s, 2h, 1d12h, 2w), a day (2026-01-31, from midnight here), or a time (2026-01-31T12:00, or with its zone,
    2026-01-31T12:00:00Z).
    """
    from gatelodge.runtime.events.text import line

    if follow and until is not None:
        raise click.UsageError("-f goes on for ever; leave out --until, or -f")
    config, place = _found(config_file())
    wanted = Wanted(
        since=None if since is None else _moment(since, "--since"),
        until=None if until is None else _moment(until, "--until"),
        level=Level(level),
        patterns=tuple(map(_known, patterns)),
        site=None if site is None else _about(site, config),
        certificate=certificate,
    )
    if lines is None and follow and since is None:
        lines = _FEW

    def show(entries: Iterable[dict[str, Any]]) -> None:
        for entry in entries:
            click.echo(_json(entry) if as_json else line(entry, colours=True))

    source = Source(place)
    kept = filter(wanted, source.kept())
    show(kept if lines is None else collections.deque(kept, maxlen=lines))
    if follow:
        show(filter(wanted, source.coming()))


def _found(file: Path) -> tuple[Config | None, Door]:
    """
    Return the configuration, None when it has mistakes, and where the daemon and its log are: what happened must be seen then, too.

    Raises:
        ConfigError: it does not even say where they are.
    """
    from gatelodge.errors import ConfigError

    try:
        config = load(file)
    except ConfigError:
        guessed = guessed_door(file)
        if guessed is None:
            raise
        click.echo(
            f"{file} has mistakes, which `gatelodge check` lists; this is the log in {guessed.state_directory}",
            err=True,
        )
        return None, guessed
    return config, door(config)


def _json(entry: dict[str, Any]) -> str:
    # A lone surrogate, which a line may hold as \ud800, cannot be written as it is.
    return json.dumps(entry, ensure_ascii=False).encode(errors="backslashreplace").decode()


class Source:
    """
    Where events come from: the log, or the daemon when the log is not this user's to read.
    """

    def __init__(self, place: Door) -> None:
        from gatelodge.runtime.events.files import Reader

        self._door = place
        self._reader = Reader(place.state_directory)
        self._asked = False
        self._seen = 0

    def kept(self) -> Iterator[dict[str, Any]]:
        """
        Yield the events that are kept.

        Raises:
            NotRunning: the log cannot be read, and no daemon answers.
        """
        try:
            yield from self._reader.new()
        except PermissionError:
            self._asked = True
            yield from self._through_daemon(follow=False)

    def coming(self) -> Iterator[dict[str, Any]]:
        """
        Yield the events after those, as they come, for ever.
        """
        from gatelodge.api.client import NotRunning
        from gatelodge.runtime.events.files import FOLLOW_SECONDS

        while True:
            if not self._asked:
                yield from self._reader.new()
            else:
                with contextlib.suppress(NotRunning):  # it ended, or begins again
                    yield from self._through_daemon(follow=True)
            time.sleep(FOLLOW_SECONDS)

    def _through_daemon(self, *, follow: bool) -> Iterator[dict[str, Any]]:
        from gatelodge.api import client

        for entry in client.stream(self._door, f"/v1/events?after={self._seen}{'&follow' if follow else ''}"):
            if isinstance(entry.get("id"), int):
                self._seen = entry["id"]
            if isinstance(entry.get("event"), str):
                yield entry


def _moment(text: str, option: str) -> dt.datetime:
    from gatelodge.runtime.system import SystemClock

    try:
        if match := _AGE.fullmatch(text):
            seconds = sum(int(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)
            return SystemClock().now() - dt.timedelta(seconds=seconds)
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no time. {_WHEN}", param_hint=option) from None


def _known(pattern: str) -> str:
    """
    Return a pattern that fits some event there is.
    """
    from gatelodge.config.suggest import nearest
    from gatelodge.model.events import EVENTS

    if any(fnmatch.fnmatchcase(name, pattern) for name in EVENTS):
        return pattern
    meant = nearest(pattern, [*EVENTS, *(f"{name.partition('.')[0]}.*" for name in EVENTS)])
    remedy = f"did you mean {meant}?" if meant else "docs/events.md lists them all"
    raise click.BadParameter(f"no event is called {pattern!r}; {remedy}", param_hint="--event")


def _about(host: str, config: Config | None) -> frozenset[str]:
    """
    Return the names by which events speak of a site: its hosts, and the NAMEs of the certificates that serve it. A host that is no site of
    the configuration any more stands for itself.
    """
    from gatelodge.core.desired import desired

    for site in desired(config).sites if config is not None else ():
        hosts = (*site.hosts, *site.redirect_hosts)
        if host.lower() in hosts:
            return frozenset((*hosts, *site.certificates))
    if config is not None:
        click.echo(f"{host} is no site of the configuration; what is shown names it", err=True)
    return frozenset((host, file_name(host)))


def _names(entry: dict[str, Any]) -> Iterator[str]:
    """
    Yield what an event says it is about.
    """
    for field in ("site", "host", "certificate"):
        if isinstance(entry.get(field), str):
            yield entry[field]
    for field in ("names", "added", "removed"):
        if isinstance(entry.get(field), list):
            yield from (each for each in entry[field] if isinstance(each, str))


def _is_called(found: object, name: str) -> bool:
    """
    Tell whether a certificate is called so, or is that one's with another kind of key.
    """
    plain = file_name(name)
    return found in (plain, name_beside(plain))


def _level(entry: dict[str, Any]) -> Level:
    try:
        return Level(entry.get("level", "info"))
    except ValueError:
        return Level.ERROR  # of a newer version: better shown
