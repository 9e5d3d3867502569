"""
What one certificate for many names of one zone costs by dns-01: `gatelodge once`, the whole process from an empty state directory,
with its requests to the DNS provider, beside lego where it is installed.

Everybody publishes into the same kind of BIND, which pebble asks; Aliyun is a local service that checks every signature and publishes
there. Gatelodge asks every name server before the CA is told. lego cannot ask one that is not on port 53, so it is told not to look
(`--dns.disable-cp`). It proves one name after another with a minute between them, made a second here.

    python -m benchmarks.dns [--runs N] [--json] [--out FOLDER] NAMES…
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from typing import TYPE_CHECKING, Any

from benchmarks import scratch, show
from benchmarks.issuance import PEBBLE
from benchmarks.measure import Run, median, run
from benchmarks.tables import Table
from tests.support import alidns, bind

from gatelodge.demo import pebble
from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.support.bind import Bind

ZONE = "example.org"

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

[resolver]
servers = ["{bind.server}"]
port = {bind.port}
doh = []

[certificates.all]
names = [{names}]

[dns.home]
{provider}

[sites]
"{first}" = "http://127.0.0.1:9"
"""


def names(count: int) -> list[str]:
    """
    Return the names that are proven.
    """
    return [f"n{number}.{ZONE}" for number in range(count)]


async def _once(folder: Path, ca: pebble.Pebble, server: Bind, count: int, provider: str) -> Run:
    (https,) = free_ports(1)
    quoted = ", ".join(f'"{name}"' for name in names(count))
    config = folder / "gatelodge.toml"
    text = _TOML.format(
        folder=folder, ca=ca, bind=server, https=https, names=quoted, provider=provider, first=names(1)[0]
    )
    config.write_text(text)
    command = [sys.executable, "-m", "gatelodge", "once", "-c", str(config)]
    return await asyncio.to_thread(run, command, log=folder / "log")


async def aliyun(folder: Path, ca: pebble.Pebble, server: Bind, count: int) -> tuple[Run, int | None]:
    """
    Run `gatelodge once` with the local Alidns.
    """
    async with alidns.running() as service:
        service.zone(ZONE, f"ns1.{ZONE}")
        service.publish = alidns.into(server)
        provider = (
            f'provider = "aliyun"\nendpoint = "{service.url}"\naccess_key_id = "{alidns.KEY_ID}"\n'
            f'access_key_secret = "{alidns.KEY_SECRET}"'
        )
        took = await _once(folder, ca, server, count, provider)
        return took, len(service.requests)


async def rfc2136(folder: Path, ca: pebble.Pebble, server: Bind, count: int) -> tuple[Run, int | None]:
    """
    Run `gatelodge once` with updates of the BIND.
    """
    provider = (
        f'provider = "rfc2136"\nserver = "{server.server}"\nkey_name = "{server.key_name()}"\n'
        f'key_secret = "{server.secrets["hmac-sha256"]}"'
    )
    return await _once(folder, ca, server, count, provider), None


async def lego(folder: Path, ca: pebble.Pebble, server: Bind, count: int) -> tuple[Run, int | None]:
    """
    Run lego with updates of the BIND.
    """
    words = ["lego", "--server", ca.directory, "--path", str(folder), "--email", "you@example.test", "--accept-tos"]
    words += ["--dns", "rfc2136", "--dns.resolvers", server.server, "--dns.disable-cp"]
    words += [f"--domains={name}" for name in names(count)]
    environment = {
        "LEGO_CA_CERTIFICATES": ca.root,
        "RFC2136_NAMESERVER": server.server,
        "RFC2136_TSIG_KEY": server.key_name(),
        "RFC2136_TSIG_SECRET": server.secrets["hmac-sha256"],
        "RFC2136_TSIG_ALGORITHM": "hmac-sha256.",
        "RFC2136_SEQUENCE_INTERVAL": "1",
    }
    return await asyncio.to_thread(run, [*words, "run"], log=folder / "log", environment=environment), None


CLIENTS: dict[str, Callable[[Path, pebble.Pebble, Bind, int], Awaitable[tuple[Run, int | None]]]] = {
    "gatelodge, aliyun": aliyun,
    "gatelodge, rfc2136": rfc2136,
    "lego, rfc2136": lego,
}

#: lego proves one name after another: more than these would only take long.
_MOST_FOR_LEGO = 10


async def _measure(client: str, count: int) -> tuple[Run, int | None]:
    """
    Run one client in a world of its own. What it published must be gone.
    """
    (http_port,) = free_ports(1)
    with scratch.folder() as folder:
        async with (
            bind.running(folder, zones=(ZONE,)) as server,
            pebble.running(folder, http_port=http_port, name_server=server.server, environment=PEBBLE) as ca,
        ):
            took = await CLIENTS[client](folder, ca, server, count)
            left = await server.txt(ZONE)
            assert not left, f"{client} left {len(left)} records"
            return took


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    arguments = show.parser("scripts/bench dns")
    arguments.add_argument("counts", nargs="*", type=int, default=[], metavar="NAMES")
    arguments.add_argument("--runs", type=int, default=3)
    return arguments


def tables(given: argparse.Namespace) -> list[Table]:
    """
    Measure.
    """
    if not shutil.which("lego"):
        show.tell("lego is not installed: left out")
    rows: list[dict[str, Any]] = []
    for count in given.counts or [1, 10, 100]:
        legos = shutil.which("lego") and count <= _MOST_FOR_LEGO
        clients = [name for name in CLIENTS if legos or not name.startswith("lego")]
        found: dict[str, list[tuple[Run, int | None]]] = {name: [] for name in clients}
        for number in range(given.runs):
            for name in clients:
                show.tell(f"{count} names, run {number + 1} of {given.runs}: {name}")
                found[name].append(asyncio.run(_measure(name, count)))
        for name, each in found.items():
            middle = median([took for took, _ in each])
            rows.append(
                {
                    "names": count,
                    "client": name,
                    "wall": round(middle.wall, 2),
                    "cpu": round(middle.cpu, 2),
                    "requests to the provider": each[0][1] if each[0][1] is not None else "",
                }
            )
    note = f"seconds, medians of {given.runs}, whole processes; one certificate for all names"
    return [Table(title="dns-01", note=note, rows=tuple(rows))]


if __name__ == "__main__":
    show.run(parser(), tables)
