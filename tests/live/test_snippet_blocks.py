"""
What the checker of snippets takes stays in its block for the real nginx, whose rules it follows.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path  # noqa: TC003 - hypothesis reads the annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.nginx_house import DEBIAN, WHEEL

from gatelodge.config.values import snippets

pytestmark = pytest.mark.live

_PIECES = st.lists(
    st.sampled_from(
        [
            *("set $a ", "set $a b;", "if ($a) {", "}", ";", "x", " ", "\n"),
            *('"', "'", "\\", "$", "{", "#", "${a}", ")", "\r", "\t", 'set $a "b', "set $a 'b"),
        ]
    ),
    max_size=14,
).map("".join)

#: What nginx says when words, quotes and braces are not what the checker took them for.
_BROKEN = re.compile(r"unexpected|too long parameter")

_SAID = re.compile(r"\[emerg\] (?:\S+ )?(?P<what>.*?) in (?P<file>\S+):(?P<line>\d+)$", re.MULTILINE | re.DOTALL)


def said(program: str, folder: Path, text: str) -> str:
    """
    Return what nginx says first of a configuration with a snippet in it, "" when it comes to the end that we set it right behind.

    What stands in the block after the snippet is not allowed anywhere else, and what stands behind the block is known to nobody.
    """
    head = f"pid {folder}/pid;\nerror_log stderr emerg;\nevents {{}}\nhttp {{\nserver {{\nlocation / {{\n"
    tail = "internal;\n}\nour_end;\n}\n}\n"
    file = folder / "nginx.conf"
    file.write_text(head + text + tail, newline="")
    done = subprocess.run([program, "-t", "-c", str(file)], capture_output=True, text=True, check=False)
    found = _SAID.search(done.stderr)
    assert found, done.stderr
    first, last = head.count("\n") + 1, (head + text).count("\n")
    if int(found["line"]) == last + 3 and "our_end" in found["what"]:
        return ""
    assert first <= int(found["line"]) <= last, done.stderr
    return found["what"]


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_PIECES)
def test_nginx_reads_on_behind_the_block_as_if_there_were_no_snippet(program: str, tmp_path: Path, text: str) -> None:
    """
    It comes to what we wrote behind it, or finds a fault with what a directive says within; never with where something ends.
    """
    tidied = snippets.tidy(text)
    if snippets.problem(tidied) is None:
        assert not _BROKEN.search(said(program, tmp_path, tidied))


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
@pytest.mark.parametrize(
    "text",
    ["} if ($a) {", "set $a b; } if ($a) {", 'set $a "', "set $a b", "# \\", "if ($a) {"],
)
def test_the_trap_catches_what_leaves_its_block(program: str, tmp_path: Path, text: str) -> None:
    """
    What the checker refuses is seen to leave, so that the other test can fail; a comment is none of it.
    """
    caught = False
    try:
        caught = bool(_BROKEN.search(said(program, tmp_path, f"{text}\n")))
    except AssertionError:
        caught = True
    assert caught is (snippets.problem(snippets.tidy(text)) is not None)
