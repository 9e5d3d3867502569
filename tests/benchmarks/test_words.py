"""
What is typed: the words of `scripts/bench` are modules that read the arguments which are shown, and the pages show what there is.
"""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from benchmarks import issuance
from tests.simulation import run as simulation
from tests.support import pages
from tests.support.pages import ROOT

if TYPE_CHECKING:
    import argparse

_BENCH = (ROOT / "scripts" / "bench").read_text(encoding="utf-8")
_CASE = re.search(r"^  ([\w|]+)\) part=", _BENCH, re.MULTILINE)
assert _CASE is not None
WORDS = _CASE[1].split("|")

#: Modules behind scripts of their own.
OTHERS = {"soak": "scripts/soak", "faults": "scripts/faults", "crashes": "scripts/crash-test"}


def parser(word: str) -> argparse.ArgumentParser:
    """
    What reads the arguments of a benchmark.
    """
    made: argparse.ArgumentParser = importlib.import_module(f"benchmarks.{word}").parser()
    return made


@pytest.mark.parametrize("word", [*WORDS, *OTHERS])
def test_a_benchmark_reads_what_all_have_in_common(word: str) -> None:
    """
    Without arguments it has its own; `--json` and `--out` are everybody's; its name is what is typed.
    """
    given = parser(word).parse_args(["--json", "--out", "folder"])

    assert (given.json, str(given.out)) == (True, "folder")
    assert parser(word).parse_args([]).out is None
    assert parser(word).prog == OTHERS.get(word, f"scripts/bench {word}")
    assert given.name == (OTHERS.get(word, word).rpartition("/")[2])


@pytest.mark.parametrize("word", [*WORDS, *OTHERS])
def test_help_is_given(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A percent sign in it would break it.
    """
    with pytest.raises(SystemExit) as ended:
        parser(word).parse_args(["--help"])

    assert ended.value.code == 0
    assert "--out FOLDER" in capsys.readouterr().out


@pytest.mark.parametrize("word", [*WORDS, *OTHERS])
def test_an_option_that_there_is_not_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    With the usage.
    """
    with pytest.raises(SystemExit) as ended:
        parser(word).parse_args(["--nothing"])

    assert ended.value.code == 2
    assert "--nothing" in capsys.readouterr().err


def test_the_script_names_all_its_words() -> None:
    """
    In its head and in its usage, the five of the race among them.
    """
    usage = re.search(r'echo "usage: scripts/bench \[([\w|]+)\]', _BENCH)

    assert usage is not None
    assert usage[1].split("|") == WORDS
    assert {"race", "issuance", "proxy", "reload", "scale", "start"} <= set(WORDS)
    for word in WORDS:
        assert re.search(rf"^#   scripts/bench \[?{word}\b", _BENCH, re.MULTILINE), word


def test_options_in_the_head_are_ones() -> None:
    """
    Of the benchmark beside which they stand.
    """
    chapters = re.split(r"^#   scripts/bench \[?(\w+)", _BENCH.partition("set -e")[0], flags=re.MULTILINE)[1:]
    for word, chapter in zip(chapters[::2], chapters[1::2], strict=True):
        known = parser(word).format_help()
        for option in re.findall(r"--[\w-]+", chapter):
            assert option in known, (word, option)


def test_an_unknown_word_is_refused_before_anything_is_installed() -> None:
    """
    With the usage.
    """
    done = subprocess.run([ROOT / "scripts" / "bench", "idle"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("usage: scripts/bench [race|")


def test_what_the_pages_show_can_be_typed() -> None:
    """
    Commands of their own and those within a sentence.
    """
    shown = [*pages.commands(), *(code for _, code in pages.inline_code())]
    readers = {
        **{f"scripts/bench {word}": parser(word).parse_args for word in WORDS},
        **{script: parser(word).parse_args for word, script in OTHERS.items()},
        "scripts/simulate": simulation.parsed,
    }
    typed = {each: [script for script in readers if f"{each} ".startswith(f"{script} ")] for each in shown}
    scripts = [script for found in typed.values() for script in found]

    assert set(scripts) >= {"scripts/bench race", *OTHERS.values(), "scripts/simulate"}
    for each, found in typed.items():
        assert found or not each.startswith("scripts/bench "), each
        for script in found:
            readers[script](shlex.split(each.removeprefix(script)))


@pytest.mark.parametrize(
    ("count", "patient", "found"),
    [
        (10, False, ["bare requests", "gatelodge once", "Caddy", "certbot"]),
        (100, False, ["bare requests", "gatelodge once", "Caddy"]),
        (500, False, ["bare requests", "gatelodge once"]),
        (500, True, ["bare requests", "gatelodge once", "Caddy", "certbot"]),
    ],
)
def test_peers_get_what_can_be_waited_for(count: int, *, patient: bool, found: list[str]) -> None:
    """
    Unless somebody has the patience; those that are not installed get nothing.
    """
    assert issuance.contenders(count, peers=["certbot", "Caddy"], patient=patient) == found
