"""
What a kind of value is, and the marks by which a table says that a value may be written shorter.

`structure` reads by them, `schema` describes by them.
"""

import dataclasses
import datetime as dt
import enum
from collections.abc import Callable, Mapping
from typing import Any

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.suggest import choices, nearest
from gatelodge.config.values import quantities


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leaf:
    """
    A kind of value, equal to itself only. `takes` are the exact Python types that TOML must have given, `wanted` what to call such a value.

    `read` raises `Unreadable` for what is not one. `schema` is its JSON Schema. A `blind` value is never repeated.
    """

    takes: tuple[type, ...]
    read: Callable[[Any], Any]
    wanted: str
    schema: Mapping[str, object]
    blind: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OneOrMore:
    """
    Marks a list that may be written as its only element.
    """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shorthand:
    """
    Marks a table that may be written as the value of one of its keys.
    """

    key: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Or:
    """
    Marks a table in whose place something else may stand, of another kind than a table: an annotation with its own leaf.
    """

    other: Any
    table: type


def text(read: Callable[[str], Any], wanted: str, **schema: object) -> Leaf:
    """
    Make the leaf of a text.
    """
    return Leaf(takes=(str,), read=read, wanted=wanted, schema={"type": "string", **schema})


def choice(kind: type[enum.StrEnum], *, without: enum.StrEnum | None = None, **instead: tuple[str, str]) -> Leaf:
    """
    Make the leaf of a closed set of words, less one that is never written. `instead` holds words that people write: what is wrong
    with them, and the remedy; `-` and `.` in them are written `_`.
    """
    known = [member.value for member in kind if member is not without]

    def read(word: str) -> enum.StrEnum:
        if word in known:
            return kind(word)
        told = instead.get(word.lower().replace("-", "_").replace(".", "_"))
        if told:
            raise Unreadable(f"{quoted(word)} {told[0]}", told[1])
        meant = nearest(word, known)
        raise Unreadable(
            f"{quoted(word)} is not one of {choices(known)}"
            if known[1:]
            else f"{quoted(word)} is not {choices(known)}",
            f"write {quoted(meant or known[0])}",
        )

    return Leaf(takes=(str,), read=read, wanted=choices(known), schema={"enum": known})


def whole(*, least: int, most: int, wanted: str = "a whole number") -> Leaf:
    """
    Make the leaf of a whole number within bounds.
    """

    def read(number: int) -> int:
        if not least <= number <= most:
            raise Unreadable("it is out of range", f"write a number from {least} to {most}")
        return number

    return Leaf(takes=(int,), read=read, wanted=wanted, schema={"type": "integer", "minimum": least, "maximum": most})


def duration(**bounds: dt.timedelta) -> Leaf:
    """
    Make the leaf of a length of time within bounds.
    """
    return text(
        lambda given: quantities.duration(given, **bounds),
        'a duration such as "90s", "12h" or "1d"',
        pattern=f"^(?=.){quantities.DURATION}$",
    )
