"""
The daemon over months in an unkind world: what must always be is, and a seed tells the same story each time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulation.run import simulate

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(1, 4))
def test_what_must_always_be_is(seed: int) -> None:
    """
    Three months with three sites, faults of all kinds, and nothing that must never be.
    """
    outcome = simulate(seed, years=0.25, sites=3)
    assert not outcome.breaches, "\n".join(outcome.story[-80:])
    assert outcome.counts["certificates signed"] >= 3


def test_a_seed_tells_the_same_story_in_another_process() -> None:
    """
    The story depends on the seed alone: not on the order in which Python's sets give what is in them, nor on addresses in memory.
    """
    code = (
        "from tests.simulation.run import simulate\n"
        "import json\n"
        "outcome = simulate(7, years=0.2, sites=2)\n"
        "print(json.dumps([outcome.digest, len(outcome.story)]))"
    )
    told = set()
    for hash_seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'daemon'}:{ROOT}"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment, cwd=ROOT)
        told.add(tuple(json.loads(done.stdout)))
    assert len(told) == 1
    assert next(iter(told))[1] > 30


def test_other_seeds_tell_other_stories() -> None:
    """
    Two seeds are two worlds.
    """
    assert simulate(11, years=0.05, sites=1).digest != simulate(12, years=0.05, sites=1).digest
