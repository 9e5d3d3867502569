"""
Plans as people read them.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import click
from tests.support.reports import NOW, at
from tests.support.seen_terminal import environment

from gatelodge.cli import plan, times

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
state_directory = "{folder}/state"
[sites."wiki.example.com"]
upstream = "http://127.0.0.1:3000"
tls = "off"
"""

LATER = at(dt.timedelta(hours=3))


def test_nothing_to_do_says_when_it_is_looked_again() -> None:
    """
    In one line.
    """
    said = [click.unstyle(line) for line in plan.text((), (), {}, look_at=LATER, now=NOW)]
    assert said == [f"Nothing to do: next look in 3 hours ({times.moment(LATER)})."]


def test_steps_are_counted_and_told_with_what_follows() -> None:
    """
    Names in their own script; what is kept back comes last.
    """
    steps = ("renew xn--bcher-kva.example", "start nginx")
    said = plan.text(steps, ("get the certificates",), {"a.example": "no\x1b[2J"}, look_at=LATER, now=NOW)
    assert [click.unstyle(line) for line in said] == [
        "2 steps now:",
        "- renew bücher.example",
        "- start nginx",
        "- then: get the certificates",
        "! a.example is kept back: no�[2J",
    ]


def test_the_diff_can_be_left_out(tmp_path: Path) -> None:
    """
    For people and for programs; it changes nothing either way.
    """
    file = tmp_path / "gatelodge.toml"
    file.write_text(CONFIG.format(folder=tmp_path))

    def said(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "gatelodge", "plan", *words, "-c", str(file)],
            capture_output=True, text=True, check=True, env=environment(),
        ).stdout  # fmt: skip

    assert "+++ b/sites/wiki.example.com.conf" in said()
    assert "wiki.example.com.conf" not in said("--no-diff")
    assert json.loads(said("--json"))["diff"]
    assert json.loads(said("--json", "--no-diff"))["diff"] == ""
    assert not (tmp_path / "state").exists()
