"""
`ddns`: how dynamic DNS stands.
"""

from __future__ import annotations

import sys

import click

from gatelodge.cli import tables
from gatelodge.cli.look import how_things_stand
from gatelodge.cli.options import config_file, config_option, json_option, load


@click.command()
@config_option
@json_option
def ddns(*, as_json: bool) -> None:
    """
    Show the public address, the records kept on it, and when they changed.
    """
    config = load(config_file())
    if config.ddns is None:
        if as_json:
            click.echo(tables.dump({"ddns": None}))
        else:
            click.echo("Dynamic DNS is off: add [ddns], and a DNS provider that keeps addresses.", err=True)
        sys.exit(1)
    document = how_things_stand(config)
    if as_json:
        click.echo(tables.dump({"time": document["time"], "daemon": document["daemon"], **document["ddns"]}))
    else:
        click.echo(tables.ddns(document))
