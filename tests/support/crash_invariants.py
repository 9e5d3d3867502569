"""
What must hold of a gate whatever was killed, seen from outside: on its disk, at its CA, at its name server, by its visitors.

Each check returns what is broken, in words; nothing when all is well. Those of the disk can be asked at any time, also while the daemon
is dead; the others once it has settled.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.support.crash_house import ADDRESS
from tests.support.crash_visitor import Wrong, visit
from tests.support.dns_house import OTHER, ZONE

from gatelodge.nginx import process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.crash_house import CrashHouse

#: Trees that are kept: the one that runs, and some to go back to. Many more would fill a disk in the end.
_MOST_TREES = 12

#: What a file that was being written is called, or a folder that was on its way out.
_UNFINISHED = (".new", ".old", ".tmp", ".staged", ".writable")


def on_disk(house: CrashHouse) -> list[str]:
    """
    Look at the state directory: keys beside their certificates, modes, the current tree, the events.
    """
    state = house.gate.state
    return [*_certificates(state), *_secrets(state), *_tree(house), *_events(state)]


def _certificates(state: Path) -> Iterator[str]:
    for chain in state.glob("certificates/*/versions/*/fullchain.pem"):
        if chain.parent.name.startswith("."):
            continue  # one that is being written, or taken away: no version yet, or none any more
        key = chain.with_name("privkey.pem")
        try:
            private = load_pem_private_key(key.read_bytes(), None)
            leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
        except FileNotFoundError:
            # Versions that nobody needs any more are deleted meanwhile.
            if chain.exists():
                yield f"{chain} has no key"
            continue
        except ValueError as error:
            yield f"{chain.parent}: {error}"
            continue
        if private.public_key() != leaf.public_key():
            yield f"{chain}: its key is another one"


def serials(house: CrashHouse) -> set[int]:
    """
    Return the serial numbers of all certificates that are kept.
    """
    found = set()
    for chain in house.gate.state.glob("certificates/*/versions/*/fullchain.pem"):
        with contextlib.suppress(FileNotFoundError):
            found.add(x509.load_pem_x509_certificates(chain.read_bytes())[0].serial_number)
    return found


def _below(state: Path) -> Iterator[Path]:
    """
    Yield every file and folder; what vanishes meanwhile is passed over, as `Path.rglob` does not.
    """
    for folder, folders, files in os.walk(state):
        for name in (*folders, *files):
            yield Path(folder, name)


def _secrets(state: Path) -> Iterator[str]:
    for path in _below(state):
        try:
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077 and b"PRIVATE KEY" in path.read_bytes():
                yield f"{path} holds a private key and has mode {stat.S_IMODE(mode):04o}"
        except FileNotFoundError:
            continue


def _tree(house: CrashHouse) -> Iterator[str]:
    if not house.entry.exists():
        return
    said = subprocess.run(
        ["nginx", "-t", "-c", str(house.entry)], capture_output=True, text=True, check=False, timeout=60
    )
    if said.returncode != 0:
        yield f"nginx refuses the current tree: {said.stderr.strip()}"
    trees = len(list((house.gate.state / "nginx" / "generations").iterdir()))
    if trees > _MOST_TREES:
        yield f"{trees} trees are kept"


def _events(state: Path) -> Iterator[str]:
    last = 0
    aside = sorted(state.glob("events-*.jsonl"), key=lambda path: int(path.stem.rpartition("-")[2]))
    for path in (*aside, state / "events.jsonl"):
        for line in path.read_text().splitlines():
            try:
                number = json.loads(line)["id"]
            except (ValueError, KeyError) as error:
                yield f"{path}: {error!r} in {line[:200]}"
                continue
            if number <= last:
                yield f"{path}: id {number} comes after {last}"
            last = number


async def when_settled(house: CrashHouse) -> list[str]:
    """
    Look at everything once the daemon has settled; what the name server holds is asked apart.
    """
    found = await asyncio.to_thread(on_disk, house)
    found += [each async for each in _visits(house)]
    found += await asyncio.to_thread(lambda: [*_processes(house), *_words(house)])
    return found


async def _visits(house: CrashHouse):  # type: ignore[no-untyped-def]  # noqa: ANN202 - strings
    for host in house.names:
        try:
            await visit(house.gate.https, host)
        except (OSError, EOFError, TimeoutError, Wrong) as error:
            yield f"a visitor of {host}: {error!r}"


def leftovers(house: CrashHouse) -> list[str]:
    """
    Look for what is nobody's any more, once the daemon has been started again in peace: tokens, orders, and files that were not finished.
    """
    state = house.gate.state
    tokens = [*(state / "webroot" / ".well-known" / "acme-challenge").iterdir()]
    orders = [each for each in (state / "journal" / "orders").glob("*") if not each.name.startswith(".")]
    unfinished = [each for each in _below(state) if each.name.endswith(_UNFINISHED)]
    return [f"{each} is left" for each in (*tokens, *orders, *unfinished)]


def _processes(house: CrashHouse) -> Iterator[str]:
    masters = process.masters(house.entry)
    if len(masters) != 1:
        yield f"{len(masters)} masters run"
    workers = {worker.pid for master in masters for worker in process.workers(master)}
    for orphan in process.orphans(house.gate.state / "log" / "error.log"):
        if orphan.pid not in workers:
            yield f"the worker {orphan.pid} has no master"


def _words(house: CrashHouse) -> Iterator[str]:
    if "Traceback" in house.gate.said():
        yield "the daemon wrote a traceback"
    for event in house.gate.events():
        if event.get("error.type") == "internal" or event["event"] in {"library.error", "job.failed", "state.damaged"}:
            yield f"an event {event}"


async def records(house: CrashHouse) -> list[str]:
    """
    Look at the name server: no record of a challenge is left, and each host of dynamic DNS has its address, and it alone.
    """
    found = [f"the record {name} is left" for name, _ in sorted(await house.bind.txt(ZONE))]
    held = await house.bind.records(OTHER)
    for host in sorted(house.published):
        values = {value for name, kind, value in held if (name, kind) == (host, "A")}
        if values != {ADDRESS}:
            found.append(f"{host} has {values or 'no address'}")
    return found
