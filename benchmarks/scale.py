"""
What many sites cost: rendering, planning, an idle pass, memory, at several sizes, and the law by which it grows with them.

The store is made up: self-signed certificates, stored as the local CA's, so that nothing is due and nothing is to be done. A
pass is the loop's own `look`, with the real store, journal and nginx. The sizes take turns, each time in a process of its own.

The law is a line through the logarithms by least squares: time or memory grows as the number of sites to the power of `exponent`, so 1 is
in proportion. What is there with no site at all, as most of the memory is, makes it less.

    python -m benchmarks.scale [--sizes SIZE…] [--runs N] [--json] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import functools
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import scratch, show
from benchmarks.memory import sizes
from benchmarks.tables import Table
from benchmarks.turns import in_turn

from gatelodge import wiring
from gatelodge.config.read import read
from gatelodge.core.desired import desired
from gatelodge.core.limits import Counted
from gatelodge.core.plan import plan
from gatelodge.issuers import selfsigned
from gatelodge.issuers.acme.budgets import Budgets
from gatelodge.model import CertificateAuthority, Name
from gatelodge.runtime.memory import give_back_large_blocks
from gatelodge.runtime.system import SystemClock
from gatelodge.stores import contents
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gatelodge.config.shape import Config
    from gatelodge.issuers.acme.budgets import Claim

#: Seconds.
GOAL_PASS = 0.2
GOAL_RENDER = 0.5

#: Of each kind in one process.
_PASSES = 5

_MEMORY = "memory"


def write_config(folder: Path, count: int) -> Path:
    """
    Write a configuration with so many sites of the local CA.
    """
    file = folder / "gatelodge.toml"
    sites = (f'"site-{number}.lan" = {{ upstream = "http://127.0.0.1:9", tls = "local" }}\n' for number in range(count))
    file.write_text(f'state_directory = "{folder}/state"\n\n[sites]\n{"".join(sites)}')
    return file


def store(config: Config) -> None:
    """
    Lay down a certificate for every spec, as the store does but without waiting for the disk.
    """
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - a benchmark has the machine's clock
    for spec in desired(config).certificates.values():
        version = Path(config.state_directory) / "certificates" / spec.name / "versions" / "1"
        version.mkdir(parents=True)
        for name, content in contents.check(spec, selfsigned.make(spec.names), stored_at=now).files().items():
            (version / name).write_bytes(content)
        (version.parent.parent / "current").symlink_to("versions/1")


def load(file: Path) -> Config:
    """
    Read a configuration file.
    """
    return read(file.read_text(), str(file))


def make(folder: Path, count: int) -> Path:
    """
    Make up so many sites and what is stored of them. Returns the configuration file.
    """
    show.tell(f"making up a store of {count} certificates")
    file = write_config(folder, count)
    store(load(file))
    return file


async def measure(file: Path) -> dict[str, float]:
    """
    Measure everything once at one size: seconds, and megabytes (10^6 bytes).
    """
    give_back_large_blocks()  # as the daemon does
    config = load(file)
    async with wiring.open_house(config, file, read=load, looking=True) as house:
        gate = house.reconciler.gate
        began = time.perf_counter()
        look = await house.reconciler.look()
        first = time.perf_counter() - began
        seconds = []
        for _ in range(_PASSES):
            gc.collect()
            began = time.perf_counter()
            await house.reconciler.look()
            seconds.append(time.perf_counter() - began)
        held = sizes([os.getpid()])["Pss"]
        now = house.clock.now()
    render = _fresh_render()
    rendering = _timed(lambda: render(gate.desired, look.observed))
    again = [_timed(lambda: render(gate.desired, look.observed)) for _ in range(_PASSES)]
    planning = [_timed(lambda: plan(gate.desired, look.observed, look.rendered, now)) for _ in range(_PASSES)]
    return {
        "first look": first,
        "idle pass": statistics.median(seconds),
        "first render": rendering,
        "render again": statistics.median(again),
        "plan": statistics.median(planning),
        "count an order": await counting(sorted(config.sites)),
        _MEMORY: held,
    }


async def counting(names: Sequence[str]) -> float:
    """
    Return the seconds that it takes to say whether Let's Encrypt allows one more order, when there was one for each of these names.
    """
    directory = "https://acme-v02.api.letsencrypt.org/directory"
    budgets = Budgets(documents=MemoryDocuments(), clock=SystemClock())
    purse = budgets.of(CertificateAuthority(name="letsencrypt", directory=directory))

    async def claim(name: str) -> Claim:
        return await purse.order((Name(name),), account="", replaces=False, force=False)

    (await claim(names[0])).check()
    await purse.spend(frozenset((Counted.CERTIFICATES_PER_SET, name) for name in names))
    seconds = []
    for number in range(_PASSES):
        began = time.perf_counter()
        (await claim(f"new-{number}.example")).check()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _fresh_render() -> Callable[..., object]:
    """
    Return `render` with nothing remembered.
    """
    from gatelodge.nginx.writing import reading, render  # noqa: PLC0415 - looked into here only
    from gatelodge.nginx.writing.remembering import Remembering  # noqa: PLC0415 - looked into here only

    for module in (reading, render):
        for each in vars(module).values():
            if isinstance(each, Remembering):
                each.turn()
                each.turn()
    return render.render


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _apart(file: Path) -> dict[str, float]:
    """
    Measure one size in a process of its own.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", "--alone", str(file)], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def exponent(points: Mapping[int, float]) -> float | str:
    """
    Return the power of a size that figures grow by; nothing when there is no second size, or a figure is nothing.
    """
    if len(points) < 2 or not all(value > 0 for value in points.values()):
        return ""
    sizes, values = ([math.log(each) for each in every] for every in (points.keys(), points.values()))
    return round(statistics.linear_regression(sizes, values).slope, 2)


def rows(found: Mapping[int, Sequence[Mapping[str, float]]]) -> list[dict[str, Any]]:
    """
    Return a table's rows: medians by what was measured and size, and the law by which they grow over the sizes.
    """
    made: list[dict[str, Any]] = []
    for what in next(iter(found.values()))[0]:
        points = {size: statistics.median(each[what] for each in runs) for size, runs in found.items()}
        grown = exponent(points)
        unit = "MB" if what == _MEMORY else "seconds"
        made += [
            {"what": what, "sites": size, "median": round(value, 5), "unit": unit, "exponent": grown}
            for size, value in points.items()
        ]
    return made


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    arguments = show.parser("scripts/bench scale")
    arguments.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000], metavar="SIZE")
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--alone", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    return arguments


def tables(given: argparse.Namespace) -> list[Table]:
    """
    Measure.
    """
    with ExitStack() as stack:
        files = {size: make(stack.enter_context(scratch.folder()), size) for size in given.sizes}
        works = {str(size): functools.partial(_apart, file) for size, file in files.items()}
        found = in_turn(works, dict.fromkeys(works, given.runs), tell="scale")
    made = rows({size: found[str(size)] for size in files})
    note = (
        f"medians of {given.runs} processes; a site and a certificate each; the goals are {GOAL_PASS:g} s for an idle pass over 10 000 "
        f"and {GOAL_RENDER:g} s for a first render of 1 000; each grows as the number of sites to the power of its exponent"
    )
    return [Table(title="scale", note=note, rows=tuple(made))]


def main() -> None:
    """
    Measure and present; or, for that, measure one size and print it as JSON.
    """
    given = parser().parse_args()
    if given.alone is None:
        show.run(parser(), tables)
    else:
        show.find_servers()
        print(json.dumps(asyncio.run(measure(given.alone))))


if __name__ == "__main__":
    main()
