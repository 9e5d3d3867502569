"""
What keeps a gate from being ready, and what does not.
"""

from __future__ import annotations

from typing import Any

import pytest

from gatelodge.runtime.standing.readiness import unready


def standing(*states: str, **nginx: object) -> dict[str, Any]:
    """
    How things stand, with certificates in these states.
    """
    serving = {"running": True, "proven": True, "up_to_date": True, "missing": None, "failure": None}
    return {
        "nginx": {**serving, **nginx},
        "certificates": [
            {"certificate": f"c{number}", "state": state, "failure": None} for number, state in enumerate(states)
        ],
    }


@pytest.mark.parametrize(
    "document",
    [
        standing(),
        standing("valid", "unused"),
        standing("valid", up_to_date=False),
        standing("valid", failure={"error.detail": "nginx refused a site"}),
    ],
)
def test_visitors_are_served(document: dict[str, Any]) -> None:
    """
    By a tree that was proven, with all certificates; a newer tree that is refused, or still to come, changes nothing for them.
    """
    assert unready(document) == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (standing(running=False, proven=False), ["nginx does not run"]),
        (standing(running=False, proven=False, missing="there is no nginx"), ["nginx does not run: there is no nginx"]),
        (
            standing(proven=False, failure={"error.detail": "it refused"}),
            ["nginx serves no configuration that was proven: it refused"],
        ),
        (standing("missing", "valid"), ["c0 is not there"]),
        (standing("valid", "placeholder"), ["c1 is not there, a placeholder is shown"]),
        (standing("expired"), ["c0 is expired"]),
    ],
)
def test_visitors_are_not_served_as_they_should_be(document: dict[str, Any], said: list[str]) -> None:
    """
    Each reason in words.
    """
    assert [each["detail"] for each in unready(document)] == said
