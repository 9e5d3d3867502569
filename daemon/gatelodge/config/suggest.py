"""
Decides which known word a mistyped one was meant to be.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from gatelodge.config.keys import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Comparing takes time by the square of the length, and no word of ours is longer.
_LONGEST = 64


def nearest(word: str, known: Iterable[str]) -> str | None:
    """
    Return the known word that looks most like this one, None when none does.
    """
    found = difflib.get_close_matches(word[:_LONGEST].lower().replace("-", "_"), list(known), n=1)
    return found[0] if found else None


def choices(known: Iterable[str]) -> str:
    """
    Write words as a choice: `"a", "b" or "c"`.
    """
    *others, last = map(quoted, known)
    return f"{', '.join(others)} or {last}" if others else last
