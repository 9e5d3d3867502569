"""
The story of a seed: what happened, in order, with the world's time. The same seed tells the same story, to the letter.
"""

from __future__ import annotations

import collections
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Story:
    """
    What happened. Lines begin with the days and the time since the world began, and who says it.
    """

    def __init__(self, elapsed: Callable[[], float], *, hidden: str = "") -> None:
        """
        Args:
            hidden: a path that is another one in each run, and is not told.
        """
        self._hidden = hidden
        self.lines: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self._elapsed = elapsed

    def tell(self, who: str, what: str) -> str:
        """
        Write something down, and return it as it stands there.
        """
        told = self.open(what)
        self.lines.append(f"{stamp(self._elapsed())}  {who:<6}  {told}")
        return told

    def open(self, text: str) -> str:
        """
        Return a text without what is not told. Whoever cuts a text short does this before.
        """
        return text.replace(self._hidden, "") if self._hidden else text

    def count(self, what: str) -> None:
        """
        Count something for the summary.
        """
        self.counts[what] += 1

    def digest(self) -> str:
        """
        Return a short text that is the same for the same story only.
        """
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()[:16]


def stamp(seconds: float) -> str:
    """
    Write a moment as days and time.
    """
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{int(days):>5}d {int(hours):02}:{int(minutes):02}:{rest:06.3f}"
