"""
A service behind the gate: tells in its answer what reached it, and echoes whatever follows an upgrade.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

Pairs: TypeAlias = "Sequence[tuple[str, str]]"


@dataclasses.dataclass(slots=True, kw_only=True)
class Seen:
    """
    A request as the upstream got it. Header names are lower case. It is noted before its body has come.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclasses.dataclass(slots=True, kw_only=True)
class Upstream:
    """
    A running upstream: its port, the requests it saw, and how many connections were made to it. `location` makes it redirect; `answer`
    makes it say something of its own: a status, headers and a body.
    """

    port: int = 0
    seen: list[Seen] = dataclasses.field(default_factory=list)
    connections: int = 0
    location: str = ""
    answer: Callable[[Seen], Awaitable[tuple[int, Pairs, bytes]]] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Answer requests until the other side closes.
        """
        self.connections += 1
        try:
            while head := await _head(reader):
                lines = head.decode("latin-1").split("\r\n")
                method, target, _ = lines[0].split(" ", 2)
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
                }
                seen = Seen(method=method, target=target, headers=headers)
                self.seen.append(seen)
                seen.body = await reader.readexactly(int(headers.get("content-length", 0)))
                if headers.get("upgrade") == "websocket":
                    writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
                    while data := await reader.read(4096):
                        writer.write(data)
                    return
                if self.answer is not None:
                    writer.write(_written(*await self.answer(seen)))
                    await writer.drain()
                    continue
                body = json.dumps({"method": method, "target": target, "headers": headers}).encode()
                status = f"302 Found\r\nLocation: {self.location}" if self.location else "200 OK"
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def _written(status: int, fields: Pairs, body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in fields), f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n\r\n"))[:-4]
    except asyncio.IncompleteReadError:
        return b""


@contextlib.asynccontextmanager
async def running(
    *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Upstream]:
    """
    Run an upstream inside the context, by default on a free port.
    """
    upstream = Upstream()
    open_tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_tasks.add(task)
        try:
            await upstream.serve(reader, writer)
        except asyncio.CancelledError:
            # Cancelled below and by nobody else; asyncio's server would report it.
            writer.transport.abort()
        finally:
            open_tasks.discard(task)
            if not open_tasks:
                quiet.set()

    quiet = asyncio.Event()
    server = await asyncio.start_server(serve, address, port, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in tuple(open_tasks):
            quiet.clear()
            task.cancel()
        if open_tasks:
            await quiet.wait()
