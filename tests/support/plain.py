"""
Services that speak no HTTP, and who visits them: TCP and UDP that come back as they went, and what a service really received.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclasses.dataclass(slots=True, kw_only=True)
class Service:
    """
    Says its name and then what it hears, on TCP; remembers what each connection began with, and how many there were.
    """

    name: bytes = b""
    port: int = 0
    heard: list[bytes] = dataclasses.field(default_factory=list)
    visits: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self.heard.append(data)
                writer.write(self.name + data)
                await writer.drain()
        writer.close()


def _open(path: Path) -> None:
    """
    Let nginx's workers speak to a socket.
    """
    path.chmod(0o777)


@contextlib.asynccontextmanager
async def echoing(
    name: bytes = b"",
    *,
    tls: ssl.SSLContext | None = None,
    at: str = "127.0.0.1",
    port: int = 0,
    path: Path | None = None,
) -> AsyncIterator[Service]:
    """
    Run a service on a free port, or on a socket.
    """
    service = Service(name=name)
    if path is not None:
        server = await asyncio.start_unix_server(service.serve, path)
        _open(path)
    else:
        server = await asyncio.start_server(service.serve, at, port, ssl=tls)
        service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()


@dataclasses.dataclass(slots=True, kw_only=True)
class Datagrams(asyncio.DatagramProtocol):
    """
    Says what it hears, on UDP; `peers` are those who spoke to it.
    """

    port: int = 0
    peers: set[tuple[str, int]] = dataclasses.field(default_factory=set)
    transport: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.peers.add(addr)
        assert self.transport is not None
        self.transport.sendto(data, addr)


@contextlib.asynccontextmanager
async def echoing_datagrams(port: int = 0) -> AsyncIterator[Datagrams]:
    """
    Run a service on a free UDP port.
    """
    transport, service = await asyncio.get_running_loop().create_datagram_endpoint(
        Datagrams, local_addr=("127.0.0.1", port)
    )
    service.transport = transport
    service.port = transport.get_extra_info("sockname")[1]
    try:
        yield service
    finally:
        transport.close()


class Visitor(asyncio.DatagramProtocol):
    """
    Asks by UDP, always from the same port.
    """

    def __init__(self) -> None:
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        self._answers.put_nowait(data)

    async def ask(self, text: bytes, *, seconds: float = 5) -> bytes:
        """
        Return the answer; nothing when there is none in time.
        """
        assert self.transport is not None
        self.transport.sendto(text)
        try:
            return await asyncio.wait_for(self._answers.get(), seconds)
        except TimeoutError:
            return b""


@contextlib.asynccontextmanager
async def visiting(port: int) -> AsyncIterator[Visitor]:
    """
    Yield a visitor of a UDP port of this machine.
    """
    transport, visitor = await asyncio.get_running_loop().create_datagram_endpoint(
        Visitor, remote_addr=("127.0.0.1", port)
    )
    visitor.transport = transport
    try:
        yield visitor
    finally:
        transport.close()


async def say(
    port: int, text: bytes, *, source: str = "127.0.0.1", tls: ssl.SSLContext | None = None, name: str | None = None
) -> bytes:
    """
    Connect, say something, and return the first that comes back; nothing when the connection is closed before.
    """
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=(source, 0), ssl=tls, server_hostname=(name or "") if tls else None
        )
    except OSError:
        return b""
    try:
        writer.write(text)
        return await asyncio.wait_for(reader.read(65536), 10)
    except OSError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
