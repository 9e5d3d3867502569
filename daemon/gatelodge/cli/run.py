"""
`run` and `once`: the daemon, and one pass of it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from gatelodge.cli import tables, terminal
from gatelodge.cli.options import config_file, config_option, door, examples, json_option, load, quiet_option

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.cli.progress import View
    from gatelodge.config.shape import Config

_leave_nginx = click.option("--leave-nginx", is_flag=True, help="Leave nginx running when this ends.")


@click.command()
@config_option
@_leave_nginx
def run(*, leave_nginx: bool) -> None:
    """
    Be the daemon.
    """
    import asyncio

    file = config_file()
    asyncio.run(_run(load(file), file, leave_nginx=leave_nginx))


async def _run(config: Config, file: Path, *, leave_nginx: bool) -> None:
    from gatelodge import wiring
    from gatelodge.api.routes import Desk
    from gatelodge.api.server import Server
    from gatelodge.runtime.memory import give_back_large_blocks
    from gatelodge.runtime.supervisor import Supervisor

    give_back_large_blocks()
    with wiring.claim(config, verb="run") as notes:
        async with wiring.open_house(config, file, read=load, notes=notes) as house:
            desk = Desk(
                state_directory=config.state_directory,
                reconciler=house.reconciler,
                clock=house.clock,
                events=house.events,
                began_at=house.clock.now(),
                measures=house.measures,
                texts=lambda: wiring.current_sites(house.config),
            )
            admin = Server(desk, paths=door(config).paths, settings=config.admin)
            supervisor = Supervisor.of(os.environ, clock=house.clock)
            await house.run(admin=admin, leave_nginx=leave_nginx, supervisor=supervisor)


@click.command(epilog=examples("gatelodge once", "gatelodge once --quiet && systemctl reload postfix"))
@config_option
@json_option
@quiet_option
@_leave_nginx
def once(*, as_json: bool, quiet: bool, leave_nginx: bool) -> None:
    """
    Do everything that can be done now, to the end, and exit: for cron and CI.

    A running daemon is asked for it. Without one this works itself, and stops an nginx again that it started.
    """
    import asyncio

    from gatelodge.api import client
    from gatelodge.cli import progress

    file = config_file()
    config = load(file)
    with progress.shown(door(config), quiet=quiet or as_json) as view:
        document = client.call_or(
            lambda: asyncio.run(_once(config, file, view, leave_nginx=leave_nginx)), door(config), "/v1/once", {}
        )
    if as_json:
        click.echo(tables.dump(document))
    elif "sites" not in document:
        click.echo(document.get("error") or "it was cut short", err=True)
    else:
        from gatelodge.cli import overview

        on = terminal.console()
        click.echo(terminal.text(overview.status(document, width=on.width), on), color=True)
    sys.exit(0 if document.get("ok") else 1)


async def _once(config: Config, file: Path, view: View | None, *, leave_nginx: bool) -> dict[str, Any]:
    from gatelodge import wiring
    from gatelodge.runtime.standing.report import healthy, report

    with wiring.claim(config, verb="once") as notes:
        async with wiring.open_house(config, file, read=load, notes=notes) as house:
            if view is not None:
                view.follow(house.doing)
            look = await house.settle(leave_nginx=leave_nginx)
            if look is None:
                return {"ok": False}
            document = report(look, house.clock.now())
            return {"ok": healthy(document), **document}
