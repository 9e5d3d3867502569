"""
The race runs all parts, and a part that fails takes nothing from the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from benchmarks import charts, race, show
from benchmarks.measure import Failed
from benchmarks.race import PARTS, Part
from benchmarks.tables import Table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def _part(tables: Callable[[argparse.Namespace], list[Table]]) -> Part:
    def parser() -> argparse.ArgumentParser:
        made = show.parser("scripts/bench part")
        made.add_argument("--runs", type=int, default=5)
        return made

    return Part(parser=parser, tables=tables, whole=(), quick=("--runs", "1"))


def _well(given: argparse.Namespace) -> list[Table]:
    return [Table(title="well", note="", rows=({"runs": given.runs},))]


@pytest.mark.parametrize("failure", [Failed("there is no nginx"), KeyError("x"), ExceptionGroup("x", [OSError()])])
def test_the_others_go_on_when_a_part_fails(failure: Exception) -> None:
    """
    Whatever happens in it; why it is missing is told.
    """

    def fail(_: argparse.Namespace) -> list[Table]:
        raise failure

    found, missing = race.run({"one": _part(fail), "two": _part(_well)}, quick=False)

    assert [table.rows for table in found] == [({"runs": 5},)]
    assert missing == {"one": str(failure)}


def test_a_quick_one_is_small() -> None:
    """
    Each part has arguments for it.
    """
    (table,), _ = race.run({"two": _part(_well)}, quick=True)

    assert table.rows == ({"runs": 1},)


def test_the_parts_are_those_that_are_promised() -> None:
    """
    In this order.
    """
    assert list(PARTS) == ["issuance", "proxy", "reload", "scale", "start"]
    assert PARTS.keys() <= charts.CHARTS.keys()


@pytest.mark.parametrize("name", PARTS)
def test_the_arguments_of_a_part_are_its_own(name: str) -> None:
    """
    Those of the whole race and those of a quick one, which asks for less.
    """
    part = PARTS[name]
    whole, quick = (vars(part.parser().parse_args(words)) for words in (part.whole, part.quick))

    assert quick.keys() == whole.keys()
    assert quick != whole


def test_all_peers_of_issuance_take_part() -> None:
    """
    And the numbers are those that are promised, when none are given.
    """
    assert PARTS["issuance"].parser().parse_args(PARTS["issuance"].whole).peers
