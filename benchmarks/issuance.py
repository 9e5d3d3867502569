"""
What certificates cost: `gatelodge once`, the whole process from an empty state directory, beside the bare signed requests.

Both get the same number of certificates with one name each by http-01 from a pebble of their own, which is unkind as by default
(5 % of good nonces are refused) and only spares its artificial pauses. They take turns; what is printed are medians.

Peers that are installed take part: lego and certbot get one certificate a run, so they are run for one name after another. Where one
fails, as dehydrated does when a nonce is refused, it is run again until it does not, and all that counts. Caddy is a server: it is over once
the last certificate is in its storage.

    python -m benchmarks.issuance [--runs N] [--json] [--out FOLDER] [--peers] [--peer-runs N] [--patient] COUNT…
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shlex
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks import scratch, show
from benchmarks.measure import Failed, Run, median, run
from benchmarks.tables import Table, ratio
from benchmarks.turns import in_turn

from gatelodge.demo import pebble
from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
    (https,) = free_ports(1)
    head = _TOML.format(folder=folder, ca=ca, https=https, reload_interval=reload_interval)
    config.write_text(head + "".join(f'"{name}" = "http://127.0.0.1:9"\n' for name in names(count)))
    return config


def _longest(count: int) -> float:
    """
    Return the seconds after which a peer that gets its certificates one after another hangs.
    """
    return 60.0 + 10.0 * count


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


def _one_after_another(
    commands: Sequence[Sequence[str]], folder: Path, count: int, environment: Mapping[str, str] | None = None
) -> Run:
    """
    Run commands one after another, each until it does not fail.
    """
    script = "\n".join(f"until {shlex.join(command)}; do :; done" for command in commands)
    return run(["sh", "-c", script], log=folder / "log", environment=environment, longest=_longest(count))


def lego(folder: Path, ca: pebble.Pebble, count: int) -> Run:
    """
    Run lego for one name after another.
    """
    words = ["lego", "--server", ca.directory, "--path", str(folder), "--email", "you@example.test", "--accept-tos"]
    words += ["--http", "--http.port", f"127.0.0.1:{ca.http_port}"]
    commands = [[*words, "--domains", name, "run"] for name in names(count)]
    return _one_after_another(commands, folder, count, {"LEGO_CA_CERTIFICATES": ca.root})


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
    with _serving(folder / "webroot", ca.http_port):
        return _one_after_another([[*words, "--register", "--accept-terms"], [*words, "--cron"]], folder, count)


@contextlib.contextmanager
def _serving(folder: Path, port: int) -> Iterator[None]:
    """
    Serve a folder's files over HTTP inside the context.
    """
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(0.5)
        yield
    finally:
        server.terminate()
        server.wait()


def certbot(folder: Path, ca: pebble.Pebble, count: int) -> Run:
    """
    Run certbot for one name after another, with its own server for the challenges.
    """
    words = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--email", "you@example.test", "--no-eff-email"]
    words += ["--server", ca.directory, "--standalone", "--http-01-port", str(ca.http_port)]
    words += [f"--{kind}-dir={folder}/{kind}" for kind in ("config", "work", "logs")]
    commands = [[*words, "--domain", name] for name in names(count)]
    return _one_after_another(commands, folder, count, {"REQUESTS_CA_BUNDLE": ca.root})


_CADDY = """\
{{
    admin off
    persist_config off
    skip_install_trust
    storage file_system {folder}/storage
    http_port {ca.http_port}
    https_port {https}
    cert_issuer acme {{
        dir {ca.directory}
        trusted_roots {ca.root}
        disable_tlsalpn_challenge
    }}
}}
"""


def caddy(folder: Path, ca: pebble.Pebble, count: int) -> Run:
    """
    Run Caddy until it has stored all certificates.
    """
    (https,) = free_ports(1)
    file = folder / "Caddyfile"
    sites = (f"{name} {{\n    reverse_proxy 127.0.0.1:9\n}}\n" for name in names(count))
    file.write_text(_CADDY.format(folder=folder, ca=ca, https=https) + "".join(sites))
    return run(
        ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)],
        log=folder / "log",
        environment={"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        until=(f"{folder}/storage/certificates/**/*.crt", count),
        longest=_longest(count),
    )


_BARE = "bare requests"

CLIENTS: dict[str, Callable[[Path, pebble.Pebble, int], Run]] = {_BARE: bare, "gatelodge once": gatelodge}
PEERS: dict[str, Callable[[Path, pebble.Pebble, int], Run]] = {
    "Caddy": caddy,
    "certbot": certbot,
    "lego": lego,
    "dehydrated": dehydrated,
}

#: Peers get no more than this, unless somebody has the patience: Caddy asks for about one a second, certbot, lego and dehydrated for one
#: after another.
MOST = {"Caddy": 100, "certbot": 10, "lego": 10, "dehydrated": 10}


async def _measure(client: Callable[[Path, pebble.Pebble, int], Run], count: int, folder: Path) -> Run:
    (http_port,) = free_ports(1)
    async with pebble.running(folder, http_port=http_port, environment=PEBBLE) as ca:
        return await asyncio.to_thread(client, folder, ca, count)


def _try(client: Callable[[Path, pebble.Pebble, int], Run], count: int, folder: Callable[[], Path]) -> Run:
    """
    Measure one run. One that fails is told of and done again, since pebble can hang.

    Raises:
        Failed: too often in a row.
    """
    for _ in range(_TRIES - 1):
        try:
            return asyncio.run(_measure(client, count, folder()))
        except Failed as failure:
            show.tell(f"done again, since {failure}")
    return asyncio.run(_measure(client, count, folder()))


def _run(name: str, count: int, folder: Callable[[], Path]) -> Run | None:
    """
    Measure one run of somebody's. A peer who fails too often is told of, and has none: the others are measured all the same.

    Raises:
        Failed: ours, or the bare requests, did too often.
    """
    if name in CLIENTS:
        return _try(CLIENTS[name], count, folder)
    try:
        return _try(PEERS[name], count, folder)
    except Failed as failure:
        show.tell(f"{name} has no run here, since {failure}")
        return None


def contenders(count: int, *, peers: Collection[str], patient: bool) -> list[str]:
    """
    Return who gets so many certificates, the bare requests first.
    """
    return [*CLIENTS, *(name for name in PEERS if name in peers and (patient or count <= MOST[name]))]


def rows(count: int, found: Mapping[str, Sequence[Run | None]]) -> list[dict[str, Any]]:
    """
    Return a table's rows: medians of the runs that there are, beside those of the bare requests.
    """
    runs = {name: [each for each in every if each] for name, every in found.items()}
    medians = {name: median(each) for name, each in runs.items() if each}
    bare_requests = medians[_BARE]
    return [
        {
            "certificates": count,
            "client": name,
            "wall": round(each.wall, 3),
            "cpu": round(each.cpu, 3),
            "times bare": ratio(each.wall, bare_requests.wall),
            "times bare cpu": ratio(each.cpu, bare_requests.cpu),
            "runs": len(runs[name]),
        }
        for name, each in medians.items()
    ]


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    arguments = show.parser("scripts/bench issuance")
    arguments.add_argument("counts", nargs="*", type=int, default=[], metavar="COUNT")
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--peers", action="store_true", help=f"also {', '.join(PEERS)}, where installed")
    arguments.add_argument("--peer-runs", type=int, default=3, help="so many of the runs")
    most = ", ".join(f"{name} {count}" for name, count in MOST.items())
    arguments.add_argument("--patient", action="store_true", help=f"let peers get more than is quick ({most})")
    return arguments


def tables(given: argparse.Namespace) -> list[Table]:
    """
    Measure.
    """
    peers = [name for name in PEERS if given.peers and shutil.which(name.lower())]
    for name in PEERS if given.peers else ():
        if name not in peers:
            show.tell(f"{name} is not installed: left out")
    made: list[dict[str, Any]] = []
    with scratch.folders() as folder:
        for count in given.counts or [1, 10, 100, 500]:
            names = contenders(count, peers=peers, patient=given.patient)
            works = {name: functools.partial(_run, name, count, folder) for name in names}
            often = {name: min(given.runs, given.peer_runs) if name in PEERS else given.runs for name in names}
            made += rows(count, in_turn(works, often, tell=f"{count} certificates"))
    note = (
        f"seconds, medians, whole processes from an empty folder; the goal for 500 is {GOAL:g} times the bare requests; the CA is on this "
        "machine and waits for nothing: a public one is slower, whoever asks"
    )
    return [Table(title="issuance", note=note, rows=tuple(made))]


if __name__ == "__main__":
    show.run(parser(), tables)
