"""
The demo is a promise: it does what it says, and says what it saw.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest

from gatelodge.demo.play import Result
from gatelodge.demo.visitor import Tally

pytestmark = pytest.mark.live


async def demo(*arguments: str, path: str | None = None) -> tuple[int, str, str]:
    """
    Run the demo and return exit status, stdout and stderr.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gatelodge", "demo", *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **({"PATH": path} if path else {})},
    )  # fmt: skip
    async with asyncio.timeout(100):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_demo_shows_the_whole_job() -> None:
    """
    Three certificates, a websocket and a renewal under load; the last line is what was seen.
    """
    code, out, err = await demo("--once", "--json")
    seen = json.loads(out.splitlines()[-1])

    assert code == 0, out + err
    assert set(seen) == {
        "ok", "issued", "seconds_to_placeholder", "seconds_to_issued", "requests", "retried_requests", "failed_requests",
        "websocket", "served_new_certificate",
    }  # fmt: skip
    assert seen["ok"] is True
    assert seen["issued"] == 3
    assert seen["failed_requests"] == 0
    assert seen["requests"] > 0
    assert "502" in out


async def test_without_its_parts_the_demo_says_what_to_install() -> None:
    """
    No pebble: a sentence with the remedy, not a traceback; what was seen is not ok.
    """
    code, out, err = await demo("--once", "--json", path="/nonexistent")
    seen = json.loads(out.splitlines()[-1])

    assert code == 1
    assert seen["ok"] is False
    assert "apt install pebble" in seen["trouble"]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "change",
    [
        {"issued": 2},
        {"seconds_to_placeholder": None},
        {"page": False},
        {"only_the_dead_is_502": False},
        {"websocket": False},
        {"websocket_stayed_open": False},
        {"served_new_certificate": False},
        {"tally": Tally(requests=10, failed=1)},
        {"tally": Tally()},
        {"trouble": "pebble died"},
    ],
)
def test_ok_is_computed_from_every_check(change: dict[str, object]) -> None:
    """
    Any single thing that was not seen makes the whole not ok.
    """
    good = {
        "issued": 3, "seconds_to_placeholder": 0.5, "seconds_to_issued": 1.0, "page": True, "only_the_dead_is_502": True,
        "websocket": True, "websocket_stayed_open": True, "served_new_certificate": True, "tally": Tally(requests=10),
    }  # fmt: skip

    assert Result(**good).document()["ok"] is True  # type: ignore[arg-type]
    assert Result(**{**good, **change}).document()["ok"] is False  # type: ignore[arg-type]
