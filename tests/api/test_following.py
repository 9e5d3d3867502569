"""
Events as they come, over a real connection: as server-sent events and as lines of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import json
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.support.admin import TOKEN, Gatehouse, gatehouse
from tests.support.waiting import until

from gatelodge.api import following
from gatelodge.runtime.events import log as event_log
from gatelodge.runtime.events.files import end
from gatelodge.runtime.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What is told does not matter here, and short names read well.
pytestmark = pytest.mark.made_up_events

PUSHED = {"Accept": "text/event-stream"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """
    A folder with a path short enough for a socket (108 bytes, unix(7)).
    """
    with tempfile.TemporaryDirectory(prefix="gl-") as name:
        yield Path(name)


def log(folder: Path) -> event_log.EventLog:
    """
    Return the event log of a folder.
    """
    return event_log.EventLog(directory=str(folder), clock=SystemClock(), stream=io.StringIO())


@dataclasses.dataclass(kw_only=True)
class Listener:
    """
    Somebody who listens to server-sent events.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    comments: int = 0

    async def __aenter__(self) -> Self:
        await self.reader.readuntil(b"\r\n\r\n")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def hear(self) -> tuple[int, dict[str, Any]]:
        """
        Return the next event, with the id that is to be sent when coming again.
        """
        number = 0
        async with asyncio.timeout(10):
            while True:
                line = (await self.reader.readline()).decode().rstrip("\r\n")
                if line.startswith(":"):
                    self.comments += 1
                elif line.startswith("id: "):
                    number = int(line[4:])
                elif line.startswith("data: "):
                    return number, json.loads(line[6:])


async def listen(house: Gatehouse, path: str = "/v1/events", *, last: int | None = None) -> Listener:
    """
    Begin to listen, after the event with that id if one is given.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    sent = {"Host": "localhost", "Authorization": f"Bearer {TOKEN}", **PUSHED}
    if last is not None:
        sent["Last-Event-ID"] = str(last)
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    writer.write(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
    return Listener(reader=reader, writer=writer)


async def test_new_events_are_pushed(folder: Path) -> None:
    """
    Those that come after somebody began to listen, each with its id.
    """
    events = log(folder)
    events.emit("before")
    async with gatehouse(folder, clock=SystemClock()) as house, await listen(house) as listener:
        events.emit("first", name="ä\ud800")
        events.emit("second")
        one, other = await listener.hear(), await listener.hear()

        assert [one[1]["event"], other[1]["event"]] == ["first", "second"]
        assert [one[0], other[0]] == [one[1]["id"], other[1]["id"]] == [2, 3]


@pytest.mark.parametrize("path", ["/v1/events?after=2", "/v1/events"])
async def test_who_comes_again_hears_what_was_missed(folder: Path, path: str) -> None:
    """
    By the header that a browser sends, or by the address; also when the log was put aside meanwhile.
    """
    events = log(folder)
    for name in ("one", "two", "three"):
        events.emit(name)
    end(str(folder), last=3, day="2026-01-01")
    events.emit("four")
    last = None if "after" in path else 2
    async with gatehouse(folder, clock=SystemClock()) as house, await listen(house, path, last=last) as listener:
        assert [(await listener.hear())[1]["event"] for _ in range(2)] == ["three", "four"]

        end(str(folder), last=4, day="2026-01-01")
        events.emit("five")

        assert (await listener.hear())[1]["event"] == "five"


async def test_a_log_that_was_begun_anew_is_heard_from_its_beginning(folder: Path) -> None:
    """
    Its ids begin anew too: who heard a larger one misses nothing.
    """
    log(folder).emit("first")
    async with gatehouse(folder, clock=SystemClock()) as house, await listen(house, last=900) as listener:
        assert (await listener.hear())[1]["event"] == "first"


async def test_where_nothing_happens_there_are_signs_of_life(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Comments, which no reader takes for events.
    """
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.1)
    events = log(folder)
    async with (
        gatehouse(folder, clock=SystemClock()) as house,
        await listen(house) as listener,
        asyncio.TaskGroup() as group,
    ):
        heard = group.create_task(listener.hear())
        await until(lambda: listener.comments >= 3)
        events.emit("late")

        assert (await heard)[1]["event"] == "late"


@pytest.mark.parametrize("after", ["x", "-1", "1e3", "9" * 40, "%F0%9F%A6%8A", "²"])
async def test_an_id_that_is_none(folder: Path, after: str) -> None:
    """
    Is refused.
    """
    async with gatehouse(folder, clock=SystemClock()) as house:
        assert (await house.ask("GET", f"/v1/events?after={after}", headers=PUSHED)).status == 400


async def test_lines_of_json_end_where_nobody_asked_for_more(folder: Path) -> None:
    """
    All that are kept, or those after one.
    """
    events = log(folder)
    for number in range(250):
        events.emit("event", number=number)
    async with gatehouse(folder, clock=SystemClock()) as house:
        said = await house.ask("GET", "/v1/events")
        later = await house.ask("GET", "/v1/events?after=248")

        assert said.headers["content-type"] == "application/x-ndjson"
        assert later.body.count(b"number") == 2
        assert said.body.count(b'"event": "event"') == 250


async def test_listeners_are_few(folder: Path) -> None:
    """
    Who comes too late is told when to come again, and comes in once another has left.
    """
    async with gatehouse(folder, clock=SystemClock()) as house, contextlib.AsyncExitStack() as stack:
        for _ in range(following.MOST):
            await stack.enter_async_context(await listen(house))
        refused = await house.ask("GET", "/v1/events", headers=PUSHED)
        others = await house.ask("GET", "/v1/status")

        assert (refused.status, refused.headers["retry-after"]) == (503, "10")
        assert others.status == 200

        await stack.aclose()

        async def comes_in() -> bool:
            return (await house.ask("GET", "/v1/events")).status == 200

        await until(comes_in)


@pytest.mark.parametrize("pushed", [True, False], ids=["pushed", "lines"])
async def test_who_does_not_read_is_cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch, *, pushed: bool) -> None:
    """
    After a while, however much there is to send; others are answered meanwhile.
    """
    monkeypatch.setattr(following, "ANSWER_SECONDS", 0.5)
    line = json.dumps({"id": 0, "event": "event", "filling": "x" * 1000})
    (folder / "events.jsonl").write_text("".join(f"{line.replace('0', str(id_), 1)}\n" for id_ in range(1, 12_000)))
    async with gatehouse(folder, clock=SystemClock()) as house:
        head = "Accept: text/event-stream\r\n" if pushed else ""
        sock = socket.create_connection(("127.0.0.1", house.port))
        with contextlib.closing(sock):
            request = (
                f"GET /v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n{head}\r\n"
            )
            sock.sendall(request.encode())
            await until(lambda: house.server._connections._open)

            assert (await house.ask("GET", "/v1/status")).status == 200

            await until(lambda: not house.server._connections._open)


async def test_no_body_is_asked_for_of_what_never_ends(folder: Path) -> None:
    """
    HEAD is no way to hold a connection.
    """
    async with gatehouse(folder, clock=SystemClock()) as house:
        assert (await house.ask("HEAD", "/v1/events", headers=PUSHED)).status == 405


async def test_a_daemon_that_ends_ends_its_listeners(folder: Path) -> None:
    """
    At once, and without a complaint.
    """
    async with contextlib.AsyncExitStack() as stack:
        house = await stack.enter_async_context(gatehouse(folder, clock=SystemClock()))
        listener = await (await listen(house)).__aenter__()
        async with asyncio.timeout(8):
            await stack.aclose()
            while not listener.reader.at_eof():
                await listener.reader.read(100)
        listener.writer.close()

        assert not house.events.of("admin.failed")
