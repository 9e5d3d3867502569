"""
Those who are compared take turns.
"""

from __future__ import annotations

import functools

import pytest
from benchmarks import reload, turns
from benchmarks.turns import Turn
from benchmarks.visitors import Tally


def test_each_round_begins_with_another() -> None:
    """
    So that nobody always comes first, or always after the same one.
    """
    done: list[str] = []
    works = {name: functools.partial(done.append, name) for name in "abc"}
    turns.in_turn(works, dict.fromkeys(works, 4), tell="")

    assert "".join(done) == "abcbcacababc"


def test_results_stand_under_their_names_in_order() -> None:
    """
    Whose turn it was first does not matter.
    """
    numbers = iter(range(10))
    works = {name: functools.partial(next, numbers) for name in "ab"}

    assert turns.in_turn(works, {"a": 2, "b": 2}, tell="") == {"a": [0, 3], "b": [1, 2]}


def test_who_has_fewer_rounds_sits_the_others_out() -> None:
    """
    Peers who take long; the others go on taking turns.
    """
    done: list[str] = []
    works = {name: functools.partial(done.append, name) for name in "abp"}
    found = turns.in_turn(works, {"a": 3, "b": 3, "p": 1}, tell="")

    assert "".join(done) == "abpbaab"
    assert {name: len(each) for name, each in found.items()} == {"a": 3, "b": 3, "p": 1}


def test_ratios_are_of_turns_in_the_same_round() -> None:
    """
    A machine that is busy for a round weighs on both, and leaves their ratio.
    """
    base = [Turn(rate=rate, cost=10, failed=0) for rate in (1000, 100, 1000)]
    ours = [Turn(rate=rate, cost=11, failed=1) for rate in (950, 95, 950)]
    summary = turns.summary(ours, base)

    assert (summary.rate, round(summary.rate_ratio, 6), summary.failed) == (950, 0.95, 3)
    assert round(summary.cost_ratio, 6) == 1.1


@pytest.mark.parametrize(("reloads", "found"), [(0, []), (2, [2]), (5, [5]), (13, [5, 5, 3]), (20, [5, 5, 5, 5])])
def test_all_reloads_are_shared_out(reloads: int, found: list[int]) -> None:
    """
    Over turns of a few.
    """
    assert reload.shares(reloads) == found


def test_tallies_of_turns_are_added_up() -> None:
    """
    With why each request failed.
    """
    one, other = Tally(requests=5, repeated=1), Tally(requests=7, failed=1, failures=["reset"])

    assert reload.total(iter([one, other])) == Tally(requests=12, repeated=1, failed=1, failures=["reset"])
