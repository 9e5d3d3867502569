"""
How much memory the daemon holds when it is idle: right after it got all its certificates, and after a restart.

PSS counts pages that processes share once. nginx is shown apart, with its workers: what it holds depends on the sites, not on
us. Caddy and Traefik, where they are installed, have the same sites (`benchmarks.peers`).

    python -m benchmarks.memory [--json] [--out FOLDER] SITES…
"""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import daemon, peers, scratch, show
from benchmarks.issuance import PEBBLE, names, write_config
from benchmarks.tables import Table

from gatelodge.demo import pebble
from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    import argparse

#: MB (10^6 bytes) at 100 sites.
GOAL = 70

NOTE = f"MB of 10^6 bytes, idle; the goal for the daemon at 100 sites is under {GOAL} MB"

#: What is left to finish after the last certificate, in seconds.
_REST = 3.0

_SIZES = re.compile(r"^(Rss|Pss): +(\d+) kB$", re.MULTILINE)


def sizes(pids: list[int]) -> dict[str, float]:
    """
    Return the memory of processes in MB, by kind.
    """
    found = [dict(_SIZES.findall(Path(f"/proc/{pid}/smaps_rollup").read_text())) for pid in pids]
    return {kind: round(sum(int(each[kind]) for each in found) * 1024 / 1e6, 1) for kind in ("Rss", "Pss")}


def descendants(pid: int) -> list[int]:
    """
    Return a process and all that it started.
    """
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in descendants(int(child)))]


def row(gate: str, sites: int, when: str, *, daemon: dict[str, float], nginx: float) -> dict[str, Any]:
    """
    Return a table's row.
    """
    return {
        "gate": gate,
        "sites": sites,
        "when": when,
        "daemon pss": daemon["Pss"],
        "daemon rss": daemon["Rss"],
        "nginx pss": nginx,
        "together": round(daemon["Pss"] + nginx, 1),
    }


def _ours(sites: int, when: str, folder: Path, pid: int) -> dict[str, Any]:
    time.sleep(_REST)
    master = int((folder / "state" / "nginx" / "nginx.pid").read_text())
    ours = sizes([each for each in descendants(pid) if each not in descendants(master)])
    nginx = sizes(descendants(master))
    return row("gatelodge", sites, when, daemon=ours, nginx=nginx["Pss"])


def _measure(folder: Path, ca: pebble.Pebble, sites: int) -> list[dict[str, Any]]:
    config = write_config(folder, ca, sites, reload_interval="1s")
    rows = []
    for when in ("after issuance", "after a restart"):
        show.tell(f"{sites} sites, {when}")
        with daemon.running(folder, config) as pid:
            rows.append(_ours(sites, when, folder, pid))
    return [*rows, *_caddys(folder, sites), *_traefiks(folder, sites)]


def _caddys(folder: Path, sites: int) -> list[dict[str, Any]]:
    """
    Measure Caddy, which is proxy and daemon in one.
    """
    if not shutil.which("caddy"):
        return []
    http, https = free_ports(2)
    caddyfile = peers.write_caddyfile(folder, http=http, https=https, sites=sites)
    rows = []
    for when in ("after its own issuance", "after a restart"):
        show.tell(f"{sites} sites, Caddy, {when}")
        with peers.caddy(folder, caddyfile) as pid:
            rows.append(row("Caddy", sites, when, daemon=_asked(https, sites, pid), nginx=0.0))
    return rows


def _traefiks(folder: Path, sites: int) -> list[dict[str, Any]]:
    """
    Measure Traefik, with our certificates.
    """
    if not shutil.which("traefik"):
        return []
    (https,) = free_ports(1)
    file = peers.write_traefik(folder, certificates=folder / "state" / "certificates", sites=sites)
    show.tell(f"{sites} sites, Traefik")
    with peers.traefik(folder, file, https=https) as pid:
        return [row("Traefik", sites, "after a start", daemon=_asked(https, sites, pid), nginx=0.0)]


def _asked(https: int, sites: int, pid: int) -> dict[str, float]:
    """
    Ask for every site once, and return what a peer holds when it has rested.
    """
    for name in names(sites):
        peers.await_answer(https, name)
    time.sleep(_REST)
    return sizes(descendants(pid))


async def measure(sites: int) -> list[dict[str, Any]]:
    """
    Measure a daemon with so many sites.
    """
    (http_port,) = free_ports(1)
    with scratch.folder() as folder:
        async with pebble.running(folder, http_port=http_port, environment=PEBBLE) as ca:
            return await asyncio.to_thread(_measure, folder, ca, sites)


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    arguments = show.parser("scripts/bench memory")
    arguments.add_argument("sites", nargs="*", type=int, default=[], metavar="SITES")
    return arguments


def tables(given: argparse.Namespace) -> list[Table]:
    """
    Measure.
    """
    rows = tuple(row for sites in given.sites or [3, 100] for row in asyncio.run(measure(sites)))
    return [Table(title="memory", note=NOTE, rows=rows)]


if __name__ == "__main__":
    show.run(parser(), tables)
