"""
How much memory the daemon holds when it is idle: right after it got all its certificates, and after a restart.

PSS counts pages that processes share once. nginx is shown apart, with its workers: what it holds depends on the sites, not on
us. Caddy, where it is installed, has the same sites, with certificates of its own.

    python -m benchmarks.memory [--json] SITES…
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks import daemon, peers, scratch, show
from benchmarks.issuance import PEBBLE, names, write_config

from gatelodge.demo import pebble

#: MB (10^6 bytes) at 100 sites.
GOAL = 70

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


def _row(sites: int, when: str, folder: Path, pid: int) -> dict[str, Any]:
    time.sleep(_REST)
    master = int((folder / "state" / "nginx" / "nginx.pid").read_text())
    ours = sizes([each for each in descendants(pid) if each not in descendants(master)])
    nginx = sizes(descendants(master))
    return {
        "gate": "gatelodge",
        "sites": sites,
        "when": when,
        "daemon pss": ours["Pss"],
        "daemon rss": ours["Rss"],
        "nginx pss": nginx["Pss"],
    }


def _measure(folder: Path, ca: pebble.Pebble, sites: int) -> list[dict[str, Any]]:
    config = write_config(folder, ca, sites, reload_interval="1s")
    rows = []
    for when in ("after issuance", "after a restart"):
        show.tell(f"{sites} sites, {when}")
        with daemon.running(folder, config) as pid:
            rows.append(_row(sites, when, folder, pid))
    return [*rows, *_caddys(folder, sites)]


def _caddys(folder: Path, sites: int) -> list[dict[str, Any]]:
    """
    Measure Caddy, which is proxy and daemon in one.
    """
    if not shutil.which("caddy"):
        return []
    http, https = pebble.free_ports(2)
    caddyfile = peers.write_caddyfile(folder, http=http, https=https, sites=sites)
    rows = []
    for when in ("after its own issuance", "after a restart"):
        show.tell(f"{sites} sites, Caddy, {when}")
        with peers.caddy(folder, caddyfile) as pid:
            for name in names(sites):
                peers.await_answer(https, name)
            time.sleep(_REST)
            found = sizes(descendants(pid))
            rows.append(
                {
                    "gate": "Caddy",
                    "sites": sites,
                    "when": when,
                    "daemon pss": found["Pss"],
                    "daemon rss": found["Rss"],
                    "nginx pss": 0.0,
                }
            )
    return rows


async def measure(sites: int) -> list[dict[str, Any]]:
    """
    Measure a daemon with so many sites.
    """
    (http_port,) = pebble.free_ports(1)
    with scratch.folder() as folder:
        async with pebble.running(folder, http_port=http_port, environment=PEBBLE) as ca:
            return await asyncio.to_thread(_measure, folder, ca, sites)


def main() -> None:
    """
    Measure and print.
    """
    arguments = argparse.ArgumentParser(prog="scripts/bench memory")
    arguments.add_argument("sites", nargs="*", type=int, default=[], metavar="SITES")
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    rows = [row for sites in given.sites or [3, 100] for row in asyncio.run(measure(sites))]
    show.table("memory", rows, note=f"MB; the goal for the daemon at 100 sites is under {GOAL} MB", as_json=given.json)


if __name__ == "__main__":
    main()
