"""
Works on the records of one zone through a service of dns-lexicon, and never on any other than the one that is meant.

Services list records each in their own way: with quotes or without, relative or absolute names, names that a filter should have kept
out. What is listed is brought into one form and compared whole. Everything here blocks: it runs in a thread.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import re
from typing import TYPE_CHECKING, Any

from gatelodge.errors import DnsError, Problem
from gatelodge.ports import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The types among which one id must be one record's alone: some services have one id for all records of a name.
_KINDS = ("TXT", "A", "AAAA", "CNAME")

_STRINGS = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(\d{3}|.)", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    A record: its value in the form of ours, and id and `content` as the service lists them.
    """

    id: str | None
    value: str
    content: str


class Records:
    """
    The records of a zone. `check` is asked before each change whether it is still wanted.
    """

    def __init__(self, *, provider: Any, zone: str, service: str, check: Callable[[], None]) -> None:
        self._provider = provider
        self._zone = zone
        self._service = service
        self._check = check

    def add(self, name: str, kind: str, value: str) -> None:
        """
        Add a value unless it is there.
        """
        if any(each.value == value for each in self._under(name, kind)):
            return
        self._check()
        self._agreed(self._provider.create_record(kind, name, value), name, "did not add the record")

    def remove(self, name: str, kind: str, value: str) -> None:
        """
        Remove a value and nothing else.
        """
        ours = [each for each in self._under(name, kind) if each.value == value]
        for each in ours:
            known_as = self._alone(name, kind, each)
            self._check()
            done = self._provider.delete_record(known_as, kind, name, each.content)
            self._agreed(done, name, "did not remove the record")
        if ours and any(each.value == value for each in self._under(name, kind)):
            raise self._failed("dnsProvider", name, "still lists the record that it removed", "it is tried again later")

    def standing(self, name: str) -> Standing:
        """
        Return what is under a name.
        """
        found = {kind: [each.value for each in self._under(name, kind)] for kind in ("A", "AAAA", "CNAME")}
        return Standing(
            ipv4=frozenset(found["A"]), ipv6=frozenset(found["AAAA"]), cname=next(iter(found["CNAME"]), None)
        )

    def set_address(self, name: str, address: str, instead_of: str | None) -> None:
        """
        Make an address the only one of its family, where nothing else stands than the one to be replaced.
        """
        address = _value("A", address)
        kind = "AAAA" if ":" in address else "A"
        here, aliases = self._under(name, kind), self._under(name, "CNAME")
        values = [each.value for each in here]
        if values == [address] and not aliases:
            return
        if aliases or values != ([] if instead_of is None else [_value(kind, instead_of)]):
            raise _changed(name, [*here, *aliases])
        self._check()
        if here:
            done = self._provider.update_record(here[0].id, kind, name, address)
        else:
            done = self._provider.create_record(kind, name, address)
        self._agreed(done, name, "did not set the address")
        after = self._under(name, kind)
        if [each.value for each in after] != [address]:
            raise _changed(name, after)

    def _under(self, name: str, kind: str) -> list[Record]:
        """
        Return the records of a type under a name.
        """
        listed = self._provider.list_records(kind, name)
        return [self._read(kind, each) for each in listed or () if self._is(name, kind, each)]

    def _alone(self, name: str, kind: str, record: Record) -> str | None:
        """
        Return the id by which to delete a record; None when the service is to find it by type, name and content.

        Most services, asked without an id, delete what they list for all three; it is seen beforehand what that is. An id comes second:
        with some services it is that of all records of a name.

        Raises:
            DnsError: neither means this record alone.
        """
        hit = list(self._provider.list_records(kind, name, record.content) or ())
        if hit and all(self._is(name, kind, each) and self._read(kind, each).value == record.value for each in hit):
            return None
        everything = [each for other in _KINDS for each in self._provider.list_records(other, name) or ()]
        called = {
            tuple(str(each.get(part)) for part in ("type", "name", "content"))
            for each in everything
            if str(each.get("id")) == record.id
        }
        if len(called) == 1:
            return record.id
        raise self._failed(
            "dnsRecord", name, "cannot remove one record and leave the others", f"delete this {kind} record by hand"
        )

    def _is(self, name: str, kind: str, listed: Any) -> bool:
        """
        Tell whether what is listed has a type and a name; absolute or relative to the zone, the zone itself also as `@`.
        """
        if str(listed.get("type") or kind).upper() != kind:
            return False
        said = str(listed.get("name") or "").rstrip(".").lower()
        apex = ("", "@", f"@.{self._zone}")
        return name in (said, f"{said}.{self._zone}") or (name == self._zone and said in apex)

    def _read(self, kind: str, listed: Any) -> Record:
        known_as, content = listed.get("id"), str(listed.get("content", ""))
        return Record(
            id=str(known_as) if known_as not in (None, "") else None, value=_value(kind, content), content=content
        )

    def _agreed(self, answer: object, name: str, what: str) -> None:
        if answer is False:
            raise self._failed("dnsRecord", name, what, "see what stands under that name at the service")

    def _failed(self, kind: str, name: str, what: str, remedy: str) -> DnsError:
        return DnsError(Problem(type=kind, detail=f"{name}: dns-lexicon's {self._service} {what}; {remedy}"))


def _value(kind: str, content: str) -> str:
    """
    Return a value in the form that ours have.
    """
    content = content.strip()
    if kind == "TXT":
        strings = _STRINGS.findall(content)
        whole = content.startswith('"') and not _STRINGS.sub("", content).strip()
        return "".join(_ESCAPED.sub(_plain, each) for each in strings) if whole else content
    if kind == "CNAME":
        return content.rstrip(".").lower()
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(content))
    return content


def _plain(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1])) if escaped[1].isdecimal() and len(escaped[1]) == 3 else escaped[1]  # noqa: PLR2004 - \DDD


def _changed(name: str, here: Sequence[Record]) -> DnsError:
    stands = ", ".join(sorted(each.value for each in here)) or "nothing"
    return DnsError(
        Problem(type="dnsRecord", detail=f"{name}: something else stands there by now ({stands}); it is left alone")
    )
