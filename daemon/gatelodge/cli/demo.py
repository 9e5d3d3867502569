"""
`demo`: the main job on this machine.
"""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--once", is_flag=True, help="Exit when it has been shown.")
@click.option("--json", "as_json", is_flag=True, help="Print what was seen as JSON on the last line.")
def demo(*, once: bool, as_json: bool) -> None:
    """
    Show the main job on this machine: an ACME test CA, three services, nginx on high ports, a renewal under load.

    Needs pebble and nginx (Debian: apt install pebble nginx-light).
    """
    import asyncio
    import json

    from gatelodge.demo.play import play

    result = asyncio.run(play(once=once, say=click.echo))
    if as_json:
        click.echo(json.dumps(result.document()))
    sys.exit(0 if result.ok else 1)
