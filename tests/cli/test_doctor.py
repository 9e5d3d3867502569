"""
`gatelodge doctor` in words: problems first, a paragraph each, what is well on a line each, and colours only where they are wanted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TOML = """\
state_directory = "{folder}/state"
[nginx]
http_port = 18080
https_port = 18443
[sites."nas.home.arpa"]
upstream = "http://127.0.0.1:1"
tls = "local"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """
    A configuration of the LAN alone.
    """
    file = tmp_path / "gatelodge.toml"
    file.write_text(TOML.format(folder=tmp_path))
    return file


def typed(config: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    """
    Run it as a process of its own, offline.
    """
    settings = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    done = subprocess.run(
        [sys.executable, "-m", "gatelodge", "doctor", "--offline", "-c", str(config), *words],
        capture_output=True, text=True, check=False, timeout=60, env={**settings, **environment},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_problems_come_first_and_have_three_lines(config: Path) -> None:
    """
    What was seen, why it matters, what to do; then a line for each thing that is well, and the count.
    """
    code, out, err = typed(config)
    lines = out.splitlines()

    assert (code, err) == (1, "")
    assert "broken   Services behind the gate: nas.home.arpa/" in lines
    at = lines.index("broken   Services behind the gate: nas.home.arpa/")
    assert lines[at + 1].startswith("  saw http://127.0.0.1:1 does not accept connections")
    assert any(line.startswith("  why visitors get a 502") for line in lines[at:])
    assert any(line.startswith("  do  start the service") for line in lines[at:])
    levels = [line.split()[0] for line in lines if line.startswith(("broken", "warning", "note", "ok"))]
    assert levels == sorted(levels, key=["broken", "warning", "note", "ok"].index)
    assert lines[-1].endswith(" ok")
    assert "\x1b" not in out


def test_colours_where_they_are_wanted(config: Path) -> None:
    """
    NO_COLOR wins over FORCE_COLOR.
    """
    assert "\x1b[31m" in typed(config, FORCE_COLOR="1")[1]
    assert "\x1b" not in typed(config, FORCE_COLOR="1", NO_COLOR="1")[1]


def test_json_holds_the_same(config: Path) -> None:
    """
    One object; each finding has the same six fields.
    """
    code, out, _ = typed(config, "--json")
    document = json.loads(out)

    assert code == 1
    assert document["ok"] is False
    assert document["file"] == str(config)
    assert all(set(each) == {"check", "level", "subject", "seen", "why", "do"} for each in document["findings"])
    assert sum(document["counts"].values()) == len(document["findings"])


def test_a_configuration_that_cannot_be_used(config: Path) -> None:
    """
    Mistakes, a group that is not there, and no file at all: exit code 2, and what can be looked at is.
    """
    config.write_text(config.read_text() + "nonsense = 1\n")
    code, out, err = typed(config)

    assert (code, err) == (2, "")
    assert "nonsense: there is no such key" in out
    assert "nginx: nginx" in out

    config.write_text(
        TOML.format(folder=config.parent).replace("[nginx]", '[nginx]\nmode = "external"\ngroup = "none-such"')
    )
    code, out, err = typed(config)

    assert (code, err) == (2, "")
    assert "there is no such group" in out

    config.unlink()
    code, out, err = typed(config)

    assert (code, err) == (2, "")
    assert "the file cannot be read" in out
