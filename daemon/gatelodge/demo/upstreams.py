"""
Three small services behind the gate: one answers plain http, one echoes a websocket, one is down.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GREETING = "Hello from the wiki behind the gate."


async def _greet(request: web.Request) -> web.Response:
    seen = {
        name: request.headers.get(name) for name in ("Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-Forwarded-Port")
    }
    return web.json_response({"greeting": GREETING, "seen": seen})


async def _echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


@contextlib.asynccontextmanager
async def running(*, wiki_port: int, chat_port: int) -> AsyncIterator[None]:
    """
    Serve inside the context: the wiki on one port, the chat's websocket on the other. The third service is down.
    """
    async with contextlib.AsyncExitStack() as stack:
        for port, path, handler in ((wiki_port, "/{path:.*}", _greet), (chat_port, "/websocket/", _echo)):
            application = web.Application()
            application.router.add_get(path, handler)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
