"""
Lets those who are compared take turns, so that whatever else the machine does weighs on all alike: work of any kind, and gates under the
same loads.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
from typing import TYPE_CHECKING, TypeVar

from benchmarks import show
from benchmarks.h2load import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.gates import Gate

T = TypeVar("T")

_WARM_UP_SECONDS = 0.3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """
    What a gate carried in one turn: requests a second, what each cost the gate in microseconds of processor time, and how many
    failed.
    """

    rate: float
    cost: float
    failed: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    Several turns of a gate: medians, and medians and quartiles of the ratios to the turns of another gate beside them.
    """

    rate: float
    cost: float
    failed: int
    rate_ratio: float
    cost_ratio: float
    low: float
    high: float


def in_turn(works: Mapping[str, Callable[[], T]], rounds: Mapping[str, int], *, tell: str) -> dict[str, list[T]]:
    """
    Let each work be done as often as its `rounds` say, each round beginning with another. Returns what came of each, in order.

    Args:
        tell: what this is, for who waits.
    """
    found: dict[str, list[T]] = {name: [] for name in works}
    last = max(rounds.values(), default=0)
    for number in range(last):
        names = [name for name in works if number < rounds[name]]
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            show.tell(f"{tell}, round {number + 1} of {last}: {name}")
            found[name].append(works[name]())
    return found


def take(gates: Sequence[Gate], workload: str, *, clients: int, rounds: int, seconds: float) -> dict[str, list[Turn]]:
    """
    Put all gates under a load in turns.
    """
    for gate in gates:
        _turn(gate, workload, clients, _WARM_UP_SECONDS)
    works = {gate.name: functools.partial(_turn, gate, workload, clients, seconds) for gate in gates}
    return in_turn(works, dict.fromkeys(works, rounds), tell=workload)


def _turn(gate: Gate, workload: str, clients: int, seconds: float) -> Turn:
    before = gate.cpu()
    answers = WORKLOADS[workload].put(gate.port, clients=clients, seconds=seconds)
    cost = (gate.cpu() - before) / max(1, answers.succeeded)
    return Turn(rate=answers.succeeded / answers.seconds, cost=cost * 1e6, failed=answers.failed)


def summary(turns: Sequence[Turn], beside: Sequence[Turn]) -> Summary:
    """
    Sum up a gate's turns, beside those of the gate that it is compared with.
    """
    ratios = sorted(one.rate / other.rate for one, other in zip(turns, beside, strict=True))
    costs = [one.cost / max(1e-9, other.cost) for one, other in zip(turns, beside, strict=True)]
    quarter = len(ratios) // 4
    return Summary(
        rate=statistics.median(each.rate for each in turns),
        cost=statistics.median(each.cost for each in turns),
        failed=sum(each.failed for each in turns),
        rate_ratio=statistics.median(ratios),
        cost_ratio=statistics.median(costs),
        low=ratios[quarter],
        high=ratios[-1 - quarter],
    )
