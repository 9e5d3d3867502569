"""
The loop: look, plan, act, and again whenever anything happened.

Level-triggered: what woke it does not matter, only what is found. It decides nothing itself; what it owns is the order of
looking before acting, and when to look again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import types
from typing import TYPE_CHECKING

from gatelodge.core.actions import NGINX, Action, DeleteCertificate, Obtain, Revoke, Take, certificate_key, key
from gatelodge.core.observed import Requests
from gatelodge.core.plan import plan
from gatelodge.errors import StateError
from gatelodge.runtime.act import Actor
from gatelodge.runtime.herald import Herald
from gatelodge.runtime.jobs import Jobs
from gatelodge.runtime.look import Look
from gatelodge.runtime.observe import observe
from gatelodge.runtime.parts import tell_released
from gatelodge.runtime.waiting import first

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gatelodge.core.observed import Job
    from gatelodge.model import Name, RevocationReason
    from gatelodge.ports import Clock, Events, Issued, Store
    from gatelodge.runtime.gate import Gate
    from gatelodge.runtime.journal import Journal
    from gatelodge.runtime.timekeeper import Timekeeper
    from gatelodge.solvers.ledger import Ledger

#: The wall clock is looked at this often, since a machine that slept wakes up later than it thinks. Seconds.
_LONGEST_NAP = 60.0

#: After a state directory that could not be read. Seconds.
_STATE_RETRY = 10.0

#: A pass is followed by a pause as long as it took, up to this: many small happenings share one pass. Seconds.
_LONGEST_PAUSE = 1.0

#: While jobs run, by so many times as long: the processor is theirs then, and what most of them end in is one and the same pass.
_PAUSE_BESIDE_JOBS = 4

#: All files are read again within a day, whether they look changed or not: a part of them each hour, when also old tokens are swept. Seconds.
_VERIFY_EVERY = 3600.0
_VERIFY_PARTS = 24

_CLOCK_JOB = "clock"

_NOTHING: Mapping[str, RevocationReason] = types.MappingProxyType({})


class Reconciler:
    """
    Brings what is to what is desired, and keeps it there. `latest` is the last look that came to an end, `trouble` why the last pass
    had none; `passed_at` is when that pass ended, and `began_at` when the one that is under way began, both by the clock that never goes
    back.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        store: Store,
        journal: Journal,
        ledger: Ledger,
        timekeeper: Timekeeper,
        clock: Clock,
        events: Events,
        placeholder: Callable[[Sequence[Name]], Issued],
    ) -> None:
        self.gate = gate
        self.requests = Requests()
        self.latest: Look | None = None
        self.trouble: StateError | None = None
        self.passed_at = clock.monotonic()
        self.began_at: float | None = None
        self._store = store
        self._journal = journal
        self._ledger = ledger
        self._timekeeper = timekeeper
        self._clock = clock
        self._events = events
        self._placeholder = placeholder
        self._changed = asyncio.Event()
        self._no_job_runs = asyncio.Event()
        self._passed = asyncio.Condition()
        self._jobs: Jobs | None = None
        self._verify_at = clock.monotonic() + _VERIFY_EVERY
        self._verify_part = 0
        self._herald = Herald(clock=clock, events=events)

    @property
    def running(self) -> Mapping[str, Job]:
        """
        The jobs that run now, with the steps that they are at now.
        """
        return self._jobs.running if self._jobs else {}

    @property
    def current(self) -> Look | None:
        """
        The latest look with the jobs as they run now: nothing looks anew for each of their steps.
        """
        look = self.latest
        return (
            None
            if look is None
            else dataclasses.replace(look, observed=dataclasses.replace(look.observed, jobs=self.running))
        )

    def use(self, gate: Gate) -> None:
        """
        Go on with another configuration.
        """
        self.gate = gate
        self.wake()

    def wake(self) -> None:
        """
        Say that something happened.
        """
        self._changed.set()

    async def distrust(self) -> None:
        """
        Have every file read again at the next look, and look now.
        """
        await self._store.verify()
        self.wake()

    def ask(
        self,
        *,
        renew: frozenset[str] = frozenset(),
        forget: frozenset[str] = frozenset(),
        revoke: Mapping[str, RevocationReason] = _NOTHING,
        reload: bool = False,
        once: bool = False,
    ) -> None:
        """
        Add to what people asked for.
        """
        asked = self.requests
        self.requests = Requests(
            renew=asked.renew | renew,
            again=asked.again,
            forget=asked.forget | forget,
            revoke={**asked.revoke, **revoke},
            reload=asked.reload or reload,
            once=asked.once or once,
        )
        self.wake()

    async def look(self) -> Look:
        """
        Look at everything and plan, without doing anything.

        Raises:
            StateError: the state directory cannot be read.
        """
        gate = self.gate
        observed = await observe(
            store=self._store,
            nginx=gate.nginx,
            journal=self._journal,
            ledger=self._ledger,
            addresses=gate.addresses,
            adoption=gate.adoption,
            brought=gate.brought,
            exporter=gate.exporter,
            desired=gate.desired,
            # Taken before the store is read: a job that ends meanwhile still counts as running, so none is begun twice.
            jobs=self.running,
            requests=self.requests,
            doubt=self._timekeeper.doubt,
        )
        if observed.requests.reload:
            # Somebody who asks for a reload has mended something: whoever was kept back is tried as he is.
            observed = dataclasses.replace(observed, quarantines={})
        rendered = gate.render(gate.desired, observed) if observed.nginx.capabilities else None
        return Look(
            gate=gate,
            observed=observed,
            rendered=rendered,
            plan=plan(gate.desired, observed, rendered, self._clock.now()),
        )

    async def run(self, *, stop: asyncio.Event, until: Callable[[Look], bool] = lambda _: False) -> None:
        """
        Look, plan and act until told to stop, or until a look satisfies `until`. Jobs that still run are cancelled and awaited.
        """
        async with asyncio.TaskGroup() as group:
            self._jobs = Jobs(group=group, clock=self._clock, ended=self._job_ended)
            actor = Actor(
                store=self._store,
                journal=self._journal,
                ledger=self._ledger,
                jobs=self._jobs,
                clock=self._clock,
                events=self._events,
                placeholder=self._placeholder,
            )
            watcher = group.create_task(self._watch_nginx())
            try:
                while not stop.is_set():
                    self._changed.clear()
                    self.began_at = self._clock.monotonic()
                    look = await self._pass(actor)
                    self.began_at, self.passed_at = None, self._clock.monotonic()
                    if look is None:
                        if self.requests.once:
                            break
                        await first(stop.wait(), self._changed.wait(), self._clock.sleep(_STATE_RETRY))
                        continue
                    if until(look):
                        break
                    await self._nap(look, stop)
            finally:
                watcher.cancel()
                self._jobs.cancel_all()
        self._jobs = None

    async def passed(self, condition: Callable[[Look], bool]) -> Look:
        """
        Return the first look from now on that satisfies a condition. There will be one: the last one may have been just before.
        """
        async with self._passed:
            self.wake()
            while True:
                await self._passed.wait()
                if self.latest is not None and condition(self.latest):
                    return self.latest

    async def _pass(self, actor: Actor) -> Look | None:
        began = self._clock.monotonic()
        self._timekeeper.look()
        if self._clock_to_be_compared() and self._jobs is not None:
            self._jobs.start(_CLOCK_JOB, "", self._compare_clock)
        await self._verify_some()
        try:
            look = await self.look()
        except StateError as error:
            self._events.emit("state.failed", level="error", error__detail=str(error))
            self.trouble = error
            return None
        self.trouble = None
        self._herald.tell(look)
        await self._release(look)
        if look.settled and look.observed.doubt is None and look.observed.nginx.serving:
            await self._journal.forgive(kept=look.observed.in_flight.keys())
        for action in look.plan.actions:
            self._answer(action)
            actor.act(action, look.observed, look.gate)
        self._let_go()
        self.latest = look
        async with self._passed:
            self._passed.notify_all()
        await self._pause(self._clock.monotonic() - began)
        return look

    async def _pause(self, took: float) -> None:
        """
        Wait after a pass that took so many seconds. It is over at once when the last job has ended, since nothing more is about to happen.
        """
        if not self.running:
            await self._clock.sleep(min(took, _LONGEST_PAUSE))
            return
        self._no_job_runs.clear()
        await first(self._no_job_runs.wait(), self._clock.sleep(min(took * _PAUSE_BESIDE_JOBS, _LONGEST_PAUSE)))

    def _job_ended(self) -> None:
        if not self.running:
            self._no_job_runs.set()
        self.wake()

    async def _release(self, look: Look) -> None:
        """
        Let sites and streams go that nginx serves as they are again: their text was accepted, or is another one now.
        """
        if not look.served or look.rendered is None:
            return
        for part, kept_back in tuple(self._journal.quarantines.items()):
            if part not in look.observed.quarantines or look.rendered.fresh.get(part) != kept_back.digest:
                await self._journal.release(part)
                tell_released(self._events, part)

    def _answer(self, action: Action) -> None:
        """
        Take from what people asked for what is now being done.
        """
        asked = self.requests
        if isinstance(action, Obtain | Take):
            name = frozenset({action.spec.name})
            going_on = isinstance(action, Obtain) and not action.partial and name <= asked.renew | asked.again
            again = asked.again | name if going_on else asked.again - name
            self.requests = dataclasses.replace(asked, renew=asked.renew - name, again=again)
        elif key(action) == NGINX:
            self.requests = dataclasses.replace(asked, reload=False)
        elif isinstance(action, Revoke):
            left = {name: reason for name, reason in asked.revoke.items() if name != action.held.name}
            self.requests = dataclasses.replace(asked, revoke=left)
        elif isinstance(action, DeleteCertificate):
            self.requests = dataclasses.replace(asked, forget=asked.forget - {action.certificate})

    def _let_go(self) -> None:
        """
        Forget wishes for renewal that were tried with everybody, or came true: nothing is done for them now.
        """
        again = frozenset(name for name in self.requests.again if certificate_key(name) in self.running)
        if again != self.requests.again:
            self.requests = dataclasses.replace(self.requests, again=again)

    async def _verify_some(self) -> None:
        if self._clock.monotonic() < self._verify_at or self.latest is None:
            return
        self.gate.sweep()
        names = sorted(self.latest.observed.held)
        await self._store.verify(names[self._verify_part :: _VERIFY_PARTS])
        self._verify_part = (self._verify_part + 1) % _VERIFY_PARTS
        self._verify_at = self._clock.monotonic() + _VERIFY_EVERY

    def _clock_to_be_compared(self) -> bool:
        return self._timekeeper.due and _CLOCK_JOB not in self.running

    async def _compare_clock(self) -> None:
        await self._timekeeper.compare(self.gate.dates, every=self.gate.desired.check_every)

    async def _nap(self, look: Look, stop: asyncio.Event) -> None:
        """
        Wait until something happens or the plan's time to look again has come.
        """
        while not (self._changed.is_set() or stop.is_set() or self._clock_to_be_compared()):
            left = (look.plan.look_at - self._clock.now()).total_seconds()
            left = min(left, self._verify_at - self._clock.monotonic())
            if left <= 0:
                return
            await first(self._changed.wait(), stop.wait(), self._clock.sleep(min(left, _LONGEST_NAP)))

    async def _watch_nginx(self) -> None:
        """
        Look at once when nginx has ended, whoever ended it.
        """
        while True:
            await self.gate.nginx.exited()
            self.wake()
