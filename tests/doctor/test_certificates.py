"""
What is held and served, by the report of `status`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.patient import Case

from gatelodge.doctor import certificates

if TYPE_CHECKING:
    from pathlib import Path

VALID: dict[str, Any] = {
    "certificate": "wiki.example.com", "state": "valid", "ca": "acme:letsencrypt", "not_after": "2026-03-01T00:00:00+00:00",
    "failure": None, "revoked": False, "late": 0, "lacking": [], "damaged": None, "doing": None,
}  # fmt: skip
FAILURE = {
    "error.type": "caa", "error.detail": "caa: a record forbids it", "failures": 3, "retry_at": "2026-01-02T00:00:00+00:00",
}  # fmt: skip


def report(entry: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """
    Return a report with one certificate.
    """
    return {"certificates": [VALID | (entry or {})], "budgets": [], "sites": [], "streams": [], **more}


@pytest.mark.parametrize(
    ("entry", "level", "said"),
    [
        ({}, "ok", "good until 2026-03-01, from acme:letsencrypt"),
        ({"state": "expired"}, "broken", "it ended on 2026-03-01"),
        ({"state": "placeholder", "not_after": None}, "broken", "a self-signed placeholder stands in"),
        ({"state": "missing", "not_after": None}, "broken", "there is none"),
        ({"revoked": True}, "broken", "revoked"),
        ({"failure": FAILURE}, "warning", "it failed 3 times: caa: a record forbids it"),
        ({"failure": FAILURE, "state": "expired"}, "broken", "it failed 3 times"),
        ({"late": 2}, "warning", "its renewal is late"),
        ({"lacking": ["b.example.com"]}, "warning", "it lacks b.example.com"),
        ({"damaged": "no key"}, "warning", "damaged: no key"),
    ],
)
async def test_a_certificate(tmp_path: Path, entry: dict[str, Any], level: str, said: str) -> None:
    """
    What visitors suffer from is broken, what they will suffer from a warning; the last failure stands with what helps.
    """
    seen = await Case(folder=tmp_path, report=report(entry)).look(certificates.look)

    assert said in seen.of(level, "wiki.example.com")
    if "failure" in entry:
        assert "CAA record" in seen.all[0].do


async def test_one_that_nobody_needs_is_not_told(tmp_path: Path) -> None:
    """
    It is kept, and that is well.
    """
    seen = await Case(folder=tmp_path, report=report({"state": "unused"})).look(certificates.look)

    assert seen.all == []


async def test_limits_and_parts_that_nginx_refused(tmp_path: Path) -> None:
    """
    A limit that is used up is a warning; a site that is kept back is broken, with nginx's line.
    """
    budget = {"ca": "letsencrypt", "limit": "orders", "whose": "", "left": 0.2, "closed_until": None}
    full = budget | {"left": 5.0}
    site = {"site": "bad.example.com", "error": "unknown directive in bad.conf:3"}
    stream = {"stream": "mqtt", "error": None}
    seen = await Case(folder=tmp_path, report=report(budgets=[budget, full], sites=[site], streams=[stream])).look(
        certificates.look
    )

    assert "orders is used up" in seen.of("warning", "letsencrypt")
    assert "bad.conf:3" in seen.of("broken", "bad.example.com")
