"""
What visitors notice of reloads: of ours, of the hand-tuned nginx's and of Caddy's (`benchmarks.reloadings` says how); as many of each, at
the same distance, under the same loads. And how soon a certificate that is stored is served (`benchmarks.served`).

    h2load    as h2load counts: one run for each reload, which comes amid it, since h2load does not come back to a closed connection
    visitors  after the repetition that RFC 9110 §9.2.2 and RFC 9113 §6.8 allow (`benchmarks.visitors`), over some reloads a turn;
              meanwhile websockets stay open over all of them, one more from each reload on

    python -m benchmarks.reload [--reloads N] [--interval S] [--clients C] [--nginx debian|newest|PATH] [--json] [--out FOLDER]
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks import gates, h2load, reloadings, scratch, served, show
from benchmarks.measure import Failed
from benchmarks.tables import Table
from benchmarks.turns import in_turn
from benchmarks.visitors import Line, Tally, hold_websocket, keep_asking

from gatelodge.demo import upstreams
from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmarks.reloadings import Reloading

#: Of h2load's run when the reload is asked for.
_AMID = 0.3

_VISITORS = ("visitors h1", "visitors h2", "websockets")
_H2LOADS = {"h2load h1": ["--h1"], "h2load h2 x10": ["-m", "10"]}
_LATE_SECONDS = 5.0
_TRIES = 4
_LINES = 8
_STREAMS = 8
_SOCKETS = 8
_EVERY_SECONDS = 0.25

_RELOADS_A_TURN = 5


def raw(every: Sequence[Reloading], name: str, given: argparse.Namespace) -> dict[str, Tally]:
    """
    Let each reload come amid a run of h2load's, the gates taking turns, and count as it does.
    """
    with ThreadPoolExecutor(1) as pool:
        works = {each.gate.name: functools.partial(_try, pool, each, _H2LOADS[name], given) for each in every}
        found = in_turn(works, dict.fromkeys(works, given.reloads), tell=f"{name}, a reload amid it")
    return {
        gate: Tally(
            requests=sum(each.succeeded + each.failed for each in answers),
            failed=sum(each.failed for each in answers),
        )
        for gate, answers in found.items()
    }


def _try(pool: ThreadPoolExecutor, reloading: Reloading, words: list[str], given: argparse.Namespace) -> h2load.Answers:
    """
    Reload amid a run. One that hangs is told of and done again: h2load 1.52 can, when a connection is closed as its time is over.
    """
    words = [*words, "-c", str(given.clients), "-D", f"{round(given.interval * 1000)}ms"]
    for _ in range(_TRIES):
        run = pool.submit(h2load.run, reloading.gate.port, words, longest=given.interval + _LATE_SECONDS)
        time.sleep(given.interval * _AMID)
        reloading.now()
        try:
            return run.result()
        except Failed as failure:
            show.tell(f"done again, since {failure}")
    raise Failed("h2load hangs again and again")


def visited(every: Sequence[Reloading], chat: int, given: argparse.Namespace) -> dict[str, dict[str, Tally]]:
    """
    Let visitors and websockets meet all reloads, the gates taking turns of a few each. Returns tallies by kind and gate.
    """
    turns = shares(given.reloads)
    works = {each.gate.name: functools.partial(_meet, each, chat, iter(turns), given) for each in every}
    found = in_turn(works, dict.fromkeys(works, len(turns)), tell="visitors")
    return {kind: {gate: total(each[kind] for each in turns) for gate, turns in found.items()} for kind in _VISITORS}


def shares(reloads: int) -> list[int]:
    """
    Say how many reloads each turn of visitors has, that it may be a few.
    """
    whole, rest = divmod(reloads, _RELOADS_A_TURN)
    return [_RELOADS_A_TURN] * whole + [rest] * (rest > 0)


def total(tallies: Iterable[Tally]) -> Tally:
    """
    Add tallies up.
    """
    every = list(tallies)
    return Tally(
        requests=sum(each.requests for each in every),
        repeated=sum(each.repeated for each in every),
        failed=sum(each.failed for each in every),
        failures=[why for each in every for why in each.failures],
    )


def _meet(reloading: Reloading, chat: int, turns: Iterator[int], given: argparse.Namespace) -> dict[str, Tally]:
    return asyncio.run(meet(reloading, chat, next(turns), given.interval))


async def meet(reloading: Reloading, chat: int, reloads: int, interval: float) -> dict[str, Tally]:
    """
    Let visitors and websockets meet some reloads. What speaks behind the websockets runs here.
    """
    found = {name: Tally() for name in _VISITORS}
    port, over = reloading.gate.port, asyncio.Event()
    (wiki,) = free_ports(1)

    async def visit(name: str, streams: int) -> None:
        async with asyncio.TaskGroup() as group:
            line = Line(port, group, http2=streams > 1)
            async with asyncio.TaskGroup() as asking:
                for _ in range(streams):
                    asking.create_task(keep_asking(line, found[name], over.is_set))
            line.close()

    async def hold() -> None:
        await hold_websocket(port, found["websockets"], over.is_set, every=_EVERY_SECONDS)

    async with upstreams.running(wiki_port=wiki, chat_port=chat), asyncio.TaskGroup() as group:
        for _ in range(_LINES):
            group.create_task(visit("visitors h1", 1))
            group.create_task(visit("visitors h2", _STREAMS))
        for _ in range(_SOCKETS):
            group.create_task(hold())
        await asyncio.sleep(interval)
        for _ in range(reloads):
            began = time.monotonic()
            await asyncio.to_thread(reloading.now)
            group.create_task(hold())
            await asyncio.sleep(max(0.0, interval - (time.monotonic() - began)))
        over.set()
    return found


def rows(found: Mapping[str, Mapping[str, Tally]], reloads: int) -> list[dict[str, Any]]:
    """
    Return a table's rows for what clients of each kind met at each gate.
    """
    return [
        {
            "client": kind,
            "gate": gate,
            "reloads": reloads,
            "requests": tally.requests,
            "repeated": tally.repeated,
            "failed": tally.failed,
        }
        for kind, by_gate in found.items()
        for gate, tally in by_gate.items()
    ]


def measure(given: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """
    Run the gates, reload them, and return the rows: of visitors, and from stored to served.
    """
    (chat,) = free_ports(1)
    nginx = gates.find_nginx(given.nginx)
    with scratch.folder() as folder, reloadings.running(nginx, folder, chat) as found:
        works = {each.gate.name: functools.partial(served.take, each, given.interval) for each in found}
        seconds = in_turn(works, dict.fromkeys(works, given.reloads), tell="stored to served")
        met = {name: raw(found, name, given) for name in _H2LOADS} | visited(found, chat, given)
    for kind, by_gate in met.items():
        for gate, tally in by_gate.items():
            for why, count in Counter(tally.failures).items():
                show.tell(f"{gate}, {kind}: {count} times {why}")
    return rows(met, given.reloads), served.rows(seconds, gates.HAND_TUNED)


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    arguments = show.parser("scripts/bench reload")
    arguments.add_argument("--reloads", type=int, default=20, help="of each gate under each load")
    arguments.add_argument("--interval", type=float, default=1.5, help="seconds from one to the next, more than one")
    arguments.add_argument("--clients", type=int, default=64, help="h2load's connections")
    arguments.add_argument("--nginx", default="debian", metavar="debian|newest|PATH")
    return arguments


def tables(given: argparse.Namespace) -> list[Table]:
    """
    Measure.
    """
    h2load.required()
    gates.end_well()
    met, stored = measure(given)
    sockets = f"websockets: {_SOCKETS} a turn, and one more from each reload on; failed are those dropped"
    met_note = f"reloads {given.interval:g} s apart; h2load's failures are raw; {sockets}"
    stored_note = "seconds, without a load; from the link that points at another certificate to the first connection that shows it"
    return [
        Table(title="reload", note=met_note, rows=tuple(met)),
        Table(title="stored to served", note=stored_note, rows=tuple(stored)),
    ]


if __name__ == "__main__":
    show.run(parser(), tables)
