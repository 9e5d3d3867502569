"""
What a run found is printed, and written where it is wanted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from benchmarks import issuance, show, surroundings
from benchmarks.measure import Failed, Run
from benchmarks.surroundings import Surroundings
from benchmarks.tables import Table

import gatelodge

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

AROUND = Surroundings(machine="2 processors", versions={"nginx": "1.22.1"}, at="2030-01-02 03:04", load=0.5)
TABLE = Table(title="issuance", note="seconds", rows=tuple(issuance.rows(1, {"bare requests": [Run(wall=1, cpu=1)]})))


def given(*words: str) -> argparse.Namespace:
    """
    What a command line says.
    """
    return show.parser("scripts/bench issuance").parse_args(words)


def test_it_is_written_as_json_markdown_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    In a folder that is made, under the name of the benchmark; the table is printed all the same.
    """
    folder = tmp_path / "a" / "b"
    show.present([TABLE], given("--out", str(folder)), began=AROUND, missing={"proxy": "there is no nginx"})
    document = json.loads((folder / "issuance.json").read_text(encoding="utf-8"))
    page = (folder / "issuance.md").read_text(encoding="utf-8")

    assert sorted(path.name for path in folder.iterdir()) == ["issuance.json", "issuance.md", "issuance.svg"]
    assert document["tables"] == [{"title": "issuance", "note": "seconds", "rows": list(TABLE.rows)}]
    assert document["surroundings"]["versions"] == {"nginx": "1.22.1"}
    assert document["missing"] == {"proxy": "there is no nginx"}
    assert "2030-01-02 03:04 UTC, 2 processors, load 0.5 before; nginx 1.22.1." in page
    assert "proxy is missing: there is no nginx" in page
    assert "bare requests" in (folder / "issuance.svg").read_text(encoding="utf-8")
    assert "bare requests" in capsys.readouterr().out


def test_json_is_one_line_that_programs_read(capsys: pytest.CaptureFixture[str]) -> None:
    """
    And nothing else is printed.
    """
    show.present([TABLE], given("--json"), began=AROUND)
    (line,) = capsys.readouterr().out.splitlines()

    assert json.loads(line)["benchmark"] == "issuance"


def test_without_a_chart_there_is_no_picture(tmp_path: Path) -> None:
    """
    An empty one would say nothing.
    """
    show.present([Table(title="faults", note="", rows=({"a": 1},))], given("--out", str(tmp_path)), began=AROUND)

    assert not (tmp_path / "issuance.svg").exists()


def test_who_cannot_measure_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In a sentence, without a traceback.
    """

    def measure(_: argparse.Namespace) -> Sequence[Table]:
        raise Failed("h2load is not installed")

    monkeypatch.setattr("sys.argv", ["bench"])
    with pytest.raises(SystemExit, match="scripts/bench proxy: h2load is not installed"):
        show.run(show.parser("scripts/bench proxy"), measure)


def test_what_is_around_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    The machine, and the versions of those programs that are there.
    """
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "caddy").write_text("#!/bin/sh\necho v2.11.7 h1:xyz\n", encoding="utf-8")
    (tmp_path / "caddy").chmod(0o755)
    found = surroundings.look()

    assert found.versions.keys() == {"gatelodge", "python", "caddy"}
    assert found.versions["gatelodge"] == gatelodge.__version__
    assert found.versions["caddy"] == "2.11.7"
    assert "processors" in found.machine
