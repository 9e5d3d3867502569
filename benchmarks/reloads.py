"""
What visitors notice of reloads: of ours, by `gatelodge reload`'s request to the daemon, and of the hand-tuned nginx's by SIGHUP; as
many of each, at the same distance, under the same loads.

    h2load    as h2load counts: one run for each reload, which comes amid it, since h2load does not come back to a closed connection
    visitors  after the repetition that RFC 9110 §9.2.2 and RFC 9113 §6.8 allow (`benchmarks.visitors`), over all reloads; meanwhile
              websockets stay open over all of them, one more from each reload on

    python -m benchmarks.reloads [--reloads N] [--interval S] [--clients C] [--nginx debian|newest|PATH] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import http
import os
import shutil
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import gates, h2load, scratch, show
from benchmarks.measure import Failed
from benchmarks.visitors import Line, Tally, hold_websocket, keep_asking
from tests.support.nginx_house import quiet_ports

from gatelodge.api import client
from gatelodge.demo import upstreams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_TOML = 'routes."/websocket/" = "http://127.0.0.1:{chat}"\n'

_TUNED = """\
        location /websocket/ {{
            proxy_pass http://127.0.0.1:{chat};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 1d;
        }}
"""

#: How long workers of a new configuration may take to come.
_LONGEST_SECONDS = 15.0

#: Of h2load's run when the reload is asked for.
_AMID = 0.3

_H2LOADS = {"h2load h1": ["--h1"], "h2load h2 x10": ["-m", "10"]}
_LATE_SECONDS = 5.0
_TRIES = 4
_LINES = 8
_STREAMS = 8
_SOCKETS = 8
_EVERY_SECONDS = 0.25


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reloading:
    """
    A gate, and how it is told to reload.
    """

    gate: gates.Gate
    ask: Callable[[], None]

    def now(self) -> None:
        """
        Reload, and return once new workers are there.

        Raises:
            Failed: none came.
        """
        before = _workers(self.gate)
        self.ask()
        deadline = time.monotonic() + _LONGEST_SECONDS
        while not _workers(self.gate) - before:
            if time.monotonic() > deadline:
                raise Failed(f"{self.gate.name} did not reload")
            time.sleep(0.01)


def _workers(gate: gates.Gate) -> set[str]:
    master = gate.pid()
    return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())


def raw(both: Sequence[Reloading], words: list[str], given: argparse.Namespace) -> list[Tally]:
    """
    Let each reload come amid a run of h2load's, the gates taking turns, and count as it does.
    """
    found = [Tally() for _ in both]
    with ThreadPoolExecutor(1) as pool:
        for number in range(given.reloads):
            show.tell(f"h2load {words[0]}: reload {number + 1} of {given.reloads}")
            for reloading, tally in zip(both, found, strict=True):
                answers = _try(pool, reloading, words, given)
                tally.requests += answers.succeeded + answers.failed
                tally.failed += answers.failed
    return found


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


async def meet(reloading: Reloading, chat: int, given: argparse.Namespace) -> dict[str, Tally]:
    """
    Let visitors and websockets meet all reloads. What speaks behind the websockets runs here.
    """
    found = {name: Tally() for name in ("visitors h1", "visitors h2", "websockets")}
    port, over = reloading.gate.port, asyncio.Event()
    (wiki,) = quiet_ports(1)

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
        await asyncio.sleep(given.interval)
        for number in range(given.reloads):
            show.tell(f"{reloading.gate.name}, visitors: reload {number + 1} of {given.reloads}")
            began = time.monotonic()
            await asyncio.to_thread(reloading.now)
            group.create_task(hold())
            await asyncio.sleep(max(0.0, given.interval - (time.monotonic() - began)))
        over.set()
    return found


@contextlib.contextmanager
def reloadings(nginx: Path, folder: Path, chat: int) -> Iterator[list[Reloading]]:
    """
    Run the gates inside the context.
    """

    def ask_daemon() -> None:
        code, answer = client.call(door, "POST", "/v1/reload", {}, timeout=_LONGEST_SECONDS)
        if code != http.HTTPStatus.OK:
            raise Failed(f"the daemon did not reload: {answer}")

    door = client.Door(state_directory=f"{folder}/state", paths=(f"{folder}/admin.sock",))
    with (
        gates.ours(nginx, folder, more=_TOML.format(chat=chat)) as (ours, place),
        gates.running(gates.HAND_TUNED, gates.hand_tuned(_TUNED.format(chat=chat)), place) as tuned,
    ):
        yield [
            Reloading(gate=tuned, ask=lambda: os.kill(tuned.pid(), signal.SIGHUP)),
            Reloading(gate=ours, ask=ask_daemon),
        ]


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """
    Run both gates, reload them, and return the rows.
    """
    (chat,) = quiet_ports(1)
    rows: list[dict[str, Any]] = []
    with scratch.folder() as folder, reloadings(gates.find_nginx(given.nginx), folder, chat) as both:
        raws = {name: raw(both, words, given) for name, words in _H2LOADS.items()}
        for number, reloading in enumerate(both):
            found = {name: tallies[number] for name, tallies in raws.items()}
            found |= asyncio.run(meet(reloading, chat, given))
            for name, tally in found.items():
                for why, count in Counter(tally.failures).items():
                    show.tell(f"{reloading.gate.name}, {name}: {count} times {why}")
                rows.append(
                    {
                        "gate": reloading.gate.name,
                        "client": name,
                        "reloads": given.reloads,
                        "requests": tally.requests,
                        "repeated": tally.repeated,
                        "failed": tally.failed,
                    }
                )
    return rows


def main() -> None:
    """
    Measure and print.
    """
    parser = argparse.ArgumentParser(prog="scripts/bench reloads")
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--interval", type=float, default=1.5, help="seconds from one to the next, more than one")
    parser.add_argument("--clients", type=int, default=64, help="h2load's connections")
    parser.add_argument("--nginx", default="debian", metavar="debian|newest|PATH")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if shutil.which("h2load") is None:
        sys.exit("benchmarks.reloads: h2load is not installed (Debian: apt install nghttp2-client)")
    gates.end_well()
    try:
        rows = measure(given)
    except Failed as failure:
        sys.exit(f"benchmarks.reloads: {failure}")
    sockets = f"websockets: {_SOCKETS}, and one more from each reload on; failed are those dropped"
    note = f"{given.reloads} reloads, {given.interval:g} s apart; h2load's failures are raw; {sockets}"
    show.table("reloads", rows, note=note, as_json=given.json)


if __name__ == "__main__":
    main()
