"""
Decides what dynamic DNS writes: what stands under a name, what we wrote there last, and the address found, make one decision.

What we did not write is never overwritten. A line that flaps makes few writes: the waits are a table.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model import JsonObject

#: The least time between two writes of a host, by how many came within an hour: the first at once, since a home's address changes
#: once a day; then longer and longer, since resolvers keep an address for its TTL anyway (Alidns: 10 minutes at least).
HOLD = tuple(dt.timedelta(minutes=minutes) for minutes in (0, 5, 10, 20, 40, 60))

#: Writes older than this count no more.
REMEMBER = dt.timedelta(hours=1)

#: What a provider holds is compared this often even when nothing changed here: a person may have changed it there.
COMPARE = dt.timedelta(hours=12)

#: The record types, by family.
KINDS: Mapping[int, str] = {4: "A", 6: "AAAA"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    What a provider's zone holds under a name: its A and AAAA values in canonical form, and the target of a CNAME, if there is one.
    """

    ipv4: frozenset[str] = frozenset()
    ipv6: frozenset[str] = frozenset()
    cname: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """
    One host in one family: the address that we wrote last, or were about to write (`intended`), when we wrote (in order), and why it
    is not as it should be, if so.
    """

    host: str
    kind: str
    written: str | None = None
    intended: str | None = None
    writes: tuple[dt.datetime, ...] = ()
    problem: str | None = None

    @property
    def ours(self) -> frozenset[str]:
        """
        The addresses that can stand there by our doing.
        """
        return frozenset(each for each in (self.written, self.intended) if each is not None)

    @property
    def name(self) -> str:
        """
        The key of its document.
        """
        return f"{self.kind} {self.host}"

    def document(self) -> JsonObject:
        """
        Return what is written down of it.
        """
        return {**dataclasses.asdict(self), "writes": [each.isoformat() for each in self.writes]}

    def held_until(self, now: dt.datetime) -> dt.datetime | None:
        """
        Return when it may be written again; None when it may be now. A write that lies ahead was dated by a clock that was wrong.
        """
        past = [each for each in self.writes if each <= now]
        if not past:
            return None
        recent = sum(past[-1] - each <= REMEMBER for each in past)
        until = past[-1] + HOLD[min(recent, len(HOLD) - 1)]
        return until if until > now else None

    def after_writing(self, address: str, now: dt.datetime) -> Fact:
        """
        Return what is known once an address was written.
        """
        recent = (each for each in self.writes if dt.timedelta(0) <= now - each <= REMEMBER)
        return dataclasses.replace(self, written=address, intended=None, problem=None, writes=(*recent, now))


def read(key: str, document: Mapping[str, Any]) -> Fact:
    """
    Read what was written down under a key.

    Raises:
        KeyError, TypeError, ValueError: it is no fact, or another's.
    """
    texts = {field: document[field] for field in ("host", "kind", "written", "intended", "problem")}
    if any(not isinstance(each, str | None) for each in texts.values()):
        raise TypeError(key)
    writes = sorted(map(_moment, document["writes"]))
    fact = Fact(**texts, writes=tuple(writes))
    if fact.kind not in KINDS.values() or fact.name != key:
        raise ValueError(key)
    return fact


def _moment(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except OverflowError:
        raise ValueError(text) from None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What dynamic DNS knows: the public addresses by record type, when it last looked, and each host.
    """

    addresses: Mapping[str, str] = dataclasses.field(default_factory=dict)
    looked_at: dt.datetime | None = None
    hosts: tuple[Fact, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """
    The address stands there.
    """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """
    The address is to be written, instead of the one that is there.
    """

    instead_of: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LeaveAlone:
    """
    Somebody else set it.
    """

    reason: str


Decision: TypeAlias = Keep | Write | LeaveAlone


def decide(fact: Fact, standing: Standing, address: str) -> Decision:
    """
    Say what is to be done about one host in one family.
    """
    here = standing.ipv6 if fact.kind == "AAAA" else standing.ipv4
    if standing.cname is not None:
        return LeaveAlone(
            reason=f"{fact.host} is a CNAME to {standing.cname}, which Gatelodge did not write; {_remedy('it')}"
        )
    if here == {address}:
        return Keep()
    if not here:
        return Write(instead_of=None)
    if len(here) == 1 and here <= fact.ours:
        return Write(instead_of=next(iter(here)))
    return LeaveAlone(
        reason=f"{fact.host} has {fact.kind} {', '.join(sorted(here))}, which Gatelodge did not write; "
        f"{_remedy('it' if len(here) == 1 else 'them')}"
    )


def _remedy(what: str) -> str:
    return f"delete {what} to have the address kept, or take the host out of [ddns]"
