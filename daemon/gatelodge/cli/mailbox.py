"""
`mailbox`: the script that runs beside an nginx in another place.
"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
def mailbox() -> None:
    """
    Print the script that runs beside an nginx which the daemon cannot reach.
    """
    import gatelodge.nginx

    script = Path(gatelodge.nginx.__file__).with_name("mailbox.sh")
    click.echo(script.read_text(encoding="utf-8"), nl=False)
