"""
What pages count is counted again, and every verb has a place on some page.
"""

from __future__ import annotations

import re

import click
import pytest
from tests.support import pages
from tests.support.pages import ROOT

from gatelodge.cli import cli
from gatelodge.offers import CATALOG
from gatelodge.stores.state import FORMAT

VERBS = cli.list_commands(click.Context(cli))


def text(name: str) -> str:
    """
    Return a page.
    """
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_front_page_counts_presets() -> None:
    """
    As many as there are.
    """
    assert f"presets for {len(CATALOG.presets)} apps" in " ".join(text("README.md").split())


def test_the_format_of_the_state_is_told() -> None:
    """
    Whoever goes back to an older version wants to know it.
    """
    assert f"All versions so far have format {FORMAT}." in text("docs/upgrade.md")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_on_a_page(verb: str) -> None:
    """
    As a command, or within a sentence.
    """
    shown = [*pages.commands(), *(code for _, code in pages.inline_code())]

    assert any(re.match(rf"(?:scripts/|gatelodge ){verb}\b", each) for each in shown)
