"""
The admin service on a free port, with the loop of a simulated world behind it, and somebody who sends it any bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from tests.support.clock import START
from tests.support.recorder import Recorder
from tests.support.waiting import until
from tests.world import DAY, World, inhabited

from gatelodge.api.routes import Desk
from gatelodge.api.server import Server
from gatelodge.demo.ports import free_ports
from gatelodge.model import AdminSettings, Listener, Secret, SecretRef
from gatelodge.runtime.standing.measured import MeasuredEvents
from gatelodge.runtime.standing.measures import Measures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from gatelodge.ports import Clock

TOKEN = "0123456789abcdef-not-to-be-shown"

#: Nothing is waited for longer by a test. Seconds.
_PATIENCE = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Said:
    """
    An answer, as it came.
    """

    raw: bytes

    @property
    def status(self) -> int:
        """
        Its status code; 0 for none at all.
        """
        return int(self.raw.split()[1]) if self.raw else 0

    @property
    def headers(self) -> dict[str, str]:
        """
        Its headers, in lower case.
        """
        lines = self.raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def body(self) -> bytes:
        """
        What comes after them.
        """
        return self.raw.partition(b"\r\n\r\n")[2]

    def json(self) -> dict[str, Any]:
        """
        Its body, which is a JSON object.
        """
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


@dataclasses.dataclass(kw_only=True)
class Gatehouse:
    """
    The service, and its world.
    """

    world: World
    server: Server
    events: Recorder
    port: int
    measures: Measures

    async def send(self, raw: bytes, *, source: str = "127.0.0.1") -> Said:
        """
        Send bytes, and return all that comes until the connection is closed. What is sent may be cut off.
        """
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
            try:
                with contextlib.suppress(ConnectionError):
                    writer.write(raw)
                    await writer.drain()
                with contextlib.suppress(ConnectionError):
                    return Said(raw=await reader.read(-1))
                return Said(raw=b"")
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = TOKEN,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> Said:
        """
        Ask as a program does that has the token.
        """
        sent = {"Host": f"127.0.0.1:{self.port}"}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body:
            sent["Content-Length"] = str(len(body))
        sent |= headers or {}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
        return await self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body, source=source)


class _Plain:
    """
    Implements `ports.Events` by one function.
    """

    def __init__(self, emit: Callable[..., None]) -> None:
        self.emit = emit


def settings(port: int, token: str = TOKEN, *, address: str = "127.0.0.1") -> AdminSettings:
    """
    Return settings with one address and a token that stands in the configuration.
    """
    return AdminSettings(listen=(Listener(port=port, address=address),), token=SecretRef(literal=Secret(token)))


@contextlib.asynccontextmanager
async def gatehouse(
    folder: Path, *hosts: str, clock: Clock | None = None, port: int | None = None, opens: bool = True
) -> AsyncIterator[Gatehouse]:
    """
    A daemon that has lived for a day and answers on a port of the loopback address. No time passes here, unless `clock` has its own.

    Args:
        opens: wait until it does.
    """
    port = port or free_ports(1)[0]
    async with inhabited(*(hosts or ("a.example.com",)), seconds=0) as world:
        measures = Measures()
        world.events.emit = MeasuredEvents(_Plain(world.events.emit), measures).emit  # type: ignore[method-assign]
        await world.live(DAY)
        events = Recorder()
        desk = Desk(
            state_directory=str(folder),
            reconciler=world.reconciler,
            clock=clock or world.clock,
            events=events,
            began_at=START,
            measures=measures,
        )
        server = Server(desk, paths=(str(folder / "admin.sock"),), settings=settings(port))
        async with server.serving(), asyncio.TaskGroup() as group:
            attending = group.create_task(server.attend())
            if opens:
                await until(lambda: server.listening)
            yield Gatehouse(world=world, server=server, events=events, port=port, measures=measures)
            attending.cancel()
