"""
Visitors who keep on asking a gate for the same page while something happens to it, and websockets that stay open: what they notice.

A visitor repeats a request once, on another connection, where RFC 9110 §9.2.2 lets any client do so: GET is idempotent, and the
connection that was closed had answered before. If it fails again it has failed, and so has one on a connection that never answered.

A request that was not processed has not failed (RFC 9113 §8.7): one whose stream is above the last one of a GOAWAY (§6.8), or was
refused. It is sent until it is; two of nginx's old workers can turn it away one after the other, but five are too many.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import ssl
import struct
from typing import TYPE_CHECKING, Protocol, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 10.0
_REST_SECONDS = 0.05
_TOO_MANY = 5

#: RFC 9113: frame types, flags, error codes and the settings that matter.
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_REFUSED_STREAM = 0x7
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WINDOW = (1 << 31) - 1 - 65535

#: RFC 7541, appendix A: `:method: GET`, `:path: /`, `:scheme: https`; `:authority` by its index, with a literal value that is not
#: indexed; and how an answer's block begins when its status is 200.
_GET, _ROOT, _HTTPS, _AUTHORITY, _OK = b"\x82", b"\x84", b"\x87", b"\x01", 0x88


@dataclasses.dataclass(slots=True)
class Tally:
    """
    What visitors met. Requests are counted once, however often they were sent.
    """

    requests: int = 0
    repeated: int = 0
    failed: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)

    def fail(self, why: object) -> None:
        """
        Count a request that was not answered well.
        """
        self.failed += 1
        self.failures.append(str(why) or repr(why))


class Closed(Exception):
    """
    The connection ended before an answer. `again` is true where the request may be sent again, once.
    """

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


class Refused(Exception):
    """
    The gate says that it did not process the request.
    """


class Connection(Protocol):
    """
    A connection to the gate. `usable` until it must not be asked any more.
    """

    usable: bool

    async def ask(self) -> int:
        """
        Ask for the page and return the status.

        Raises:
            Closed: there was no answer.
            Refused: there will be none, on this connection.
        """

    def close(self) -> None:
        """
        Let go of it.
        """


@functools.cache
def tls(protocol: str) -> ssl.SSLContext:
    """
    Return a context that trusts anybody: who answers is not the question here.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


class Http1:
    """
    An HTTP/1.1 connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answered = False
        self.usable = True

    @classmethod
    async def open(cls, port: int) -> Self:
        """
        Connect.
        """
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls("http/1.1"), server_hostname="localhost"))

    async def ask(self) -> int:
        """
        As `Connection` says.
        """
        try:
            self._writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(_SECONDS):
                head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                await self._reader.readexactly(int(fields["content-length"]))
        except (OSError, EOFError, TimeoutError) as error:
            self.usable = False
            raise Closed(repr(error), again=self._answered and not isinstance(error, TimeoutError)) from error
        self._answered = True
        self.usable = fields.get("connection") != "close"
        return int(head.split(" ", 2)[1])

    def close(self) -> None:
        """
        As `Connection` says.
        """
        self._writer.close()


class Http2:
    """
    An HTTP/2 connection, as much of it as a small GET needs. Its reader runs in a group of the caller's.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next = 1
        self._status: dict[int, int] = {}
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._answered = False
        self.usable = True

    @classmethod
    async def open(cls, port: int, group: asyncio.TaskGroup) -> Self:
        """
        Connect.
        """
        opened = cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls("h2"), server_hostname="localhost"))
        opened._writer.write(_PREFACE + _frame(_SETTINGS) + _frame(_WINDOW_UPDATE, struct.pack(">I", _WINDOW)))
        group.create_task(opened._read())
        return opened

    async def ask(self) -> int:
        """
        As `Connection` says.
        """
        stream, self._next = self._next, self._next + 2
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[stream] = answer
        authority = b"localhost"
        block = _GET + _HTTPS + _ROOT + _AUTHORITY + bytes([len(authority)]) + authority
        try:
            self._writer.write(_frame(_HEADERS, block, flags=_END_STREAM | _END_HEADERS, stream=stream))
            async with asyncio.timeout(_SECONDS):
                status = await answer
        except (OSError, TimeoutError) as error:
            raise Closed(repr(error), again=False) from error
        finally:
            self._waiting.pop(stream, None)
        self._answered = True
        return status

    def close(self) -> None:
        """
        As `Connection` says. Requests on their way are still answered.
        """
        self.usable = False
        if not self._waiting:
            self._writer.close()

    async def _read(self) -> None:
        """
        Read frames until the end.
        """
        why = "it was closed"
        try:
            while True:
                head = await self._reader.readexactly(9)
                length, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
                stream = int.from_bytes(head[5:]) & 0x7FFFFFFF
                self._take(kind, flags, stream, await self._reader.readexactly(length))
        except (OSError, EOFError) as error:
            why = repr(error)
        finally:
            self.usable = False
            for each in tuple(self._waiting):
                self._end(each, Closed(why, again=self._answered))
            self._writer.close()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._writer.write(_frame(_SETTINGS, flags=_ACK))
        elif kind == _PING and not flags & _ACK:
            self._writer.write(_frame(_PING, payload, flags=_ACK))
        elif kind == _GOAWAY:
            self.usable = False
            last = int.from_bytes(payload[:4]) & 0x7FFFFFFF
            for each in tuple(self._waiting):
                if each > last:
                    self._end(each, Refused("it is above the last stream of a GOAWAY"))
        elif kind == _RST_STREAM:
            refused = int.from_bytes(payload) == _REFUSED_STREAM
            self._end(stream, Refused("it was refused") if refused else Closed("its stream was reset", again=False))
        elif kind == _HEADERS:
            self._status[stream] = 200 if payload[:1] == bytes([_OK]) else 0
        if kind in (_HEADERS, _DATA) and flags & _END_STREAM and stream in self._waiting:
            self._waiting.pop(stream).set_result(self._status.pop(stream, 0))
        if not self.usable and not self._waiting:
            self._writer.close()

    def _end(self, stream: int, why: Closed | Refused) -> None:
        if (answer := self._waiting.pop(stream, None)) is not None and not answer.done():
            answer.set_exception(why)


def _frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


class Line:
    """
    What a visitor keeps to a gate: one connection at a time, another when it must not be used any more.
    """

    def __init__(self, port: int, group: asyncio.TaskGroup, *, http2: bool) -> None:
        self._port = port
        self._group = group
        self._http2 = http2
        self._lock = asyncio.Lock()
        self._current: Connection | None = None

    async def get(self) -> Connection:
        """
        Return a connection that may be asked.
        """
        async with self._lock:
            if self._current is None or not self._current.usable:
                self.close()
                self._current = await (Http2.open(self._port, self._group) if self._http2 else Http1.open(self._port))
            return self._current

    def close(self) -> None:
        """
        Let go of the connection.
        """
        if self._current is not None:
            self._current.close()


async def keep_asking(line: Line, tally: Tally, stop: Callable[[], bool], *, rest: float = 0) -> None:
    """
    Ask for the page until told to stop, and count.

    Args:
        rest: seconds between two requests.
    """
    while not stop():
        tally.requests += 1
        try:
            status = await _ask(line, tally)
        except (Closed, Refused, OSError) as error:
            tally.fail(error)
            await asyncio.sleep(_REST_SECONDS)
        else:
            if status != 200:
                tally.fail(f"status {status}")
        await asyncio.sleep(rest)


async def _ask(line: Line, tally: Tally) -> int:
    """
    Ask for the page, again where that is allowed, and return the status.
    """
    again, refused = True, 0
    while True:
        try:
            return await (await line.get()).ask()
        except Closed as closed:
            if not (again and closed.again):
                raise
            again = False
        except Refused:
            refused += 1
            if refused == _TOO_MANY:
                raise
        tally.repeated += 1


async def hold_websocket(port: int, tally: Tally, stop: Callable[[], bool], *, every: float) -> None:
    """
    Keep a websocket open until told to stop. Each message must come back; one socket that does not live on is one failure.
    """
    connector = aiohttp.TCPConnector(ssl=tls("http/1.1"))
    async with aiohttp.ClientSession(connector=connector, headers={"Host": "localhost"}) as session:
        try:
            async with session.ws_connect(
                f"https://127.0.0.1:{port}/websocket/", server_hostname="localhost"
            ) as socket:
                number = 0
                while not stop():
                    number += 1
                    tally.requests += 1
                    await socket.send_str(str(number))
                    assert await socket.receive_str(timeout=_SECONDS) == str(number)
                    await asyncio.sleep(every)
        except (aiohttp.ClientError, OSError, TimeoutError, TypeError) as error:
            tally.fail(error)
