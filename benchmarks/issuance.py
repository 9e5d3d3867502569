"""
What certificates cost: `gatelodge once`, the whole process from an empty state directory, beside the bare signed requests.

Both get the same number of certificates with one name each by http-01 from a pebble of their own, which is unkind as by default
(5 % of good nonces are refused) and only spares its artificial pauses. Runs alternate; what is printed are medians.

Peers that are installed take part: lego gets one certificate a run, so its runs are added up; dehydrated gets them in one.

    python -m benchmarks.issuance [--runs N] [--json] [--peers] COUNT…
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import shutil
import sys
from typing import TYPE_CHECKING

from benchmarks import scratch, show
from benchmarks.measure import Failed, Run, median, run

from gatelodge.demo import pebble

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: pebble 2.4 can deadlock where it looks for authorizations to use again, and, rarely, elsewhere under load.
PEBBLE = {"PEBBLE_AUTHZREUSE": "0"}

_TRIES = 4

#: The goal: so many times what the bare requests take.
GOAL = 2.0

_TOML = """\
state_directory = "{folder}/state"

[admin]
socket = "{folder}/admin.sock"

[acme]
agree_tos = true
ca = "pebble"

[acme.cas.pebble]
directory = "{ca.directory}"
root = "{ca.root}"

[nginx]
http_port = {ca.http_port}
https_port = {https}
reload_interval = "{reload_interval}"

[sites]
"""


def names(count: int) -> list[str]:
    """
    Return the names that are ordered.
    """
    return [f"site-{number}.example.test" for number in range(count)]


def write_config(folder: Path, ca: pebble.Pebble, count: int, *, reload_interval: str = "30s") -> Path:
    """
    Write a configuration with so many sites.
    """
    config = folder / "gatelodge.toml"
    (https,) = pebble.free_ports(1)
    head = _TOML.format(folder=folder, ca=ca, https=https, reload_interval=reload_interval)
    config.write_text(head + "".join(f'"{name}" = "http://127.0.0.1:9"\n' for name in names(count)))
    return config


def gatelodge(folder: Path, ca: pebble.Pebble, count: int) -> Run:
    """
    Run `gatelodge once`.
    """
    config = write_config(folder, ca, count)
    return run([sys.executable, "-m", "gatelodge", "once", "-c", str(config)], log=folder / "log")


def bare(folder: Path, ca: pebble.Pebble, count: int) -> Run:
    """
    Run the bare requests.
    """
    arguments = [ca.directory, ca.root, str(ca.http_port), str(count)]
    return run([sys.executable, "-m", "benchmarks.bare", *arguments], log=folder / "log")


def lego(folder: Path, ca: pebble.Pebble, count: int) -> Run:
    """
    Run lego for one name after another.
    """
    words = ["lego", "--server", ca.directory, "--path", str(folder), "--email", "you@example.test", "--accept-tos"]
    words += ["--http", "--http.port", f"127.0.0.1:{ca.http_port}"]
    runs = [
        run([*words, "--domains", name, "run"], log=folder / "log", environment={"LEGO_CA_CERTIFICATES": ca.root})
        for name in names(count)
    ]
    return Run(wall=sum(each.wall for each in runs), cpu=sum(each.cpu for each in runs))


def dehydrated(folder: Path, ca: pebble.Pebble, count: int) -> Run:
    """
    Run dehydrated for all names; Python's own server answers for its webroot, not counted.
    """
    webroot = folder / "webroot" / ".well-known" / "acme-challenge"
    webroot.mkdir(parents=True)
    (folder / "domains.txt").write_text("".join(f"{name}\n" for name in names(count)))
    (folder / "config").write_text(
        f'CA="{ca.directory}"\nBASEDIR="{folder}"\nWELLKNOWN="{webroot}"\nKEY_ALGO=prime256v1\n'
        f'CURL_OPTS="--cacert {ca.root}"\n'
    )
    words = ["dehydrated", "--config", str(folder / "config")]
    with show.serving(folder / "webroot", ca.http_port):
        registered = run([*words, "--register", "--accept-terms"], log=folder / "log")
        got = run([*words, "--cron"], log=folder / "log")
    return Run(wall=registered.wall + got.wall, cpu=registered.cpu + got.cpu)


CLIENTS: dict[str, Callable[[Path, pebble.Pebble, int], Run]] = {"bare requests": bare, "gatelodge once": gatelodge}
PEERS: dict[str, Callable[[Path, pebble.Pebble, int], Run]] = {"lego": lego, "dehydrated": dehydrated}

#: Peers get certificates one after another: more than these would only take long.
_MOST_FOR_PEERS = 10


async def _measure(client: Callable[[Path, pebble.Pebble, int], Run], count: int) -> Run:
    (http_port,) = pebble.free_ports(1)
    with scratch.folder() as folder:
        async with pebble.running(folder, http_port=http_port, environment=PEBBLE) as ca:
            return await asyncio.to_thread(client, folder, ca, count)


def _try(client: Callable[[Path, pebble.Pebble, int], Run], count: int) -> Run:
    """
    Measure one run. One that fails is told of and done again, since pebble can hang.

    Raises:
        Failed: too often in a row.
    """
    for _ in range(_TRIES - 1):
        try:
            return asyncio.run(_measure(client, count))
        except Failed as failure:
            show.tell(f"done again, since {failure}")
    return asyncio.run(_measure(client, count))


def measure(count: int, *, runs: int, clients: dict[str, Callable[[Path, pebble.Pebble, int], Run]]) -> dict[str, Run]:
    """
    Measure all clients for a number of certificates, taking turns.
    """
    found: dict[str, list[Run]] = {name: [] for name in clients}
    for number in range(runs):
        for name, client in clients.items():
            show.tell(f"{count} certificates, run {number + 1} of {runs}: {name}")
            found[name].append(_try(client, count))
    return {name: median(each) for name, each in found.items()}


def main() -> None:
    """
    Measure and print.
    """
    arguments = argparse.ArgumentParser(prog="scripts/bench issuance")
    arguments.add_argument("counts", nargs="*", type=int, default=[], metavar="COUNT")
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--peers", action="store_true", help="also lego and dehydrated, where installed")
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    peers = {name: client for name, client in PEERS.items() if given.peers and shutil.which(name)}
    for name in PEERS.keys() - peers.keys() if given.peers else ():
        show.tell(f"{name} is not installed: left out")
    rows = []
    for count in given.counts or [1, 10, 100, 500]:
        clients = CLIENTS | (peers if count <= _MOST_FOR_PEERS else {})
        found = measure(count, runs=given.runs, clients=clients)
        rows += [
            {
                "certificates": count,
                "client": name,
                **{field: round(seconds, 3) for field, seconds in dataclasses.asdict(each).items()},
                "times bare": round(each.wall / found["bare requests"].wall, 2),
                "times bare cpu": round(each.cpu / found["bare requests"].cpu, 2),
            }
            for name, each in found.items()
        ]
    note = f"seconds, medians of {given.runs}, whole processes; the goal for 500 is {GOAL:g} times the bare requests"
    show.table("issuance", rows, note=note, as_json=given.json)


if __name__ == "__main__":
    main()
