"""
Zone files that dns-lexicon's `localzone` writes: what they hold is what BIND's own reader makes of them.

A BIND runs beside them with the same zones, for those who look for the zone of a name.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import subprocess
from typing import TYPE_CHECKING

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone
from tests.support import bind
from tests.support.knot import found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ZoneFiles(bind.Bind):
    """
    The files of all zones in a folder.
    """

    folder: Path

    def file(self, zone: str) -> Path:
        """
        Return the file of a zone.
        """
        return self.folder / f"{zone}.txt"

    async def update(self, zone: str, *changes: tuple[str, ...]) -> None:
        """
        Add records as an administrator would, with an editor.
        """
        await asyncio.to_thread(self._edit, zone, changes)

    def _edit(self, zone: str, changes: Sequence[tuple[str, ...]]) -> None:
        held = dns.zone.from_file(str(self.file(zone)), origin=zone, relativize=False)
        for verb, name, ttl, kind, value in changes:
            assert verb == "add"
            rdata = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(kind), value)
            held.find_rdataset(dns.name.from_text(name), kind, create=True).add(rdata, int(ttl))
        held.to_file(str(self.file(zone)), relativize=False)

    def _transfer(self, zone: str) -> dns.zone.Zone:
        command = (found("named-compilezone", package="bind9-utils"), "-q", "-o", "-", zone, str(self.file(zone)))
        out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        return dns.zone.from_text(out.stdout, origin=zone, relativize=False)


@contextlib.asynccontextmanager
async def running(folder: Path, *, zones: Sequence[str] = ("example.org",)) -> AsyncIterator[ZoneFiles]:
    """
    Write the files, and run BIND inside the context.
    """
    async with bind.running(folder, zones=zones, hosts=None) as server:
        held = {each.name: getattr(server, each.name) for each in dataclasses.fields(server)}
        files = ZoneFiles(**held, folder=folder)
        for zone in zones:
            files.file(zone).write_text(bind._zone(zone, server.address, None))
        yield files
