"""
What a start takes: of the commands that people type, beside Python alone; and of a gate, from nothing running to the first answer over
TLS, beside Caddy's with the same sites.

Runs take turns. A cold start is the process's alone: files that the kernel keeps in memory stay there.

    python -m benchmarks.start [--runs N] [--sites N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks import daemon, peers, scratch, show
from benchmarks.issuance import PEBBLE, names, write_config

from gatelodge.demo import pebble

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Seconds, from the start of the daemon to the first answer.
GOAL = 1.5


def _command(*words: str) -> Callable[[], float]:
    def take() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    return take


def _ours(config: Path, folder: Path, port: int) -> Callable[[], float]:
    def take() -> float:
        with (folder / "log").open("ab") as log:
            began = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-m", "gatelodge", "run", "-c", str(config)], stderr=log)
        try:
            peers.await_answer(port, names(1)[0])
            return time.perf_counter() - began
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    return take


def _first(take: Callable[[], float], folder: Path) -> Callable[[], float]:
    """
    Return the same start from an empty state directory.
    """

    def afresh() -> float:
        shutil.rmtree(folder, ignore_errors=True)
        return take()

    return afresh


def _caddys(file: Path, folder: Path, port: int) -> Callable[[], float]:
    def take() -> float:
        began = time.perf_counter()
        with peers.caddy(folder, file):
            peers.await_answer(port, names(1)[0])
            return time.perf_counter() - began

    return take


def _median(works: dict[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """
    Let each work take its turn so often, and return its median time.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(runs):
        for name, work in works.items():
            show.tell(f"run {number + 1} of {runs}: {name}")
            times[name].append(work())
    return {name: statistics.median(found) for name, found in times.items()}


def _measure(folder: Path, ca: pebble.Pebble, sites: int, runs: int) -> dict[str, float]:
    config = write_config(folder, ca, sites, reload_interval="1s")
    gatelodge = ("-m", "gatelodge", "-c", str(config))
    with daemon.running(folder, config):
        found = _median(
            {
                "python3 -c pass": _command("-c", "pass"),
                "gatelodge --version": _command("-m", "gatelodge", "--version"),
                f"gatelodge check, {sites} sites": _command(*gatelodge, "check"),
                f"gatelodge status, {sites} sites": _command(*gatelodge, "status"),
            },
            runs,
        )
    port = int(config.read_text().partition("https_port = ")[2].split()[0])
    starts = {f"to the first answer, {sites} sites: gatelodge": _ours(config, folder, port)}
    if shutil.which("caddy"):
        http, https = pebble.free_ports(2)
        caddyfile = peers.write_caddyfile(folder, http=http, https=https, sites=sites)
        starts[f"to the first answer, {sites} sites: Caddy"] = _caddys(caddyfile, folder, https)
    found |= _median(starts, runs)
    fresh = {
        "from an empty folder: gatelodge": _first(
            starts[f"to the first answer, {sites} sites: gatelodge"], folder / "state"
        )
    }
    if shutil.which("caddy"):
        fresh["from an empty folder: Caddy"] = _first(
            starts[f"to the first answer, {sites} sites: Caddy"], folder / "caddy"
        )
    return found | _median(fresh, runs)


async def measure(sites: int, runs: int) -> dict[str, float]:
    """
    Measure with so many sites, all certified before.
    """
    (http_port,) = pebble.free_ports(1)
    with scratch.folder() as folder:
        async with pebble.running(folder, http_port=http_port, environment=PEBBLE) as ca:
            return await asyncio.to_thread(_measure, folder, ca, sites, runs)


def main() -> None:
    """
    Measure and print.
    """
    arguments = argparse.ArgumentParser(prog="scripts/bench start")
    arguments.add_argument("--runs", type=int, default=7)
    arguments.add_argument("--sites", type=int, default=100)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    found = asyncio.run(measure(given.sites, given.runs))
    rows: list[dict[str, Any]] = [{"what": what, "seconds": round(seconds, 3)} for what, seconds in found.items()]
    note = f"medians of {given.runs}, taking turns; the goal for nginx to serve is {GOAL:g} s after the daemon's start"
    show.table("start", rows, note=note, as_json=given.json)


if __name__ == "__main__":
    main()
