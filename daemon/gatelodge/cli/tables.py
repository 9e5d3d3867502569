"""
Turns events and single reports into text that reads well in a terminal.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import click

from gatelodge.cli.layout import printable
from gatelodge.cli.times import relative

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLOURS = {"kept": "green", "trouble": "yellow", "error": "red", "warning": "yellow"}

_HIDDEN_FIELDS = ("id", "time", "level", "event")


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


def event(entry: dict[str, Any]) -> str:
    """
    Return an event as one line.
    """
    fields = " ".join(
        f"{name}={_value(value)}" for name, value in entry.items() if name not in _HIDDEN_FIELDS and value is not None
    )
    at = dt.datetime.fromisoformat(entry["time"]).astimezone().strftime("%Y-%m-%d %H:%M:%S") if "time" in entry else ""
    level = str(entry.get("level", "info"))
    mark = click.style(f"{level:<7}", fg=_COLOURS.get(level))
    return f"{at} {mark} {click.style(str(entry['event']), bold=True)} {fields}".rstrip()


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


def _value(value: object) -> str:
    if isinstance(value, str) and value and " " not in value:
        return printable(value)
    return printable(json.dumps(value, ensure_ascii=False))
