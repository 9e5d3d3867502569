"""
scripts/install, as far as it can be tried without changing this machine. In full it runs in a root file system of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib

import pytest
from tests.systemd.machine import REPOSITORY

SCRIPT = REPOSITORY / "scripts/install"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """
    Run the script.
    """
    return subprocess.run([str(SCRIPT), *words], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("words", [("--bogus",), ("--remove", "now"), ("",), ("remove",)])
def test_what_it_does_not_know_changes_nothing(words: tuple[str, ...]) -> None:
    """
    It says how it is called, and exits 2.
    """
    done = run(*words)

    assert done.returncode == 2
    assert "scripts/install --remove" in done.stderr
    assert done.stdout == ""


def test_it_says_how_it_is_called() -> None:
    """
    Asked for help, on stdout.
    """
    done = run("--help")

    assert done.returncode == 0
    assert "scripts/install --remove" in done.stdout


def test_without_root_it_does_nothing() -> None:
    """
    Neither install nor remove.
    """
    if os.geteuid() == 0:
        pytest.skip("root has root")
    for words in ((), ("--remove",)):
        done = run(*words)

        assert done.returncode == 1
        assert "needs root" in done.stderr


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="shellcheck is not installed; scripts/setup test installs it"
)
def test_shellcheck_finds_nothing() -> None:
    """
    Quoting, unset variables, pipes that swallow failures.
    """
    done = subprocess.run(["shellcheck", str(SCRIPT)], capture_output=True, text=True, check=False, timeout=60)

    assert done.stdout == ""


def test_the_example_asks_no_ca_before_somebody_agreed() -> None:
    """
    The line that the script takes out of the example is there as it expects it, and is the agreement.
    """
    text = (REPOSITORY / "config.example.toml").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith("agree_tos = true")]

    assert len(rows) == 1
    assert tomllib.loads(text)["acme"]["agree_tos"] is True
    assert "agree_tos" not in tomllib.loads(text.replace(rows[0], f"# {rows[0]}"))["acme"]
    assert "s/^agree_tos = true/# agree_tos = true/" in SCRIPT.read_text(encoding="utf-8")
