"""
`check`, `events` and `schema`: they look and change nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from gatelodge.cli import tables
from gatelodge.cli.options import config_file, config_option, door, json_option, load

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

    from gatelodge.config.shape import Config
    from gatelodge.model import Mistake


@click.command()
@config_option
@json_option
def check(*, as_json: bool) -> None:
    """
    Print every mistake of the configuration: file, line, key, remedy.
    """
    from gatelodge.errors import describe_mistake

    file = config_file()
    _, mistakes = examined(file)
    wrong = [mistake for mistake in mistakes if not mistake.warning]
    if as_json:
        rows = [
            {
                "file": str(file), "line": mistake.line, "key": mistake.path, "problem": mistake.problem,
                "remedy": mistake.remedy, "level": "warning" if mistake.warning else "error",
            }
            for mistake in mistakes
        ]  # fmt: skip
        click.echo(tables.dump({"ok": not wrong, "mistakes": rows}))
    else:
        for mistake in mistakes:
            click.echo(describe_mistake(mistake, str(file)), err=not mistake.warning)
        if not wrong:
            click.echo(f"{file}: good")
    sys.exit(2 if wrong else 0)


def examined(file: Path) -> tuple[Config | None, tuple[Mistake, ...]]:
    """
    Return a configuration, None when it cannot be used, and everything that is wrong with it and with the files that it names.
    """
    from gatelodge.errors import ConfigError
    from gatelodge.runtime.snippets import filled

    try:
        config = load(file)
        filled(config)
    except ConfigError as error:
        return None, error.mistakes
    return config, (*config.warnings, *_mistakes_in_files(config, file))


def _mistakes_in_files(config: Config, file: Path) -> Iterator[Mistake]:
    """
    Yield what is wrong in the files that a configuration names, each with the line that names it.
    """
    import dataclasses

    from gatelodge.config.keys import written
    from gatelodge.config.lines import lines_of
    from gatelodge.model import CaSubject

    named = config.admin.token is not None or any(site.files for site in config.sites.values())
    if config.ca_subject == CaSubject() and not named:
        return
    from gatelodge.gates import find_mistakes_in_files  # heavy

    lines = {written(path): line for path, line in lines_of(file.read_text(encoding="utf-8-sig")).items()}
    for mistake in find_mistakes_in_files(config):
        yield dataclasses.replace(mistake, line=lines.get(mistake.path))


@click.command()
@config_option
@json_option
@click.option("-f", "--follow", is_flag=True, help="Go on showing new ones.")
@click.option("--since", metavar="WHEN", help="Only newer ones: 2h, 1d, or a time as in 2026-01-31T12:00.")
def events(*, as_json: bool, follow: bool, since: str | None) -> None:
    """
    Show what happened.
    """
    from gatelodge.runtime.events import event_time

    config = load(config_file())
    after = None if since is None else _since(since)
    for entry in _entries(config, follow=follow):
        at = event_time(entry)
        if after is not None and (at is None or at < after):
            continue
        click.echo(tables.dump(entry) if as_json else tables.event(entry))


def _entries(config: Config, *, follow: bool) -> Iterator[dict[str, Any]]:
    """
    Yield events from the log; through the daemon for those who may ask it, but not read the log.
    """
    import time

    from gatelodge.api import client
    from gatelodge.runtime.events import FOLLOW_SECONDS, Reader

    reader = Reader(config.state_directory)
    try:
        yield from reader.new()
        while follow:
            time.sleep(FOLLOW_SECONDS)
            yield from reader.new()
    except PermissionError:
        yield from client.stream(door(config), "/v1/events?follow" if follow else "/v1/events")


def _since(text: str) -> dt.datetime:
    import datetime as dt
    import re

    from gatelodge.runtime.system import SystemClock

    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    try:
        if match := re.fullmatch(r"(\d{1,9})([smhdw])", text):
            return SystemClock().now() - dt.timedelta(seconds=int(match[1]) * units[match[2]])
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no time; write 2h, 1d or 2026-01-31T12:00", param_hint="--since"
        ) from None


@click.command()
def schema() -> None:
    """
    Print the JSON Schema of the configuration, for editors.
    """
    import json

    from gatelodge.config.schema import schema as make
    from gatelodge.offers import CATALOG

    click.echo(json.dumps(make(CATALOG), indent=2, ensure_ascii=False))
