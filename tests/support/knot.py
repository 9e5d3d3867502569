"""
Runs Knot DNS on a free port of the loopback address, with dynamic zones and TSIG keys, and stops it by its own pid.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from tests.support import bind

from gatelodge.demo.pebble import listening
from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.support.bind import Bind


@contextlib.asynccontextmanager
async def running(folder: Path, *, zones: Sequence[str] = ("example.org",)) -> AsyncIterator[Bind]:
    """
    Run Knot inside the context. What is yielded speaks DNS with it as with any server of the tests.

    Raises:
        FileNotFoundError: it is not installed.
    """
    program = found("knotd", package="knot")
    own = folder / "knot"
    own.mkdir()
    server = described(zones)
    for zone in zones:
        (own / f"{zone}.zone").write_text(
            f"$TTL 60\n@ SOA ns1 hostmaster 1 60 60 3600 1\n@ NS ns1\nns1 A {server.address}\n"
        )
    config = own / "knot.conf"
    config.write_text(_config(own, server))
    async with served(server, own / "knot.log", program, "-c", str(config)):
        yield server


def found(program: str, *, package: str) -> str:
    """
    Return the path of a program.

    Raises:
        FileNotFoundError: it is not installed.
    """
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        raise FileNotFoundError(f"{program} is not installed (Debian: apt install {package})")
    return path


def described(zones: Sequence[str]) -> Bind:
    """
    Return a server that is about to run: a free port, and keys that were made for it.
    """
    keys = {each: base64.b64encode(secrets.token_bytes(32)).decode() for each in bind.ALGORITHMS}
    return bind.Bind(pid=0, address="127.0.0.1", port=free_ports(1)[0], zones=tuple(zones), secrets=keys)


@contextlib.asynccontextmanager
async def served(server: Bind, log: Path, *command: str) -> AsyncIterator[None]:
    """
    Run a name server inside the context, from the moment when it listens.

    Raises:
        TimeoutError: it did not come to answer; the log says why.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        await listening(server.port)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _config(own: Path, server: Bind) -> str:
    keys = "".join(
        f"  - id: {server.key_name(algorithm)}\n    algorithm: {algorithm}\n    secret: {secret}\n"
        for algorithm, secret in server.secrets.items()
    )
    zones = "".join(
        f"  - domain: {zone}\n    file: {own}/{zone}.zone\n    acl: [look, change]\n    zonefile-sync: -1\n"
        for zone in server.zones
    )
    names = ", ".join(map(server.key_name, server.secrets))
    return (
        f"server:\n  rundir: {own}\n  listen: {server.address}@{server.port}\n"
        "  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
        f"database:\n  storage: {own}\n  journal-db-max-size: 16M\n  kasp-db-max-size: 8M\n  timer-db-max-size: 8M\n"
        f"log:\n  - target: stderr\n    any: info\nkey:\n{keys}"
        f"acl:\n  - id: look\n    address: 127.0.0.0/8\n    action: transfer\n"
        f"  - id: change\n    key: [{names}]\n    action: [update, transfer]\n"
        f"zone:\n{zones}"
    )
