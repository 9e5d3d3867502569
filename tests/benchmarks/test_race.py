"""
The race runs all parts, and a part that fails takes nothing from the others.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from benchmarks import charts, race, show
from benchmarks.measure import Failed
from benchmarks.race import PARTS, Part
from benchmarks.tables import Table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path


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


@pytest.mark.parametrize(("failure", "status"), [(None, 0), (Failed("there is no nginx"), 1)])
def test_one_report_comes_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: Exception | None, status: int
) -> None:
    """
    Of all parts, in a folder; whoever runs it by a program sees by the exit status whether something is missing.
    """

    def perhaps(given: argparse.Namespace) -> list[Table]:
        if failure:
            raise failure
        return _well(given)

    monkeypatch.setattr(race, "PARTS", {"one": _part(perhaps), "two": _part(_well)})
    monkeypatch.setattr(race.gates, "end_well", lambda: None)
    monkeypatch.setattr("sys.argv", ["race", "--quick", "--out", str(tmp_path)])
    monkeypatch.setenv("PATH", os.environ["PATH"])
    with pytest.raises(SystemExit) as ended:
        race.main()
    document = json.loads((tmp_path / "race.json").read_text(encoding="utf-8"))

    assert ended.value.code == status
    assert [table["title"] for table in document["tables"]] == ["well"] * (1 if failure else 2)
    assert document["missing"] == ({"one": "there is no nginx"} if failure else {})


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
