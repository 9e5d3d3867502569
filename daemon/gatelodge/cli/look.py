"""
`check` and `schema`: they look and change nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from gatelodge.cli import tables
from gatelodge.cli.options import config_file, config_option, json_option, load

if TYPE_CHECKING:
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
    from gatelodge.model import CaSubject, Mistake

    named = config.admin.token is not None or any(site.files for site in config.sites.values())
    if config.notify:
        from gatelodge.notifiers import by_apprise

        if not by_apprise.is_installed():
            problem = "messages are sent through apprise, which is not installed"
            yield Mistake(path="notify", problem=problem, remedy=by_apprise.INSTALL)
    if config.ca_subject == CaSubject() and not named:
        return
    from gatelodge.named_files import find_mistakes_in_files  # heavy

    lines = {written(path): line for path, line in lines_of(file.read_text(encoding="utf-8-sig")).items()}
    for mistake in find_mistakes_in_files(config):
        yield dataclasses.replace(mistake, line=lines.get(mistake.path))


@click.command()
def schema() -> None:
    """
    Print the JSON Schema of the configuration, for editors.
    """
    import json

    from gatelodge.config.schema import schema as make
    from gatelodge.offers import CATALOG

    click.echo(json.dumps(make(CATALOG), indent=2, ensure_ascii=False))
