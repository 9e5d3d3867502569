"""
`ddns`: how dynamic DNS stands.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from gatelodge.cli import tables
from gatelodge.cli.options import config_file, config_option, json_option, load
from gatelodge.cli.status import how_things_stand


@click.command()
@config_option
@json_option
def ddns(*, as_json: bool) -> None:
    """
    Show the public address, the records kept on it, and when they changed.
    """
    config = load(config_file())
    if config.ddns is None:
        _off("Dynamic DNS is off: add [ddns], and a DNS provider that keeps addresses.", as_json=as_json)
    document = how_things_stand(config)
    if document.get("ddns") is None:
        _off(
            "The daemon works without [ddns]: it has not read the changed configuration yet, or refused it. `gatelodge check` and "
            "`gatelodge events` tell.",
            as_json=as_json,
        )
    if as_json:
        click.echo(tables.dump({"time": document["time"], "daemon": document["daemon"], **document["ddns"]}))
    else:
        click.echo(tables.ddns(document))


def _off(why: str, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(tables.dump({"ddns": None}))
    else:
        click.echo(why, err=True)
    sys.exit(1)
