"""
What is remembered between trees, and for how long.
"""

from __future__ import annotations

from gatelodge.nginx.writing.remembering import Remembering


def test_what_trees_ask_for_is_worked_out_once() -> None:
    """
    However many trees there are.
    """
    asked: list[str] = []

    def work(name: str) -> str:
        asked.append(name)
        return name.upper()

    remembering = Remembering(work)
    for _ in range(3):
        assert (remembering("wiki"), remembering("cloud")) == ("WIKI", "CLOUD")
        remembering.turn()
    assert asked == ["wiki", "cloud"]


def test_what_no_tree_asks_for_is_forgotten() -> None:
    """
    A text a day for years leaves nothing behind but the last.
    """
    remembering = Remembering(str.upper)
    for day in range(1000):
        remembering("wiki")
        remembering(f"renewal {day}")
        remembering.turn()
    assert len(remembering) == 2
