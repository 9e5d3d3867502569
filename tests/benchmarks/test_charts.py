"""
Every table of the race has a picture, drawn of the fields that its rows have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from benchmarks import charts, gates, issuance, memory, picture, proxy, reload, scale, served, start
from benchmarks.measure import Run
from benchmarks.tables import Table
from benchmarks.turns import Turn
from benchmarks.visitors import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Rows as each part makes them.
ROWS: dict[str, Sequence[dict[str, Any]]] = {
    "issuance": issuance.rows(
        10, {"bare requests": [Run(wall=1, cpu=1)], "gatelodge once": [Run(wall=3, cpu=2), Run(wall=2, cpu=2)]}
    ),
    "proxy": proxy.rows(
        "h1",
        {
            gates.HAND_TUNED: [Turn(rate=20_000, cost=50, failed=0)],
            gates.OURS: [Turn(rate=19_000, cost=52, failed=0)],
        },
    ),
    "reload": reload.rows({"visitors h1": {"gatelodge": Tally(requests=12_345, repeated=3, failed=1)}}, 5),
    "stored to served": served.rows({gates.HAND_TUNED: [0.1, 0.3], "gatelodge": [0.4]}, gates.HAND_TUNED),
    "scale": scale.rows({100: [{"plan": 0.1, "memory": 40.0}], 1000: [{"plan": 1.0, "memory": 50.0}]}),
    "start": start.rows("first answer", {"gatelodge": [0.5, 0.7, 0.6], "Caddy": [0.3]}),
    "memory": [memory.row("gatelodge", 3, "after a restart", daemon={"Pss": 50.0, "Rss": 60.0}, nginx=10.0)],
}


def test_every_chart_is_of_a_table_that_there_is() -> None:
    """
    And every table of the race has one.
    """
    assert charts.CHARTS.keys() == ROWS.keys()


@pytest.mark.parametrize("title", ROWS)
def test_bars_are_drawn_of_what_a_part_makes(title: str) -> None:
    """
    A bar for each row; ours is marked.
    """
    rows = ROWS[title]
    groups = charts.groups(Table(title=title, note="", rows=tuple(rows)))
    bars = [bar for group in groups for bar in group.bars]

    assert len(bars) == len(rows)
    assert any(bar.ours for bar in bars)
    assert not any("{" in text for group in groups for text in (group.heading, *(bar.text for bar in group.bars)))


def test_rows_under_one_heading_share_a_group() -> None:
    """
    Others have another, with a scale of its own.
    """
    rows = [*issuance.rows(1, {"bare requests": [Run(wall=1, cpu=1)]}), *ROWS["issuance"]]
    groups = charts.groups(Table(title="issuance", note="", rows=tuple(rows)))

    assert [len(group.bars) for group in groups] == [1, 2]


def test_the_words_have_room() -> None:
    """
    Beside the longest bar, and before it: a letter is at most 8 pixels wide on the average.
    """
    large = {"sites": 10_000, "requests": 1_000_000, "failed": 10_000, "repeated": 10_000, "reloads": 20}
    rows = {
        title: [{**each, **{key: large[key] for key in each.keys() & large}} for each in ROWS[title]] for title in ROWS
    }
    bars = [
        bar
        for title, each in rows.items()
        for group in charts.groups(Table(title=title, note="", rows=tuple(each)))
        for bar in group.bars
    ]

    assert max(len(bar.text) for bar in bars) * 8 < picture.ROOM_FOR_TEXT
    assert max(len(bar.label) for bar in bars) * 8 < picture.ROOM_FOR_LABELS


def test_large_numbers_are_grouped() -> None:
    """
    As people read them.
    """
    (group,) = charts.groups(Table(title="proxy", note="", rows=tuple(ROWS["proxy"])))

    assert group.bars[0].text == "20\u202f000 (1.0)"


def test_a_peer_without_a_run_has_no_row() -> None:
    """
    And one that has some has the median of those.
    """
    one = Run(wall=1, cpu=1)
    rows = issuance.rows(1, {"bare requests": [one], "lego": [None, None], "Caddy": [None, Run(wall=3, cpu=1)]})

    assert [(row["client"], row["wall"], row["runs"]) for row in rows] == [("bare requests", 1, 1), ("Caddy", 3, 1)]


def test_other_tables_have_no_picture() -> None:
    """
    Nobody has said what would be compared.
    """
    assert charts.groups(Table(title="visitors", note="", rows=({"client": "h1"},))) == []


def test_medians_and_ratios_are_those_of_the_runs() -> None:
    """
    Beside the bare requests, the hand-tuned nginx, and the one that is named last.
    """
    assert ROWS["issuance"][1] | {"runs": 0} == {
        "certificates": 10,
        "client": "gatelodge once",
        "wall": 2.5,
        "cpu": 2,
        "times bare": 2.5,
        "times bare cpu": 2.0,
        "runs": 0,
    }
    assert ROWS["proxy"][1]["of hand-tuned"] == 0.95
    assert ROWS["stored to served"][1]["times hand-tuned nginx"] == 2.0
    assert ROWS["start"][0] == {
        "what": "first answer",
        "who": "gatelodge",
        "median": 0.6,
        "most": 0.7,
        "times the last": 2.0,
    }
    assert ROWS["memory"][0]["together"] == 60.0
