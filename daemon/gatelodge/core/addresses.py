"""
Decides what dynamic DNS writes: what stands under a name, what we wrote there last, and the address found, make one decision.

What we did not write is never overwritten. A line that flaps makes few writes: the waits are a table.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    One host in one family: the address that we wrote last, or were about to write (`intended`), when we wrote (the newest last), and
    why it is not as it should be, if so.
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

    def not_before(self) -> dt.datetime | None:
        """
        Return when it may be written again, None for at once.
        """
        if not self.writes:
            return None
        last = self.writes[-1]
        recent = sum(last - each <= REMEMBER for each in self.writes)
        return last + HOLD[min(recent, len(HOLD) - 1)]


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
            reason=f"{fact.host} is a CNAME to {standing.cname}, which somebody else set; delete it to have the address kept"
        )
    if here == {address}:
        return Keep()
    if not here:
        return Write(instead_of=None)
    if len(here) == 1 and here <= fact.ours:
        return Write(instead_of=next(iter(here)))
    return LeaveAlone(
        reason=f"{fact.host} has {fact.kind} {', '.join(sorted(here))}, which Gatelodge did not write; "
        f"delete {'it' if len(here) == 1 else 'them'} to have the address kept"
    )
