"""
Runs Caddy as an ACME server, on a free port of the loopback address and with a local CA of its own, and stops it by its own pid.

It proves names by DNS, at the name server that it is given. All that it writes stays in its folder; no trust store is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.waiting import until

from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROGRAM = Path(__file__).parents[2] / ".venv" / "scan" / "bin" / "caddy"

_CONFIG = """
{{
    admin off
    persist_config off
    skip_install_trust
    auto_https disable_redirects
    storage file_system "{folder}/storage"
    servers {{
        protocols h1 h2
    }}
}}
https://127.0.0.1:{port} {{
    bind 127.0.0.1
    tls internal
    acme_server {{
        challenges dns-01
        resolvers {name_server}
    }}
}}
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Caddy:
    """
    A running Caddy: its process, its directory URL, and the PEM file of its root, by which its HTTPS is trusted too.
    """

    pid: int
    directory: str
    root: str

    def root_pem(self) -> str:
        """
        Return its root.
        """
        return Path(self.root).read_text()


@contextlib.asynccontextmanager
async def running(folder: Path, *, name_server: str) -> AsyncIterator[Caddy]:
    """
    Run Caddy inside the context.

    Args:
        folder: an existing folder for its configuration, storage and log.
        name_server: `ADDRESS:PORT` that it asks for TXT records.

    Raises:
        FileNotFoundError: it is not installed.
        TimeoutError: it did not start; its log is in `folder`.
    """
    own = folder / "caddy"
    own.mkdir()
    (port,) = free_ports(1)
    config, root = own / "Caddyfile", own / "storage" / "pki" / "authorities" / "local" / "root.crt"
    config.write_text(_CONFIG.format(folder=own, port=port, name_server=name_server))
    homes = {each: str(own) for each in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    with (folder / "caddy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "run", "--config", config, "--adapter", "caddyfile",
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **homes},
        )  # fmt: skip
    try:
        await until(lambda: _answers(port, root), seconds=30)
        yield Caddy(pid=process.pid, directory=f"https://127.0.0.1:{port}/acme/local/directory", root=str(root))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _answers(port: int, root: Path) -> bool:
    """
    Tell whether it shows a certificate of its own root: it listens a moment before it has one.
    """
    try:
        trusted = ssl.create_default_context(cafile=root)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
