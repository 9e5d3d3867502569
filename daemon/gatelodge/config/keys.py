"""
Decides how key paths and values of a configuration are written for people: in mistakes, on a terminal.

What a person typed may hold anything. Nothing leaves this file with control characters in it, and nothing longer than a line.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Keys and list positions from the top of the document: `("sites", "a.example", "listen", 0)`.
Path: TypeAlias = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")
_LONGEST = 80

#: Numbers beyond this are told apart by nobody; Python refuses to write those of more than 4300 digits.
_HUGE = 10**18

#: How each type that TOML knows is called. `bool` is asked for before `int`, `datetime` before `date`: exact types only.
_KINDS: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a fraction",
    list: "a list",
    tuple: "a list",
    dict: "a table",
    dt.datetime: "a date",
    dt.date: "a date",
    dt.time: "a time of day",
}


def written(path: Path) -> str:
    """
    Write a key path as it would stand in TOML: `sites."a.example".listen[0]`.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." if text else ""
            text += part if _BARE.fullmatch(part) else quoted(part)
    return text


def quoted(text: str) -> str:
    """
    Write text in double quotes, what cannot be printed as an escape, what is too long cut off.
    """
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f'"{"".join(map(_escaped, shown))}"'


def shown(value: object) -> str:
    """
    Write a value in short: itself when it is simple, else what kind of thing it is.
    """
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and not abs(value) > _HUGE:
        return str(value)
    return kind(value)


def kind(value: object) -> str:
    """
    Say what kind of TOML value this is: "text", "a number", "a list".
    """
    return _KINDS.get(type(value), "something else")


def _escaped(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"  # noqa: PLR2004 - the last that four digits can write
