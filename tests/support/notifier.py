"""
A service that keeps what it is sent, and an HTTP server that is one.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gatelodge.errors import NotSent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatelodge.core.delivery import Message


class FakeNotifier:
    """
    Implements `ports.Notifier`. While it is `broken`, it takes nothing.
    """

    def __init__(self) -> None:
        self.broken = False
        self.titles: list[str] = []
        self.texts: list[str] = []
        self.tries = 0

    async def send(self, message: Message) -> None:
        self.tries += 1
        if self.broken:
            raise NotSent("it is broken")
        self.titles.append(message.title)
        self.texts.append(message.text)


class Inbox:
    """
    What apprise's `json://` sends to `url`. `status` is the answer.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.got: list[dict[str, Any]] = []
        self.asked = 0

    @property
    def url(self) -> str:
        return f"json://someone:hunter2secret@127.0.0.1:{self.port}/token-8f3a9c"

    async def take(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.status == 200:
            self.got.append(json.loads(await request.text()))
        return web.Response(status=self.status)


@contextlib.asynccontextmanager
async def inbox() -> AsyncIterator[Inbox]:
    """
    A server inside the context.
    """
    found = Inbox(0)
    application = web.Application()
    application.router.add_post("/{path:.*}", found.take)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        yield found
    finally:
        await runner.cleanup()
