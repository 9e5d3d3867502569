"""
Turns single reports into text that reads well in a terminal.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gatelodge.cli.layout import printable
from gatelodge.cli.times import relative

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLOURS = {"kept": "green", "trouble": "yellow", "error": "red", "warning": "yellow"}


def dump(document: dict[str, Any]) -> str:
    """
    Return JSON on one line.
    """
    return json.dumps(document, ensure_ascii=False)


def ddns(document: dict[str, Any]) -> str:
    """
    Return how dynamic DNS stands as text: the addresses, each host, and what is wrong.
    """
    now, found = document["time"], document["ddns"]
    daemon = "" if document.get("daemon", True) else click.style("The daemon does not run. ", fg="yellow")
    seen = ", ".join(found["addresses"].values()) or "not known"
    looked = f", seen {relative(found['looked_at'], now)}" if found["looked_at"] else ""
    lines = [f"{daemon}Public address: {seen}{looked}; kept through {found['provider']}."]
    rows = [
        (
            printable(row["host"]),
            row["type"],
            row["address"] or "",
            relative(row["changed_at"], now),
            _coloured("trouble" if row["problem"] else "kept"),
        )
        for row in found["hosts"]
    ]
    if rows:
        lines += ["", *_table(("HOST", "TYPE", "ADDRESS", "CHANGED", "STATE"), rows)]
    lines += [f"! {printable(row['problem'])}" for row in found["hosts"] if row["problem"]]
    if failure := found["failure"]:
        again = relative(failure["retry_at"], now)
        lines.append(f"! {printable(failure['error.detail'])} (failed {failure['failures']} times, next try {again})")
    return "\n".join(lines)


def _coloured(state: str) -> str:
    return click.style(state, fg=_COLOURS.get(state))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(click.unstyle(row[column])) for row in [head, *rows]) for column in range(len(head))]
    return [
        "  ".join(
            cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in [head, *rows]
    ]
