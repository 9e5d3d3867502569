"""
Events as text.
"""

from __future__ import annotations

import click
from tests.support.reports import NOW

from gatelodge.cli import tables


def test_an_event_is_a_line() -> None:
    """
    Values that need no quotes have none; structures are JSON; what is null is left out.
    """
    entry = {
        "id": 4, "time": NOW, "level": "error", "event": "certificate.failed", "certificate": "a.example.com",
        "names": ["a.example.com"], "error.detail": "no such name", "serial": None, "empty": "",
    }  # fmt: skip
    text = click.unstyle(tables.event(entry))

    assert text.split()[2:4] == ["error", "certificate.failed"]
    assert text.endswith('certificate=a.example.com names=["a.example.com"] error.detail="no such name" empty=""')


def test_an_event_that_somebody_wrote_by_hand_is_shown() -> None:
    """
    Fields may lack; only the name must be there.
    """
    assert "odd" in tables.event({"event": "odd"})
