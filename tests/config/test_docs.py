"""
What the docs tell people to write is what the daemon takes.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gatelodge.config.parse import parse
from gatelodge.offers import CATALOG

REPOSITORY = Path(__file__).parents[2]

#: What a snippet leaves out, since its subject is another.
REST: dict[str, Any] = {
    "acme": {"agree_tos": True},
    "dns": {"home": {"provider": "rfc2136", "server": "192.0.2.53"}},
    "sites": {"www.example.org": "http://127.0.0.1:3000"},
}


def snippets() -> list[tuple[str, str]]:
    """
    Return every TOML snippet of the docs with where it stands.
    """
    return [
        (f"{path.name}:{path.read_text(encoding='utf-8')[: match.start()].count(chr(10)) + 2}", match[1])
        for path in sorted((REPOSITORY / "docs").glob("*.md"))
        for match in re.finditer(r"```toml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    ]


@pytest.mark.parametrize(("where", "text"), snippets())
def test_a_snippet_of_the_docs_is_a_configuration(where: str, text: str) -> None:
    """
    Alone, or with the tables that it does not speak of.
    """
    mapping = {**REST, **tomllib.loads(text)}
    config = parse(mapping, CATALOG)

    assert config.sites, where
    assert not config.warnings, where


def test_the_commented_parts_of_the_example_are_right_too() -> None:
    """
    A person takes the # away, and it works.
    """
    text = (REPOSITORY / "config.example.toml").read_text(encoding="utf-8")
    parts = re.findall(r"^# (\[(?:dns|certificates|ddns|nginx)[^\n]*\n(?:# [a-z_]+ = [^\n]*\n)*)", text, re.MULTILINE)
    uncommented = "".join(part.replace("\n# ", "\n") for part in parts)
    mapping = tomllib.loads(uncommented)
    config = parse({**REST, **mapping}, CATALOG)

    assert mapping.keys() == {"dns", "certificates", "ddns", "nginx"}
    assert config.dns["home"].provider == "aliyun"
