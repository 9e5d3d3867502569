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
from tests.simulation.faults import CUT_SHORT, FAULTS, HOUR, MISHAPS, NOT_SYNCED, SPELLS, Troubles
from tests.simulation.invariants import INVARIANTS
from tests.simulation.planted import PLANTED, Planted
from tests.simulation.run import main, simulate
from tests.simulation.world import World

#: So many seeds are tried for a bug.
TRIES = 16

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(1, 4))
def test_what_must_always_be_is(seed: int) -> None:
    """
    Two months with three sites, faults of all kinds, and nothing that must never be.
    """
    outcome = simulate(seed, years=0.17, sites=3)
    assert not outcome.breaches, "\n".join(outcome.story[-80:])
    assert outcome.counts["certificates signed"] >= 3


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: f"{bug.name}: {bug.breaks}")
def test_a_bug_is_found(bug: Planted) -> None:
    """
    Whatever must always be is broken by some bug, and the simulation sees it: with the seed that found it, or, since every change of the daemon
    is another story, with one of the next.
    """
    for seed in range(bug.seed, bug.seed + TRIES):
        outcome = simulate(seed, years=bug.years, sites=bug.sites, parts=bug.parts, climate=bug.climate)
        if any(breach.startswith(f"{bug.breaks}: ") for breach in outcome.breaches):
            break
    else:
        pytest.fail(f"no seed finds it, the last one {outcome.breaches}")
    assert any("BREACH" in line for line in outcome.story)


def test_each_invariant_has_a_bug_that_breaks_it() -> None:
    """
    An invariant that nothing ever broke may be none.
    """
    assert {bug.breaks for bug in PLANTED} == {invariant.name for invariant in INVARIANTS}


def test_a_seed_tells_the_same_story_in_another_process() -> None:
    """
    The story depends on the seed alone: not on the order in which Python's sets give what is in them, nor on addresses in memory.
    """
    code = (
        "from tests.simulation.run import simulate\n"
        "import json\n"
        "outcome = simulate(7, years=0.12, sites=2)\n"
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


def test_each_fault_is_counted_by_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Whatever is drawn is some fault that people have a word for, and the summary has each of them, met or not.
    """
    drawn = {CUT_SHORT, NOT_SYNCED, *(each.kind for each in (*MISHAPS, *SPELLS))} - {"rough weather"}
    assert frozenset().union(*FAULTS.values()) == drawn
    assert main(["--years", "0.04", "--sites", "1", "--seed", "1", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["faults"].keys() == FAULTS.keys()
    assert {*summary["mishaps"], *summary["spells"]} == drawn | {"rough weather"}


def test_peace_bears_as_many_hiccups_as_it_is_told() -> None:
    """
    What lasts for hours ends it in any case.
    """
    moments = iter((10, 10, 30, 30, 60, 60, 100, 102))
    troubles = Troubles(lambda: next(moments) * HOUR)
    for _ in range(3):
        troubles.mark("ca")
    troubles.begin("dns", "silent")
    troubles.end("dns", "silent")

    def longest(*whom: str, hiccups: int) -> float:
        return troubles.longest_peace(whom, 0, 120 * HOUR, hiccups=hiccups) / HOUR

    assert longest("ca", hiccups=0) == 60
    assert longest("ca", hiccups=1) == 90
    assert longest("ca", "dns", hiccups=0) == 40
    assert longest("ca", "dns", hiccups=1) == 70
    assert longest("ca", "dns", hiccups=3) == 100
    assert longest("machine", hiccups=1) == 120


def test_trouble_that_comes_twice_began_with_the_first() -> None:
    """
    Two spells of one kind may overlap: what one troubled before the other began was no peace.
    """
    moments = iter((10 * HOUR, 90 * HOUR, 100 * HOUR))
    troubles = Troubles(lambda: next(moments))
    troubles.begin("ca", "down")
    troubles.begin("ca", "down")
    troubles.end("ca", "down")
    assert troubles.longest_peace(["ca"], 0, 120 * HOUR) == 20 * HOUR


def test_a_folder_is_not_told_where_a_text_is_cut_short(tmp_path: Path) -> None:
    """
    It is another one each time, and the story would be, too.
    """
    world = World(tmp_path, seed=1, years=0.1, sites=1)
    for before in range(160):
        world.events.emit("state.failed", error__detail=f"{'.' * before}{tmp_path}/state")
    world.loop.close()
    assert not any("/" in line.replace("/state", "") and tmp_path.parts[1] in line for line in world.story.lines)
