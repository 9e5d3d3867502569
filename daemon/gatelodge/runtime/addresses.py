"""
Keeps host names on the machine's public addresses: finds the address, compares, writes, proves, tells, and writes down.

What it wrote is a fact on disk, so that after a restart an old address of ours is known from somebody else's. What to do about a
name is decided in `core.addresses`. One host's trouble is not another's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any, Protocol

from gatelodge.core.addresses import COMPARE, KINDS, REMEMBER, Fact, Facts, Keep, LeaveAlone, Write, decide
from gatelodge.errors import DnsError, Problem, StateError, Subproblem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatelodge.model import AddressSource, DdnsSettings, JsonObject
    from gatelodge.ports import AddressProvider, Clock, Documents, Events, Resolver

KIND = "journal/addresses"

#: A record that was written is looked for at the name servers for so long.
_PROOF = dt.timedelta(minutes=2)


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
        self._hosts: dict[tuple[str, str], Fact] = {}
        self._addresses: dict[str, str] = {}
        self._looked_at: dt.datetime | None = None
        self._loaded = False
        self._others: dict[str, Fact] = {}
        self._compared: dict[tuple[str, str], float] = {}
        self._told: dict[tuple[str, str], str] = {}

    @property
    def facts(self) -> Facts:
        """
        What is known.
        """
        return Facts(
            addresses=dict(self._addresses),
            looked_at=self._looked_at,
            hosts=tuple(self._hosts[key] for key in sorted(self._hosts)),
        )

    async def load(self) -> None:
        """
        Read what an earlier process wrote down, once.

        Raises:
            StateError: it cannot be read.
        """
        if self._loaded:
            return
        wanted = {KINDS[4]: self._settings.ipv4, KINDS[6]: self._settings.ipv6}
        for key, found in (await self._documents.list(KIND)).items():
            with contextlib.suppress(KeyError, TypeError, ValueError):
                fact = _fact(found)
                if fact.host in self._settings.hosts and wanted[fact.kind] is not None:
                    self._hosts[fact.host, fact.kind] = fact
                else:
                    self._others[key] = fact
        self._loaded = True

    async def keep(self, progress: Callable[[str], None]) -> None:
        """
        Look once, and write what changed.

        Raises:
            DnsError: something could not be found or written now, after all else was done.
            StateError: what would be written could not be written down; it was not written.
        """
        await self.load()
        await self._forget_others()
        progress("looking at the public address")
        problems: list[Problem] = []
        for family, source in ((4, self._settings.ipv4), (6, self._settings.ipv6)):
            if source is not None:
                problems += await self._find(KINDS[family], source, family)
        for host in self._settings.hosts:
            for kind, address in self._addresses.items():
                try:
                    await self._keep_one(host, kind, address, progress)
                except DnsError as error:
                    await self._note((host, kind), error.problem.detail)
                    problems.append(error.problem)
        self._looked_at = self._clock.now()
        if problems:
            raise DnsError(_together(problems))

    async def _find(self, kind: str, source: AddressSource, family: int) -> list[Problem]:
        try:
            self._addresses[kind] = await self._finder.find(source, family)
        except DnsError as error:
            # What stands in the DNS is the best that is known: it stays.
            self._addresses.pop(kind, None)
            return [error.problem]
        return []

    async def _keep_one(self, host: str, kind: str, address: str, progress: Callable[[str], None]) -> None:
        key = (host, kind)
        fact = self._hosts.get(key, Fact(host=host, kind=kind))
        compared = self._compared.get(key)
        fresh = compared is not None and self._clock.monotonic() - compared < COMPARE.total_seconds()
        if fresh and fact.problem is None and fact.written == address:
            return
        zone = await self._provider.zone_of(host)
        decision = decide(fact, await self._provider.standing(zone, host), address)
        self._compared[key] = self._clock.monotonic()
        match decision:
            case LeaveAlone(reason=reason):
                await self._leave_alone(key, reason)
            case Keep():
                await self._store(dataclasses.replace(fact, written=address, intended=None, problem=None))
                self._told.pop(key, None)
            case Write(instead_of=before):
                await self._write(fact, zone, address, before, progress)

    async def _leave_alone(self, key: tuple[str, str], reason: str) -> None:
        await self._note(key, reason)
        if self._told.get(key) != reason:
            self._told[key] = reason
            self._events.emit("address.left_alone", level="warning", host=key[0], type=key[1], error__detail=reason)

    async def _write(
        self, fact: Fact, zone: str, address: str, before: str | None, progress: Callable[[str], None]
    ) -> None:
        now = self._clock.now()
        earliest = fact.not_before()
        # A write that lies ahead was dated by a clock that was wrong.
        if earliest is not None and fact.writes[-1] <= now < earliest:
            await self._note(
                (fact.host, fact.kind),
                f"the address changes often: {address} is written at {earliest:%H:%M} UTC, if it is still that one",
            )
            return
        progress(f"writing {fact.kind} {address} of {fact.host}")
        writes = (*(each for each in fact.writes if now - each <= REMEMBER), now)
        # Written down first: after a crash in between, what stands there is known as ours.
        fact = dataclasses.replace(fact, written=before or fact.written, intended=address, writes=writes)
        await self._store(fact, strictly=True)
        await self._provider.set_address(zone, fact.host, address, instead_of=before)
        await self._store(dataclasses.replace(fact, written=address, intended=None, problem=None))
        self._told.pop((fact.host, fact.kind), None)
        self._events.emit(
            "address.changed",
            host=fact.host,
            type=fact.kind,
            before=before,
            after=address,
            provider=self._settings.dns,
            zone=zone,
        )
        await self._prove(fact.host, fact.kind, address, progress)

    async def _prove(self, host: str, kind: str, address: str, progress: Callable[[str], None]) -> None:
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

    async def _note(self, key: tuple[str, str], problem: str) -> None:
        fact = self._hosts.get(key, Fact(host=key[0], kind=key[1]))
        if fact.problem != problem:
            await self._store(dataclasses.replace(fact, problem=problem))

    async def _store(self, fact: Fact, *, strictly: bool = False) -> None:
        """
        Write a fact down. Only an intention has to be on disk before anything else is done.
        """
        if self._hosts.get((fact.host, fact.kind)) == fact:
            return
        try:
            await self._documents.put(KIND, f"{fact.kind} {fact.host}", _document(fact))
        except StateError as error:
            if strictly:
                raise
            self._events.emit("state.failed", level="error", error__detail=str(error))
        self._hosts[fact.host, fact.kind] = fact

    async def _forget_others(self) -> None:
        """
        Forget hosts that are kept no more. Their records stay.
        """
        for key, fact in self._others.items():
            with contextlib.suppress(StateError):
                await self._documents.delete(KIND, key)
            self._hosts.pop((fact.host, fact.kind), None)
        self._others = {}


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
    first, *more = problems
    return Problem(
        type=first.type,
        detail=first.detail + (f" (and {len(more)} more)" if more else ""),
        subproblems=tuple(Subproblem(type=each.type, detail=each.detail) for each in problems) if more else (),
        retry_after=max((each.retry_after for each in problems if each.retry_after), default=None),
    )


def _document(fact: Fact) -> JsonObject:
    return {**dataclasses.asdict(fact), "writes": [each.isoformat() for each in fact.writes]}


def _fact(found: Mapping[str, Any]) -> Fact:
    if found["kind"] not in KINDS.values():
        raise ValueError(found["kind"])
    return Fact(
        host=str(found["host"]),
        kind=str(found["kind"]),
        written=found["written"],
        intended=found["intended"],
        writes=tuple(dt.datetime.fromisoformat(each) for each in found["writes"]),
        problem=found["problem"],
    )
