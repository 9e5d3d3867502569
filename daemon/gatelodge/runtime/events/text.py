"""
Writes an event as one line for people: local time, level, name, what happened in words, and what is left by name.

What the words are stands in the table of events. It decides nothing, and an event that is in no table is shown as well as one can.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any

from gatelodge.model.events import COMMON, EVENTS, Event
from gatelodge.runtime.events.files import event_time

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Names of events begin one below the other; most are no longer.
_WIDTH = 20

#: An end that is nearer than this is told to the minute.
_NEAR = dt.timedelta(days=10)

#: Fields that name a CA, and what stands before the names of those that speak ACME.
_CAS = ("ca", "left")
_ACME = "acme:"

#: Fields that are times.
_TIMES = ("retry_at", "due_at", "window_end")
_END = "not_after"

_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_FIELD = re.compile(r"\{([a-z_.]+)\}")

#: How a terminal is told (ECMA-48, SGR).
_RESET = "\x1b[0m"
_BOLD, _DIM = "\x1b[1m", "\x1b[2m"
_LEVELS = {"warning": "\x1b[33m", "error": "\x1b[31m"}


def line(entry: Mapping[str, Any], *, colours: bool) -> str:
    """
    Return an event as one line.

    Args:
        colours: with a terminal's colours; else plain text.
    """
    level, name = str(entry.get("level", "info")), str(entry.get("event", ""))
    at = event_time(dict(entry))
    words, told = _words(entry)
    rest = " ".join(_named(field, value) for field, value in entry.items() if _is_left(field, value, told, entry))
    parts = [
        at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else "",
        _in(_LEVELS.get(level, ""), f"{printable(level):<7}", colours=colours),
        _in(_BOLD, f"{printable(name):<{_WIDTH if words or rest else 0}}", colours=colours),
        words,
        _in(_DIM, rest, colours=colours) if rest else "",
    ]
    return " ".join(part for part in parts if part).rstrip()


def printable(text: str) -> str:
    """
    Return text on one line in which nothing moves a terminal's cursor or changes its title: it may come from a CA.
    """
    flat = re.sub(r"[ \t]*[\r\n]+[ \t]*", " ", text.strip())
    return "".join(letter if letter.isprintable() else "�" for letter in flat)


def words(entry: Mapping[str, Any]) -> str:
    """
    Return what happened as a sentence, without its name and time.
    """
    return _words(entry)[0]


def _words(entry: Mapping[str, Any]) -> tuple[str, set[str]]:
    """
    Return what happened in words, and the fields that are in them.
    """
    event = EVENTS.get(str(entry.get("event")), Event(when=""))
    told: set[str] = set()

    def value(found: re.Match[str]) -> str:
        told.add(found[1])
        return _value(found[1], entry.get(found[1]), entry)

    def optional(text: str) -> str:
        there = all(_there(entry.get(field)) for field in _FIELD.findall(text))
        return _FIELD.sub(value, text) if there else ""

    # Taken apart first, so that what a value holds is never taken for a bracket. Every other piece stood in brackets.
    pieces = _OPTIONAL.split(event.line)
    text = "".join(optional(piece) if number % 2 else _FIELD.sub(value, piece) for number, piece in enumerate(pieces))
    return text.lstrip(",;: "), told


def _is_left(field: str, value: object, told: set[str], entry: Mapping[str, Any]) -> bool:
    """
    Tell whether a field says something that the words do not.
    """
    if field in COMMON or field in told or not _there(value):
        return False
    return not (field == "names" and value == [entry.get("certificate")])


def _there(value: object) -> bool:
    return value is not None and value not in ("", [], {})


def _value(field: str, value: object, entry: Mapping[str, Any]) -> str:
    """
    Return a value as it reads in a sentence.
    """
    if isinstance(value, list):
        texts = [printable(str(each)) for each in value]
        return ("; " if any(" " in text for text in texts) else ", ").join(texts)
    if field in _TIMES or field == _END:
        at = event_time({"time": value})
        now = event_time(dict(entry))
        if at is not None:
            far = field == _END and (now is None or abs(at - now) > _NEAR)
            return at.astimezone().strftime("%Y-%m-%d" if far else "%Y-%m-%d %H:%M")
    text = printable(str(value)) if _there(value) else "?"
    return text.removeprefix(_ACME) if field in _CAS else text


def _named(field: str, value: object) -> str:
    if isinstance(value, str) and value and not re.search(r"\s", value):
        return f"{printable(field)}={printable(value)}"
    return f"{printable(field)}={printable(json.dumps(value, ensure_ascii=False, default=str))}"


def _in(code: str, text: str, *, colours: bool) -> str:
    return f"{code}{text}{_RESET}" if code and colours else text
