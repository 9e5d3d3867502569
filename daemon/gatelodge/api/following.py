"""
Sends events as they come: one JSON object a line (`application/x-ndjson`), or as server-sent events for whoever accepts those
(https://html.spec.whatwg.org/multipage/server-sent-events.html).

How many follow at once is bounded, and who does not read what he is sent is cut off. It decides nothing about events.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gatelodge.api.connections import ANSWER_SECONDS
from gatelodge.api.entrance import connection_of
from gatelodge.runtime.events.files import FOLLOW_SECONDS, Reader, last_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.ports import Clock

#: Who follow at once.
MOST = 16

#: Among server-sent events a sign of life comes after so long without one, so that nobody on the way takes the connection for dead. Seconds.
HEARTBEAT_SECONDS = 15.0

EVENT_STREAM = "text/event-stream"

#: Events that are sent in a row before others have their turn.
_AT_ONCE = 100

_LONGEST_NUMBER = 18


class Following:
    """
    Those who follow the events of one state directory.
    """

    def __init__(self, *, state_directory: str, clock: Clock) -> None:
        self._directory = state_directory
        self._clock = clock
        self._count = 0

    async def send(self, request: web.Request) -> web.StreamResponse:
        """
        Send the events that are kept, and with `follow`, or as server-sent events, go on with new ones until the asker leaves.
        """
        if self._count >= MOST:
            raise web.HTTPServiceUnavailable(reason=f"{MOST} follow the events already", headers={"Retry-After": "10"})
        self._count += 1
        try:
            return await self._send(request)
        finally:
            self._count -= 1

    async def _send(self, request: web.Request) -> web.StreamResponse:
        pushed = EVENT_STREAM in request.headers.get("Accept", "").lower()
        reader = Reader(self._directory, after=self._first(request, pushed=pushed))
        answer = web.StreamResponse(headers={"Content-Type": EVENT_STREAM if pushed else "application/x-ndjson"})
        answer.force_close()
        connection = connection_of(request)
        try:
            await answer.prepare(request)
            if pushed:
                await _write(answer, b": events\n\n")
            told_at = self._clock.monotonic()
            while True:
                for part in _parts(reader, pushed=pushed):
                    await _write(answer, part)
                    told_at = self._clock.monotonic()
                if not pushed and "follow" not in request.query:
                    break
                await self._clock.sleep(FOLLOW_SECONDS)
                if request.transport is None or request.transport.is_closing():
                    break
                if pushed and self._clock.monotonic() - told_at >= HEARTBEAT_SECONDS:
                    await _write(answer, b":\n\n")  # a comment
                    told_at = self._clock.monotonic()
        except TimeoutError:
            connection.abort()
        except ConnectionError:
            pass  # he has seen enough
        return answer

    def _first(self, request: web.Request, *, pushed: bool) -> int:
        """
        Return after which event to begin: as asked, else with all that are kept, but with new ones where they are pushed.
        """
        given = request.headers.get("Last-Event-ID") or request.query.get("after")
        if given is None:
            return last_id(self._directory) if pushed else 0
        if not (given.isascii() and given.isdigit() and len(given) <= _LONGEST_NUMBER):
            raise web.HTTPBadRequest(reason="after what? an event's id is a number")
        return int(given)


def _parts(reader: Reader, *, pushed: bool) -> Iterator[bytes]:
    """
    Yield what is new, many events at a time.
    """
    part: list[bytes] = []
    for entry in reader.new():
        part.append(_pushed(entry) if pushed else _line(entry))
        if len(part) == _AT_ONCE:
            yield b"".join(part)
            part.clear()
    if part:
        yield b"".join(part)


def _line(entry: dict[str, Any]) -> bytes:
    # A lone surrogate cannot be sent as it is.
    return json.dumps(entry, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def _pushed(entry: dict[str, Any]) -> bytes:
    return b"id: %d\ndata: %s\n" % (entry["id"], _line(entry))


async def _write(answer: web.StreamResponse, part: bytes) -> None:
    async with asyncio.timeout(ANSWER_SECONDS):
        await answer.write(part)
