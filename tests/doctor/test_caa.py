"""
CAA records that are in a CA's way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.patient import Case

from gatelodge.doctor import caa
from gatelodge.errors import IssuanceError, Problem

if TYPE_CHECKING:
    from pathlib import Path

SITE = '[sites]\n"wiki.example.com" = "http://127.0.0.1:1"\n"shop.example.com" = "http://127.0.0.1:1"\n'


def known(*names: str) -> dict[str, Any]:
    """
    Return a CA that CAA records know by these names.
    """

    async def identities() -> frozenset[str]:
        return frozenset(names)

    return {"letsencrypt": identities}


async def test_a_record_that_names_another_ca(tmp_path: Path) -> None:
    """
    The name, the record, the CA and what to write in its place are told; names that it does not count for are well.
    """
    case = Case(folder=tmp_path, toml=SITE, identities=known("letsencrypt.org"))

    assert "no CAA record of 2 names" in (await case.look(caa.look)).of("ok", "letsencrypt")

    case.resolver.records["shop.example.com"] = [(0, "issue", "other.example")]
    seen = await case.look(caa.look)

    assert 'shop.example.com CAA 0 issue "other.example" forbids letsencrypt' in seen.of("broken", "shop.example.com")
    assert 'issue "letsencrypt.org"' in seen.all[0].do
    assert ("wiki.example.com", "broken") not in seen.levels

    case.resolver.records = {"example.com": [(0, "issue", ";")]}
    seen = await case.look(caa.look)

    assert {subject for subject, level in seen.levels if level == "broken"} == {"wiki.example.com", "shop.example.com"}


async def test_what_cannot_be_told(tmp_path: Path) -> None:
    """
    Names that cannot be looked up and a CA that cannot be asked are notes; a CA that does not say who it is cannot be forbidden.
    """

    async def dead() -> frozenset[str]:
        raise IssuanceError(Problem(type="unreachable", detail="it is down"))

    case = Case(folder=tmp_path, toml=SITE, identities={"letsencrypt": dead})
    case.resolver.silent = {"wiki.example.com"}
    seen = await case.look(caa.look)

    assert "nobody answers" in seen.of("note", "wiki.example.com")
    assert "it is down" in seen.of("note", "letsencrypt")

    seen = await Case(folder=tmp_path, toml=SITE, identities=known()).look(caa.look)

    assert "does not say" in seen.of("ok")
