"""
A translated page tells to do the same: its commands and its TOML are those of the English one, and its chapters are as many.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from tests.support import pages
from tests.support.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TRANSLATED = sorted(
    path for path in pages.pages() if path.parent.parent == ROOT / "docs" and path.parent.name in pages.LANGUAGES
)


def told(page: Path) -> list[tuple[str, object]]:
    """
    Return what a page tells to type and to write, without the comments, which are translated.
    """
    found: list[tuple[str, object]] = []
    for block in pages.blocks():
        if block.page == page and block.language != "text":
            meaning = {"toml": tomllib.loads, "sh": lambda _, block=block: block.commands}.get(block.language, str)
            found.append((block.language, meaning(block.text)))
    return found


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_translation_tells_the_same(page: Path) -> None:
    """
    Block by block, link by link.
    """
    english = page.parent.parent / page.name
    leads = {
        each: {(each.parent / link.partition("#")[0]).resolve() for owner, link in pages.links() if owner == each}
        for each in (page, english)
    }

    assert told(page) == told(english)
    assert len(pages.anchors(page)) == len(pages.anchors(english))
    assert leads[english] - {page} <= leads[page] | {english}


def test_each_language_has_the_quickstart() -> None:
    """
    Chinese and Korean.
    """
    assert {path.relative_to(ROOT / "docs").as_posix() for path in TRANSLATED} == {
        "zh/quickstart.md",
        "ko/quickstart.md",
    }
