"""
`init`: a configuration for what another tool has. It reads that tool's folder, prints, and changes nothing.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.importing.folder import Folder
    from gatelodge.importing.found import Found


@click.command()
@click.option(
    "--from-certbot",
    "certbot",
    metavar="[DIR]",
    is_flag=False,
    flag_value="/etc/letsencrypt",
    help="The folder of certbot; /etc/letsencrypt when none is named.",
)
@click.option(
    "--from-swag",
    "swag",
    metavar="[DIR]",
    is_flag=False,
    flag_value="/config",
    help="The folder that SWAG's container has at /config, wherever it is here; /config when none is named.",
)
def init(*, certbot: str | None, swag: str | None) -> None:
    """
    Print a configuration for what certbot or SWAG has. Changes nothing.
    """
    if certbot is not None and swag is not None:
        raise click.UsageError("name one folder: --from-certbot DIR or --from-swag DIR, not both")
    if certbot is not None:
        from gatelodge.importing import certbot as tool

        _print(certbot, "--from-certbot", tool.read)
    elif swag is not None:
        from gatelodge.importing import swag as other

        _print(swag, "--from-swag", other.read)
    else:
        raise click.UsageError(
            "say from what: --from-certbot [DIR] or --from-swag [DIR]; without either tool, config.example.toml is a beginning"
        )


def _print(directory: str, option: str, read: Callable[[Folder], Found]) -> None:
    from gatelodge.importing.folder import Folder
    from gatelodge.importing.found import NothingFound
    from gatelodge.importing.render import counted, render

    _usable(directory, option)
    try:
        found = read(Folder(Path(directory)))
    except NothingFound as nothing:
        raise click.BadParameter(str(nothing), param_hint=option) from None
    text = render(found)
    # As bytes: TOML is UTF-8, whatever the terminal is said to be.
    click.echo(text.encode(), nl=False)
    click.echo(f"# {counted(found)}.", err=True)
    _told(text)


def _usable(directory: str, option: str) -> None:
    """
    Refuse a folder that is not there or may not be looked into, with what to do.
    """
    from gatelodge.importing.toml_text import shown

    name = shown(directory)
    try:
        os.scandir(directory or ".").close()
    except OSError as error:
        what, helps = {
            errno.ENOENT: ("is not there", "name the folder as it is seen from here"),
            errno.ENOTDIR: ("is no folder", "name the folder itself"),
            errno.EACCES: ("may not be read by this user", "run this as root"),
        }.get(error.errno or 0, (f"cannot be read ({error.strerror})", "name another"))
        raise click.BadParameter(f"{name} {what}; {helps}", param_hint=option) from None
    except ValueError:
        raise click.BadParameter(f"{name} is no path", param_hint=option) from None


def _told(text: str) -> None:
    """
    Say beforehand what `gatelodge check` will, such as that a package is missing here.
    """
    from gatelodge.config.read import read
    from gatelodge.errors import ConfigError, describe_mistake
    from gatelodge.offers import CATALOG

    try:
        mistakes = read(text, catalog=CATALOG).warnings
    except ConfigError as error:
        mistakes = error.mistakes
    for mistake in mistakes:
        click.echo(f"# `gatelodge check` will tell: {describe_mistake(mistake, None)}", err=True)
