"""
Whatever stands in the places of the state directory: the next look ends, says what it found, and destroys nothing.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.bad_places import Change, build, changes, judged, places

#: So many, and the longest that one may take, in milliseconds: what takes longer hangs.
_EXAMPLES, _DEADLINE = 100, 20_000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    What is copied for each look.
    """
    folder = tmp_path_factory.mktemp("template") / "state"
    asyncio.run(build(folder))
    return folder


@pytest.mark.made_up_events
def test_whatever_stands_there_is_borne(template: Path) -> None:
    """
    In one place or in several.
    """

    @settings(max_examples=_EXAMPLES, deadline=_DEADLINE, suppress_health_check=list(HealthCheck))
    @given(changes(places(template)))
    def holds(changed: tuple[Change, ...]) -> None:
        with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
            judged(template, Path(name), changed)

    holds()
