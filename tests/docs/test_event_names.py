"""
What pages say of events is what the table of events says.
"""

from __future__ import annotations

import fnmatch
import json
import re

import pytest
from tests.support import pages

from gatelodge.model.events import EVENTS

#: Told with every event.
_ALWAYS = {"id", "time", "level", "event"}

#: The first words of events; what else begins with them, in code: files and names.
_FIRST = {name.split(".")[0] for name in EVENTS}
_OTHERS = re.compile(r".*\.(conf|md|toml|service|path|json|py|sock|log|pid|com|org|net)$")

_NAMED = sorted(
    {
        (page, code)
        for page, code in pages.inline_code()
        if re.fullmatch(r"[a-z]+(\.[a-z_*]+)+", code) and code.split(".")[0] in _FIRST and not _OTHERS.match(code)
    }
)

_SHOWN = [block for block in pages.blocks("json") if '"event"' in block.text]


@pytest.mark.parametrize(("page", "code"), _NAMED, ids=str)
def test_an_event_that_is_named_is_one(page: str, code: str) -> None:
    """
    Or a key of the configuration, which pages write in the same way.
    """
    del page
    assert fnmatch.filter(EVENTS, code) or code in {"nginx.http_port", "nginx.https_port", "acme.ca", "acme.cas"}, code


@pytest.mark.parametrize("block", _SHOWN, ids=lambda block: block.where)
def test_an_event_that_is_shown_has_the_fields_of_one(block: pages.Block) -> None:
    """
    All of them, and at a level that it has.
    """
    shown = json.loads(block.text)
    event = EVENTS[shown["event"]]

    assert shown.keys() == _ALWAYS | set(event.fields)
    assert shown["level"] in event.levels


def test_there_are_some() -> None:
    """
    The search finds what it looks for.
    """
    assert len(_NAMED) > 30
    assert _SHOWN
