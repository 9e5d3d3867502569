"""
A service that speaks gRPC over HTTP/2, and a client of one (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): what
bytes a message holds is nobody's business here.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING, TypeAlias

import h2.config
import h2.connection
import h2.events
import h2.exceptions

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

#: Names and values.
Pairs: TypeAlias = tuple[tuple[str, str], ...]

#: What nginx and the service may send before they are told to go on: more than any test does.
_WINDOW = 2**30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    A request as the service got it, or an answer as the client did. `trailers` are those of an answer.
    """

    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True, kw_only=True)
class Service:
    """
    A running service: it echoes each body, with the status 0 behind it and `more` among its headers.
    """

    port: int = 0
    seen: list[Call] = dataclasses.field(default_factory=list)
    connections: int = 0
    more: dict[str, str] = dataclasses.field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b"") -> None:
        """
        Answer calls until the other side closes.

        Args:
            first: what was read of the connection already.
        """
        self.connections += 1
        talk = _Talk(reader, writer, client=False)
        try:
            async for stream, call in talk.heard(first):
                self.seen.append(call)
                talk.h2.send_headers(
                    stream, [(":status", "200"), ("content-type", "application/grpc"), *self.more.items()]
                )
                talk.send(stream, call.body, (("grpc-status", "0"), ("grpc-message", "well")))
                await talk.flush()
        except (ConnectionError, h2.exceptions.ProtocolError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class _Talk:
    """
    One HTTP/2 connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, client: bool) -> None:
        self._reader, self._writer = reader, writer
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=client, header_encoding="utf-8", validate_inbound_headers=False)
        )
        self._waiting: dict[int, tuple[bytes, Pairs]] = {}
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(_WINDOW)

    def send(self, stream: int, body: bytes, trailers: Pairs = ()) -> None:
        """
        Send a body and what ends it, as fast as the other side allows.
        """
        while body and (room := min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)):
            self.h2.send_data(stream, body[:room])
            body = body[room:]
        if body:
            self._waiting[stream] = (body, trailers)
        elif trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        else:
            self.h2.end_stream(stream)

    async def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())
        await self._writer.drain()

    async def heard(self, first: bytes = b"") -> AsyncIterator[tuple[int, Call]]:
        """
        Yield what each stream was told in the end.
        """
        calls: dict[int, Call] = {}
        await self.flush()
        while data := first or await self._reader.read(65536):
            first = b""
            for event in self.h2.receive_data(data):
                match event:
                    case h2.events.RequestReceived() | h2.events.ResponseReceived():
                        calls[event.stream_id] = Call(headers=_headers(event.headers), body=b"")
                    case h2.events.DataReceived():
                        call = calls[event.stream_id]
                        calls[event.stream_id] = dataclasses.replace(call, body=call.body + event.data)
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case h2.events.TrailersReceived():
                        call = calls[event.stream_id]
                        calls[event.stream_id] = dataclasses.replace(call, trailers=_headers(event.headers))
                    case h2.events.StreamEnded():
                        yield event.stream_id, calls.pop(event.stream_id)
                    case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                        return
                    case _:
                        pass
            for stream in tuple(self._waiting):
                self.send(stream, *self._waiting.pop(stream))
            await self.flush()


def _headers(pairs: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in pairs}  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def running(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[Service]:
    """
    Run a service on a free port of 127.0.0.1 inside the context.
    """
    service = Service()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await service.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    if tls:
        tls.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, host: str, path: str, body: bytes, **more: str
) -> Call:
    """
    Make one call on a connection that has agreed on `h2`, close it, and return the answer.

    Raises:
        ConnectionError: none came.
    """
    talk = _Talk(reader, writer, client=True)
    try:
        headers = [
            *((":method", "POST"), (":scheme", "https"), (":authority", host), (":path", path)),
            *(("content-type", "application/grpc"), ("te", "trailers")),
            *((name.replace("_", "-"), value) for name, value in more.items()),
        ]
        talk.h2.send_headers(1, headers)
        talk.send(1, body)
        async for _, answer in talk.heard():
            return answer
        raise ConnectionResetError("the stream was reset")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
