"""
An acme-dns server's API on this machine (https://github.com/joohoi/acme-dns), which really publishes in a BIND and, as acme-dns does,
keeps the two newest values.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.bind import Bind

USERNAME = "c36f50e8-4632-44f0-83fe-e070fef28a10"
PASSWORD = "test-only-password-of-acme-dns"
SUBDOMAIN = "8e5700ea-a4bf-41c7-8a77-e990661dcc6a"


@dataclasses.dataclass(kw_only=True)
class AcmeDns:
    """
    The service: its URL, and the name that it holds.
    """

    bind: Bind
    zone: str
    url: str = ""
    values: list[str] = dataclasses.field(default_factory=list)

    @property
    def domain(self) -> str:
        """
        The name to which a CNAME leads.
        """
        return f"{SUBDOMAIN}.{self.zone}"

    async def update(self, request: web.Request) -> web.Response:
        """
        Answer `POST /update`.
        """
        if (request.headers.get("X-Api-User"), request.headers.get("X-Api-Key")) != (USERNAME, PASSWORD):
            return web.json_response({"error": "forbidden"}, status=401)
        asked = await request.json()
        if asked["subdomain"] != SUBDOMAIN or len(asked["txt"]) != 43:
            return web.json_response({"error": "bad_txt"}, status=400)
        if asked["txt"] not in self.values:
            self.values = [*self.values, asked["txt"]][-2:]
        changes = [("add", f"{self.domain}.", "1", "TXT", f'"{value}"') for value in self.values]
        await self.bind.update(self.zone, ("delete", f"{self.domain}."), *changes)
        return web.json_response({"txt": asked["txt"]})


@contextlib.asynccontextmanager
async def running(bind: Bind, zone: str) -> AsyncIterator[AcmeDns]:
    """
    Serve inside the context, on a free port of the loopback address.
    """
    service = AcmeDns(bind=bind, zone=zone)
    app = web.Application()
    app.router.add_post("/update", service.update)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield service
    finally:
        await runner.cleanup()
