"""
The table of rooms in docs/design.md is the package as it is.
"""

from __future__ import annotations

import re

import pytest
from tests.support.pages import ROOT

PACKAGE = ROOT / "daemon" / "gatelodge"
_PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")

#: The first column of the table.
ROOMS = [
    name.rstrip("/")
    for row in re.findall(r"^\| (`[^|]+) \|", _PAGE, re.MULTILINE)
    for name in re.findall(r"`([\w/]+)`", row)
]


def test_every_room_of_the_house_is_in_the_table() -> None:
    """
    Folders and modules at the top of the package, each once.
    """
    there = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    there -= {"__init__", "__main__", "__pycache__"}

    assert sorted(ROOMS) == sorted(there)


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_named_within_a_room_is_there(room: str) -> None:
    """
    A word in code behind a room is a module or folder in it, or at the top, or a name that some module defines.
    """
    row = next(row for row in _PAGE.splitlines() if row.startswith("| ") and f"`{room}" in row.split(" | ")[0])
    text = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    for name in re.findall(r"`([\w./]+)`", row.split(" | ", 1)[1]):
        plain = name.rstrip("/").removesuffix(".py")
        found = list(PACKAGE.rglob(f"{plain}.py")) + list(PACKAGE.rglob(plain))
        assert found or re.search(rf"\b{re.escape(plain.rsplit('.', 1)[-1])}\b", text), name
