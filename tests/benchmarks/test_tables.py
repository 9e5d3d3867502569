"""
Tables as people read them.
"""

from __future__ import annotations

import pytest
from benchmarks import tables
from benchmarks.tables import Table

TABLE = Table(
    title="proxy",
    note="medians of 3",
    rows=(
        {"gate": "hand-tuned nginx", "requests/s": 9500, "of hand-tuned": "1.000", "spread": "0.98-1.02"},
        {"gate": "a|b", "requests/s": 12, "of hand-tuned": "", "spread": "1-1"},
    ),
)


def test_columns_of_numbers_stand_at_the_right() -> None:
    """
    Also where a cell is empty or a span; words stand at the left.
    """
    assert tables.text(TABLE).splitlines() == [
        "proxy (medians of 3)",
        "",
        "  gate              requests/s  of hand-tuned     spread",
        "  hand-tuned nginx        9500          1.000  0.98-1.02",
        "  a|b                       12                       1-1",
    ]


def test_markdown_has_a_heading_and_a_sentence() -> None:
    """
    What would end a cell is escaped.
    """
    assert tables.markdown(TABLE).splitlines() == [
        "## proxy",
        "",
        "Medians of 3.",
        "",
        "| gate | requests/s | of hand-tuned | spread |",
        "| --- | ---: | ---: | ---: |",
        "| hand-tuned nginx | 9500 | 1.000 | 0.98-1.02 |",
        "| a\\|b | 12 |  | 1-1 |",
    ]


def test_a_table_without_rows_says_so() -> None:
    """
    It does not fail after all the work.
    """
    empty = Table(title="proxy", note="n", rows=())

    assert "nothing was measured" in tables.text(empty)
    assert "nothing was measured" in tables.markdown(empty)


@pytest.mark.parametrize(("value", "base", "found"), [(3.0, 2.0, 1.5), (1.0, 3.0, 0.33), (1.0, 0.0, ""), (0.0, 2.0, 0)])
def test_a_ratio_is_to_a_base_that_is_something(value: float, base: float, found: float | str) -> None:
    """
    Two places.
    """
    assert tables.ratio(value, base) == found
