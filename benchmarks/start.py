"""
What a start takes: of the commands that people type, beside Python alone; and of a gate, from nothing running to the first answer over
TLS, beside Caddy's and Traefik's with the same sites. Then the memory that they hold (`benchmarks.memory`).

Runs take turns. A cold start is the process's alone: files that the kernel keeps in memory stay there. From an empty folder ours answers
with a placeholder, since it asks a CA for its certificates; Caddy makes them itself here, and Traefik, which has
none of its own, is left out.

    python -m benchmarks.start [--runs N] [--sites N] [--json] [--out FOLDER]
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks import daemon, memory, peers, scratch, show
from benchmarks.issuance import PEBBLE, names, write_config
from benchmarks.tables import Table, ratio
from benchmarks.turns import in_turn

from gatelodge.demo import pebble
from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
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


def _answering(running: Callable[[], AbstractContextManager[int]], port: int) -> Callable[[], float]:
    def take() -> float:
        began = time.perf_counter()
        with running():
            peers.await_answer(port, names(1)[0])
            return time.perf_counter() - began

    return take


def rows(what: str, found: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """
    Return a table's rows for one kind of start: medians, beside that of the one named last.
    """
    medians = {who: statistics.median(seconds) for who, seconds in found.items()}
    base = [*medians.values()][-1]
    return [
        {
            "what": what,
            "who": who,
            "median": round(seconds, 3),
            "most": round(max(found[who]), 3),
            "times the last": ratio(seconds, base),
        }
        for who, seconds in medians.items()
    ]


def _measure(folder: Path, ca: pebble.Pebble, sites: int, runs: int) -> list[dict[str, Any]]:
    config = write_config(folder, ca, sites, reload_interval="1s")
    gatelodge = ("-m", "gatelodge", "-c", str(config))
    made: list[dict[str, Any]] = []

    def play(what: str, works: dict[str, Callable[[], float]]) -> None:
        made.extend(rows(what, in_turn(works, dict.fromkeys(works, runs), tell=what)))

    with daemon.running(folder, config):
        play(
            f"a command, {sites} sites",
            {
                "gatelodge --version": _command("-m", "gatelodge", "--version"),
                "gatelodge check": _command(*gatelodge, "check"),
                "gatelodge status": _command(*gatelodge, "status"),
                "python3 -c pass": _command("-c", "pass"),
            },
        )
    port = int(config.read_text().partition("https_port = ")[2].split()[0])
    starts, empty = {"gatelodge": _ours(config, folder, port)}, {"gatelodge": folder / "state"}
    if shutil.which("traefik"):
        (https,) = free_ports(1)
        file = peers.write_traefik(folder, certificates=folder / "state" / "certificates", sites=sites)
        starts["Traefik"] = _answering(lambda: peers.traefik(folder, file, https=https), https)
    if shutil.which("caddy"):
        http, caddys_https = free_ports(2)
        caddyfile = peers.write_caddyfile(folder, http=http, https=caddys_https, sites=sites)
        starts["Caddy"] = _answering(lambda: peers.caddy(folder, caddyfile), caddys_https)
        empty["Caddy"] = folder / "caddy"
    play(f"to the first answer, {sites} sites", starts)
    play(
        f"the same from an empty folder, {sites} sites",
        {who: _first(starts[who], place) for who, place in empty.items()},
    )
    return made


async def measure(sites: int, runs: int) -> list[dict[str, Any]]:
    """
    Measure with so many sites, all certified before.
    """
    (http_port,) = free_ports(1)
    with scratch.folder() as folder:
        async with pebble.running(folder, http_port=http_port, environment=PEBBLE) as ca:
            return await asyncio.to_thread(_measure, folder, ca, sites, runs)


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    arguments = show.parser("scripts/bench start")
    arguments.add_argument("--runs", type=int, default=7)
    arguments.add_argument("--sites", type=int, default=100)
    return arguments


def tables(given: argparse.Namespace) -> list[Table]:
    """
    Measure.
    """
    found = tuple(asyncio.run(measure(given.sites, given.runs)))
    note = f"seconds, medians of {given.runs}, taking turns, beside the one that is named last; the goal for nginx to serve is {GOAL:g} s after the daemon's start"
    held = tuple(asyncio.run(memory.measure(given.sites)))
    return [Table(title="start", note=note, rows=found), Table(title="memory", note=memory.NOTE, rows=held)]


if __name__ == "__main__":
    show.run(parser(), tables)
