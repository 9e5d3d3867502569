"""
What the nginx that Gatelodge writes can carry, beside a hand-tuned nginx.conf: same program, same TLS, same upstream.

wrk asks for a small body over kept TLS connections. The upstream is an nginx of its own. Both gates run at once and take turns
under load; figures are medians.

    python -m benchmarks.proxy [--runs N] [--seconds S] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import daemon, scratch, show
from benchmarks.measure import Failed

from gatelodge.demo.pebble import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The goal: so much of the hand-tuned nginx's throughput.
GOAL = 0.95

#: Visitors at once.
_CONNECTIONS = "64"

_START_SECONDS = 10.0

_TOML = """\
state_directory = "{folder}/state"

[admin]
socket = "{folder}/admin.sock"

[nginx]
http_port = {http}
https_port = {https}

[sites."localhost"]
upstream = "http://127.0.0.1:{upstream}"
tls = "local"
"""

_HEAD = """\
worker_processes auto;
worker_rlimit_nofile 16384;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log;
events {{ worker_connections 8192; }}
"""

_UPSTREAM = """\
http {{
    access_log off;
    keepalive_requests 1000000;
    server {{ listen 127.0.0.1:{upstream}; location / {{ return 200 "hello, this is a small body\\n"; }} }}
}}
"""

_HAND_TUNED = """\
http {{
    access_log off;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;
    ssl_session_tickets off;
    upstream service {{ server 127.0.0.1:{upstream}; keepalive 32; }}
    server {{
        listen {tuned} ssl http2;
        server_name localhost;
        ssl_certificate {certificate}/fullchain.pem;
        ssl_certificate_key {certificate}/privkey.pem;
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""

_RATE = re.compile(r"Requests/sec: +([0-9.]+)")
_WRONG = re.compile(r"Socket errors|Non-2xx")


@contextlib.contextmanager
def nginx(folder: Path, name: str, text: str, port: int) -> Iterator[None]:
    """
    Run an nginx with a configuration inside the context.

    Raises:
        Failed: it did not come to listen.
    """
    config = folder / f"{name}.conf"
    config.write_text(_HEAD.format(folder=folder, name=name) + text)
    words = ["nginx", "-c", str(config), "-p", f"{folder}/", "-e", f"{folder}/{name}.log", "-g", "daemon off;"]
    # In a session of its own, as a daemon is: the kernel shares processors out between sessions first (sched(7), autogroup).
    process = subprocess.Popen(words, start_new_session=True)
    try:
        _wait(process, port)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
        except urllib.error.HTTPError:
            return  # plain HTTP to a TLS port: somebody is there
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise Failed(f"nginx does not listen on {port}")


def wrk(port: int, seconds: int) -> float:
    """
    Return requests a second.

    Raises:
        Failed: not all of them were answered well.
    """
    words = ["wrk", "--threads", "2", "--connections", _CONNECTIONS, "--duration", f"{seconds}s"]
    said = subprocess.run([*words, f"https://localhost:{port}/"], stdout=subprocess.PIPE, check=True, text=True).stdout
    rate = _RATE.search(said)
    if rate is None or _WRONG.search(said):
        raise Failed(f"wrk met errors:\n{said}")
    return float(rate[1])


def worker_seconds(pid_file: Path) -> float:
    """
    Return the processor time that the workers of an nginx have used (proc_pid_stat(5): fields 14 and 15).
    """
    master = int(pid_file.read_text())
    total = 0
    for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    What one gate carried: requests a second, and what each cost its workers in microseconds of processor time.
    """

    rate: float
    cost: float


def load(port: int, seconds: int, pid_file: Path) -> Load:
    """
    Put a gate under load.
    """
    before = worker_seconds(pid_file)
    rate = wrk(port, seconds)
    return Load(rate=rate, cost=(worker_seconds(pid_file) - before) / (rate * seconds) * 1e6)


def measure(folder: Path, *, runs: int, seconds: int) -> dict[str, list[Load]]:
    """
    Measure both gates, taking turns.
    """
    http, https, upstream, tuned = free_ports(4)
    config = folder / "gatelodge.toml"
    config.write_text(_TOML.format(folder=folder, http=http, https=https, upstream=upstream))
    gates = {
        "hand-tuned nginx": (tuned, folder / "tuned.pid"),
        "gatelodge's nginx": (https, folder / "state" / "nginx" / "nginx.pid"),
    }
    found: dict[str, list[Load]] = {name: [] for name in gates}
    with (
        nginx(folder, "upstream", _UPSTREAM.format(upstream=upstream), upstream),
        daemon.running(folder, config),
    ):
        certificate = (folder / "state" / "certificates" / "localhost" / "current").resolve()
        text = _HAND_TUNED.format(upstream=upstream, tuned=tuned, certificate=certificate)
        with nginx(folder, "tuned", text, tuned):
            for port in (tuned, https):
                wrk(port, 1)
            for number in range(runs):
                for name, (port, pid_file) in gates.items():
                    show.tell(f"run {number + 1} of {runs}: {name}")
                    found[name].append(load(port, seconds, pid_file))
    return found


def main() -> None:
    """
    Measure and print.
    """
    arguments = argparse.ArgumentParser(prog="scripts/bench proxy")
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=5)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    if shutil.which("wrk") is None:
        sys.exit("benchmarks.proxy: wrk is not installed (Debian: apt install wrk)")
    with scratch.folder() as folder:
        found = measure(folder, runs=given.runs, seconds=given.seconds)
    best = found["hand-tuned nginx"]
    rows = [
        {
            "gate": name,
            "requests/s": round(statistics.median(each.rate for each in loads)),
            # Of neighbouring runs, so that what else the machine does weighs on both.
            "of hand-tuned": round(
                statistics.median(one.rate / other.rate for one, other in zip(loads, best, strict=True)), 3
            ),
            "µs each": round(statistics.median(each.cost for each in loads), 2),
        }
        for name, loads in found.items()
    ]
    note = f"medians of {given.runs} runs of {given.seconds} s; µs are workers' processor time; the goal is {GOAL:g} of the hand-tuned nginx"
    show.table("proxy", rows, note=note, as_json=given.json)


if __name__ == "__main__":
    main()
