"""
`notify test`: a message to try each service by.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from gatelodge.cli import tables
from gatelodge.cli.options import config_file, config_option, json_option, load

if TYPE_CHECKING:
    from gatelodge.model import Notify


@click.group()
def notify() -> None:
    """
    Messages to people.
    """


@notify.command()
@config_option
@json_option
@click.argument("name", required=False)
def test(*, name: str | None, as_json: bool) -> None:
    """
    Send a message to each [[notify]], or to the one called NAME, and say which did not take it and why.
    """
    targets = load(config_file()).notify
    known = ", ".join(target.name for target in targets)
    if not targets:
        raise click.UsageError("the configuration has no [[notify]]; docs/messages.md shows some")
    chosen = [target for target in targets if name in {None, target.name}]
    if not chosen:
        raise click.UsageError(f"there is no [[notify]] called {name}; there are {known}")
    rows = asyncio.run(_try(chosen))
    if as_json:
        click.echo(tables.dump({"ok": all(row["sent"] for row in rows), "targets": rows}))
    else:
        for row in rows:
            click.echo(f"{row['target']}: {'sent' if row['sent'] else row['error.detail']}", err=not row["sent"])
    sys.exit(0 if all(row["sent"] for row in rows) else 1)


async def _try(targets: list[Notify]) -> list[dict[str, Any]]:
    from gatelodge import wiring
    from gatelodge.core.delivery import Message
    from gatelodge.errors import NotSent
    from gatelodge.model.log import Level

    host = wiring.host_name()
    rows = []
    for target in targets:
        message = Message(
            title=f"{host}: a test message",
            text=f"Gatelodge on {host} reaches you here. It writes when something goes wrong, and when it is right again.",
            level=Level.INFO,
        )
        try:
            await wiring.notifier(target).send(message)
        except NotSent as error:
            rows.append({"target": target.name, "sent": False, "error.detail": str(error)})
        else:
            rows.append({"target": target.name, "sent": True, "error.detail": None})
    return rows
