"""
Finds mistakes in the options of a dns-lexicon provider, by what dns-lexicon says it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def check(options: Mapping[str, object]) -> Iterable[tuple[str, str, str]]:
    """
    Say what is wrong: each as key, problem and remedy.
    """
    del options
    return ()
