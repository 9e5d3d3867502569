"""
Rounds of one gate's life: each begins something (an issuance, a renewal, a reload, a host of dynamic DNS), kills somebody amid it, often
once more amid the recovery, starts again what a service manager would, and waits until all is well.

The moments are random and follow from the seed; what a machine does meanwhile does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
import random
import time
from typing import TYPE_CHECKING

from tests.support import crash_invariants
from tests.support.crash_house import BASE, opened
from tests.support.crash_visitor import Tally, visiting
from tests.support.waiting import until

from gatelodge.nginx import process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.support.crash_house import CrashHouse

#: A crash may take this long to recover from, on a shared machine; what is tried again later is asked for, as a person would. Seconds.
BOUND = 60.0

#: Dynamic DNS looks for what it wrote at a zone's name servers for so long, where they cannot be found out: the daemon is busy until then. Seconds.
PROOF = 120.0

#: What was left at a name server that was dead is taken away by a later try, this late at most. Seconds.
LAST = 240.0

#: Of the rounds, those in which somebody is killed while he recovers.
_TWICE = 0.35

#: How much longer than a calm one the time is from which a moment is drawn; and the least, and that of a recovery. Seconds.
_LONGER = 1.3
_LEAST_SECONDS = 0.3
_RECOVERY_SECONDS = 2.0
_BETWEEN_SECONDS = 0.5


class Kind(enum.StrEnum):
    """
    Who is killed.
    """

    DAEMON = "daemon"
    NGINX = "nginx"
    PEBBLE = "CA"
    BIND = "name server"
    ALL = "all"


class Work(enum.StrEnum):
    """
    What is going on meanwhile.
    """

    ISSUANCE = "issuance"
    RENEWAL = "renewal"
    RELOAD = "reload"
    DDNS = "ddns"


@dataclasses.dataclass(slots=True, kw_only=True)
class Row:
    """
    What all crashes of a kind came to. `lost` are certificates that the CA made and forgot, before anybody could fetch them; `worst` is the
    longest recovery, in seconds.
    """

    kind: str
    crashes: int = 0
    requests: int = 0
    repeated: int = 0
    refused: int = 0
    failed: int = 0
    extra_orders: int = 0
    extra_certificates: int = 0
    lost: int = 0
    asked_again: int = 0
    records_left: int = 0
    worst: float = 0.0
    breaches: list[str] = dataclasses.field(default_factory=list)


class Rounds:
    """
    One gate, and what becomes of it.
    """

    def __init__(
        self,
        house: CrashHouse,
        kind: str,
        moments: random.Random,
        group: asyncio.TaskGroup,
        tell: Callable[[str], None],
    ) -> None:
        self.row = Row(kind=kind)
        self.house, self._kind, self.random, self._group, self._tell = house, kind, moments, group, tell
        self._calm: dict[Work, float] = {}
        self._stored: set[int] = set()
        self._forgotten: set[int] = set()
        self._begun: list[Work] = []
        self.story: list[str] = []

    async def play(self, times: int) -> None:
        """
        Crash so many times, and look at what is left in the end.
        """
        async with self.living() as tally:
            for work in Work:
                began = time.monotonic()
                await self.begin(work)
                await self.settled()
                self._calm[work] = time.monotonic() - began
            self._take_stock()
            while self.row.crashes < times and not self.row.breaches:
                async with self.watched(tally):
                    await self._crash(tally)

    @contextlib.asynccontextmanager
    async def living(self) -> AsyncIterator[Tally]:
        """
        Run the daemon inside the context, while visitors come; and look at what is left in the end.
        """
        house = self.house
        await house.start_daemon()
        await self.settled()
        self._take_stock()
        async with visiting(house.gate.https, tuple(BASE)) as tally:
            yield tally
            if not self.row.breaches:
                await self._last()
        self.row.requests, self.row.repeated, self.row.refused = tally.requests, tally.repeated, tally.refused
        self.row.failed = len(tally.failures)

    @contextlib.asynccontextmanager
    async def watched(self, tally: Tally) -> AsyncIterator[None]:
        """
        Let something happen inside the context, wait until all is well, ask for everything that must hold, and count what it cost.
        """
        house = self.house
        self.story.clear()
        self._begun.clear()
        orders, made, stored = house.orders(), house.certificates(), set(self._stored)
        failures, crashes = len(tally.failures), self.row.crashes
        try:
            yield
            began = time.monotonic()
            await self.settled()
            tally.down = False
            self.row.worst = max(self.row.worst, time.monotonic() - began)
            await self._look(orders, made, stored, crashes=self.row.crashes - crashes)
        except (AssertionError, OSError) as error:
            self.breach(f"{str(error) or repr(error)}; the last that was told: {list(house.gate.events())[-3:]}")
        self.breach(*tally.failures[failures:])
        self._tell(f"{self.row.kind}: {self.row.crashes} times: {'; '.join(self.story)}")

    async def _crash(self, tally: Tally) -> None:
        work = self.random.choice(tuple(Work))
        await self.begin(work)
        await self._wait(self.random.uniform(0, max(_LEAST_SECONDS, self._calm[work] * _LONGER)), "into it")
        await self._kill(tally)
        self.breach(*await asyncio.to_thread(crash_invariants.on_disk, self.house))
        await self._restart()
        if self.random.random() < _TWICE:
            await self._wait(self.random.uniform(0, _RECOVERY_SECONDS), "into the recovery")
            await self._kill(tally)
            await self._restart()

    async def begin(self, work: Work) -> None:
        """
        Begin something.
        """
        house = self.house
        self._begun.append(work)
        match work:
            case Work.ISSUANCE:
                self.story.append(f"issuance for {house.add_site()}")
            case Work.DDNS:
                self.story.append(f"dynamic DNS of {house.add_host()}")
            case Work.RELOAD:
                house.body_size += 1
                house.write()
                self.story.append(f"a reload for body_size {house.body_size}m")
            case Work.RENEWAL:
                name = self.random.choice(house.names)
                self.story.append(f"renewal of {name}")
                self._group.create_task(house.call("POST", "/v1/renew", {"certificate": name, "force": True}))
                return
        house.gate.reload()

    async def _wait(self, seconds: float, what: str) -> None:
        self.story.append(f"{seconds:.3f} s {what}")
        await asyncio.sleep(seconds)

    async def _kill(self, tally: Tally) -> None:
        house, kind = self.house, self._kind
        if kind in {Kind.NGINX, Kind.ALL}:
            which = self.random.choice(("master", "workers", "both")) if kind is Kind.NGINX else "both"
            self.story.append(f"nginx ({which}) killed")
            tally.down = True
            house.kill_nginx(master=which != "workers", workers=which != "master")
        if kind in {Kind.PEBBLE, Kind.ALL}:
            self.story.append("the CA killed")
            await house.kill_pebble()
            self._forgotten |= house.certificates()
        if kind in {Kind.BIND, Kind.ALL}:
            self.story.append("the name server killed")
            await house.kill_bind()
        if kind in {Kind.DAEMON, Kind.ALL}:
            self.story.append("the daemon killed")
            await house.kill_daemon()
        self.row.crashes += 1

    async def _restart(self) -> None:
        house, kind = self.house, self._kind
        starts: list[Callable[[], Awaitable[None]]] = []
        if kind in {Kind.PEBBLE, Kind.ALL}:
            starts.append(house.start_pebble)
        if kind in {Kind.BIND, Kind.ALL}:
            starts.append(house.start_bind)
        if kind in {Kind.DAEMON, Kind.ALL}:
            starts.append(house.start_daemon)
        self.random.shuffle(starts)
        for start in starts:
            await asyncio.sleep(self.random.uniform(0, _BETWEEN_SECONDS))
            await start()

    async def settled(self) -> None:
        """
        Return once every site is served with its certificate; what waits for a later try is asked for meanwhile.
        """
        bound = (BOUND + (PROOF if self._kind in {Kind.BIND, Kind.ALL} else 0)) * self.house.stretch
        try:
            await until(self._is_well, seconds=bound)
        except TimeoutError:
            status = await self.house.call("GET", "/v1/status")
            raise AssertionError(f"it did not settle within {bound:.0f} s: {status}") from None

    async def _is_well(self) -> bool:
        house = self.house
        await asyncio.sleep(0.1)
        status = await house.call("GET", "/v1/status")
        if status is None or {each["site"] for each in status["sites"]} != set(house.names):
            return False
        lacking = [
            each["certificate"]
            for each in status["certificates"]
            if each["state"] != "unused" and (each["state"] != "valid" or each["failure"]) and not each["doing"]
        ]
        for name in lacking:
            certificate = next(each for each in status["certificates"] if each["certificate"] == name)
            if certificate["failure"]:
                self.row.asked_again += 1
                self.story.append(f"{name} asked for again, after {certificate['failure']['error.detail']}")
                await house.call("POST", "/v1/renew", {"certificate": name})
        nginx = status["nginx"]
        return bool(
            not lacking
            and status["settled"]
            and nginx["proven"]
            and nginx["up_to_date"]
            and not any(each["doing"] for each in status["certificates"])
            and all(each["state"] == "serving" for each in status["sites"])
            and len(process.masters(house.entry)) == 1
        )

    def _take_stock(self) -> set[int]:
        """
        Note which certificates of the CA's were stored until now.
        """
        for event in self.house.gate.events():
            if event["event"] in {"certificate.issued", "certificate.renewed"}:
                self._stored.add(int(event["serial"], 16))
        self._stored |= crash_invariants.serials(self.house)
        return self._stored

    async def _look(self, orders: int, made: set[int], stored: set[int], *, crashes: int) -> None:
        """
        Ask for everything that must hold, and count what the crashes cost.
        """
        house = self.house
        self.breach(*await crash_invariants.when_settled(house))
        new = house.certificates() - made
        kept = self._take_stock() - stored
        wanted = sum(work in {Work.ISSUANCE, Work.RENEWAL} for work in self._begun)
        unheard = new - kept
        extra, lost = unheard - self._forgotten, unheard & self._forgotten
        more_orders = house.orders() - orders - len(kept & new)
        self.row.extra_orders += more_orders
        self.row.extra_certificates += len(extra)
        self.row.lost += len(lost)
        if extra or len(kept & new) > wanted:
            self.breach(f"{len(new)} certificates were made, {len(kept & new)} stored, {len(lost)} forgotten by the CA")
        if more_orders > crashes:
            self.breach(f"{crashes} crashes cost {more_orders} orders")
        if self._kind not in {Kind.BIND, Kind.ALL}:
            self.breach(*await self._gone(BOUND * house.stretch))

    async def _last(self) -> None:
        """
        Wait until nothing is left at the name server; start the daemon anew, and see that nothing is left on the disk either.
        """
        house = self.house
        self.story = ["the end"]
        left = await self._gone(LAST * house.stretch)
        self.row.records_left += len(left)
        self.breach(*left)
        await house.kill_daemon()
        await house.start_daemon()
        await self.settled()
        self.breach(*await crash_invariants.when_settled(house), *crash_invariants.leftovers(house))

    async def _gone(self, seconds: float) -> list[str]:
        left: list[str] = []

        async def nothing() -> bool:
            left[:] = await crash_invariants.records(self.house)
            return not left

        with contextlib.suppress(TimeoutError):
            await until(nothing, seconds=seconds)
        return left

    def breach(self, *what: str) -> None:
        """
        Note what must not be, with the story of the round.
        """
        self.row.breaches += [f"{each} | {'; '.join(self.story)}" for each in what]


def seeded(seed: str) -> random.Random:
    """
    Return moments that follow from a seed.
    """
    return random.Random(seed)  # noqa: S311 - nothing is to be kept secret by it


async def rounds(
    folder: Path, kind: Kind, *, times: int, seed: int, stretch: float, tell: Callable[[str], None]
) -> Row:
    """
    Crash a gate so many times in one way.

    Args:
        seed: of the moments.
        stretch: how much longer everything may take.
        tell: is told what goes on.
    """
    async with opened(folder, stretch=stretch) as house, asyncio.TaskGroup() as group:
        player = Rounds(house, kind, seeded(f"{seed} {kind}"), group, tell)
        await player.play(times)
    return player.row
