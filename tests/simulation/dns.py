"""
The DNS of the simulated world: a provider with two name servers that learn of changes later, and what looks at them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatelodge.core.caa import Record
from gatelodge.errors import DnsError, Problem
from gatelodge.ports import Authority

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from tests.simulation.world import World

    from gatelodge.ports import TxtRecord

ZONE = "example.com"
SERVERS = ("ns1.example.net", "ns2.example.net")

#: After how long a name server shows a change, in seconds, and while it lags.
_LAG = (0.5, 20.0)
_LONG_LAG = (600.0, 20000.0)

#: How long an adapter waits for its provider.
_TIMEOUT = 30.0

#: How often the resolver looks again.
_LOOK_AGAIN = 5.0


class Dns:
    """
    What is published. `records` are those that the provider has; `changes` counts what changed about them.
    """

    def __init__(self, world: World) -> None:
        self.records: dict[TxtRecord, dict[str, float]] = {}
        self.changes = 0
        self._world = world

    def add(self, record: TxtRecord) -> None:
        """
        Publish a record; the name servers show it later.
        """
        if record in self.records:
            return
        self.changes += 1
        now, chance = self._world.loop.time(), self._world.chance
        lag = _LONG_LAG if self._world.weather.lasting["DNS lags"] else _LAG
        self.records[record] = {server: now + chance.uniform(*lag) for server in SERVERS}
        self._world.story.count("records added")

    def remove(self, record: TxtRecord) -> None:
        """
        Take a record away.
        """
        self.changes += 1
        self.records.pop(record, None)

    def at(self, server: str, name: str) -> frozenset[str]:
        """
        Return what a name server shows.
        """
        now = self._world.loop.time()
        return frozenset(
            record.value for record, seen in self.records.items() if record.name == name and seen[server] <= now
        )

    def shown(self, name: str) -> frozenset[str]:
        """
        Return what a CA sees: that of one server.
        """
        if self._world.weather.lasting["name servers silent"]:
            return frozenset()
        return self.at(self._world.chance.choice(SERVERS), name)


class Provider:
    """
    Implements `ports.DnsProvider`.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    async def zone_of(self, name: str) -> str:
        await self._ask(f"zone of {name}")
        if not name.endswith(f".{ZONE}"):
            raise DnsError(Problem(type="dnsZone", detail=f"no zone here holds {name}"))
        return ZONE

    async def name_servers(self, zone: str) -> frozenset[str] | None:
        await self._ask(f"servers of {zone}")
        return frozenset(SERVERS)

    async def add(self, record: TxtRecord) -> str | None:
        late = await self._ask(f"add {record.name}")
        if late:
            self._world.loop.in_world(self._world.chance.uniform(1, _TIMEOUT - 2), lambda: self._world.dns.add(record))
            await asyncio.sleep(self._world.chance.uniform(0, _TIMEOUT))
            raise DnsError(Problem(type="dnsProvider", detail="it did not answer in time"))
        self._world.dns.add(record)
        await self._world.touch("provider", f"added {record.name}")
        return f"id-{record.value[:8]}"

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        del known_as
        late = await self._ask(f"remove {record.name}")
        if late:
            raise DnsError(Problem(type="dnsProvider", detail="it did not answer in time"))
        self._world.dns.remove(record)
        await self._world.touch("provider", f"removed {record.name}")

    async def _ask(self, what: str) -> bool:
        """
        Ask. Tells whether it will do so late, when nobody waits any more.
        """
        mishap = await self._world.touch("provider", what)
        if mishap is not None:
            self._world.troubles.mark("dns")
        if mishap == "hang":
            await asyncio.sleep(_TIMEOUT)
        if mishap in {"hang", "refused"}:
            raise DnsError(Problem(type="dnsProvider", detail="the provider is in trouble"))
        if self._world.weather.lasting["credentials expired"]:
            raise DnsError(Problem(type="dnsCredentials", detail="the access key has expired"))
        return mishap == "done late"


class Resolver:
    """
    Implements `ports.Resolver`.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    async def canonical(self, name: str) -> str:
        await self._ask(f"CNAME of {name}")
        return name

    async def caa(self, name: str, *, fresh: bool = False) -> tuple[Record, ...]:
        del fresh
        if await self._ask(f"CAA of {name}"):
            return (Record(owner=name, flags=0, tag="issue", value="ca.example.net"),)
        return ()

    async def addresses(self, name: str, kind: str) -> tuple[str, ...]:
        if await self._ask(f"{kind} of {name}"):
            return ()
        return ("203.0.113.7",) if kind == "A" else ()

    async def authority(self, name: str) -> Authority:
        if await self._ask(f"SOA of {name}"):
            return Authority(zone=ZONE, servers=frozenset({"ns.example.org"}))
        return Authority(zone=ZONE, servers=frozenset(SERVERS))

    async def wait_for(
        self,
        wanted: Mapping[str, frozenset[str]],
        *,
        kind: str,
        within: dt.timedelta,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        del kind, progress
        deadline = self._world.loop.time() + within.total_seconds()
        while True:
            missing = [
                f"{server} lacks {name}"
                for name, values in wanted.items()
                for server in SERVERS
                if not values <= self._world.dns.at(server, name)
            ]
            try:
                if await self._ask("TXT"):
                    missing = ["another value"]
            except DnsError as error:
                missing = [error.problem.detail]
            if not missing:
                return
            if self._world.loop.time() >= deadline:
                raise DnsError(Problem(type="propagation", detail="; ".join(missing)))
            await asyncio.sleep(_LOOK_AGAIN)

    async def _ask(self, what: str) -> bool:
        """
        Ask. Tells whether the answer is a wrong one.
        """
        mishap = await self._world.touch("dns", what)
        if mishap is not None:
            self._world.troubles.mark("dns")
        if mishap == "hang":
            await asyncio.sleep(5)
        if mishap in {"hang", "refused"} or self._world.weather.lasting["name servers silent"]:
            raise DnsError(Problem(type="dnsProvider", detail="no name server answers"))
        return mishap == "wrong DNS answer"
