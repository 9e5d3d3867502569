"""
What the nginx that Gatelodge writes can carry, beside a hand-tuned nginx.conf: same program, same TLS, same upstream.

wrk asks for a small body over kept TLS connections. The upstream is an nginx of its own. Both gates run at once and take turns
under load; figures are medians.

    python -m benchmarks.proxy [--runs N] [--seconds S] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import daemon, show
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


def measure(folder: Path, *, runs: int, seconds: int) -> dict[str, list[float]]:
    """
    Measure both gates, taking turns.
    """
    http, https, upstream, tuned = free_ports(4)
    config = folder / "gatelodge.toml"
    config.write_text(_TOML.format(folder=folder, http=http, https=https, upstream=upstream))
    found: dict[str, list[float]] = {"hand-tuned nginx": [], "gatelodge's nginx": []}
    with nginx(folder, "upstream", _UPSTREAM.format(upstream=upstream), upstream), daemon.running(
        config, socket=folder / "admin.sock"
    ):
        certificate = (folder / "state" / "certificates" / "localhost" / "current").resolve()
        text = _HAND_TUNED.format(upstream=upstream, tuned=tuned, certificate=certificate)
        with nginx(folder, "tuned", text, tuned):
            for port in (tuned, https):
                wrk(port, 1)
            for number in range(runs):
                for name, port in zip(found, (tuned, https), strict=True):
                    show.tell(f"run {number + 1} of {runs}: {name}")
                    found[name].append(wrk(port, seconds))
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
    with tempfile.TemporaryDirectory(prefix="gatelodge-bench-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # noqa: S103 - nginx's workers are not root
        found = measure(Path(name), runs=given.runs, seconds=given.seconds)
    rates = {name: statistics.median(each) for name, each in found.items()}
    best = rates["hand-tuned nginx"]
    rows = [
        {"gate": name, "requests/s": round(rate), "of hand-tuned": round(rate / best, 3)}
        for name, rate in rates.items()
    ]
    note = f"medians of {given.runs} runs of {given.seconds} s; the goal is {GOAL:g} of the hand-tuned nginx"
    show.table("proxy", rows, note=note, as_json=given.json)


if __name__ == "__main__":
    main()
