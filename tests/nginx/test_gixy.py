"""
gixy-next looks through the golden trees for what is known to go wrong with nginx. What it finds is mended, or answered here.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"

#: Where `scripts/setup test` puts the programs that look at what we made.
GIXY = Path(__file__).parents[2] / ".venv" / "scan" / "bin" / "gixy"

#: What it finds, by its name for it: what it says, and why that stays.
ANSWERS = {
    # Written only for an OpenSSL that has it: the nginx that reads the tree was asked which one it runs with.
    "ssl_ecdh_curve": r"Group\(s\) `X25519MLKEM768` only exist in OpenSSL 3\.5\+",
    # A dot file may lie in any folder, and a script in any path: these two are looked for where they are, and are short.
    "unanchored_regex": r"Regular expressions without anchors",
    # What a service is asked about a visitor is no upgrade, whatever the visitor wants: it is dropped there on purpose.
    "proxy_set_header_redefinition": r"`upgrade` are not effective here",
    # The cookie of a service that nginx asked. A header of an answer holds no end of a line by the time that nginx has read it.
    "http_splitting": r"Variable `\$gatelodge_cookies?` can contain",
    # Headers alone, and nothing else in that location depends on what the `if` makes of it.
    "if_is_evil": r"Directive `add_header` is unsafe inside `if`",
    # Whoever asks from elsewhere is turned away before, by an `if`; it looks for `deny` alone.
    "status_page_exposed": r"stub_status",
    # Somebody asked for that, since his answers must not wait.
    "proxy_buffering_off": r"`proxy_buffering` is set to `off`",
    # A cache of open files would show a person his own files as they were a while ago.
    "try_files_is_evil_too": r"without `open_file_cache`",
}


def lay(golden: Path, folder: Path) -> Path:
    """
    Put a golden tree where nginx.conf looks for its parts, and return that file.
    """
    (folder / "sites").mkdir()
    for file in golden.iterdir():
        sites = "" if file.name in {"nginx.conf", "prelude.conf"} else "sites/"
        text = re.sub(r"include \S+/generations/7/", f"include {folder}/", file.read_text())
        (folder / f"{sites}{file.name}").write_text(text)
    return folder / "nginx.conf"


def findings(golden: Path, folder: Path) -> list[dict[str, str]]:
    """
    Return what gixy finds in a golden tree.
    """
    entry = lay(golden, folder)
    done = subprocess.run(
        [str(GIXY), "-f", "json", str(entry)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in {0, 1}, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", sorted(each.name for each in GOLDEN.iterdir()))
def test_nothing_is_found_that_is_not_answered(name: str, tmp_path: Path) -> None:
    """
    In any of them; the whole tree is read, sites included.
    """
    found = findings(GOLDEN / name, tmp_path)
    open_ones = [each for each in found if not re.search(ANSWERS.get(each["plugin"], "(?!)"), each["reason"])]
    assert open_ones == []


def test_no_answer_is_older_than_its_question(tmp_path: Path) -> None:
    """
    In the largest tree all of it is found, so that nothing is answered which nobody asks any more.
    """
    found = findings(GOLDEN / "everything-1.31.0", tmp_path)
    assert {each["plugin"] for each in found} == ANSWERS.keys()
