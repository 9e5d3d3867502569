"""
A DNS provider in memory, for tests of what stands before the port. It is no proof of any adapter: their own tests are.
"""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING

from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.ports import TxtRecord


class FakeProvider:
    """
    Implements `ports.DnsProvider`. `at` is called at each step with its name, and may raise; `hold` makes each step wait.
    """

    def __init__(self, *zones: str, servers: frozenset[str] | None = None) -> None:
        self.zones = zones
        self.servers = servers
        self.records: set[TxtRecord] = set()
        self.calls: collections.Counter[str] = collections.Counter()
        self.removed_by: list[str | None] = []
        self.at: Callable[[str, TxtRecord], None] = lambda _, __: None
        self.hold: asyncio.Event | None = None

    async def zone_of(self, name: str) -> str:
        fit = [zone for zone in self.zones if name == zone or name.endswith(f".{zone}")]
        if not fit:
            raise DnsError(Problem(type="dnsZone", detail=f"no zone here holds {name}"))
        return max(fit, key=len)

    async def name_servers(self, zone: str) -> frozenset[str] | None:
        del zone
        return self.servers

    async def add(self, record: TxtRecord) -> str | None:
        self.calls["add"] += 1
        await self._step("before add", record)
        self.records.add(record)
        await self._step("after add", record)
        return f"id of {record.value}"

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        self.calls["remove"] += 1
        await self._step("before remove", record)
        self.records.discard(record)
        self.removed_by.append(known_as)
        await self._step("after remove", record)

    async def _step(self, step: str, record: TxtRecord) -> None:
        self.at(step, record)
        if self.hold is not None:
            await self.hold.wait()
        await asyncio.sleep(0)
