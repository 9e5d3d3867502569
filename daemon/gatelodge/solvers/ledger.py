"""
Keeps a ledger of the TXT records that are ours, so that each of them is gone in the end, whatever happens to this process.

A record is written down before its provider is asked to add it, and crossed out once the provider said that it is gone: so one
that a crash, a cancellation or a dead provider left behind is known, and is swept later. A record whose adding never came to an end may
still come, though it is not there when it is looked for: it is looked for again. What is not in the ledger is never touched. It decides
neither what is published nor when to try again.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime as dt
import weakref
from typing import TYPE_CHECKING

from gatelodge.core import moments
from gatelodge.errors import DnsError, StateError
from gatelodge.ports import TxtRecord
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from gatelodge.model import JsonObject
    from gatelodge.ports import Clock, DnsProvider, Documents, Events

KIND = "journal/dns"

#: Records on their way to or from a provider at once. Its own limit of requests is its adapter's business.
_AT_ONCE = 20

#: Seconds for taking records away. A job that is cancelled belongs to a daemon that is asked to stop within ten seconds.
_GOODBYE = 60.0
_HASTY_GOODBYE = 4.0

#: A request that nobody waits for any more has been carried out by then, or never will be. Those of our adapters end in half of it.
SETTLED = dt.timedelta(minutes=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """
    A record that is there, may be there, or is about to be: through which `[dns.NAME]`, of which kind that was, and when the provider was last
    asked for it. `known_as` is the provider's name for it, once that was learned; `added` says that the provider said so.
    """

    provider: str
    kind: str
    record: TxtRecord
    at: dt.datetime
    known_as: str | None = None
    added: bool = False

    @property
    def key(self) -> str:
        return f"{self.provider} {self.record.name} {self.record.value}"


class Ledger:
    """
    The DNS records of one state directory. Providers are known by the NAME of their `[dns.NAME]` and the kind that it is: under another
    kind the NAME means another service.
    """

    def __init__(self, *, documents: Documents, clock: Clock, events: Events) -> None:
        self._documents = documents
        self._clock = clock
        self._events = events
        self._entries: dict[str, _Entry] = {}
        # Two orders can share an authorization, and with it a record: the last one out takes it away.
        self._uses: collections.Counter[str] = collections.Counter()
        # Looked for in vain, before they were settled.
        self._missed: set[str] = set()
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def load(self) -> None:
        """
        Read what an earlier process left. What it had not added yet it may have asked for up to its end, later than it could write down.

        Raises:
            StateError: it cannot be read.
        """
        for key, document in (await self._documents.list(KIND)).items():
            with contextlib.suppress(KeyError, TypeError, ValueError):
                entry = _read(document)
                self._entries[key] = entry if entry.added else dataclasses.replace(entry, at=self._clock.now())

    @property
    def leftovers(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """
        The names of the records that nobody uses any more and that are to be taken away now, by NAME and kind of their provider.
        """
        found: dict[tuple[str, str], list[str]] = {}
        for key, entry in self._entries.items():
            if not self._uses[key] and (key not in self._missed or self._settled(entry)):
                found.setdefault((entry.provider, entry.kind), []).append(entry.record.name)
        return {provider: tuple(sorted(set(names))) for provider, names in found.items()}

    @property
    def due(self) -> dt.datetime | None:
        """
        When the next of those is to be looked for that was looked for too early.
        """
        early = [self._entries[key] for key in self._missed if key in self._entries]
        return min((entry.at + SETTLED for entry in early if not self._settled(entry)), default=None)

    def _settled(self, entry: _Entry) -> bool:
        now = self._clock.now()
        return entry.added or not entry.at <= now < entry.at + SETTLED

    @contextlib.asynccontextmanager
    async def published(
        self, name: str, provider: DnsProvider, records: Sequence[TxtRecord], *, kind: str = ""
    ) -> AsyncIterator[None]:
        """
        Keep records published inside the context. Leaving takes exactly them away, under a deadline of its own.

        Args:
            kind: what `[dns.NAME]` is: `aliyun`.

        Raises:
            DnsError: the provider could not add one; those that it added are taken away again.
            StateError: one could not be written down; the provider was not asked for that one.
        """
        now = self._clock.now()
        entries = [_Entry(provider=name, kind=kind, record=record, at=now) for record in dict.fromkeys(records)]
        for entry in entries:
            self._uses[entry.key] += 1
        try:
            await together(self._add(entry, provider) for entry in entries)
            yield
        finally:
            for entry in entries:
                self._uses[entry.key] -= 1
            await self._take_away(name, provider, [entry.key for entry in entries])

    async def sweep(self, name: str, provider: DnsProvider, *, kind: str = "") -> None:
        """
        Take a provider's leftovers away. What was added through another kind of the same NAME stays.

        Raises:
            DnsError: some are still there.
        """
        mine = {(name, kind), (name, "")}
        keys = [
            key for key, entry in self._entries.items() if (entry.provider, entry.kind) in mine and not self._uses[key]
        ]
        await together(self._remove(key, provider) for key in keys)

    async def _add(self, entry: _Entry, provider: DnsProvider) -> None:
        async with self._turn(entry.key), self._slots:
            before = self._entries.get(entry.key)
            if self._uses[entry.key] > 1 and before is not None and before.added:
                return  # another order shares it, and added it
            await self._write(entry)
            # What came before, the disk too, may have taken long.
            entry = self._entries[entry.key] = dataclasses.replace(entry, at=self._clock.now())
            known_as = await provider.add(entry.record)
            await self._write(dataclasses.replace(entry, known_as=known_as, added=True))
        self._events.emit(
            "dns.record.added", provider=entry.provider, zone=entry.record.zone, record=entry.record.name, type="TXT"
        )

    async def _remove(self, key: str, provider: DnsProvider) -> None:
        async with self._turn(key), self._slots:
            entry = self._entries.get(key)
            if entry is None or self._uses[key]:
                return
            await provider.remove(entry.record, entry.known_as)
            if not self._settled(entry):
                self._missed.add(key)
                return
            self._missed.discard(key)
            del self._entries[key]
            await self._cross_out(key)
        self._events.emit(
            "dns.record.removed", provider=entry.provider, zone=entry.record.zone, record=entry.record.name, type="TXT"
        )

    async def _take_away(self, name: str, provider: DnsProvider, keys: Sequence[str]) -> None:
        task = asyncio.current_task()
        hasty = task is not None and task.cancelling() > 0
        try:
            why = await self._removed(provider, keys, seconds=_HASTY_GOODBYE if hasty else _GOODBYE)
        except asyncio.CancelledError:
            # Told to stop while it was at it: what is left is taken away in a hurry.
            self._tell_left(name, keys, await self._removed(provider, keys, seconds=_HASTY_GOODBYE))
            raise
        self._tell_left(name, keys, why)

    async def _removed(self, provider: DnsProvider, keys: Sequence[str], *, seconds: float) -> str:
        """
        Take records away, and return why some may be left.
        """
        try:
            async with asyncio.timeout(seconds):
                await together(self._remove(key, provider) for key in keys)
        except DnsError as error:
            return str(error)
        except TimeoutError:
            return f"it could not be done within {seconds:g} s"
        return "adding them was cut short, and they may still come"

    def _tell_left(self, name: str, keys: Sequence[str], why: str) -> None:
        left = sorted({self._entries[key].record.name for key in keys if key in self._entries and not self._uses[key]})
        if left:
            self._events.emit(
                "dns.record.left",
                level="warning",
                provider=name,
                records=left,
                error__detail=f"{why}; they are swept later",
            )

    def _turn(self, key: str) -> asyncio.Lock:
        return self._turns.setdefault(key, asyncio.Lock())

    async def _write(self, entry: _Entry) -> None:
        await self._documents.put(KIND, entry.key, _document(entry))
        self._entries[entry.key] = entry

    async def _cross_out(self, key: str) -> None:
        """
        Forget a record that is gone. A line too many is harmless: the next sweep finds nothing to take away.
        """
        try:
            await self._documents.delete(KIND, key)
        except StateError as error:
            self._events.emit("state.failed", level="error", error__detail=str(error))


def _document(entry: _Entry) -> JsonObject:
    return {
        "provider": entry.provider,
        "kind": entry.kind,
        "zone": entry.record.zone,
        "name": entry.record.name,
        "value": entry.record.value,
        "known_as": entry.known_as,
        "added": entry.added,
        "at": entry.at.isoformat(),
    }


def _read(document: JsonObject) -> _Entry:
    known_as = document["known_as"]
    return _Entry(
        provider=str(document["provider"]),
        kind=str(document.get("kind", "")),
        at=moments.read(document["at"]),
        added=bool(document.get("added", known_as is not None)),
        record=TxtRecord(zone=str(document["zone"]), name=str(document["name"]), value=str(document["value"])),
        known_as=None if known_as is None else str(known_as),
    )
