"""
What is cheap of the benchmarks is run for real, as small as it gets: the figures are not looked at, only that there are some.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks import gates, reloadings, served
from benchmarks.measure import Failed, run
from tests.support.pages import ROOT

from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def bench(*words: str) -> dict[str, Any]:
    """
    Run a benchmark as its script does, and return what it prints.
    """
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    command = [sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:], "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_issuance_measures_a_certificate(tmp_path: Path) -> None:
    """
    By the bare requests, and by `gatelodge once`, which does more.
    """
    (table,) = bench("issuance", "1", "--runs", "1", "--out", str(tmp_path))["tables"]
    by_client = {row["client"]: row for row in table["rows"]}

    assert by_client.keys() == {"bare requests", "gatelodge once"}
    assert all(row["wall"] > 0 and row["cpu"] > 0 for row in by_client.values())
    assert by_client["bare requests"]["times bare"] == 1
    assert (tmp_path / "issuance.svg").exists()


def test_scale_measures_everything_at_each_size() -> None:
    """
    In processes of their own.
    """
    (table,) = bench("scale", "--sizes", "2", "4", "--runs", "1")["tables"]

    assert {row["what"] for row in table["rows"]} == {
        "first look",
        "idle pass",
        "first render",
        "render again",
        "plan",
        "count an order",
        "memory",
    }
    assert {row["sites"] for row in table["rows"]} == {2, 4}


def test_a_stored_certificate_is_served(tmp_path: Path) -> None:
    """
    By each gate that is there; and each reloads when it is told to.
    """
    tmp_path.chmod(0o755)
    with reloadings.running(gates.find_nginx("debian"), tmp_path, *free_ports(1)) as found:
        seconds = {each.gate.name: served.take(each, 1.2) for each in found}
        for each in found:
            each.now()

    assert {gates.HAND_TUNED, gates.OURS} <= seconds.keys()
    assert all(0 <= each < reloadings.LONGEST_SECONDS for each in seconds.values())


def test_a_server_is_over_once_its_files_are_there(tmp_path: Path) -> None:
    """
    As Caddy is; it is stopped then, and the time until it has stopped is not counted.
    """
    script = f"touch {tmp_path}/one.crt; sleep 0.2; touch {tmp_path}/two.crt; trap 'sleep 4; kill $!; exit' TERM; sleep 60 & wait"
    took = run(["sh", "-c", script], log=tmp_path / "log", until=(f"{tmp_path}/**/*.crt", 2), longest=20)

    assert 0.2 <= took.wall < 4


def test_a_command_that_hangs_or_fails_is_told_of(tmp_path: Path) -> None:
    """
    With what it said last.
    """
    with pytest.raises(Failed, match=r"ended with 3:\nso it is"):
        run(["sh", "-c", "echo so it is; exit 3"], log=tmp_path / "log")
    with pytest.raises(Failed, match="ended with 124"):
        run(["sleep", "60"], log=tmp_path / "log", longest=0.2)
