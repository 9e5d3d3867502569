"""
Runs pebble, Let's Encrypt's ACME test server, with its DNS test server, on free ports and stops them by their own pid.

Its unkindness stays as it is (5 % of good nonces are refused); only its artificial pauses are off. Nothing here is a mock: the
CA looks up names at the DNS test server and fetches tokens from the port it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
from typing import TYPE_CHECKING

from gatelodge.demo.ports import free_ports
from gatelodge.issuers import selfsigned
from gatelodge.model import Name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

_START_SECONDS = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pebble:
    """
    A running pebble: its process, its directory URL, the PEM file to trust its HTTPS by, its management URL, the DNS test
    server's, where that answers (`ADDRESS:PORT`), and the port on which it looks for http-01 tokens.
    """

    pid: int
    directory: str
    root: str
    management: str
    dns: str
    dns_server: str
    http_port: int


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    *,
    http_port: int,
    name_server: str | None = None,
    environment: dict[str, str] | None = None,
    validity_days: int | None = None,
    customers: Mapping[str, str] | None = None,
    strict: bool = False,
) -> AsyncIterator[Pebble]:
    """
    Run pebble inside the context, all names pointing at 127.0.0.1.

    Args:
        folder: an existing folder for its configuration, certificate and log.
        http_port: where it looks for http-01 tokens.
        name_server: `ADDRESS:PORT` that it asks in place of the DNS test server, which says 127.0.0.1 of every name.
        environment: settings of pebble's own (`PEBBLE_VA_ALWAYS_VALID=1`).
        customers: keys of external accounts (base64url) by kid; accounts are for them only, where there are any.
        strict: do as future versions of the protocol may.

    Raises:
        FileNotFoundError: pebble is not installed.
        TimeoutError: it did not start; its log is in `folder`.
    """
    programs = {name: shutil.which(name) for name in ("pebble", "pebble-challtestsrv")}
    for name, found in programs.items():
        if found is None:
            raise FileNotFoundError(f"{name} is not installed (Debian: apt install pebble)")
    api, management, dns, dns_management, tls = free_ports(5)
    issued = selfsigned.make([Name("localhost"), Name("127.0.0.1")])
    certificate, key, config = folder / "pebble.pem", folder / "pebble.key", folder / "pebble.json"
    certificate.write_text(issued.chain)
    key.write_text(issued.private_key.reveal())
    settings: dict[str, object] = {
        "listenAddress": f"127.0.0.1:{api}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(certificate),
        "privateKey": str(key),
        "httpPort": http_port,
        "tlsPort": tls,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": bool(customers),
        "externalAccountMACKeys": dict(customers or {}),
    }
    if validity_days is not None:
        settings["certificateValidityPeriod"] = validity_days * 86400
    config.write_text(json.dumps({"pebble": settings}))
    resolver = [
        str(programs["pebble-challtestsrv"]), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
        "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{dns_management}",
        "-http01", "", "-https01", "", "-tlsalpn01", "",
    ]  # fmt: skip
    server = [str(programs["pebble"]), "-config", str(config), "-dnsserver", name_server or f"127.0.0.1:{dns}"]
    if strict:
        server.append("-strict")
    variables = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", **(environment or {})}
    async with (
        _process(resolver, folder / "dns.log", variables),
        _process(server, folder / "pebble.log", variables) as pid,
    ):
        for port in (api, management, dns_management):
            await listening(port)
        yield Pebble(
            pid=pid,
            directory=f"https://127.0.0.1:{api}/dir",
            root=str(certificate),
            management=f"https://127.0.0.1:{management}",
            dns=f"http://127.0.0.1:{dns_management}",
            dns_server=f"127.0.0.1:{dns}",
            http_port=http_port,
        )


async def listening(port: int, *, host: str = "127.0.0.1") -> None:
    """
    Return once something listens on a TCP port.

    Raises:
        TimeoutError: nothing did within 20 seconds.
    """
    async with asyncio.timeout(_START_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def _process(command: list[str], log: Path, environment: dict[str, str]) -> AsyncIterator[int]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            process.send_signal(signal.SIGCONT)
        await process.wait()
