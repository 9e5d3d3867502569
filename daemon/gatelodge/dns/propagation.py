"""
Waits until every name server of a zone has a record: what the CA will ask.

All names wait together, and each server is asked itself. A server that answers wrongly counts as lacking; one that never answers
counts as dead after some rounds, while others answer, since the CA's resolver passes over it too. Where port 53 cannot be used,
DNS-over-HTTPS services are asked; where nothing can, time is all there is.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
from typing import TYPE_CHECKING

from gatelodge.dns.asking import NoAnswer
from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from gatelodge.dns.asking import Answer
    from gatelodge.dns.resolver import PublicResolver, Zone
    from gatelodge.ports import Clock

#: Seconds between two looks at the name servers; the last goes on. They are asked for what nobody has cached, so that soon is kind.
_WAITS = (0.3, 0.7, 1.0, 2.0, 3.0, 5.0)

#: Seconds between two looks at caching services: a "no" may be repeated for as long as the zone says.
_CACHED_WAITS = (5.0, 10.0, 15.0)

#: A server that did not answer in so many rounds in a row is dead, when others do.
_DEAD_AFTER = 3

#: Caching services that must have seen a record; one of several may have asked too early, and will say no for a while.
_WITNESSES = 2

_SHOWN = 3


@dataclasses.dataclass(kw_only=True)
class _Watch:
    """
    One name: what it must have, and why it has not, by server.
    """

    name: str
    values: frozenset[str]
    zone: Zone | None
    lacking: dict[str, str] = dataclasses.field(default_factory=dict)
    witnesses: set[str] = dataclasses.field(default_factory=set)
    done: bool = False

    @property
    def direct(self) -> bool:
        return self.zone is not None and self.zone.direct


class Propagation:
    """
    One wait for some names.
    """

    def __init__(
        self,
        *,
        resolver: PublicResolver,
        clock: Clock,
        kind: str,
        within: dt.timedelta,
        progress: Callable[[str], None],
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self._kind = kind
        self._within = within
        self._progress = progress
        self._silent: collections.Counter[str] = collections.Counter()
        self._heard: set[str] = set()

    async def wait(self, wanted: Mapping[str, frozenset[str]]) -> None:
        """
        Return once all names have all of their values everywhere, as `ports.Resolver` says.
        """
        deadline = self._clock.monotonic() + self._within.total_seconds()
        zones = await self._zones(list(wanted))
        watches = [_Watch(name=name, values=values, zone=zones[name]) for name, values in wanted.items()]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch([each for each in watches if each.direct], deadline))
            group.create_task(self._watch_services([each for each in watches if not each.direct], deadline))
        late = [watch for watch in watches if not watch.done]
        if late:
            raise DnsError(self._problem(late))

    async def _zones(self, names: list[str]) -> dict[str, Zone | None]:
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(self._zone(name)) for name in names}
        return {name: task.result() for name, task in tasks.items()}

    async def _zone(self, name: str) -> Zone | None:
        try:
            return await self._resolver.zone(name)
        except DnsError:
            return None

    # Name servers

    async def _watch(self, watches: list[_Watch], deadline: float) -> None:
        for turn in range(1_000_000):
            left = [watch for watch in watches if not watch.done]
            if not left:
                return
            self._progress(f"waiting for the name servers of {_listed([watch.name for watch in left])}")
            await self._round(left)
            if all(watch.done for watch in left) or not await self._pause(_WAITS[min(turn, len(_WAITS) - 1)], deadline):
                return

    async def _round(self, watches: list[_Watch]) -> None:
        """
        Ask every server of every name that still lacks something.
        """
        async with asyncio.TaskGroup() as group:
            asked = [
                (watch, f"{server} ({address})", group.create_task(self._ask(address, watch.name)))
                for watch in watches
                if watch.zone is not None
                for server, address in watch.zone.addresses
            ]
        for watch in watches:
            watch.lacking.clear()
        answers = [(watch, place, task.result()) for watch, place, task in asked]
        self._heard |= {place for _, place, said in answers if not isinstance(said, NoAnswer)}
        for place in {place for _, place, _ in answers}:
            mute = all(isinstance(said, NoAnswer) for _, where, said in answers if where == place)
            self._silent[place] = self._silent[place] + 1 if mute else 0
        for watch, place, said in answers:
            if isinstance(said, NoAnswer):
                if not self._dead(place, said, watch):
                    watch.lacking[place] = str(said)
            elif not watch.values <= said.values:
                watch.lacking[place] = self._found(watch, said)
        for watch in watches:
            watch.done = not watch.lacking

    def _dead(self, place: str, why: NoAnswer, watch: _Watch) -> bool:
        """
        Tell whether a server is passed over: others of its zone answer, and it never does, or this machine has no way to it.
        """
        others = {f"{server} ({address})" for server, address in (watch.zone.addresses if watch.zone else ())} - {place}
        return bool(others & self._heard) and (why.unreachable or self._silent[place] >= _DEAD_AFTER)

    async def _ask(self, address: str, name: str) -> Answer | NoAnswer:
        try:
            return await self._resolver.ask(address, name, self._kind)
        except NoAnswer as error:
            return error

    # DNS over HTTPS

    async def _watch_services(self, watches: list[_Watch], deadline: float) -> None:
        """
        Look for records at caching services, gently: what is asked for too early is denied for a while.
        """
        if not watches:
            return
        services = self._resolver.services
        for turn in range(1_000_000):
            if not await self._pause(_CACHED_WAITS[min(turn, len(_CACHED_WAITS) - 1)], deadline):
                break
            left = [watch for watch in watches if not watch.done]
            if not left:
                return
            self._progress(f"asking DNS-over-HTTPS services for {_listed([watch.name for watch in left])}")
            for url in services:
                await self._witness(url, left)
            for watch in left:
                watch.done = len(watch.witnesses) >= min(_WITNESSES, len(services)) > 0
            if all(watch.done for watch in left):
                return
        if not self._heard & set(services):
            # Nobody can be asked at all. The provider took the records, and the time that it may need has passed.
            for watch in watches:
                watch.done = True

    async def _witness(self, url: str, watches: list[_Watch]) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [(watch, group.create_task(self._ask_service(url, watch.name))) for watch in watches]
        for watch, task in tasks:
            said = task.result()
            if isinstance(said, NoAnswer):
                continue
            self._heard.add(url)
            watch.lacking.pop(url, None)
            if watch.values <= said.values:
                watch.witnesses.add(url)
            else:
                watch.lacking[url] = self._found(watch, said)

    async def _ask_service(self, url: str, name: str) -> Answer | NoAnswer:
        try:
            return await self._resolver.ask_service(url, name, self._kind)
        except NoAnswer as error:
            return error

    async def _pause(self, seconds: float, deadline: float) -> bool:
        """
        Wait for the next round. Returns whether there is time for one.
        """
        left = deadline - self._clock.monotonic()
        if left <= 0:
            return False
        await self._clock.sleep(min(seconds, left))
        return True

    def _found(self, watch: _Watch, said: Answer) -> str:
        missing = len(watch.values - said.values)
        if said.rcode == "NOERROR" and said.values & watch.values:
            return f"it has {len(watch.values) - missing} of {len(watch.values)} values"
        return f"it answered {said}"

    def _problem(self, late: list[_Watch]) -> Problem:
        told = [
            f"{server} has not the {self._kind} record of {watch.name}: {why}"
            for watch in late
            for server, why in sorted(watch.lacking.items())
        ] or [f"no server could be asked for {_listed([watch.name for watch in late])}"]
        more = f" (and {len(told) - _SHOWN} more)" if len(told) > _SHOWN else ""
        seconds = self._within.total_seconds()
        return Problem(
            type="propagation",
            detail=f"after {seconds:g} s {'; '.join(told[:_SHOWN])}{more}; the CA was not asked. Raise `wait` in [dns] when this "
            "name server is slow, or have it mended",
        )


def _listed(names: list[str]) -> str:
    first, *more = names
    return f"{first} and {len(more)} more" if more else first
