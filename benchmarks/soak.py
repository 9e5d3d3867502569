"""
A gate under load for a while: h2load, visitors and websockets go through it, while certificates are renewed, the configuration is edited
and nginx is reloaded all the time. What they met, and whether the daemon and nginx hold more and more.

    h2load      as h2load counts, which never asks again: its failures are told and not judged
    visitors    after the repetition that RFC 9110 §9.2.2 and RFC 9113 §6.8 allow (`benchmarks.visitors`): none may fail
    websockets  each lives for less than `drain`: none may be dropped

    python -m benchmarks.soak [--minutes N] [--every S] [--rate N] [--json] [--out FOLDER]
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks import h2load, scratch, show, surroundings
from benchmarks.measure import Failed
from benchmarks.steady import DESCRIPTORS, MEGABYTES, SHARE, Series, descriptors, own_descriptors, pss, serving
from benchmarks.tables import Table
from benchmarks.visitors import Line, Tally, hold_websocket, keep_asking
from tests.support.house import House

from gatelodge.api import client
from gatelodge.demo import pebble, upstreams
from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator
    from pathlib import Path

#: Sites whose certificates come from the CA, beside `localhost`, which everybody visits and which the local CA serves.
_SITES = 4

#: Connections of h2load's, and streams of its HTTP/2; how long each of its runs is. Seconds.
_CLIENTS = 8
_RUN_SECONDS = 8
_LATE_SECONDS = 10.0

_LINES = 4
_STREAMS = 4
_REST_SECONDS = 0.1

_SOCKETS = 6
_DRAIN_SECONDS = 60
_SOCKET_SECONDS = 40.0
_MESSAGE_SECONDS = 0.25

_SAMPLE_SECONDS = 1.0

#: Events that tell of trouble, of which there must be none.
_TROUBLE = frozenset({"error"})


class Soak:
    """
    The gate, those who visit it, and what is done to it.
    """

    def __init__(self, house: House, chat: int, given: argparse.Namespace) -> None:
        self._house, self._chat, self._given = house, chat, given
        self._over = asyncio.Event()
        self._changes = itertools.count(1)
        self.done: collections.Counter[str] = collections.Counter()
        self.troubles: list[str] = []
        self.tallies = {
            name: Tally() for name in ("h2load h1", "h2load h2", "visitors h1", "visitors h2", "websockets")
        }
        self.series: list[Series] = []

    def write(self) -> None:
        """
        Write the configuration, which is another one each time.
        """
        number = next(self._changes)
        upstream = f"http://127.0.0.1:{self._house.upstream}"
        chat = f'routes."/websocket/" = "http://127.0.0.1:{self._chat}"'
        rows = [
            f'"localhost" = {{ upstream = "{upstream}", tls = "local", body_size = "{number}m", {chat} }}',
            *(f'"s{each}.example.test" = "{upstream}"' for each in range(_SITES - (number + 1) % 2)),
        ]
        self._house.write(more="\n".join(rows) + "\n")

    async def run(self) -> None:
        """
        Let everything happen for as long as was asked for.
        """
        house = self._house
        self.write()
        await house.start()
        await house.saw("nginx.started")
        for site in range(_SITES):
            await house.serving(f"s{site}.example.test")
        assert house.daemon is not None
        daemon = house.daemon.pid
        self.series = [
            Series(name="daemon, MB", slack=MEGABYTES, read=lambda: pss([daemon])),
            Series(name="daemon, descriptors", slack=DESCRIPTORS, read=lambda: descriptors([daemon])),
            Series(name="nginx, MB", slack=MEGABYTES, read=lambda: pss(serving(house.nginx_pid()))),
            Series(
                name="nginx's master, descriptors", slack=DESCRIPTORS, read=lambda: own_descriptors(house.nginx_pid())
            ),
        ]
        async with asyncio.TaskGroup() as group:
            for _ in range(_LINES):
                group.create_task(self._visit("visitors h1", 1))
                group.create_task(self._visit("visitors h2", _STREAMS))
            for number in range(_SOCKETS):
                group.create_task(self._hold(number))
            group.create_task(self._load("h2load h1", ["--h1"]))
            group.create_task(self._load("h2load h2", ["-m", "4"]))
            group.create_task(self._change())
            group.create_task(self._watch())
            await asyncio.sleep(self._given.minutes * 60)
            self._over.set()
        self._complain()

    async def _visit(self, name: str, streams: int) -> None:
        async with asyncio.TaskGroup() as group:
            line = Line(self._house.https, group, http2=streams > 1)
            async with asyncio.TaskGroup() as asking:
                for _ in range(streams):
                    asking.create_task(keep_asking(line, self.tallies[name], self._over.is_set, rest=_REST_SECONDS))
            line.close()

    async def _hold(self, number: int) -> None:
        # Not all at once: the first one lives for a part of the time only.
        seconds = _SOCKET_SECONDS * (number + 1) / _SOCKETS
        while not self._over.is_set():
            end = time.monotonic() + seconds
            await hold_websocket(
                self._house.https,
                self.tallies["websockets"],
                lambda end=end: self._over.is_set() or time.monotonic() > end,  # type: ignore[misc]
                every=_MESSAGE_SECONDS,
            )
            seconds = _SOCKET_SECONDS

    async def _load(self, name: str, words: list[str]) -> None:
        rate = max(1, round(self._given.rate / 2 / _CLIENTS))
        words = [*words, "-c", str(_CLIENTS), "--rps", str(rate), "-D", str(_RUN_SECONDS)]
        while not self._over.is_set():
            try:
                found = await asyncio.to_thread(
                    h2load.run, self._house.https, words, longest=_RUN_SECONDS + _LATE_SECONDS
                )
            except Failed as failure:  # h2load 1.52 can hang when a connection is closed as its time is over
                show.tell(f"{name}: {failure}")
                continue
            self.tallies[name].requests += found.succeeded + found.failed
            self.tallies[name].failed += found.failed

    async def _change(self) -> None:
        turns = itertools.cycle(("renewals", "edits", "reloads"))
        sites = itertools.cycle([f"s{each}.example.test" for each in range(_SITES - 1)] + ["localhost"])
        while not self._over.is_set():
            turn = next(turns)
            match turn:
                case "renewals":
                    await self._ask("/v1/renew", {"certificate": next(sites), "force": True})
                case "edits":
                    self.write()
                    self._house.reload()
                case _:
                    await self._ask("/v1/reload", {})
            self.done[turn] += 1
            show.tell(f"{sum(self.done.values())} changes: {dict(self.done)}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._given.every):
                    await self._over.wait()

    async def _ask(self, path: str, body: dict[str, Any]) -> None:
        folder = self._house.folder
        door = client.Door(state_directory=str(self._house.state), paths=(f"{folder}/admin.sock",))
        code, answer = await asyncio.to_thread(client.call, door, "POST", path, body, timeout=120)
        if code != 200:
            self.troubles.append(f"{path} {body}: {answer}")

    async def _watch(self) -> None:
        began = time.monotonic()
        while not self._over.is_set():
            moment = time.monotonic() - began
            for each in self.series:
                each.take(moment)
            await asyncio.sleep(_SAMPLE_SECONDS)

    def _complain(self) -> None:
        house = self._house
        self.troubles += [str(event) for event in house.events() if event["level"] in _TROUBLE]
        if "Traceback" in house.said():
            self.troubles.append("the daemon wrote a traceback")
        for name, tally in self.tallies.items():
            for why, count in collections.Counter(tally.failures).items():
                self.troubles.append(f"{name}: {count} times {why}")
        reloads = len(house.events("nginx.reloaded"))
        self.done["seen reloads"] = reloads
        if not reloads:
            self.troubles.append("nginx was never reloaded")


@contextlib.asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[tuple[House, int]]:
    http, https = free_ports(2)
    upstream, chat = free_ports(2)
    environment = {"PEBBLE_AUTHZREUSE": "0"}  # it can deadlock where it looks for proofs to use again
    async with (
        pebble.running(folder, http_port=http, environment=environment) as ca,
        upstreams.running(wiki_port=upstream, chat_port=chat),
    ):
        house = House(folder=folder, http=http, https=https, upstream=upstream, ca=ca)
        house.nginx = f'drain = "{_DRAIN_SECONDS}s"'
        try:
            yield house, chat
        finally:
            if house.daemon is not None and house.daemon.returncode is None:
                house.daemon.terminate()
                await house.daemon.wait()


async def _measure(given: argparse.Namespace) -> Soak:
    with scratch.folder() as folder:
        async with _opened(folder) as (house, chat):
            soak = Soak(house, chat, given)
            await soak.run()
            return soak


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    made = show.parser("scripts/soak")
    made.add_argument("--minutes", type=float, default=10)
    made.add_argument("--every", type=float, default=4, help="seconds between two changes")
    made.add_argument("--rate", type=int, default=200, help="requests a second that h2load makes")
    return made


def main() -> None:
    """
    Soak and print. The exit status is 1 when a visitor failed, a websocket was dropped, something grew, or the daemon told of an error.
    """
    given = parser().parse_args()
    show.find_servers()
    try:
        h2load.required()
    except Failed as failure:
        sys.exit(f"scripts/soak: {failure}")
    began = surroundings.look()
    soak = asyncio.run(_measure(given))
    done = ", ".join(f"{count} {name}" for name, count in soak.done.items())
    visits = tuple(
        {"client": name, "requests": tally.requests, "repeated": tally.repeated, "failed": tally.failed}
        for name, tally in soak.tallies.items()
    )
    met = f"{given.minutes:g} minutes: {done}; h2load asks nothing again, and is not judged; messages of websockets, and sockets dropped"
    rows = tuple(each.row() for each in soak.series)
    held = (
        f"least squares over the last three quarters; growth may be {MEGABYTES:g} MB or {DESCRIPTORS:g} descriptors, or {SHARE:.0%} of "
        "what is held where that is more; nginx without workers that finish old connections, and what its master keeps for each"
    )
    found = [Table(title="visitors", note=met, rows=visits), Table(title="what is held", note=held, rows=rows)]
    show.present(found, given, began=began)
    broken = [*soak.troubles, *(f"{row['what']} grew by {row['growth']}" for row in rows if row["flat"] != "yes")]
    for each in broken:
        show.tell(each)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
