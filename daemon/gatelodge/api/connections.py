"""
Keeps connections few and short: whoever holds one without asking anything, or without reading the answer, is cut off.

It stands between a connection and aiohttp, which answers, and decides by numbers and times alone. It reads nothing of what is said.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

#: Connections at once through sockets, as many over TCP, so that nobody elsewhere can keep out who is here; and from one address.
MOST = 64
MOST_OF_ONE = 24

#: A request must have begun to be answered by then, all its headers being there. Seconds.
HEAD_SECONDS = 10.0

#: What may come before that, its headers and a body of the largest kind (`routes.MOST_BODY`). Bytes.
MOST_BEFORE = 128 * 1024

#: An answer must have been read by then. Seconds.
ANSWER_SECONDS = 30.0


class Connections:
    """
    All connections that are open.
    """

    def __init__(self) -> None:
        self._open: set[Connection] = set()

    def admit(self, one: Connection) -> bool:
        """
        Tell whether another connection may come in, and count it if so.
        """
        same = sum(each.remote == one.remote for each in self._open)
        alike = sum(bool(each.remote) == bool(one.remote) for each in self._open)
        if alike >= MOST or (one.remote and same >= MOST_OF_ONE):
            return False
        self._open.add(one)
        return True

    def leave(self, one: Connection) -> None:
        """
        Count one less.
        """
        self._open.discard(one)

    def end_remote(self) -> None:
        """
        Cut off whoever came from an address.
        """
        for each in [each for each in self._open if each.remote]:
            each.abort()


class Connection(asyncio.Protocol):
    """
    One of them. `remote` is the address that it comes from, empty for one through a socket in the file system.
    """

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self.remote = ""
        self._inner = inner
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._received: int | None = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Let it in, for a while; or not.
        """
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        peer = transport.get_extra_info("peername")
        self.remote = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._connections.admit(self):
            transport.abort()
            return
        self._transport = transport
        self._end_in(HEAD_SECONDS)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """
        Pass on what came, up to a measure before a request has begun.
        """
        if self._transport is None:
            return
        if self._received is not None:
            self._received += len(data)
            if self._received > MOST_BEFORE:
                self._transport.abort()
                return
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """
        Pass it on.
        """
        return self._inner.eof_received() if self._transport else None

    def pause_writing(self) -> None:
        """
        Pass it on.
        """
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """
        Pass it on.
        """
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Count it out.
        """
        if self._transport is None:
            return
        self._transport = None
        self._stop_timer()
        self._connections.leave(self)
        self._inner.connection_lost(exc)

    def begun(self) -> None:
        """
        Say that a request is being answered, however long that takes.
        """
        self._received = None
        self._stop_timer()

    def answered(self) -> None:
        """
        Say that the answer is on its way.
        """
        self._end_in(ANSWER_SECONDS)

    def abort(self) -> None:
        """
        End it at once.
        """
        if self._transport is not None:
            self._transport.abort()

    def _end_in(self, seconds: float) -> None:
        self._stop_timer()
        if self._transport is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Site(web.BaseSite):
    """
    A place at which a runner answers, its connections guarded.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        connections: Connections,
        *,
        name: str,
        opening: Callable[[Callable[[], Connection]], Awaitable[asyncio.Server]],
        answering: Callable[[], asyncio.Protocol],
    ) -> None:
        """
        Args:
            opening: opens the place, with what makes a protocol for each connection.
            answering: makes what answers one.
        """
        super().__init__(runner)
        self._place = name
        self._connections = connections
        self._opening = opening
        self._answering = answering

    @property
    def name(self) -> str:
        """
        Return which place it is.
        """
        return self._place

    async def start(self) -> None:
        """
        Open the place.

        Raises:
            OSError: it cannot be had.
        """
        self._server = await self._opening(lambda: Connection(self._answering(), self._connections))
        await super().start()

    @property
    def sockets(self) -> Sequence[object]:
        """
        Return the sockets on which it listens.
        """
        return self._server.sockets if isinstance(self._server, asyncio.Server) else ()
