"""
What a page says that Gatelodge says, it can say.
"""

from __future__ import annotations

import re

import pytest
from tests.support import pages, said
from tests.support.pages import ROOT

#: Curly quotes are for words of Gatelodge's own, in English pages; translations quote as their language does.
QUOTES = [
    pytest.param(quote, id=f"{page.relative_to(ROOT)}: {quote[:40]}")
    for page in pages.pages()
    if page.parent.name not in pages.LANGUAGES
    for quote in re.findall(r"“([^”]+)”", page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("quote", [each for each in QUOTES if each.values != ("quoted so",)])
def test_what_is_quoted_can_be_said(quote: str) -> None:
    """
    Word by word, but for what is filled in.
    """
    assert said.can_be_said(" ".join(quote.split())), quote


def test_what_cannot_be_said_is_found() -> None:
    """
    The search is no yes to everything.
    """
    assert not said.can_be_said("the moon is held by …; stop that")
