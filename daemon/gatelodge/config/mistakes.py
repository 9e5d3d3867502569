"""
Collects what is wrong in a configuration, so that all of it is told at once.

It also remembers what could not be read: a check that compares values must ask `unread` first, or it would complain about a
default that the person never chose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.config.keys import written
from gatelodge.model import Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.keys import Path


class Unreadable(Exception):
    """
    A value that is not what its key wants. Caught where the key path is known; never leaves this room.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy


class Mistakes:
    """
    The mistakes and warnings found so far. `lines` tells the line of a key path, for those that the scanner could tell.
    """

    def __init__(self, lines: Mapping[Path, int]) -> None:
        self._lines = lines
        self._found: dict[Mistake, None] = {}
        self._unread: set[Path] = set()
        self._holding: set[Path] = set()

    def add(self, path: Path, problem: str, remedy: str) -> None:
        """
        Note a mistake.
        """
        self._note(path, problem, remedy, warning=False)

    def warn(self, path: Path, problem: str, remedy: str) -> None:
        """
        Note something that works and is probably not meant.
        """
        self._note(path, problem, remedy, warning=True)

    def add_unread(self, path: Path, problem: str, remedy: str, *, meant: Path | None = None) -> None:
        """
        Note a value that could not be read, and with a mistyped key the one that was `meant`.
        """
        self.add(path, problem, remedy)
        for spoiled in filter(None, (path, meant)):
            self._unread.add(spoiled)
            self._holding.update(spoiled[:length] for length in range(len(spoiled)))

    def unread(self, *paths: Path) -> bool:
        """
        Tell whether the value at one of these paths, or a part of it, or what it stands in, could not be read.
        """
        return bool(self._unread) and any(
            path in self._holding or any(path[:length] in self._unread for length in range(1, len(path) + 1))
            for path in paths
        )

    def line(self, path: Path) -> int | None:
        """
        Return the line of a key, or of the nearest table around it that has one.
        """
        return next(
            (self._lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in self._lines), None
        )

    @property
    def errors(self) -> tuple[Mistake, ...]:
        """
        The mistakes, in the order of their lines.
        """
        return self._sorted(warning=False)

    @property
    def warnings(self) -> tuple[Mistake, ...]:
        """
        The warnings, in the order of their lines.
        """
        return self._sorted(warning=True)

    def _note(self, path: Path, problem: str, remedy: str, *, warning: bool) -> None:
        mistake = Mistake(path=written(path), problem=problem, remedy=remedy, line=self.line(path), warning=warning)
        self._found[mistake] = None

    def _sorted(self, *, warning: bool) -> tuple[Mistake, ...]:
        found = (mistake for mistake in self._found if mistake.warning is warning)
        return tuple(sorted(found, key=lambda mistake: (mistake.line is None, mistake.line or 0)))
