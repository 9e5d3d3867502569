"""
The simulated world: two CAs, DNS servers, a disk, an nginx, a machine with a clock, and the real daemon that lives among them.

The daemon is the real one but for what it meets at its ports: configuration, planner, loop, journal, ledger, budgets, ACME issuers and
solvers, and the stores on files. Everything that happens is drawn from one seed and told in one story.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import datetime as dt
import errno
import functools
import os
import random
import re
import types
from typing import TYPE_CHECKING, Any

from josepy.b64 import b64encode
from tests.simulation import invariants
from tests.simulation import nginx as nginxes
from tests.simulation.ca import Ca
from tests.simulation.clocks import MachineClock, TrueClock
from tests.simulation.disk import Disk
from tests.simulation.dns import Dns, Provider, Resolver
from tests.simulation.faults import DAY, HOUR, YEAR, Spell, Troubles, Weather
from tests.simulation.gates import SimulatedGates
from tests.simulation.nginx import Nginx
from tests.simulation.remembered import remembered
from tests.simulation.scheduler import PROCESS, Scheduler
from tests.simulation.sites import Sites
from tests.simulation.story import Story

from gatelodge import wiring
from gatelodge.config.read import read
from gatelodge.errors import StateError
from gatelodge.issuers import selfsigned
from gatelodge.offers import CATALOG
from gatelodge.runtime.journal import Journal
from gatelodge.runtime.reconcile import Reconciler
from gatelodge.runtime.timekeeper import Timekeeper
from gatelodge.solvers.ledger import Ledger
from gatelodge.stores.directory import DirectoryStore
from gatelodge.stores.documents import DirectoryDocuments
from gatelodge.stores.state import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.simulation.sites import Wanted

    from gatelodge.config.shape import Config

#: How long what is asked of a port takes, in seconds.
_TAKES = {
    "ca": (0.02, 0.4),
    "web": (0.001, 0.01),
    "dns": (0.005, 0.1),
    "provider": (0.05, 1.0),
    "nginx": (0.01, 0.5),
}

#: How long a service manager waits before it starts a daemon again, and how long a machine is off.
_RESTART = (1.0, 30.0)
_BOOT = (20.0, 600.0)
_LONG_BOOT = (HOUR, 2 * DAY)

#: How long a service manager waits for a daemon that was told to stop. (systemd/gatelodge.service)
_PATIENCE = 20.0

#: Faults end so long before the world does, so that it can come to rest.
REST = 12 * DAY

_ANY: Mapping[str, float] = types.MappingProxyType({})

#: A private key inside of a document.
_PEM = re.compile(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", re.DOTALL)

_HMAC = bytes(range(32))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """
    Who plays which part of the daemon: what a planted bug replaces.
    """

    documents: Callable[..., DirectoryDocuments] = DirectoryDocuments
    store: Callable[..., DirectoryStore] = DirectoryStore
    ledger: Callable[..., Ledger] = Ledger
    journal: Callable[..., Journal] = Journal
    gates: Callable[..., SimulatedGates] = SimulatedGates
    reconciler: Callable[..., Reconciler] = Reconciler


class Diary:
    """
    Implements `ports.Events`: what the daemon tells goes into the story.
    """

    def __init__(self, world: World) -> None:
        self.newest: dt.datetime | None = None
        self._world = world

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        world = self._world
        if PROCESS.get() in world.loop.killed:
            return
        self.newest = world.clock.now()
        named = {name.replace("__", "."): value for name, value in fields.items()}
        told = " ".join(
            f"{name}={_short(world.story.open(_text(value)))}"
            for name, value in named.items()
            if value not in (None, [], ())
        )
        world.story.tell("daemon", f"{event} {told}" if level == "info" else f"{event} ({level}) {told}")
        world.story.count(event)
        if named.get("error.type") == "internal":
            world.internal.append(f"{event}: {named.get('error.detail')}")


class World:
    """
    One world, from its seed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        years: float,
        sites: int,
        parts: Parts | None = None,
        climate: Mapping[str, float] = _ANY,
    ) -> None:
        self.seed = seed
        self.parts = parts or Parts()
        self.chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self.loop = Scheduler(self.chance)
        self.story = Story(self.loop.time, hidden=str(folder))
        self.true_clock = TrueClock(self.loop.time)
        self.clock = MachineClock(self.loop.time)
        self.troubles = Troubles(self.loop.time)
        self.weather = Weather(self.chance, climate=climate)
        self.disk = Disk(folder, self.chance)
        self.has_ari = self.chance.random() < 0.5
        life = dt.timedelta(hours=self.chance.choice((90 * 24, 45 * 24, 15 * 24, 160)))
        base = "https://acme-v02.api.letsencrypt.org"
        self.ca = Ca(self, name="letsencrypt", base=base, trouble="first", life=life, customers={})
        self.second = Ca(
            self,
            name="google",
            base="https://dv.acme-v02.api.pki.goog",
            trouble="second",
            life=dt.timedelta(days=90),
            customers={"kid": _HMAC},
        )
        self.cas = {each.name: each for each in (self.ca, self.second)}
        self.dns = Dns(self)
        self.provider = Provider(self)
        self.resolver = Resolver(self)
        self.nginx = Nginx(self)
        self.events = Diary(self)
        self.sites = Sites(self.chance, number=sites)
        self.internal: list[str] = []
        self.died: list[str] = []
        self.obtaining: dict[str, int] = {}
        self.doubled: list[str] = []
        self.breaches: list[str] = []
        self.memory = invariants.Memory()
        self.ends = years * YEAR
        self.reconciler: Reconciler | None = None
        self.gates: SimulatedGates | None = None
        self.wanted_since: dict[str, float] = {}
        self._wanted: dict[str, Wanted] = {}
        self._process = 0
        self._stamped: set[str] = set()
        self.loop.calm = self._calm
        self.loop.set_exception_handler(self._defect)
        self.loop.oversleep = self._oversleep
        self.loop.blocking = self._blocking
        self.disk.before_write = self._before_write
        self.disk.before_change = self._before_change
        self.disk.lost = lambda what: self.story.count(f"fault: {what}")

    @property
    def webroot(self) -> Path:
        """
        Where http-01 tokens lie.
        """
        return self.disk.state / "webroot"

    @property
    def lives(self) -> bool:
        """
        Tell whether a daemon runs.
        """
        return self.reconciler is not None

    @property
    def at_rest(self) -> bool:
        """
        Tell whether all faults are over.
        """
        return self.weather.over

    @property
    def calm_since(self) -> float:
        """
        Return when all faults are over.
        """
        return max(self.ends - REST, 0)

    def run(self) -> None:
        """
        Live to the end of the time, or to the first breach.
        """
        self.story.tell(
            "world", f"seed {self.seed}; {len(self.sites.wanted)} sites, {self.ca.life.days} days a certificate"
        )
        with self.disk.in_use(), remembered(lambda: self.disk.moves):
            try:
                self.loop.run_until_complete(self._live())
            finally:
                self.loop.kill(self._process)
                self.loop.close()
                self.loop.bury()

    async def _live(self) -> None:
        self._edited()
        self._boot()
        self._next_spell()
        self.loop.in_world(self.calm_since, self._calm_down)
        self._over = self.loop.create_future()
        # The last calm moment is looked at too.
        self.loop.in_world(self.ends, lambda: self.loop.in_world(1, self._end_all))
        await self._over

    def _defect(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """
        Let the world end with an error of its own, or with one that nobody waited for.
        """
        error = context.get("exception")
        if not self._over.done():
            self._over.set_exception(error or RuntimeError(context["message"]))

    def _end_all(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def breach(self, what: str) -> None:
        """
        Say that something is that must never be. The world ends.
        """
        told = self.story.tell("BREACH", what)
        if told not in self.breaches:
            self.breaches.append(told)
        if not self._over.done():
            self._over.set_result(None)

    # What ports ask of the world

    def dead(self) -> bool:
        """
        Tell whether the process that asks was killed.
        """
        return PROCESS.get() in self.loop.killed

    def present(self) -> None:
        """
        Go on only when the process that asks still lives.
        """
        assert not self.dead(), "the dead do not ask"

    async def touch(self, port: str, what: str) -> str | None:
        """
        Let something go wrong at an await, and time pass. Returns what the port itself is to do wrong.
        """
        await self._unless_dead()
        mishap = self.weather.mishap(port)
        if mishap is not None:
            self.story.tell("fault", f"{mishap}: {what}")
            self.story.count(f"fault: {mishap}")
        shortest, longest = _TAKES[port]
        seconds = self.chance.uniform(shortest, longest)
        match mishap:
            case "daemon killed":
                self.kill(power=False)
            case "power lost":
                self.kill(power=True)
            case "daemon told to stop":
                self.loop.in_world(0, self._stop)
                mishap = None
            case "configuration edited":
                self.loop.in_world(0, functools.partial(self._change, mishap))
                mishap = None
            case "delay":
                seconds += self.chance.choice((1.0, 10.0, 60.0)) * self.chance.random()
                mishap = None
        await self._unless_dead()
        await asyncio.sleep(seconds)
        return mishap

    async def _unless_dead(self) -> None:
        if self.dead():
            await self.loop.create_future()

    def _blocking(self) -> float:
        """
        Say how much longer blocking work takes.
        """
        mishap = self.weather.mishap("disk") if PROCESS.get() and not self.dead() else None
        if mishap not in {"hang", "delay"}:
            return 0.0
        self.story.count(f"fault: {mishap}")
        return self.chance.uniform(1, 20) if mishap == "delay" else self.chance.uniform(20, 120)

    def _before_write(self, step: str, cut: Callable[[], None]) -> None:
        """
        Let something go wrong before the disk does something: `cut` cuts short what was written.
        """
        if self.dead():
            raise OSError(errno.EIO, "the dead write nothing")
        mishap = self.weather.mishap("disk")
        if mishap not in {"daemon killed", "power lost", "disk error", "partial write"}:
            return
        self.story.tell("fault", f"{mishap}: disk, before {step}")
        self.story.count(f"fault: {mishap}")
        if mishap == "disk error":
            self.troubles.mark("machine")
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if mishap == "partial write":
            cut()
            self.troubles.mark("machine")
            # Whoever writes hears of it, or dies of it; the dead go no further than this.
            if self.chance.random() < 0.5:
                self.kill(power=False, writing=True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.kill(power=mishap == "power lost", writing=True)

    def _before_change(self) -> None:
        if self.dead():
            raise OSError(errno.EIO, "the dead change nothing")

    def keys_in(self, folder: str) -> frozenset[bytes]:
        """
        Return the public keys of the private ones that the documents in a folder hold.
        """
        found = set()
        for path in (self.disk.state / folder).glob("*.json"):
            for pem in _PEM.findall(path.read_text(encoding="utf-8", errors="replace")):
                with contextlib.suppress(ValueError):
                    found.add(_public_key(pem.replace("\\n", "\n").encode()))
        return frozenset(found)

    def fits(self, chain: bytes, key: bytes) -> bool:
        """
        Tell whether a certificate is for a key.
        """
        return _fits(chain, key)

    def disk_times(self) -> None:
        """
        Give the tokens that are new the world's time, as their file system would.
        """
        folder = self.webroot / nginxes.TOKENS
        found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        now = self.clock.now().timestamp()
        for name in sorted(found - self._stamped):
            os.utime(folder / name, (now, now))
        self._stamped = found

    # The machine

    def kill(self, *, power: bool, writing: bool = False) -> None:
        """
        Kill the daemon, or the whole machine, and start it again later.

        Args:
            writing: it is in the middle of a write.
        """
        if self.reconciler is None:
            return
        try:
            contextvars.Context().run(self._kill, power=power, writing=writing)
        except Exception as error:  # noqa: BLE001 - a defect of the world itself, and whoever is killed tells nobody
            self._over.set_exception(error)

    def _kill(self, *, power: bool, writing: bool) -> None:
        self.loop.kill(self._process)
        self.reconciler = self.gates = None
        self.clock.wakings.clear()
        self.obtaining.clear()
        self.troubles.begin("machine", "down")
        self.disk_times()
        if power:
            self.nginx.die()
            self.disk.lose_power()
        elif writing:
            self.disk.let_go()
        times = _RESTART if not power else _LONG_BOOT if self.chance.random() < 0.1 else _BOOT
        self.loop.in_world(self.chance.uniform(*times), self._boot)

    def _stop(self) -> None:
        """
        Tell the daemon to stop, and kill it when it takes too long.
        """
        if self.reconciler is not None:
            process = self._process
            self.told_to_stop.set()
            self.loop.in_world(_PATIENCE, lambda: process == self._process and self.kill(power=False))

    def _boot(self) -> None:
        # A rough world sees the end of a thousand daemons: what they held is let go of.
        if self._process:
            self.loop.kill(self._process)
        self.loop.bury()
        self.disk.back()
        self._stamped = set()
        self._process += 1
        self.troubles.end("machine", "down")
        self.story.tell("world", f"daemon {self._process} starts")
        self.story.count("daemon starts")
        self.loop.begin(self._process, self._daemon())

    async def _daemon(self) -> None:
        try:
            await self._serve()
        except StateError as error:
            told = f"does not start: {error}"
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
            told = f"ends: {_told(error)}"
            if not self.dead():
                self.died.append(_told(error))
        else:
            told = None
        if self.dead():
            return
        if told is not None:
            self.story.tell("daemon", told)
        self.reconciler = self.gates = None
        self.troubles.begin("machine", "down")
        self.loop.in_world(self.chance.uniform(*_RESTART), self._boot)

    async def _serve(self) -> None:
        """
        Be the daemon, as `wiring.open_house` puts it together.
        """
        config = self.config()
        directory = config.state_directory
        prepare(directory)
        wiring._sweep_tokens(directory)
        clock, log, spread = self.clock, self.events, self.chance.random
        documents = self.parts.documents(directory=directory, events=log)
        journal = self.parts.journal(documents=documents, clock=clock, spread=spread, events=log)
        await journal.load()
        ledger = self.parts.ledger(documents=documents, clock=clock, events=log)
        await ledger.load()
        gates = self.parts.gates(self, clock=clock, documents=documents, ledger=ledger, events=log)
        await gates.budgets.load()
        reconciler = self.parts.reconciler(
            gate=gates.make(self.config()),
            store=self.parts.store(directory=f"{directory}/certificates", clock=clock),
            journal=journal,
            ledger=ledger,
            timekeeper=Timekeeper(clock=clock, events=log, newest_event=self.events.newest),
            clock=clock,
            events=log,
            placeholder=selfsigned.make,
        )
        self.gates, self.reconciler = gates, reconciler
        self.told_to_stop = asyncio.Event()
        self.journal, self.ledger = journal, ledger
        await reconciler.run(stop=self.told_to_stop)

    def config(self) -> Config:
        """
        Return the configuration as it is now.
        """
        return _parsed(self.sites.text(self.disk.state, b64encode(_HMAC).decode()))

    # What happens by itself

    def _next_spell(self) -> None:
        wait, spell, lasts = self.weather.next_spell()
        self.loop.in_world(wait, functools.partial(self._begin, spell, lasts))

    def _begin(self, spell: Spell, lasts: float) -> None:
        if self.weather.over:
            return
        self._next_spell()
        self.story.tell("world", f"{spell.kind}, {lasts / HOUR:.1f} h" if lasts else spell.kind)
        self.story.count(f"spell: {spell.kind}")
        self._change(spell.kind)
        if not lasts:
            return
        self.weather.lasting[spell.kind] += 1
        for whom in spell.troubles:
            self.troubles.begin(whom, spell.kind)
        self.loop.in_world(lasts, functools.partial(self._end, spell))

    def _end(self, spell: Spell) -> None:
        if not self.weather.lasting[spell.kind]:
            return
        self.weather.lasting[spell.kind] -= 1
        if self.weather.lasting[spell.kind]:
            return
        for whom in spell.troubles:
            self.troubles.end(whom, spell.kind)
        self.story.tell("world", f"end of: {spell.kind}")
        if spell.kind == "disk full":
            self.disk.full = False
        if spell.kind.startswith("clock"):
            self.clock.off = 0.0

    def _change(self, kind: str) -> None:
        chance = self.chance
        match kind:
            case "disk full":
                self.disk.full = True
            case "nginx dies":
                self.nginx.die()
            case "clock ahead":
                self.clock.off = chance.choice((2 * HOUR, 10 * DAY, 3 * YEAR))
            case "clock behind":
                self.clock.off = -chance.choice((2 * HOUR, 10 * DAY, 3 * YEAR))
            case "clock dead":
                self.kill(power=True)
                self.clock.off = -self.loop.time() - 20 * YEAR
            case "clock a little off":
                self.clock.off = chance.uniform(-0.9, 0.9) * HOUR
            case "machine restarted":
                self.kill(power=True)
            case "configuration edited":
                self.story.tell("world", self.sites.edit())
                self._edited()

    def _edited(self) -> None:
        now = self.loop.time()
        before, self._wanted = self._wanted, dict(self.sites.wanted)
        # What is asked for in another way is asked for anew.
        self.wanted_since = {
            name: self.wanted_since[name] if before.get(name) is site else now for name, site in self._wanted.items()
        }
        if self.gates is not None and self.reconciler is not None:
            gates, reconciler = self.gates, self.reconciler
            self.loop.within(self._process, lambda: reconciler.use(gates.make(self.config())))

    def _calm_down(self) -> None:
        """
        End all faults.
        """
        self.story.tell("world", "all faults end")
        self.weather.over = True
        for spell in tuple(self.weather.lasting):
            self.weather.lasting[spell] = 0
        self.disk.full = False
        self.clock.off = 0.0
        for whom, kind in tuple(self.troubles._since):
            if kind != "down":
                self.troubles.end(whom, kind)

    # Time

    def _calm(self) -> None:
        if not self._over.done():
            invariants.look(self)

    def _oversleep(self, moment: float) -> float:
        """
        Let a resting daemon oversleep its naps, as a laptop does, up to the moment that its plan named.
        """
        loop = self.reconciler
        if loop is None or loop.latest is None or not loop.latest.settled or loop._changed.is_set():
            return moment
        if loop._jobs is None or loop._jobs.running:
            return moment
        timers = self.loop.timers()
        own = [when for when, process in timers if process == self._process]
        others = [when for when, process in timers if process != self._process]
        if own != [moment] or not self.clock.wakings[moment]:
            return moment
        left = (loop.latest.plan.look_at - self.clock.now()).total_seconds()
        named = min(self.loop.time() + left, loop._timekeeper._due_at)
        return max(moment, min([named, *others]))


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:160]}…"


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_told(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"


@functools.lru_cache(maxsize=4)
def _parsed(text: str) -> Config:
    return read(text, catalog=CATALOG)


@functools.lru_cache(maxsize=10_000)
def _public_key(pem: bytes) -> bytes:
    return nginxes.public_key(pem)


@functools.lru_cache(maxsize=10_000)
def _fits(chain: bytes, key: bytes) -> bool:
    try:
        return nginxes.certified_key(chain) == _public_key(key)
    except ValueError:
        return False
