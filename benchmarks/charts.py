"""
Which figures of a table become bars, and in which groups. What is not in the table of charts has no picture.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from benchmarks import picture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.tables import Table

_OURS = "gatelodge"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """
    How rows become bars: `heading`, `label` and `text` are filled in from a row's fields, `value` names the field that a bar is as long
    as. Rows with the same heading share a group.
    """

    heading: str
    label: str
    value: str
    text: str
    ours: bool = False


#: By the titles of tables.
CHARTS: dict[str, Chart] = {
    "issuance": Chart(
        heading="certificates by http-01, {certificates}: seconds, and how many times the bare requests",
        label="{client}",
        value="wall",
        text="{wall} ({times bare}), processor {cpu}",
    ),
    "proxy": Chart(
        heading="proxy, {load}: requests a second, and the ratio to the hand-tuned nginx",
        label="{gate}",
        value="requests/s",
        text="{requests/s} ({of hand-tuned})",
    ),
    "reload": Chart(
        heading="{reloads} reloads, {client}: what failed or was dropped",
        label="{gate}",
        value="failed",
        text="{failed} of {requests}, {repeated} repeated",
    ),
    "stored to served": Chart(
        heading="from a stored certificate to a served one: seconds",
        label="{gate}",
        value="median",
        text="{median}, at most {most}",
    ),
    "scale": Chart(
        heading="{what}: {unit}; grows as the number to the power of {exponent}",
        label="{sites} sites",
        value="median",
        text="{median}",
        ours=True,
    ),
    "start": Chart(heading="{what}: seconds", label="{who}", value="median", text="{median}"),
    "memory": Chart(
        heading="memory, {sites} sites: MB, nginx included",
        label="{gate}, {when}",
        value="together",
        text="{together}",
    ),
}


def groups(table: Table) -> list[picture.Group]:
    """
    Return the bars of a table.
    """
    chart = CHARTS.get(table.title)
    if chart is None:
        return []
    found: dict[str, list[picture.Bar]] = {}
    for row in table.rows:
        label = _filled(chart.label, row)
        bar = picture.Bar(
            label=label,
            value=float(row[chart.value]),
            text=_filled(chart.text, row),
            ours=chart.ours or _OURS in label,
        )
        found.setdefault(_filled(chart.heading, row), []).append(bar)
    return [picture.Group(heading=heading, bars=tuple(bars)) for heading, bars in found.items()]


def _filled(text: str, row: Mapping[str, Any]) -> str:
    return text.format_map({field: _grouped(value) for field, value in row.items()})


def _grouped(value: object) -> str:
    """
    Write a number as people read it: thousands apart, from ten thousand on.
    """
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) and value >= 10_000 else str(value)
