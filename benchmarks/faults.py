"""
What each fault at each request of an order costs, as a table: the cells are those that the tests ask about.

    python -m benchmarks.faults [--json] [--out FOLDER]
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from benchmarks import scratch, show, surroundings
from benchmarks.tables import Table
from tests.support.fault_kills import HEADS, kills
from tests.support.fault_proxy import Fault
from tests.support.fault_table import PEBBLE, REQUESTS, Cell, row
from tests.support.pebble_world import running

if TYPE_CHECKING:
    import argparse

_NOTE = (
    "orders/certificates that the CA made; +N min: not by tries at once, but by the daemon's next one, so much later; "
    '"done": the CA did what it was asked all the same; -: cannot happen there'
)


async def _faults(request: str) -> dict[str, Cell]:
    with scratch.folder() as folder:
        async with running(folder, environment=PEBBLE) as world:
            found = await row(world, folder, request)
    show.tell(f"{request}: done")
    return {str(fault): each for fault, each in found.items()}


async def _kills(*, late: bool) -> dict[str, Cell]:
    with scratch.folder() as folder:
        found = await kills(folder, late=late)
    show.tell(f"{HEADS[late]}: done")
    return found


async def _measure() -> dict[str, dict[str, Cell]]:
    """
    Play everything. Returns the cells by request and fault.
    """
    async with asyncio.TaskGroup() as group:
        killed = {head: group.create_task(_kills(late=late)) for late, head in HEADS.items()}
        found = {request: await _faults(request) for request in REQUESTS}
    for head, task in killed.items():
        for request, each in task.result().items():
            found[request][head] = each
    return found


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    return show.parser("scripts/faults")


def main() -> None:
    """
    Play and print. The exit status is 1 when a cell breaks the rule: an order more at most, never a certificate more.
    """
    given = parser().parse_args()
    show.find_servers()
    began = surroundings.look()
    found = asyncio.run(_measure())
    heads = [*map(str, Fault), *HEADS.values()]
    rows = tuple(
        {"request": request, **{head: str(cells.get(head, "-")) for head in heads}} for request, cells in found.items()
    )
    show.present([Table(title="faults", note=_NOTE, rows=rows)], given, began=began)
    broken = [each for cells in found.values() for each in cells.values() if not each.keeps_the_rule]
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
