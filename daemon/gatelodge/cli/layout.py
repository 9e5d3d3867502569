"""
Lays text out for a terminal's width: tables whose long cells give way, and texts that hang under their mark.

Whatever comes from outside is made harmless here: nothing moves the cursor, and host names are shown in their own script.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

#: An elastic column is not made narrower than this.
_LEAST = 16

_GAP = 2

_A_LABELS = re.compile(r"(?i)\b(?:[a-z0-9-]+\.)*xn--[a-z0-9.-]*[a-z0-9]\b")


def printable(text: str) -> str:
    """
    Return text in which nothing moves a terminal's cursor or changes its title: it may come from a CA.
    """
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def readable(text: str) -> str:
    """
    Return text with the host names in it as people write them: in Unicode (RFC 5891 §5). What is no such name stays as it is.
    """
    return printable(_A_LABELS.sub(lambda found: _decoded(found[0]), text) if "xn--" in text.lower() else text)


def _decoded(host: str) -> str:
    import idna

    try:
        return idna.decode(host)
    except UnicodeError:  # of which idna's own is one
        return host


def grid(
    head: Sequence[str],
    rows: Sequence[Sequence[Text | str]],
    *,
    width: int,
    elastic: Sequence[int],
    spare: int | None = None,
) -> Table:
    """
    Return a table without lines that is no wider than `width`.

    Args:
        head: the columns' titles; no line when they are all empty.
        elastic: the columns that give way, first the one that can best be spared. They end in "…" then.
        spare: the column that is left out before any other than itself gives way.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    texts = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = [
        max(cell_len(head[column]), *(cell_len(row[column].plain) for row in texts)) for column in range(len(head))
    ]
    if spare is not None and _excess(widths, width) > widths[spare] - _LEAST:
        keep = [column for column in range(len(head)) if column != spare]
        others = [keep.index(column) for column in elastic if column != spare]
        rows = [[row[column] for column in keep] for row in texts]
        return grid([head[column] for column in keep], rows, width=width, elastic=others)
    for column in elastic:
        widths[column] -= max(min(_excess(widths, width), widths[column] - _LEAST), 0)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim", collapse_padding=True)
    table.show_header = any(head)
    for title, size in zip(head, widths, strict=True):
        table.add_column(title, width=size, no_wrap=True, overflow="ellipsis")
    for row in texts:
        table.add_row(*row)
    return table


def _excess(widths: Sequence[int], width: int) -> int:
    return sum(widths) + _GAP * (len(widths) - 1) - width


def hanging(marks: Sequence[tuple[Text, str]]) -> Table:
    """
    Return texts that each stand to the right of a mark, also where they go on in the next line.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for mark, text in marks:
        table.add_row(mark, Text(text))
    return table
