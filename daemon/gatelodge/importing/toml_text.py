"""
Writes TOML: strings, keys, lists, comments.

Whatever a text holds, it stays within its quotes or its comment: nothing that is written here can end either.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BARE = re.compile(r"[A-Za-z0-9_-]+")

#: How wide a comment is, and how much of one foreign text is repeated in it.
_WIDTH = 110
_MOST = 200


def string(text: str) -> str:
    """
    Write a basic string.

    Raises:
        ValueError: it holds half a surrogate pair, which no TOML can hold.
    """
    text.encode()
    return '"' + "".join(_in_string(character) for character in text) + '"'


def key(*parts: str) -> str:
    """
    Write a dotted key.
    """
    return ".".join(part if _BARE.fullmatch(part) else string(part) for part in parts)


def strings(texts: Iterable[str]) -> str:
    """
    Write a list of strings, or the string itself when there is only one: most lists may be written so.
    """
    written = [string(text) for text in texts]
    return written[0] if len(written) == 1 else f"[{', '.join(written)}]"


def listed(texts: Iterable[str]) -> str:
    """
    Write a list of strings, one a line when it is long.
    """
    written = [string(text) for text in texts]
    line = f"[{', '.join(written)}]"
    return line if len(line) <= _WIDTH else "[\n" + "".join(f"  {each},\n" for each in written) + "]"


def shown(text: str) -> str:
    """
    Write a foreign text so that it can be repeated: in one line, without anything that a terminal would obey, and not endlessly.
    """
    cut = text if len(text) <= _MOST else f"{text[:_MOST]}…"
    return "".join(character if character.isprintable() else _escaped(character) for character in cut)


def comment(text: str, *, first: str = "# ", then: str = "# ") -> Iterator[str]:
    """
    Write a comment, as many lines as it needs.
    """
    safe = "".join(character if character.isprintable() else " " for character in text)
    yield from textwrap.wrap(
        safe,
        width=_WIDTH,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    ) or ["#"]


def _in_string(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else _escaped(character)


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04X}" if number <= 0xFFFF else f"\\U{number:08X}"  # noqa: PLR2004 - the largest of four digits
