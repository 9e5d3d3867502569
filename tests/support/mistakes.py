"""
How a mistake of a configuration is told.
"""

from __future__ import annotations

import pytest

from gatelodge.config.read import read
from gatelodge.errors import ConfigError
from gatelodge.offers import CATALOG


def assert_told_once(text: str, path: str, words: str) -> None:
    """
    Assert that a text holds one mistake: at this key, in these words, on the line with `#!` where there is one.
    """
    with pytest.raises(ConfigError) as caught:
        read(text, "gatelodge.toml", CATALOG)
    told = [f"{each.path}: {each.problem}; {each.remedy}" for each in caught.value.mistakes]
    assert len(told) == 1, told
    (mistake,) = caught.value.mistakes
    assert mistake.path == path
    assert words in told[0]
    assert mistake.problem
    assert mistake.remedy
    if "#!" in text:
        assert mistake.line == text[: text.index("#!")].count("\n") + 1
    assert str(caught.value).isprintable()


def warnings(text: str) -> list[tuple[str, str]]:
    """
    Return the warnings that a text without mistakes gets: key, and what is told.
    """
    return [(each.path, f"{each.problem}; {each.remedy}") for each in read(text, "gatelodge.toml", CATALOG).warnings]
