"""
What was measured, as a table: a title, a note on how to read it, and rows with the same fields. It measures nothing and rounds nothing.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"-?\d+(\.\d+)?(-\d+(\.\d+)?)?")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    Rows by the names of their fields, in the order of the first one's.
    """

    title: str
    note: str
    rows: tuple[Mapping[str, Any], ...]


def ratio(value: float, base: float) -> float | str:
    """
    Return how many times a base a value is, to two places; nothing where the base is nothing.
    """
    return round(value / base, 2) if base else ""


def text(table: Table) -> str:
    """
    Return a table for a terminal: columns that hold numbers stand at the right.
    """
    cells = _cells(table)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = _numeric(cells)
    lines = (
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, right, strict=True)
        )
        for line in cells
    )
    return "\n".join([f"{table.title} ({table.note})", "", *(f"  {line}".rstrip() for line in lines), ""])


def markdown(table: Table) -> str:
    """
    Return a table in Markdown, under a heading.
    """
    heads, *lines = ([cell.replace("|", "\\|") for cell in line] for line in _cells(table))
    rule = ["---:" if number else "---" for number in _numeric([heads, *lines])]
    rows = (f"| {' | '.join(line)} |" for line in (heads, rule, *lines))
    return "\n".join([f"## {table.title}", "", f"{table.note[:1].upper()}{table.note[1:]}.", "", *rows, ""])


def _cells(table: Table) -> list[list[str]]:
    heads = list(table.rows[0]) if table.rows else ["nothing was measured"]
    return [heads, *([str(row[head]) for head in heads] for row in table.rows)]


def _numeric(cells: list[list[str]]) -> list[bool]:
    return [
        any(column) and all(not cell or _NUMBER.fullmatch(cell) for cell in column)
        for _, *column in zip(*cells, strict=True)
    ]
