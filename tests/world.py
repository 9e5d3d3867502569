"""
A simulated world: the real loop, journal, planner, clock's doubt and rendering, with time, CA, disk and nginx made up.

Time moves when nothing else can happen, so years pass in seconds; a scenario is whatever a test does to the parts in between.
What must never be is looked at whenever the world is calm, whatever the scenario (`World.look_around`).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import heapq
import itertools
import random
from typing import TYPE_CHECKING, TypeVar

from tests.support.ca import FakeCa
from tests.support.clock import FakeClock
from tests.support.nginx_fake import FakeNginx
from tests.support.recorder import Recorder

from gatelodge.config.read import read
from gatelodge.core.desired import desired
from gatelodge.errors import StateError
from gatelodge.issuers import selfsigned
from gatelodge.model import INTERNAL_HOST
from gatelodge.nginx.writing.render import render
from gatelodge.runtime.gate import Gate
from gatelodge.runtime.journal import Journal
from gatelodge.runtime.reconcile import Reconciler
from gatelodge.runtime.timekeeper import Timekeeper
from gatelodge.solvers.ledger import Ledger
from gatelodge.stores.memory import MemoryDocuments, MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from gatelodge.core.observed import Held
    from gatelodge.model import CertificateSpec, JsonObject
    from gatelodge.ports import Issued

_T = TypeVar("_T")

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)
SECOND = dt.timedelta(seconds=1)

#: So many turns of the event loop without a rest are a daemon that runs hot.
_HOT = 200_000


class Disk:
    """
    What the stores lie on. Writing takes a turn before and after, so that a daemon can be killed there; while the disk is
    `full`, nothing can be written.
    """

    def __init__(self) -> None:
        self.full = False

    @contextlib.asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """
        Write inside the context.
        """
        await asyncio.sleep(0)
        if self.full:
            raise StateError("/state", "the disk is full", "make room there")
        yield
        await asyncio.sleep(0)


class Store(MemoryStore):
    """
    Certificates on that disk.
    """

    def __init__(self, *, clock: FakeClock, disk: Disk) -> None:
        super().__init__(clock=clock)
        self._disk = disk

    async def put(self, spec: CertificateSpec, issued: Issued) -> Held:
        async with self._disk.written():
            return await super().put(spec, issued)

    def version(self, name: str, number: int) -> Held | None:
        """
        Return a version that is held.
        """
        found = self._versions.get(name, {}).get(number)
        return found[0] if found else None

    def newest(self, name: str) -> Held | None:
        """
        Return the newest version of a certificate.
        """
        return self._newest(name)


class Papers(MemoryDocuments):
    """
    Documents on that disk.
    """

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk

    async def put(self, kind: str, key: str, document: JsonObject) -> None:
        async with self._disk.written():
            await super().put(kind, key, document)

    async def delete(self, kind: str, key: str) -> None:
        async with self._disk.written():
            await super().delete(kind, key)


class Nginx(FakeNginx):
    """
    An nginx that notes when it was started and reloaded (in elapsed seconds), and may not live long: `dies_after` seconds.
    """

    def __init__(self, *, clock: FakeClock, later: Callable[[float, Callable[[], None]], None]) -> None:
        super().__init__(clock=clock)
        self.own_clock = clock
        self.later = later
        self.dies_after: float | None = None
        self.starts: list[float] = []
        self.reloaded: list[float] = []

    def _run(self, number: int) -> None:
        fresh = self._running is None
        super()._run(number)
        (self.starts if fresh else self.reloaded).append(self.own_clock.monotonic())
        if fresh and self.dies_after is not None:
            pid = self._pid
            self.later(self.dies_after, lambda: self.crash() if self._pid == pid else None)


class Diary(Recorder):
    """
    Events with the machine's time, under `time`.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        super().emit(event, level=level, **{"time": self._clock.now(), **fields})


class World:
    """
    The parts, and a daemon that lives among them; with `cas` of two, `spare` is the second CA. `drowsy` lets a resting daemon oversleep its naps, as a laptop does, up to the
    moment that its last plan named: so that what wakes it is the plan alone, and years are short.
    """

    def __init__(self, group: asyncio.TaskGroup, *hosts: str, seed: int = 1, **ca: object) -> None:
        self.clock = FakeClock()
        self.rng = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self.certificates_disk = Disk()
        self.documents_disk = Disk()
        self.store = Store(clock=self.clock, disk=self.certificates_disk)
        self.documents = Papers(self.documents_disk)
        self.events = Diary(self.clock)
        self.nginx = Nginx(clock=self.clock, later=self.later)
        self.ca = FakeCa(clock=self.clock, documents=self.documents, **ca)  # type: ignore[arg-type]
        self.spare = FakeCa(clock=self.clock, documents=self.documents, name="zerossl", **ca)  # type: ignore[arg-type]
        self.cas = '"letsencrypt"'
        self.drowsy = True
        self.expired: set[str] = set()
        self._group = group
        self._script: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._certified: set[str] = set()
        self._daemon: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self.gate = self.configured(*hosts)
        self.reconciler: Reconciler

    # The daemon

    def configured(self, *hosts: str, key: str = "ecdsa-p256", more: str = "", **upstreams: str) -> Gate:
        """
        Return the gate for a configuration with these hosts, and `more` of its text. An upstream may be given by a host's first
        label.
        """
        rows = [f'"{host}" = "http://{upstreams.get(host.partition(".")[0], "127.0.0.1")}:3000"' for host in hosts]
        head = f'[acme]\nagree_tos = true\nemail = "me@example.com"\nca = {self.cas}\nkey = "{key}"'
        cas = {"acme:letsencrypt": self.ca, "acme:zerossl": self.spare}
        return Gate(
            desired=desired(read("\n".join([head, "[sites]", *rows, more]))),
            nginx=self.nginx,
            issuers=cas,
            cas=cas,
            render=render,
            dates=(self.ca.date,),
        )

    async def begin(self) -> None:
        """
        Start a daemon on what is there, knowing nothing else.
        """
        journal = Journal(documents=self.documents, clock=self.clock, spread=self.rng.random, events=self.events)
        await journal.load()
        ledger = Ledger(documents=self.documents, clock=self.clock, events=self.events)
        await ledger.load()
        last = self.events.events[-1][1]["time"] if self.events.events else None
        timekeeper = Timekeeper(clock=self.clock, events=self.events, newest_event=last)  # type: ignore[arg-type]
        self.reconciler = Reconciler(
            gate=self.gate,
            store=self.store,
            journal=journal,
            ledger=ledger,
            timekeeper=timekeeper,
            clock=self.clock,
            events=self.events,
            placeholder=selfsigned.make,
        )
        self._daemon = self._group.create_task(self.reconciler.run(stop=self._stop))

    async def kill(self) -> None:
        """
        End the daemon in the middle of whatever it does.
        """
        if self._daemon is not None:
            self._daemon.cancel()
            await asyncio.wait([self._daemon])

    async def grant(self, wish: Coroutine[object, object, _T], *, within: dt.timedelta = HOUR) -> _T:
        """
        Return the answer to a wish, letting time pass until it is there.
        """
        task = self._group.create_task(wish)
        await self.live(within, until=task.done)
        assert task.done(), "nobody answers"
        return task.result()

    def use(self, *hosts: str, **more: str) -> None:
        """
        Give the daemon another configuration.
        """
        self.gate = self.configured(*hosts, **more)
        self._certified &= self.gate.desired.certificates.keys()
        self.reconciler.use(self.gate)

    # Time

    @property
    def elapsed(self) -> dt.timedelta:
        """
        How long the world exists. The CA's clock is `START` and this; the machine's may say something else.
        """
        return dt.timedelta(seconds=self.clock.elapsed)

    def later(self, seconds: float, happening: Callable[[], None]) -> None:
        """
        Have something happen in so many seconds.
        """
        if seconds <= 0:
            asyncio.get_running_loop().call_soon(happening)
        else:
            heapq.heappush(self._script, (self.clock.elapsed + seconds, next(self._order), happening))

    async def live(self, span: dt.timedelta, *, until: Callable[[], object] = lambda: False) -> None:
        """
        Let time pass, or stop when something holds. Ends in a calm moment.

        Raises:
            AssertionError: something was that must never be, or the daemon runs hot.
        """
        end = self.clock.elapsed + span.total_seconds()
        while True:
            await self._calm()
            self.look_around()
            if until():
                return
            moment = self._next_happening()
            if moment is None or moment > end:
                self.clock.jump(end)
                await self._calm()
                self.look_around()
                return
            self.clock.jump(moment)
            while self._script and self._script[0][0] <= self.clock.elapsed:
                heapq.heappop(self._script)[2]()

    async def step(self, turns: int) -> None:
        """
        Let everything run for so many turns of the event loop, and stop there, calm or not.
        """
        for _ in range(turns):
            await asyncio.sleep(0)

    async def _calm(self) -> None:
        """
        Let everything run that can run now.
        """
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        for _ in range(_HOT):
            await asyncio.sleep(0)
            if not ready:
                return
        raise AssertionError(f"the daemon runs hot: {self.events.names()[-20:]}")

    def _next_happening(self) -> float | None:
        waking = self.clock.next_waking()
        if waking is not None and self.drowsy and self.clock.sleeping == 1 and self._rests():
            waking = max(waking, self._named())
        scripted = self._script[0][0] if self._script else None
        return min((moment for moment in (waking, scripted) if moment is not None), default=None)

    def _rests(self) -> bool:
        loop = self.reconciler
        running = loop._jobs.running if loop._jobs else {}
        return loop.latest is not None and loop.latest.settled and not running and not loop._changed.is_set()

    def _named(self) -> float:
        """
        Return when the loop said that it would look again, at its plan or at the clock.
        """
        look = self.reconciler.latest
        assert look is not None
        left = (look.plan.look_at - self.clock.now()).total_seconds()
        return min(self.clock.elapsed + left, self.reconciler._timekeeper._due_at)

    # What must never be

    def look_around(self) -> None:
        """
        See that nothing is that must never be: two orders at once for one certificate, a tree that names what is not held, a
        placeholder where a CA's certificate was, a job that failed for a reason of our own.
        """
        assert not self.ca.doubled, f"two orders at once for {self.ca.doubled}"
        internal = [event for event in self.events.of("certificate.failed") if event["error.type"] == "internal"]
        assert not internal, internal
        for name, number in self.nginx.serving.references if self.nginx.serving else ():
            held = self.store.version(name, number)
            assert held is not None, f"nginx serves {name} {number}, which is not held"
        for name in self.gate.desired.certificates.keys() - {INTERNAL_HOST}:
            shown = self.served(name)
            if shown is not None and shown.placeholder:
                assert name not in self._certified, f"{name} fell back to the placeholder"
            elif shown is not None:
                self._certified.add(name)
                if shown.not_after <= self.ca.now():
                    self.expired.add(name)

    # What a visitor sees

    def served(self, name: str) -> Held | None:
        """
        Return the certificate that visitors of a site with a certificate of that NAME are shown.
        """
        serving = self.nginx.serving
        references: dict[str, int] = dict(serving.references) if serving else {}
        if name in references:
            return self.store.version(name, references[name])
        sites = [site.file_name for site in self.gate.desired.sites if name in site.certificates]
        stands_in = serving is not None and any(file in serving.sites for file in sites)
        return self.store.version(INTERNAL_HOST, references[INTERNAL_HOST]) if stands_in else None

    def good(self, *hosts: str) -> bool:
        """
        Tell whether hosts are served with certificates of the CA.
        """
        shown = [self.served(host) for host in hosts]
        return all(held is not None and not held.placeholder for held in shown)


@contextlib.asynccontextmanager
async def inhabited(*hosts: str, **more: object) -> AsyncIterator[World]:
    """
    A world with a daemon that has just begun, for these hosts.
    """
    async with asyncio.TaskGroup() as group:
        world = World(group, *hosts, **more)  # type: ignore[arg-type]
        await world.begin()
        try:
            yield world
        finally:
            await world.kill()
