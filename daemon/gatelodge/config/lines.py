"""
Finds the line of each key in TOML text, so that a mistake can name it. For display only.

What the TOML means is tomllib's to say, and it was asked before; this scanner trusts that the text is valid. Where it loses
its way, it knows no lines, and never raises.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.keys import Path

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r'[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')

#: Strings of all four kinds; a multi-line one may end in up to two quotes of its own. Else numbers, dates and words.
_VALUE = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\n]+",
    re.DOTALL,
)

#: Nothing of ours lies deeper. Remembering every part of a key with thousands of dots would take memory by the square.
_DEEPEST = 12


def lines_of(text: str) -> Mapping[Path, int]:
    """
    Return the line, counted from 1, on which each key path of valid TOML is first written.
    """
    try:
        return _Scanner(text).scan()
    except (_Lost, tomllib.TOMLDecodeError, RecursionError):
        return {}


class _Lost(Exception):
    """
    The text is not what was expected here.
    """


class _Scanner:
    """
    Goes through the text once. `_at` is where it is.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Path, int] = {}
        self._last: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        """
        Read all statements: table headers and pairs.
        """
        table: Path = ()
        self._take(_BLANK)
        while self._at < len(self._text):
            if self._next("["):
                table = self._header()
            else:
                self._pair(table)
            self._take(_BLANK)
        return self._lines

    def _header(self) -> Path:
        array = self._next("[")
        line = self._line()
        *above, last = self._keys()
        path: Path = ()
        for key in above:
            path = self._inside((*path, key), line)
        path = (*path, last)
        if array:
            self._mark(path, line)
            self._last[path] = self._last.get(path, -1) + 1
            path = (*path, self._last[path])
            self._mark(path, line)
        else:
            path = self._inside(path, line)
        for _ in range(2 if array else 1):
            self._expect("]")
        return path

    def _inside(self, path: Path, line: int) -> Path:
        """
        Return what a header's key leads into: the table, or the newest one of an array of tables.
        """
        self._mark(path, line)
        return (*path, self._last[path]) if path in self._last else path

    def _pair(self, table: Path) -> None:
        line = self._line()
        keys = self._keys()
        self._expect("=")
        for length in range(1, len(keys) + 1)[: _DEEPEST + 1]:
            self._mark((*table, *keys[:length]), line)
        self._value((*table, *keys))

    def _value(self, path: Path) -> None:
        self._take(_SPACE)
        if self._next("["):
            index = 0
            while not self._closed("]"):
                self._mark((*path, index), self._line())
                self._value((*path, index))
                index += 1
        elif self._next("{"):
            while not self._closed("}"):
                self._pair(path)
        else:
            self._take(_VALUE)

    def _closed(self, end: str) -> bool:
        """
        Go to the next element of a list or inline table, or past its end.
        """
        self._take(_BLANK)
        self._next(",")
        self._take(_BLANK)
        return self._next(end)

    def _keys(self) -> tuple[str, ...]:
        """
        Read a key with its dots.
        """
        keys = []
        while True:
            self._take(_SPACE)
            key = self._take(_KEY)
            keys.append(tomllib.loads(f"key = {key}")["key"] if key[:1] in {'"', "'"} else key)
            self._take(_SPACE)
            if not self._next("."):
                return tuple(keys)

    def _mark(self, path: Path, line: int) -> None:
        if len(path) <= _DEEPEST:
            self._lines.setdefault(path, line)

    def _line(self) -> int:
        return bisect.bisect_left(self._ends, self._at) + 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _Lost
        self._at = found.end()
        return found[0]

    def _next(self, character: str) -> bool:
        """
        Go past a character if it is the next one.
        """
        there = self._text.startswith(character, self._at)
        self._at += there
        return there

    def _expect(self, character: str) -> None:
        if not self._next(character):
            raise _Lost
