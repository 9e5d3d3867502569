"""
Runs BIND on free ports of the loopback address, with dynamic zones and TSIG keys, and stops it by its own pid.

Nothing here is a mock: what is published is what `named` answers to a zone transfer.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import os
import secrets
import shutil
from typing import TYPE_CHECKING

import dns.asyncquery
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import dns.xfr
import dns.zone
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

ALGORITHMS = ("hmac-sha256", "hmac-sha512")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """
    A running BIND. Each key (by its algorithm) may update all zones; the secrets were made for this run.
    """

    pid: int
    address: str
    port: int
    zones: tuple[str, ...]
    secrets: dict[str, str]

    @property
    def server(self) -> str:
        """
        `ADDRESS:PORT`.
        """
        return f"{self.address}:{self.port}"

    def key_name(self, algorithm: str = ALGORITHMS[0]) -> str:
        """
        Return the name of the key with an algorithm.
        """
        return f"test-{algorithm}"

    async def update(self, zone: str, *changes: tuple[str, ...]) -> None:
        """
        Change a zone as an administrator would: `("add", name, ttl, type, value)`, `("delete", name)`, `("delete", name, type, value)`.
        """
        ring = dns.tsigkeyring.from_text({self.key_name(): (ALGORITHMS[0], self.secrets[ALGORITHMS[0]])})
        update = dns.update.UpdateMessage(zone, keyring=ring)
        for verb, name, *rest in changes:
            if verb == "add":
                update.add(dns.name.from_text(name), int(rest[0]), *rest[1:])
            else:
                update.delete(dns.name.from_text(name), *rest)
        answer = await dns.asyncquery.tcp(update, self.address, port=self.port, timeout=10)
        assert answer.rcode() == dns.rcode.NOERROR, answer

    async def records(self, zone: str) -> set[tuple[str, str, str]]:
        """
        Return what a zone holds, by a zone transfer: name, type and value of each record, without its SOA.
        """
        held = await asyncio.to_thread(self._transfer, zone)
        found = set()
        for name, node in held.items():
            for rdataset in node:
                kind = dns.rdatatype.to_text(rdataset.rdtype)
                if kind != "SOA":
                    where = name.to_text(omit_final_dot=True).lower()
                    found |= {(where, kind, _value(kind, rdata)) for rdata in rdataset}
        return found

    async def txt(self, zone: str) -> set[tuple[str, str]]:
        """
        Return the TXT records of a zone, as name and value.
        """
        return {(name, value) for name, kind, value in await self.records(zone) if kind == "TXT"}

    def _transfer(self, zone: str) -> dns.zone.Zone:
        held = dns.zone.Zone(zone, relativize=False)
        query, _ = dns.xfr.make_query(held)
        dns.query.inbound_xfr(self.address, held, query, port=self.port, timeout=10, lifetime=20)
        return held


def _value(kind: str, rdata: object) -> str:
    if kind == "TXT":
        return b"".join(rdata.strings).decode()  # type: ignore[attr-defined]
    return str(rdata).removesuffix(".").lower()


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    *,
    zones: Sequence[str] = ("example.org",),
    address: str = "127.0.0.1",
    port: int | None = None,
    hosts: str | None = "127.0.0.1",
    recursive: bool = False,
) -> AsyncIterator[Bind]:
    """
    Run BIND inside the context.

    Args:
        folder: an existing folder for its configuration, zones and log.
        hosts: the address of every name of a zone that is not there otherwise; None for no such address.
        zones: each has the name server `ns1.ZONE`, which is this one.
        recursive: follow CNAMEs from one zone into another for who asks for it, as a CA's resolver does. Nothing else is known.

    Raises:
        FileNotFoundError: it is not installed.
    """
    program = shutil.which("named", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise FileNotFoundError("named is not installed (Debian: apt install bind9)")
    port = port or free_ports(1)[0]
    keys = {each: base64.b64encode(secrets.token_bytes(32)).decode() for each in ALGORITHMS}
    own = folder / f"bind-{address.replace(':', '_')}-{port}"
    own.mkdir()
    for zone in zones:
        (own / f"{zone}.zone").write_text(_zone(zone, address, hosts))
    config = own / "named.conf"
    if recursive:
        (own / "root.zone").write_text(_zone("", address, None))
    config.write_text(_config(own, address, port, zones, keys, recursive=recursive))
    with (own / "named.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, "-g", "-c", str(config), "-n", "1", stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
    bind = Bind(pid=process.pid, address=address, port=port, zones=tuple(zones), secrets=keys)
    try:
        await until(lambda: _answers(bind))
        yield bind
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _answers(bind: Bind) -> bool:
    query = dns.message.make_query(bind.zones[0], "SOA")
    try:
        answer = await dns.asyncquery.tcp(query, bind.address, port=bind.port, timeout=2)
    except (OSError, EOFError, dns.exception.DNSException):
        return False
    return bool(answer.flags & dns.flags.AA)


def _zone(zone: str, address: str, hosts: str | None) -> str:
    kind = "AAAA" if ":" in address else "A"
    wildcard = f"* 60 IN A {hosts}\n@ 60 IN A {hosts}\n" if hosts else ""
    return (
        f"$ORIGIN {zone}.\n$TTL 60\n"
        f"@ IN SOA ns1 hostmaster 1 60 60 3600 1\n@ IN NS ns1\nns1 IN {kind} {address}\n{wildcard}"
    )


def _config(own: Path, address: str, port: int, zones: Sequence[str], keys: dict[str, str], *, recursive: bool) -> str:
    listening = (
        f"listen-on {{ none; }}; listen-on-v6 port {port} {{ {address}; }};"
        if ":" in address
        else f"listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};"
    )
    stated = "".join(
        f'key "test-{algorithm}" {{ algorithm {algorithm}; secret "{secret}"; }};\n'
        for algorithm, secret in keys.items()
    )
    allowed = " ".join(f'key "test-{algorithm}";' for algorithm in keys)
    served = "".join(
        f'zone "{zone}" {{ type primary; file "{own}/{zone}.zone"; allow-update {{ {allowed} }}; }};\n'
        for zone in zones
    )
    root = f'zone "." {{ type primary; file "{own}/root.zone"; }};\n' if recursive else ""
    return (
        f'options {{ directory "{own}"; pid-file "{own}/named.pid"; session-keyfile "{own}/session.key"; {listening}\n'
        f"recursion {'yes' if recursive else 'no'}; dnssec-validation no; allow-transfer {{ any; }}; notify no; lock-file none; empty-zones-enable no; }};\n"
        f"controls {{ }};\n{stated}{root}{served}"
    )
