"""
Runs PowerDNS as a primary that takes dynamic updates (RFC 2136): zones and TSIG keys in a SQLite file of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.knot import described, found, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.bind import Bind

_SCHEMAS = (
    Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"),
    Path("/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql"),
)


@contextlib.asynccontextmanager
async def running(folder: Path, *, zones: Sequence[str] = ("example.org",)) -> AsyncIterator[Bind]:
    """
    Run PowerDNS inside the context. What is yielded speaks DNS with it as with any server of the tests.

    Raises:
        FileNotFoundError: it is not installed.
    """
    program = found("pdns_server", package="pdns-server pdns-backend-sqlite3")
    own = folder / "pdns-update"
    own.mkdir()
    server = described(zones)
    await asyncio.to_thread(_fill, own / "pdns.sqlite3", server)
    (own / "pdns.conf").write_text(
        f"launch=gsqlite3\ngsqlite3-database={own}/pdns.sqlite3\ngsqlite3-pragma-synchronous=0\n"
        f"local-address={server.address}\nlocal-port={server.port}\nsocket-dir={own}\ndnsupdate=yes\n"
        "allow-dnsupdate-from=127.0.0.0/8\nallow-axfr-ips=127.0.0.0/8\nsecurity-poll-suffix=\nreceiver-threads=1\n"
        "distributor-threads=1\nquery-cache-ttl=0\ncache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\n"
    )
    async with served(server, own / "pdns.log", program, f"--config-dir={own}", "--daemon=no", "--guardian=no"):
        yield server


def _fill(file: Path, server: Bind) -> None:
    """
    Write zones, keys, and which key may change which zone, as `pdnsutil` would.
    """
    schema = next(path for path in _SCHEMAS if path.exists()).read_text()
    with contextlib.closing(sqlite3.connect(file)) as base:
        base.executescript(schema)
        for algorithm, secret in server.secrets.items():
            base.execute(
                "INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, ?, ?)",
                (server.key_name(algorithm), algorithm, secret),
            )
        for zone in server.zones:
            row = base.execute("INSERT INTO domains (name, type) VALUES (?, 'NATIVE')", (zone,))
            for name, kind, content in (
                (zone, "SOA", f"ns1.{zone} hostmaster.{zone} 1 60 60 3600 1"),
                (zone, "NS", f"ns1.{zone}"),
                (f"ns1.{zone}", "A", server.address),
            ):
                base.execute(
                    "INSERT INTO records (domain_id, name, type, content, ttl, auth) VALUES (?, ?, ?, ?, 60, 1)",
                    (row.lastrowid, name, kind, content),
                )
            for algorithm in server.secrets:
                base.execute(
                    "INSERT INTO domainmetadata (domain_id, kind, content) VALUES (?, 'TSIG-ALLOW-DNSUPDATE', ?)",
                    (row.lastrowid, server.key_name(algorithm)),
                )
        base.commit()
