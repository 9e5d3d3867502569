"""
What the nginx that Gatelodge writes can carry, beside a hand-tuned nginx.conf with the same program, one in SWAG's manner, Caddy and
Traefik: same certificate, same upstream with a small body, same client.

    h1, h2          connections that are kept, one request at a time on each
    h2-x10          kept HTTP/2 connections with ten streams at once on each
    h1-new, h2-new  a connection with a full TLS handshake for every request

Visitors ask for https://localhost/: to them the gate is at port 443, as it is where a router or a container leads it on. All gates
run at once and take turns under load. Rates are medians; ratios are medians of those to the hand-tuned nginx in the same
round, with their quartiles; µs are the gate's own processor time for a request, which a busy machine changes least.

    python -m benchmarks.proxy [--rounds N] [--seconds S] [--clients C] [--nginx debian|newest|PATH] [--workloads …] [--gates …] [--json] [--out FOLDER]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import gates, h2load, scratch, show, turns
from benchmarks.h2load import WORKLOADS
from benchmarks.tables import Table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

#: The goal: so much of the hand-tuned nginx's throughput.
GOAL = 0.95


def rows(workload: str, found: dict[str, list[turns.Turn]]) -> list[dict[str, Any]]:
    """
    Return a table's rows for what all gates did under one load.
    """
    each = {name: turns.summary(took, found[gates.HAND_TUNED]) for name, took in found.items()}
    return [
        {
            "load": workload,
            "gate": name,
            "requests/s": round(summary.rate),
            "of hand-tuned": round(summary.rate_ratio, 3),
            "quartiles": f"{summary.low:.2f}-{summary.high:.2f}",
            "µs": round(summary.cost, 1),
            "times µs": round(summary.cost_ratio, 2),
            "failed": summary.failed,
        }
        for name, summary in each.items()
    ]


def arguments(program: str, *, rounds: int, seconds: float) -> argparse.ArgumentParser:
    """
    Return a parser of the arguments that all comparisons of gates have.
    """
    parser = show.parser(f"scripts/bench {program}")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=float, default=seconds, help="the least that a turn takes")
    parser.add_argument("--clients", type=int, default=64, help="connections at once, of those that are kept")
    parser.add_argument("--nginx", default="debian", metavar="debian|newest|PATH")
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    return parser


def measure(names: Sequence[str], given: argparse.Namespace) -> list[dict[str, Any]]:
    """
    Run the gates, and return the rows of all loads.
    """
    made: list[dict[str, Any]] = []
    with (
        scratch.folder() as folder,
        gates.beside(names, gates.find_nginx(given.nginx), folder) as found,
    ):
        for workload in given.workloads:
            took = turns.take(found, workload, clients=given.clients, rounds=given.rounds, seconds=given.seconds)
            made += rows(workload, took)
    return made


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    made = arguments("proxy", rounds=10, seconds=1)
    everybody = [gates.OURS, *gates.PEERS]
    made.add_argument("--gates", nargs="+", choices=everybody, default=everybody)
    return made


def tables(given: argparse.Namespace) -> list[Table]:
    """
    Measure.
    """
    h2load.required()
    gates.end_well()
    names = [gates.HAND_TUNED, *(name for name in given.gates if name != gates.HAND_TUNED)]
    for name in (each for each in names if not gates.installed(each)):
        show.tell(f"{name} is not installed: left out")
    program = ".".join(map(str, gates.version(gates.find_nginx(given.nginx))))
    made = measure([name for name in names if gates.installed(name)], given)
    note = (
        f"nginx {program}, an upstream by its address, {given.clients} clients, medians of {given.rounds} turns of {given.seconds:g} s; "
        f"the goal is {GOAL:g} of hand-tuned, whose connections to the upstream are kept"
    )
    return [Table(title="proxy", note=note, rows=tuple(made))]


if __name__ == "__main__":
    show.run(parser(), tables)
