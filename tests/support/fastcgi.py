"""
A FastCGI application, as PHP-FPM is one (https://fastcgi-archives.github.io/FastCGI_Specification.html): it keeps what it was told,
and answers with its body.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import struct

#: The kinds of record that are met here (§8).
_BEGIN, _END, _PARAMS, _STDIN, _STDOUT = 1, 3, 4, 5, 6
_HEADER = struct.Struct("!BBHHBx")
_LONG = 0x80


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    What the application was told, and the body.
    """

    parameters: dict[str, str]
    body: bytes


@dataclasses.dataclass(slots=True, kw_only=True)
class Application:
    """
    An application for `asyncio.start_server` and `start_unix_server`. `more` are lines of its answers' heads.
    """

    seen: list[Request] = dataclasses.field(default_factory=list)
    more: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Answer one request.
        """
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                request = await _read(reader)
                self.seen.append(request)
                answer = f"Status: 200 OK\r\nContent-Type: text/plain\r\n{self.more}\r\n".encode() + request.body
                for start in range(0, len(answer), 0xFFFF):
                    writer.write(_record(_STDOUT, answer[start : start + 0xFFFF]))
                writer.write(_record(_STDOUT, b"") + _record(_END, bytes(8)))
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request:
    told = {_BEGIN: b"", _PARAMS: b"", _STDIN: b""}
    while True:
        _, kind, _, length, padding = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        content = await reader.readexactly(length)
        await reader.readexactly(padding)
        told[kind] += content
        if kind == _STDIN and not content:
            return Request(parameters=_pairs(told[_PARAMS]), body=told[_STDIN])


def _pairs(data: bytes) -> dict[str, str]:
    found = {}
    while data:
        lengths = []
        for _ in range(2):
            size = 4 if data[0] & _LONG else 1
            lengths.append(int.from_bytes(data[:size], "big") & (0x7FFFFFFF if size > 1 else 0x7F))
            data = data[size:]
        name, value = data[: lengths[0]], data[lengths[0] : sum(lengths)]
        found[name.decode()] = value.decode()
        data = data[sum(lengths) :]
    return found


def _record(kind: int, content: bytes) -> bytes:
    return _HEADER.pack(1, kind, 1, len(content), 0) + content
