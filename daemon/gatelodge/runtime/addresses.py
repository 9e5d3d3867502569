"""
Keeps host names on the machine's public addresses: finds the address, compares, writes, proves, tells, and writes down.

What it wrote is a fact on disk, so that after a restart an old address of ours is known from somebody else's. What to do about a
name is decided in `core.addresses`. One host's trouble is not another's, nor one family's: what fails waits by itself, and only when
nothing at all works does the look fail as a whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from gatelodge.core import backoff
from gatelodge.core.actions import ADDRESSES
from gatelodge.core.addresses import COMPARE, KINDS, Fact, Facts, Keep, LeaveAlone, Write, decide, read
from gatelodge.errors import DnsError, Problem, StateError
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.model import AddressSource, DdnsSettings
    from gatelodge.ports import AddressProvider, Clock, Documents, Events, Resolver

KIND = "journal/addresses"

#: A record that was written is looked for at the name servers for so long.
_PROOF = dt.timedelta(minutes=2)

#: A host in a family: its name and record type.
_Key: TypeAlias = tuple[str, str]


class AddressFinder(Protocol):
    """
    Finds the machine's public address.
    """

    async def find(self, source: AddressSource, family: int) -> str:
        """
        Return the address of a family, 4 or 6, in canonical form.

        Raises:
            DnsError: it cannot be found now.
        """
        ...


class Addresses:
    """
    The addresses of one configuration.
    """

    def __init__(
        self,
        *,
        settings: DdnsSettings,
        provider: AddressProvider,
        finder: AddressFinder,
        resolver: Resolver,
        documents: Documents,
        clock: Clock,
        events: Events,
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._finder = finder
        self._resolver = resolver
        self._documents = documents
        self._clock = clock
        self._events = events
        self._hosts: dict[_Key, Fact] = {}
        self._addresses: dict[str, str] = {}
        self._looked_at: dt.datetime | None = None
        self._loaded = False
        self._others: list[str] = []
        self._compared: dict[_Key, float] = {}
        # Failures in a row, and when the next try is, by the clock that never goes back.
        self._failed: dict[_Key, tuple[int, float]] = {}
        # Why each was left alone when that was last told; and the types whose address was said to be unknown.
        self._told: dict[_Key, str] = {}
        self._unknown: set[str] = set()

    @property
    def facts(self) -> Facts:
        """
        What is known. A look that lies ahead was dated by a clock that was wrong, and counts as none.
        """
        ahead = self._looked_at is not None and self._looked_at > self._clock.now()
        return Facts(
            addresses=dict(self._addresses),
            looked_at=None if ahead else self._looked_at,
            hosts=tuple(self._hosts[key] for key in sorted(self._hosts)),
        )

    async def load(self) -> None:
        """
        Read what an earlier process wrote down, once. What makes no sense counts as not there.

        Raises:
            StateError: it cannot be read.
        """
        if self._loaded:
            return
        wanted = {KINDS[4]: self._settings.ipv4, KINDS[6]: self._settings.ipv6}
        for key, found in (await self._documents.list(KIND)).items():
            with contextlib.suppress(KeyError, TypeError, ValueError):
                fact = read(key, found)
                if fact.host in self._settings.hosts and wanted[fact.kind] is not None:
                    self._hosts[fact.host, fact.kind] = fact
                    self._told[fact.host, fact.kind] = fact.problem or ""
                else:
                    self._others.append(key)
        self._loaded = True

    async def keep(self, progress: Callable[[str], None]) -> None:
        """
        Look once, and write what changed. What fails for some hosts is told of them, and tried again with longer and longer waits.

        Raises:
            DnsError: nothing works: no address was ever found, or no host can be kept.
            StateError: what would be written could not be written down; it was not written.
        """
        await self.load()
        await self._forget_others()
        progress("looking at the public address")
        unknown = await self._look()
        keys: list[_Key] = [(host, kind) for host in dict.fromkeys(self._settings.hosts) for kind in self._addresses]
        failed: dict[_Key, Problem] = {}
        written: list[_Key] = []
        for key in keys:
            if self._waits(key):
                continue
            try:
                if await self._keep_one(key, progress):
                    written.append(key)
                self._failed.pop(key, None)
            except DnsError as error:
                failed[key] = error.problem
                await self._count(key, error.problem)
        await together(self._prove(key, progress) for key in written)
        if len(failed) == len(keys) and (keys or self._looked_at is None):
            raise DnsError(_together([*failed.values(), *unknown.values()]))
        self._looked_at = self._clock.now()
        for key, problem in failed.items():
            self._tell_failed(key, problem)
        for kind in KINDS.values():
            await self._tell_unknown(kind, unknown.get(kind))

    async def _look(self) -> dict[str, Problem]:
        """
        Find the addresses. Returns why one could not be found, by record type.
        """
        unknown = {}
        for family, source in ((4, self._settings.ipv4), (6, self._settings.ipv6)):
            if source is None:
                continue
            try:
                self._addresses[KINDS[family]] = await self._finder.find(source, family)
            except DnsError as error:
                # What stands in the DNS is the best that is known: it stays.
                self._addresses.pop(KINDS[family], None)
                unknown[KINDS[family]] = error.problem
        return unknown

    async def _keep_one(self, key: _Key, progress: Callable[[str], None]) -> bool:
        """
        Compare one host with what stands there, and act on it. Returns whether it was written.
        """
        host, kind = key
        address = self._addresses[kind]
        compared = self._compared.get(key)
        fresh = compared is not None and self._clock.monotonic() - compared < COMPARE.total_seconds()
        if fresh and self._known(key).problem is None and self._known(key).written == address:
            return False
        zone = await self._provider.zone_of(host)
        refused: DnsError | None = None
        while True:
            fact = self._known(key)
            decision = decide(fact, await self._provider.standing(zone, host), address)
            self._compared[key] = self._clock.monotonic()
            if isinstance(decision, LeaveAlone):
                await self._leave_alone(key, decision.reason)
                return False
            if isinstance(decision, Keep):
                await self._store(dataclasses.replace(fact, written=address, intended=None, problem=None))
                self._told.pop(key, None)
                return False
            if refused is not None:
                raise refused
            try:
                return await self._write(fact, zone, address, decision, progress)
            except DnsError as error:
                if error.problem.type != "dnsRecord":
                    raise
                refused = error  # somebody may have been quicker: look again

    async def _leave_alone(self, key: _Key, reason: str) -> None:
        await self._note(key, reason)
        if self._told.get(key) != reason:
            self._told[key] = reason
            self._events.emit("address.left_alone", level="warning", host=key[0], type=key[1], error__detail=reason)

    async def _write(
        self, fact: Fact, zone: str, address: str, decision: Write, progress: Callable[[str], None]
    ) -> bool:
        key, before = (fact.host, fact.kind), decision.instead_of
        earliest = fact.held_until(self._clock.now())
        if earliest is not None:
            await self._note(
                key,
                f"{fact.host}: its address changes often, so {address} is written at {earliest:%H:%M} UTC at the earliest, if it is "
                "still that one",
            )
            return False
        progress(f"writing {fact.kind} {address} of {fact.host}")
        # Written down first: after a crash in between, what stands there is known as ours.
        fact = dataclasses.replace(fact, written=before or fact.written, intended=address)
        await self._store(fact, strictly=True)
        await self._provider.set_address(zone, fact.host, address, instead_of=before)
        await self._store(fact.after_writing(address, self._clock.now()))
        self._told.pop(key, None)
        self._events.emit(
            "address.changed",
            host=fact.host,
            type=fact.kind,
            before=before,
            after=address,
            provider=self._settings.dns,
            zone=zone,
        )
        return True

    async def _prove(self, key: _Key, progress: Callable[[str], None]) -> None:
        host, kind = key
        address = self._addresses[kind]
        try:
            await self._resolver.wait_for({host: frozenset({address})}, kind=kind, within=_PROOF, progress=progress)
        except DnsError as error:
            self._events.emit(
                "address.unseen",
                level="warning",
                host=host,
                type=kind,
                after=address,
                error__detail=error.problem.detail,
            )

    # Failures

    def _waits(self, key: _Key) -> bool:
        return key in self._failed and self._clock.monotonic() < self._failed[key][1]

    async def _count(self, key: _Key, problem: Problem) -> None:
        failures = self._failed.get(key, (0, 0.0))[0] + 1
        wait = backoff.delay(ADDRESSES, failures, problem, spread=0)
        self._failed[key] = (failures, self._clock.monotonic() + wait.total_seconds())
        await self._note(key, problem.detail)

    def _tell_failed(self, key: _Key, problem: Problem) -> None:
        failures, at = self._failed[key]
        left = max(dt.timedelta(seconds=at - self._clock.monotonic()), self._settings.every)
        self._events.emit(
            "address.failed",
            level="error",
            host=key[0],
            type=key[1],
            provider=self._settings.dns,
            doing=f"keep the {key[1]} record of {key[0]}",
            error__type=problem.type,
            error__detail=str(problem),
            failures=failures,
            retry_at=(self._clock.now() + left).isoformat(),
        )

    async def _tell_unknown(self, kind: str, problem: Problem | None) -> None:
        """
        Tell once that an address cannot be found: it is looked for again each time, and the line may be down for long.
        """
        if problem is None:
            self._unknown.discard(kind)
            return
        if kind in self._unknown:
            return
        self._unknown.add(kind)
        for host in self._settings.hosts:
            await self._note((host, kind), f"{host}: its {kind} record stays as it is: {problem.detail}")
        self._events.emit(
            "address.failed",
            level="error",
            type=kind,
            provider=self._settings.dns,
            doing="look at the public address",
            error__type=problem.type,
            error__detail=str(problem),
            retry_at=(self._clock.now() + self._settings.every).isoformat(),
        )

    # Facts

    def _known(self, key: _Key) -> Fact:
        return self._hosts.get(key) or Fact(host=key[0], kind=key[1])

    async def _note(self, key: _Key, problem: str) -> None:
        await self._store(dataclasses.replace(self._known(key), problem=problem))

    async def _store(self, fact: Fact, *, strictly: bool = False) -> None:
        """
        Write a fact down. Only an intention has to be on disk before anything else is done.
        """
        if self._hosts.get((fact.host, fact.kind)) == fact:
            return
        try:
            await self._documents.put(KIND, fact.name, fact.document())
        except StateError as error:
            if strictly:
                raise
            self._events.emit("state.failed", level="error", error__detail=str(error))
        self._hosts[fact.host, fact.kind] = fact

    async def _forget_others(self) -> None:
        """
        Forget hosts that are kept no more. Their records stay.
        """
        others, self._others = self._others, []
        for key in others:
            with contextlib.suppress(StateError):
                await self._documents.delete(KIND, key)


def document(facts: Facts, settings: DdnsSettings) -> dict[str, Any]:
    """
    Say how things stand, as JSON.
    """
    return {
        "provider": settings.dns,
        "addresses": dict(facts.addresses),
        "looked_at": facts.looked_at.isoformat() if facts.looked_at else None,
        "every": settings.every.total_seconds(),
        "hosts": [
            {
                "host": fact.host,
                "type": fact.kind,
                "address": fact.written,
                "changed_at": fact.writes[-1].isoformat() if fact.writes else None,
                "problem": fact.problem,
            }
            for fact in facts.hosts
        ],
    }


def _together(problems: list[Problem]) -> Problem:
    """
    Return one problem that stands for all; each host's own is told with it.
    """
    first, *more = problems
    return Problem(
        type=first.type,
        detail=first.detail + (f" (and {len(more)} more, see `gatelodge ddns`)" if more else ""),
        retry_after=max((each.retry_after for each in problems if each.retry_after), default=None),
    )
