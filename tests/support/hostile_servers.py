"""
Servers that were made to hang, to flood or to lead astray whoever asks them: real sockets, and what they say is bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


async def _endless(writer: asyncio.StreamWriter, head: bytes, piece: bytes, *, pause: float = 0) -> None:
    writer.write(head)
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause)


def _at_once(content: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return answer


def _for_ever(head: bytes, piece: bytes, *, pause: float = 0) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        await _endless(writer, head, piece, pause=pause)

    return answer


def _whole(body: bytes, *more: bytes) -> bytes:
    return HEAD + b"".join(each + b"\r\n" for each in more) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _bomb() -> bytes:
    """
    Return a gigabyte of zeros, packed.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()
    return _whole(packed, b"Content-Encoding: gzip")


#: What is said in place of an answer.
HOSTILE: dict[str, Callable[[asyncio.StreamWriter], Awaitable[None]]] = {
    "a body without end": _for_ever(HEAD + b"Content-Length: 99999999999\r\n\r\n", b"x" * 65536),
    "chunks without end": _for_ever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"x" * 32768 + b"\r\n"),
    "headers without end": _for_ever(HEAD, b"X-A: b\r\n" * 1000),
    "a header without end": _for_ever(HEAD + b"X-A: ", b"x" * 65536),
    "a status line without end": _for_ever(b"HTTP/1.1 200 ", b"x" * 65536),
    "interim answers without end": _for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "a byte now and then": _for_ever(HEAD + b"Content-Length: 1000\r\n\r\n", b" ", pause=0.2),
    "a header now and then": _for_ever(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause=0.2),
    "silence": _for_ever(b"", b"", pause=0.2),
    "a gigabyte in a megabyte": _at_once(_bomb()),
    "deep JSON": _at_once(_whole(b"[" * 1_000_000)),
    "closed deep JSON": _at_once(_whole(b"[" * 100_000 + b"]" * 100_000)),
    "a redirect to itself": _at_once(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
    "a redirect elsewhere": _at_once(b"HTTP/1.1 307 x\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
    "a page": _at_once(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
    "two lengths": _at_once(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"),
    "a length below nothing": _at_once(HEAD + b"Content-Length: -1\r\n\r\n{}"),
    "a chunk below nothing": _at_once(HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n"),
    "an unknown encoding": _at_once(_whole(b"{}", b"Content-Encoding: x-none")),
    "a broken encoding": _at_once(_whole(b"\x1f\x8b\x08broken", b"Content-Encoding: gzip")),
    "bytes that are no HTTP": _at_once(bytes(range(256)) * 10),
    "a header with a zero byte": _at_once(HEAD + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\n{}"),
    "half an answer": _at_once(HEAD + b"Content-Length: 1000\r\n\r\n{"),
    "a switch of protocols": _at_once(b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n{}"),
}


@contextlib.asynccontextmanager
async def served(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """
    Serve an answer to whoever asks. Yields the URL, and what was asked.
    """
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            await answer(writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", asked
    finally:
        server.close()
