"""
A gate whose processes are killed at random moments: what must hold of it holds, and it comes back by itself. More of it, and what a disk and
a clock can do: `scripts/crash-test`.
"""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import pytest
from tests.support.crash_faults import fault
from tests.support.crash_rounds import Kind, rounds

pytestmark = pytest.mark.live

#: Crashes of each kind; more for who wants to be surer.
TIMES = int(os.environ.get("GATELODGE_TEST_CRASHES", "3"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", [Kind.DAEMON, Kind.NGINX, Kind.ALL])
async def test_whoever_is_killed(kind: Kind) -> None:
    """
    Visitors are served, no key or record is lost or left, and nothing is asked of the CA twice but an order for each crash.
    """
    seed = random.randrange(1_000_000)  # noqa: S311 - told when it matters
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        row = await rounds(Path(name), kind, times=TIMES, seed=seed, stretch=1, tell=print)
    assert not row.breaches, f"seed {seed}: {row.breaches}"
    assert row.crashes >= TIMES
    assert row.requests > row.refused
    assert row.extra_certificates == 0


async def test_an_nginx_that_was_started_by_hand_is_taken_up() -> None:
    """
    While there is no daemon the stored tree serves by itself; the daemon that comes takes that nginx as it is, and no visitor notices.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        row = await fault(Path(name), "no daemon", seed=1, stretch=1, stop=1, tell=print, turns=1)
    assert not isinstance(row, str)
    assert not row.breaches, row.breaches
