"""
What the tables of docs/moving.md lead to is there: each key of the right column is one of the configuration.
"""

from __future__ import annotations

import re

import pytest
from scripts import reference
from tests.support.pages import ROOT

from gatelodge.config.schema import schema
from gatelodge.offers import CATALOG

_TEXT = (ROOT / "docs" / "moving.md").read_text(encoding="utf-8")

#: Every key of every table, and the tables themselves.
KEYS = {key for table in reference.tables(schema(CATALOG)) for key in table.keys}

#: What else stands in code there: providers, words of theirs, a value.
WORDS = {*CATALOG.providers, *CATALOG.authorities, "dns_ali", "dns_cf", "dns_nsupdate", "user", "combined", "exec"}


def right_cells() -> list[str]:
    """
    Return the last cell of each row.
    """
    rows = [row for row in _TEXT.splitlines() if row.startswith("| ") and not row.startswith("|---")]
    return [row.strip("| ").split(" | ")[-1] for row in rows]


def told() -> list[str]:
    """
    Return what stands in code in those cells and looks like a key: alone, before a `=`, or behind a table's name.
    """
    found = set()
    for code in re.findall(r"`([^`]+)`", " ".join(right_cells())):
        key = re.match(r"(?:\[[\w.]+\] ?)?([a-z_]+)(?: = .*)?$", code)
        if key:
            found.add(key[1])
        found.update(each.split(".")[0] for each in re.findall(r"\[([a-z][\w.]*)\]", code))
    return sorted(found - WORDS)


@pytest.mark.parametrize("key", told())
def test_a_key_that_is_told_is_one(key: str) -> None:
    """
    Of some table.
    """
    assert key in KEYS


def test_all_tools_have_a_chapter() -> None:
    """
    certbot, SWAG, nginx-proxy with acme-companion, Nginx Proxy Manager; and the tables tell of many keys.
    """
    for tool in ("certbot", "SWAG", "nginx-proxy and acme-companion", "Nginx Proxy Manager"):
        assert f"\n## From {tool}\n" in _TEXT
    assert len(told()) > 30
