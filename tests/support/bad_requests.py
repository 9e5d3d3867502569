"""
Requests as nobody of good will sends them, and who judges what the admin service makes of them.

Half of them are bytes; the others have the shape of a request, of parts that mean something to whoever reads one. The judge knows what may
never be, whatever is sent: it decides by what comes back, and by how the service stands after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from tests.support.admin import TOKEN, Gatehouse, Said
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How long the first bytes of an answer may take, how long others after them, which may not come, and how long all of them: who follows events
#: gets no end, and a comment whenever some of the world's time has passed. Seconds.
_PATIENCE, _LONGER, _ENOUGH = 10.0, 0.1, 1.0

#: So many bytes are taken at once.
_PIECE = 1 << 16

#: Nothing of these is ever said: what a traceback has, where we are installed, whose work answers, what opens the door.
_NEVER = ("Traceback", "site-packages", ".py", "aiohttp", "Python/", TOKEN)

#: What is said in place of nothing: the daemon cannot do it now, or too many ask already.
_UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sent:
    """
    What is sent, by the socket or over TCP, and whether he who sends it says that it is all, or waits for the end of the answer. The token is
    put in for `TOKEN` on the way, so that no failure of a test shows it.
    """

    raw: bytes
    socket: bool
    half_closed: bool


_METHODS = ("HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "G\u00cbT", "A" * 300, "")

#: Headers that mean something: to who sends events, to who reads a body, to all; and where somebody answers, and does what he is told.
_FOLLOWING = (
    *(("Last-Event-ID", each) for each in ("7", "-1", "\u00b2", "9" * 400, "", "1e3")),
    *(("Accept", each) for each in ("text/event-stream", "text/event-stream; q=-1", "\u00e9")),
)
_BODY = (
    *(("Content-Type", each) for each in ("application/json; charset=utf-7", "text/plain; charset=\u00e9", "x/y; charset=idna", ";;=")),
    *(("Content-Encoding", each) for each in ("gzip", "deflate", "br", "zstd", "identity", "x")),
)  # fmt: skip
_ANY = (
    ("Expect", "100-continue"), ("Expect", "200-ok"), ("Connection", "keep-alive"), ("Upgrade", "websocket"), ("Range", "bytes=0-1"),
    ("Gatelodge-State-Directory", "/"), ("Gatelodge-State-Directory", "\u00e9"), ("Origin", "null"), ("Host", "a.example.com"),
    ("Accept", "application/openmetrics-text; version=9.9.9"),
)  # fmt: skip
_SEEN = ("/healthz", "/readyz", "/metrics", "/v1/status", "/v1/jobs", "/v1/plan", "/v1/nothing")
_DONE = (
    "/v1/once", "/v1/renew", "/v1/revoke", "/v1/forget", "/v1/reload", "/v1/account/show", "/v1/account/update", "/v1/account/%00",
    *(f"/v1/certificates/{name}/renew" for name in ("a.example.com", "%2e%2e%2f", "%ff", "%1b%5b2J", "%00")),
)  # fmt: skip

#: Parts of a request in which anything stands anywhere.
_PATHS = (
    "*", "/", "//", "http://evil.example/v1/status", "evil.example:443", "/\u00e9", "/%", "/%zz", "/v1/status#x", "http://[", "?",
    "/" + "a/" * 2000, "/v1/status;x", "/V1/STATUS", "http://localhost:99999/healthz", "http://[::1/healthz", "\\\\x",
)  # fmt: skip
_QUERIES = (
    "?follow",
    "?after=1",
    "?after=-1",
    "?after=\u00b2",
    "?after=" + "9" * 400,
    "?after=%00",
    "?%",
    "?a=" + "b" * 3000,
)
_NAMES = (
    "Host", "Authorization", "Content-Length", "Transfer-Encoding", "Content-Type", "Content-Encoding", "Expect", "Accept", "Trailer",
    "Last-Event-ID", "Gatelodge-State-Directory", "Origin", "Connection", "Upgrade", "Cookie", "Range", "If-None-Match", "X", "X Y", "",
    "Sec-WebSocket-Key", "X-Forwarded-For", "Forwarded", "a" * 500, "TE", "HTTP2-Settings",
)  # fmt: skip
_VALUES = (
    "", "0", "-1", "1", "7", "9" * 400, "1e3", "\u00b2", "\u00e9", "null", "x" * 9000, "a\tb", "a\x00b", "a\rb", "\x1b[2J", "\x7f",
    "localhost", "a.example.com", "evil.example", "[::1]:80", "[", "127.0.0.1:999999", "a, b", "Bearer", "Basic x", "../..", "/",
    "chunked", "gzip, chunked", "chunked, chunked", "identity", "gzip", "100-continue", "multipart/form-data; boundary=x", "close",
    "upgrade", "websocket", "h2c", "bytes=-999999999999999999999", "https://evil.example",
)  # fmt: skip
_BODIES = (
    b"", b"{}", b'{"certificate": "a.example.com"}', b'{"certificate": "\\ud800"}', b'{"certificate": "\\u0000"}', b"{", b"[]", b"NaN",
    b'{"certificate": "a.example.com", "reason": "keyCompromise"}', b'{"certificate": 1e999}', b'{"certificate": {}}', b'{"force": true}',
    b'{"ca": "\\u001b[2J", "email": []}', b"\xff\xfe{\x00}\x00", b"[" * 30_000, b"9" * 30_000, b"a" * 70_000, b"\x1f\x8b\x08\x00x",
    b"0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n", b"ffffffffffffffff\r\n", b"2;x=y\r\n{}\r\n0\r\nTrailer: x\r\n\r\n",
    b"2\n{}\n0\n\n", b"2\r\n{}0\r\n\r\n",
)  # fmt: skip


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@st.composite
def _request(draw: st.DrawFn, *, wild: bool) -> bytes:
    """
    Something in the shape of a request: one that comes in, or one that is `wild`, in which anything stands anywhere.
    """
    method, paths, known = draw(
        st.sampled_from(
            (("GET", ("/v1/events",), _FOLLOWING), ("GET", _SEEN, _ANY), ("POST", _DONE, _BODY), ("POST", _DONE, _ANY))
        )
    )
    path = draw(st.sampled_from(paths)) + draw(st.sampled_from(("", "", *_QUERIES)))
    headers = [
        ("Host", "localhost"),
        ("Authorization", "Bearer TOKEN"),
        *draw(st.lists(st.sampled_from(known), max_size=2)),
    ]
    version, end = "HTTP/1.1", "\r\n"
    framing = ["length", "length", "chunks"]
    if wild:
        method = draw(st.just(method) | st.sampled_from(_METHODS))
        path = draw(st.just(path) | st.sampled_from(_PATHS))
        version = draw(st.just(version) | st.sampled_from(("HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "HTTP/1.1 x")))
        value = st.sampled_from(_VALUES) | st.text(max_size=12)
        headers = headers[draw(st.integers(0, 2)) :] + draw(
            st.lists(st.tuples(st.sampled_from(_NAMES), value), max_size=3)
        )
        end = draw(st.sampled_from((end,) * 5 + ("\n", "\r", "\r\n ")))
        framing += ["nothing", "lie"]
    body = draw(st.sampled_from(_BODIES) | st.binary(max_size=20))
    match draw(st.sampled_from(framing)):
        case "length":
            headers.append(("Content-Length", str(len(body))))
        case "chunks":
            headers.append(("Transfer-Encoding", "chunked"))
            body = body if wild else b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        case "lie":
            headers.append(("Content-Length", str(draw(st.integers(-2, 1 << 40)))))
    head = end.join([f"{method} {path} {version}", *(f"{name}: {each}" for name, each in headers)])
    return _encoded(head + end + end) + body


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """
    What somebody sends: one request or several in a row, some of them with bytes that were changed or left out; or noise.
    """
    kind = draw(st.sampled_from(("meant", "meant", "meant", "wild", "wild", "changed", "cut", "noise")))
    one = _request(wild=kind == "wild")
    raw = b"".join(draw(st.lists(one, min_size=1, max_size=3)))
    match kind:
        case "changed":
            at, gone = draw(st.integers(0, min(len(raw), 300))), draw(st.integers(0, 5))
            raw = raw[:at] + draw(st.binary(max_size=5)) + raw[at + gone :]
        case "cut":
            raw = raw[: draw(st.integers(0, min(len(raw), 300)))]
        case "noise":
            raw = draw(st.binary(max_size=300))
    return Sent(
        raw=raw,
        socket=draw(st.booleans()),
        half_closed=kind != "meant" and draw(st.sampled_from((False, False, False, True))),
    )


async def judged(house: Gatehouse, sent: Sent, folder: Path) -> Said:
    """
    Send it, and hold what comes of it against what must never be.
    """
    # One address may ask again after a while. Who waits, waits by the clock of the world, which goes on meanwhile.
    await house.world.live(dt.timedelta(seconds=30))
    passing = asyncio.get_running_loop().create_task(_pass_time(house))
    try:
        said = await _answered(house, sent, folder)
        await until(lambda: not house.server._connections._open)
        good = await house.ask("GET", "/healthz", source="127.0.0.2")
    finally:
        passing.cancel()
    assert (good.status, good.json()) == (HTTPStatus.OK, {"ok": True})
    text = said.raw.decode("latin-1")
    assert not [word for word in _NEVER if word in text], text
    assert "admin.failed" not in [name for name, _ in house.events.events], house.events.of("admin.failed")
    for status, head, body in _parted(said.raw):
        assert status < HTTPStatus.INTERNAL_SERVER_ERROR or status == _UNAVAILABLE, text
        assert b"access-control-" not in head.lower()
        if status >= HTTPStatus.BAD_REQUEST and status != HTTPStatus.EXPECTATION_FAILED and body:
            assert json.loads(body).keys() & {"error", "message", "reasons"}, text
    return said


async def _pass_time(house: Gatehouse) -> None:
    while True:
        await house.world.live(dt.timedelta(seconds=1))
        await asyncio.sleep(0.002)


async def _answered(house: Gatehouse, sent: Sent, folder: Path) -> Said:
    """
    Send bytes, and return what comes until the connection is closed; when nobody closes it, he who asked does.
    """
    opening = (
        asyncio.open_unix_connection(str(folder / "admin.sock"))
        if sent.socket
        else asyncio.open_connection("127.0.0.1", house.port)
    )
    reader, writer = await opening
    came = bytearray()
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(sent.raw.replace(b"TOKEN", TOKEN.encode()))
            await writer.drain()
            if sent.half_closed:
                writer.write_eof()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                came += await reader.read(_PIECE)
            async with asyncio.timeout(_ENOUGH):
                while piece := await asyncio.wait_for(reader.read(_PIECE), _LONGER):
                    came += piece
    finally:
        writer.transport.abort()
    return Said(raw=bytes(came))


def _parted(raw: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """
    Yield the status, the head and the body of each answer of a connection; a body without a length goes on to the end.
    """
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        length = re.search(rb"(?i)\r\ncontent-length: ([0-9]+)", head)
        end = int(length[1]) if length else 0 if status < HTTPStatus.OK else len(raw)
        yield status, head, raw[:end]
        raw = raw[end:]
