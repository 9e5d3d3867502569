"""
Runs PowerDNS with its HTTP API on free ports of the loopback address, and stops it by its own pid.

Nothing here is a mock: what is published is what it answers to a zone transfer.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from typing import TYPE_CHECKING

from tests.support.knot import described, found, served
from tests.support.pdns_update import _fill
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.support.bind import Bind


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """
    The HTTP API of a running PowerDNS: its URL, and its key, which was made for this run.
    """

    url: str
    key: str


@contextlib.asynccontextmanager
async def running(folder: Path, *, zones: Sequence[str] = ("example.org",)) -> AsyncIterator[tuple[Bind, Api]]:
    """
    Run PowerDNS inside the context. The first that is yielded speaks DNS with it as with any server of the tests.

    Raises:
        FileNotFoundError: it is not installed.
    """
    program = found("pdns_server", package="pdns-server pdns-backend-sqlite3")
    own = folder / "pdns-api"
    own.mkdir()
    server = described(zones)
    port = free_ports(1)[0]
    api = Api(url=f"http://127.0.0.1:{port}", key=secrets.token_urlsafe(24))
    await asyncio.to_thread(_fill, own / "pdns.sqlite3", server)
    (own / "pdns.conf").write_text(
        f"launch=gsqlite3\ngsqlite3-database={own}/pdns.sqlite3\ngsqlite3-pragma-synchronous=0\n"
        f"local-address={server.address}\nlocal-port={server.port}\nsocket-dir={own}\ndnsupdate=yes\n"
        "allow-dnsupdate-from=127.0.0.0/8\nallow-axfr-ips=127.0.0.0/8\nsecurity-poll-suffix=\nreceiver-threads=1\n"
        "distributor-threads=1\nquery-cache-ttl=0\ncache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\n"
        f"api=yes\napi-key={api.key}\nwebserver=yes\nwebserver-address=127.0.0.1\nwebserver-port={port}\n"
    )
    async with served(server, own / "pdns.log", program, f"--config-dir={own}", "--daemon=no", "--guardian=no"):
        await until(lambda: _listens(port))
        yield server, api


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
