"""
Keeps a ledger of the TXT records that are ours, so that each of them is gone in the end, whatever happens to this process.

A record is written down before its provider is asked to add it, and crossed out once the provider said that it is gone: so one
that a crash, a cancellation or a dead provider left behind is known, and is swept later. What is not in the ledger is never
touched. It decides neither what is published nor when to try again.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import weakref
from typing import TYPE_CHECKING

from gatelodge.errors import DnsError, StateError
from gatelodge.ports import TxtRecord
from gatelodge.together import together

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Mapping, Sequence

    from gatelodge.model import JsonObject
    from gatelodge.ports import Clock, DnsProvider, Documents, Events

KIND = "journal/dns"

#: Records on their way to or from a provider at once. Its own limit of requests is its adapter's business.
_AT_ONCE = 20

#: Seconds for taking records away. A job that is cancelled belongs to a daemon that is asked to stop within ten seconds.
_GOODBYE = 60.0
_HASTY_GOODBYE = 4.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """
    A record that is there, may be there, or is about to be. `known_as` is the provider's name for it, once that was learned.
    """

    provider: str
    record: TxtRecord
    known_as: str | None = None

    @property
    def key(self) -> str:
        return f"{self.provider} {self.record.name} {self.record.value}"


class Ledger:
    """
    The DNS records of one state directory. Providers are known by the NAME of their `[dns.NAME]`.
    """

    def __init__(self, *, documents: Documents, clock: Clock, events: Events) -> None:
        self._documents = documents
        self._clock = clock
        self._events = events
        self._entries: dict[str, _Entry] = {}
        # Two orders can share an authorization, and with it a record: the last one out takes it away.
        self._uses: collections.Counter[str] = collections.Counter()
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def load(self) -> None:
        """
        Read what an earlier process left.

        Raises:
            StateError: it cannot be read.
        """
        for key, document in (await self._documents.list(KIND)).items():
            with contextlib.suppress(KeyError, TypeError):
                self._entries[key] = _read(document)

    @property
    def leftovers(self) -> Mapping[str, tuple[str, ...]]:
        """
        The names of the records that nobody uses any more and that are not known to be gone, by provider.
        """
        found: dict[str, list[str]] = {}
        for key, entry in self._entries.items():
            if not self._uses[key]:
                found.setdefault(entry.provider, []).append(entry.record.name)
        return {provider: tuple(sorted(set(names))) for provider, names in found.items()}

    @contextlib.asynccontextmanager
    async def published(self, name: str, provider: DnsProvider, records: Sequence[TxtRecord]) -> AsyncIterator[None]:
        """
        Keep records published inside the context. Leaving takes exactly them away, under a deadline of its own.

        Raises:
            DnsError: the provider could not add one; those that it added are taken away again.
            StateError: one could not be written down; the provider was not asked for that one.
        """
        entries = [_Entry(provider=name, record=record) for record in dict.fromkeys(records)]
        for entry in entries:
            self._uses[entry.key] += 1
        try:
            await together(self._add(entry, provider) for entry in entries)
            yield
        finally:
            for entry in entries:
                self._uses[entry.key] -= 1
            await self._take_away(name, provider, [entry.key for entry in entries])

    async def sweep(self, name: str, provider: DnsProvider) -> None:
        """
        Take a provider's leftovers away.

        Raises:
            DnsError: some are still there.
        """
        keys = [key for key, entry in self._entries.items() if entry.provider == name and not self._uses[key]]
        await together(self._remove(key, provider) for key in keys)

    async def _add(self, entry: _Entry, provider: DnsProvider) -> None:
        async with self._turn(entry.key), self._slots:
            if self._uses[entry.key] > 1 and entry.key in self._entries:
                return  # another order shares it, and added it
            await self._write(entry)
            known_as = await provider.add(entry.record)
            await self._write(dataclasses.replace(entry, known_as=known_as))
        self._events.emit(
            "dns.record.added", provider=entry.provider, zone=entry.record.zone, record=entry.record.name, type="TXT"
        )

    async def _remove(self, key: str, provider: DnsProvider) -> None:
        async with self._turn(key), self._slots:
            entry = self._entries.get(key)
            if entry is None or self._uses[key]:
                return
            await provider.remove(entry.record, entry.known_as)
            del self._entries[key]
            await self._cross_out(key)
        self._events.emit(
            "dns.record.removed", provider=entry.provider, zone=entry.record.zone, record=entry.record.name, type="TXT"
        )

    async def _take_away(self, name: str, provider: DnsProvider, keys: Sequence[str]) -> None:
        task = asyncio.current_task()
        seconds = _HASTY_GOODBYE if task is not None and task.cancelling() else _GOODBYE
        why = f"{name} did not answer within {seconds:g} s"
        try:
            async with asyncio.timeout(seconds):
                await together(self._remove(key, provider) for key in keys)
        except DnsError as error:
            why = str(error)
        except TimeoutError:
            pass
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
        await self._documents.put(KIND, entry.key, _document(entry, self._clock.now()))
        self._entries[entry.key] = entry

    async def _cross_out(self, key: str) -> None:
        """
        Forget a record that is gone. A line too many is harmless: the next sweep finds nothing to take away.
        """
        try:
            await self._documents.delete(KIND, key)
        except StateError as error:
            self._events.emit("state.failed", level="error", error__detail=str(error))


def _document(entry: _Entry, at: dt.datetime) -> JsonObject:
    return {
        "provider": entry.provider,
        "zone": entry.record.zone,
        "name": entry.record.name,
        "value": entry.record.value,
        "known_as": entry.known_as,
        "at": at.isoformat(),
    }


def _read(document: JsonObject) -> _Entry:
    known_as = document["known_as"]
    return _Entry(
        provider=str(document["provider"]),
        record=TxtRecord(zone=str(document["zone"]), name=str(document["name"]), value=str(document["value"])),
        known_as=None if known_as is None else str(known_as),
    )
