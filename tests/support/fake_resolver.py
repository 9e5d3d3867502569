"""
The DNS as a table.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatelodge.core.caa import Record
from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


class FakeResolver:
    """
    Implements what is looked up of `ports.Resolver` before an order, and after one failed.

    `records` are CAA records by name: flags, tag and value; `fresh` those that are seen past caches, the same when None; `placed`
    addresses by name and kind; `silent` are names of which nothing can be told, `slow` is for how long all answers take.
    """

    def __init__(self) -> None:
        self.records: dict[str, list[tuple[int, str, str]]] = {}
        self.fresh: dict[str, list[tuple[int, str, str]]] | None = None
        self.placed: dict[tuple[str, str], tuple[str, ...]] = {}
        self.silent: set[str] = set()
        self.slow = 0.0
        self.asked: list[tuple[str, str]] = []

    async def caa(self, name: str, *, fresh: bool = False) -> tuple[Record, ...]:
        self.asked.append((name, "fresh" if fresh else "CAA"))
        await self._answer(name)
        held: Mapping[str, list[tuple[int, str, str]]] = self.records
        if fresh and self.fresh is not None:
            held = self.fresh
        return tuple(Record(owner=name, flags=flags, tag=tag, value=value) for flags, tag, value in held.get(name, ()))

    async def addresses(self, name: str, kind: str) -> tuple[str, ...]:
        self.asked.append((name, kind))
        await self._answer(name)
        return self.placed.get((name, kind), ())

    async def _answer(self, name: str) -> None:
        await asyncio.sleep(self.slow)
        if name in self.silent:
            raise DnsError(Problem(type="dnsProvider", detail=f"{name}: nobody answers"))
