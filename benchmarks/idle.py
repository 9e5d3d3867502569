"""
What an idle pass costs: looking at a large store, rendering, planning.

The store is made up: self-signed certificates, stored as the local CA's, so that nothing is due and nothing is to be done. A
pass is the loop's own `look`, with the real store, journal and nginx.

    python -m benchmarks.idle [--certificates N] [--sites N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import gc
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import scratch, show

from gatelodge import wiring
from gatelodge.config.read import read
from gatelodge.core.desired import desired
from gatelodge.issuers import selfsigned
from gatelodge.stores import contents

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.config.shape import Config

#: Seconds.
GOAL_PASS = 0.2
GOAL_RENDER = 0.5

_TIMES = 7


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


async def measure_pass(folder: Path, count: int) -> dict[str, float]:
    """
    Time the first look at a store, and later ones.
    """
    file = write_config(folder, count)
    config = load(file)
    show.tell(f"making up a store of {count} certificates")
    store(config)
    async with wiring.open_house(config, file, read=load, looking=True) as house:
        seconds = []
        for _ in range(1 + _TIMES):
            gc.collect()
            began = time.perf_counter()
            await house.reconciler.look()
            seconds.append(time.perf_counter() - began)
    return {
        f"first look at {count} certificates": seconds[0],
        f"idle pass over {count} certificates": statistics.median(seconds[1:]),
    }


async def measure_render(folder: Path, count: int) -> dict[str, float]:
    """
    Time the first rendering of sites, and later ones.
    """
    file = write_config(folder, count)
    config = load(file)
    store(config)
    async with wiring.open_house(config, file, read=load, looking=True) as house:
        gate = house.reconciler.gate
        look = await house.reconciler.look()
    render = _fresh_render()
    first = _timed(lambda: render(gate.desired, look.observed))
    again = [_timed(lambda: render(gate.desired, look.observed)) for _ in range(_TIMES)]
    return {
        f"first render of {count} sites": first,
        f"render of {count} sites again": statistics.median(again),
    }


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


def main() -> None:
    """
    Measure and print.
    """
    arguments = argparse.ArgumentParser(prog="scripts/bench idle")
    arguments.add_argument("--certificates", type=int, default=10_000)
    arguments.add_argument("--sites", type=int, default=1_000)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    found: dict[str, float] = {}
    with scratch.folder() as folder:
        found |= asyncio.run(measure_render(folder, given.sites))
    with scratch.folder() as folder:
        found |= asyncio.run(measure_pass(folder, given.certificates))
    rows: list[dict[str, Any]] = [{"what": what, "seconds": round(seconds, 3)} for what, seconds in found.items()]
    note = f"the goals are {GOAL_PASS:g} s for an idle pass over 10 000, {GOAL_RENDER:g} s for a first render of 1 000"
    show.table("idle", rows, note=note, as_json=given.json)


if __name__ == "__main__":
    main()
