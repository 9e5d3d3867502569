"""
Remembers what was worked out for the last trees, and nothing older: a daemon that lives for years writes a text a renewal, and none of them
is asked for again once a later tree has another.

Who writes trees says when one is whole (`turn`). It decides nothing about what is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_Given = TypeVarTuple("_Given")
_R = TypeVar("_R")


class Remembering(Generic[*_Given, _R]):
    """
    A pure function of hashable arguments. An answer is kept until a whole tree did not ask for it.
    """

    def __init__(self, work: Callable[[*_Given], _R]) -> None:
        self._work = work
        self._now: dict[tuple[*_Given], _R] = {}
        self._before: dict[tuple[*_Given], _R] = {}

    def __call__(self, *given: *_Given) -> _R:
        """
        Return the function's answer.
        """
        if given not in self._now:
            self._now[given] = self._before[given] if given in self._before else self._work(*given)
        return self._now[given]

    def turn(self) -> None:
        """
        Forget what was not asked for since the turn before.
        """
        self._before, self._now = self._now, {}

    def __len__(self) -> int:
        """
        Return how many answers are kept.
        """
        return len(self._before.keys() | self._now.keys())
