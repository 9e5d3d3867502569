"""
The reference says what the schema says, and shows every key in a configuration that the parser takes.
"""

from __future__ import annotations

import pytest
from scripts import reference
from tests.support.pages import ROOT

from gatelodge.config.read import read
from gatelodge.config.schema import schema
from gatelodge.offers import CATALOG

TABLES = reference.tables(schema(CATALOG))
GIVEN = reference.examples()


def test_it_is_up_to_date() -> None:
    """
    `scripts/reference` writes it; whoever changed a key or an example has run it.
    """
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == reference.reference(), (
        "run scripts/reference"
    )


@pytest.mark.parametrize(
    ("table", "key"),
    [pytest.param(table, key, id=f"{table.title} {key}") for table in TABLES for key in reference.own(table, TABLES)],
)
def test_every_key_is_in_an_example(table: reference.Table, key: str) -> None:
    """
    A key that no example shows is one that nobody has tried.
    """
    assert reference.shown(table, key, GIVEN), f"{table.title} {key} stands in no file of docs/examples/"


@pytest.mark.parametrize("example", GIVEN, ids=lambda example: example.name)
def test_an_example_is_a_whole_configuration(example: reference.Example) -> None:
    """
    It is taken as it is, without a warning.
    """
    path = reference.EXAMPLES / f"{example.name}.toml"
    config = read(path.read_text(encoding="utf-8"), str(path), CATALOG)

    assert config.sites or config.streams
    assert config.warnings == ()


def test_an_example_says_what_it_shows() -> None:
    """
    Its first line is a sentence for people.
    """
    for example in GIVEN:
        first = (reference.EXAMPLES / f"{example.name}.toml").read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# "), example.name


def test_every_key_says_what_it_holds() -> None:
    """
    No cell of the reference is empty but that of a default which is not.
    """
    for row in reference.reference().splitlines():
        if row.startswith("| `"):
            key, holds, _, meaning, example = [cell.strip() for cell in row.replace("\\|", "¦").strip("|").split("|")]
            assert holds, key
            assert meaning, key
            assert example, key
