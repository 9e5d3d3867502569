"""
What crashes cost, as a table: real processes, killed at random moments again and again (`tests.support.crash_rounds`), and what a disk,
a clock and a signal can do to the daemon (`tests.support.crash_faults`).

    python -m benchmarks.crashes [--times N] [--seed N] [--kinds KIND,…] [--at-once N] [--stop SECONDS] [--stretch F] [--json] [--out FOLDER]
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from benchmarks import scratch, show, surroundings
from benchmarks.tables import Table
from tests.support.crash_faults import FAULTS, fault
from tests.support.crash_rounds import Kind, Row, rounds

if TYPE_CHECKING:
    import argparse

_NAMES = [*Kind, *FAULTS]

_NOTE = (
    "refused: while nginx itself was killed and not yet started again; lost: certificates that the killed CA forgot before they could be "
    "fetched; worst: seconds from the last crash until all was well"
)


async def _played(name: str, given: argparse.Namespace, turns: asyncio.Semaphore) -> Row | str:
    async with turns:
        with scratch.folder() as folder:
            if name in FAULTS:
                return await fault(
                    folder, name, seed=given.seed, stretch=given.stretch, stop=given.stop, tell=show.tell
                )
            kinds = [each for each in Kind if each in given.kinds]
            times = given.times // len(kinds) + (kinds.index(Kind(name)) < given.times % len(kinds))
            return await rounds(folder, Kind(name), times=times, seed=given.seed, stretch=given.stretch, tell=show.tell)


async def _measure(given: argparse.Namespace) -> dict[str, Row | str]:
    turns = asyncio.Semaphore(given.at_once)
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(_played(name, given, turns)) for name in given.kinds}
    return {name: task.result() for name, task in tasks.items()}


def _shown(row: Row) -> dict[str, Any]:
    return {
        "crash": row.kind,
        "times": row.crashes,
        "requests": row.requests,
        "repeated": row.repeated,
        "refused": row.refused,
        "failed": row.failed,
        "extra orders": row.extra_orders,
        "extra certificates": row.extra_certificates,
        "lost": row.lost,
        "asked again": row.asked_again,
        "records left": row.records_left,
        "worst": round(row.worst, 1),
    }


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    made = show.parser("scripts/crash-test")
    made.add_argument("--times", type=int, default=300, help="crashes, shared by the kinds")
    made.add_argument("--seed", type=int, default=1, help="of the random moments")
    made.add_argument("--kinds", default=",".join(_NAMES), help=f"of {', '.join(_NAMES)}; all unless named")
    made.add_argument("--at-once", type=int, default=3, help="gates that run beside one another")
    made.add_argument("--stop", type=float, default=60, help="seconds for which the daemon is stopped by SIGSTOP")
    made.add_argument("--stretch", type=float, default=1, help="how much longer everything may take than it should")
    return made


def main() -> None:
    """
    Crash and print. The exit status is 1 when something that must hold did not.
    """
    given = parser().parse_args()
    given.kinds = [each.strip() for each in given.kinds.split(",")]
    if unknown := set(given.kinds).difference(_NAMES):
        parser().error(f"there is no kind {', '.join(sorted(unknown))}")
    show.find_servers()
    began = surroundings.look()
    found = asyncio.run(_measure(given))
    rows = [each for each in found.values() if isinstance(each, Row)]
    show.present([Table(title="crashes", note=_NOTE, rows=tuple(map(_shown, rows)))], given, began=began)
    for name, each in found.items():
        if isinstance(each, str):
            show.tell(f"{name}: skipped, since {each}")
    broken = [(row, breach) for row in rows for breach in row.breaches]
    for row, breach in broken:
        show.tell(f"seed {given.seed}, {row.kind}, crash {row.crashes}: {breach}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
