"""
Opens and closes the places at which the admin service answers: sockets in the file system, and the addresses of `[admin] listen`.

Who may open a socket is root and the daemon's group (0660). An address is opened only with a token that is there and long enough; what
cannot be had is told, and tried again every minute. No place is worth ending the daemon for.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from gatelodge import credentials
from gatelodge.api import sockets
from gatelodge.api.connections import Connections, Site
from gatelodge.api.entrance import Entrance
from gatelodge.api.pace import Pace
from gatelodge.api.routes import application
from gatelodge.api.unreadable import Answering
from gatelodge.durable import in_thread
from gatelodge.errors import SecretMissing
from gatelodge.model import AdminSettings
from gatelodge.runtime.waiting import first

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gatelodge.api.connections import Connection
    from gatelodge.api.routes import Desk
    from gatelodge.model import Listener, Secret

#: What cannot be had is tried again after so long. Seconds.
RETRY_SECONDS = 60.0

#: Connections that wait to be accepted.
_BACKLOG = 32


class Server:
    """
    The admin service of one daemon. It answers at `paths` from the beginning to the end, and at the addresses of the settings while
    `attend` runs.
    """

    def __init__(self, desk: Desk, *, paths: tuple[str, ...], settings: AdminSettings | None = None) -> None:
        self._desk = desk
        self._paths = paths
        self._settings = settings or AdminSettings()
        self._changed = asyncio.Event()
        self._connections = Connections()
        self._entrance = Entrance(pace=Pace(clock=desk.clock), hosts=self._hosts)
        # What aiohttp would say of requests that are none, whoever sent them, is no error of ours.
        self._silent = logging.getLogger("gatelodge.admin")
        self._silent.setLevel(logging.CRITICAL + 1)
        self._runner = web.AppRunner(application(desk, self._entrance), shutdown_timeout=1)
        self._sites: dict[Listener, Site] = {}
        self._taken: dict[str, int] = {}
        self._troubles: dict[Listener, str] = {}

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """
        Answer inside the context, at each of the paths that can be had. When the first cannot, an event says so.
        """
        await self._runner.setup()
        try:
            await self._open_sockets()
            yield
        finally:
            await self._runner.cleanup()
            for path, known in self._taken.items():
                sockets.give_back(path, known)

    async def attend(self) -> None:
        """
        Keep open what the settings want, for as long as the daemon runs.
        """
        while True:
            self._changed.clear()
            await self._arrange()
            if self._troubles:
                await first(self._changed.wait(), self._desk.clock.sleep(RETRY_SECONDS))
            else:
                await self._changed.wait()

    def use(self, settings: AdminSettings) -> None:
        """
        Go on with settings that were read again; the token is fetched again in any case.
        """
        self._settings = settings
        self._changed.set()

    @property
    def listening(self) -> tuple[str, ...]:
        """
        Return the addresses that are open.
        """
        return tuple(map(str, self._sites))

    async def _open_sockets(self) -> None:
        troubles = []
        for path in self._paths:
            try:
                sockets.make_way(path)
                await self._site(path, functools.partial(_open_socket, path)).start()
                self._taken[path] = sockets.take(path)
            except OSError as error:
                troubles.append(f"{path}: {error.strerror or error}")
        if self._paths[0] not in self._taken:
            self._tell_trouble("; ".join(troubles))

    async def _arrange(self) -> None:
        """
        Close what is not wanted any more, open what is not open yet, and fetch the token.
        """
        wanted, before = self._settings.listen, self._entrance.token
        self._entrance.token, lacking = await in_thread(self._token) if wanted else (None, "")
        if self._entrance.token != before:
            # Whoever still listens to events was let in by another.
            self._connections.end_remote()
        for listener in [each for each in self._sites if each not in wanted or lacking]:
            await self._sites.pop(listener).stop()
        troubles: dict[Listener, str] = {}
        for listener in wanted:
            if trouble := lacking or await self._open(listener):
                troubles[listener] = trouble
        for listener, trouble in troubles.items():
            if self._troubles.get(listener) != trouble:
                self._tell_trouble(f"{listener}: {trouble}")
        self._troubles = troubles

    async def _open(self, listener: Listener) -> str:
        """
        Open an address, and return why it cannot be had; nothing when it is open.
        """
        if listener in self._sites:
            return ""
        site = self._site(str(listener), functools.partial(_open_address, listener))
        try:
            await site.start()
        except OSError as error:
            return f"{error.strerror or error}"
        self._sites[listener] = site
        self._desk.events.emit("admin.listening", address=str(listener))
        return ""

    def _site(self, name: str, opening: Callable[[Callable[[], Connection]], Awaitable[asyncio.Server]]) -> Site:
        return Site(self._runner, self._connections, name=name, opening=opening, answering=self._answering)

    def _answering(self) -> Answering:
        """
        Return what answers one connection.
        """
        if self._runner.server is None:
            raise AssertionError("the runner is set up before its places are opened")
        loop = asyncio.get_running_loop()
        return Answering(
            self._runner.server, loop=loop, logger=self._silent, access_log=self._silent, lingering_time=2.0
        )

    def _token(self) -> tuple[Secret | None, str]:
        """
        Return the token, or why there is none that can be used.
        """
        if self._settings.token is None:
            return None, "there is no token"
        try:
            return credentials.admin_token(self._settings.token), ""
        except SecretMissing as error:
            return None, f"[admin] token: {error}"

    def _hosts(self) -> frozenset[str]:
        """
        Return the names under which a site of ours may lead here.
        """
        return frozenset(host for site in self._desk.reconciler.gate.desired.sites for host in site.hosts)

    def _tell_trouble(self, detail: str) -> None:
        self._desk.events.emit(
            "admin.unavailable",
            level="warning",
            error__detail=detail,
            sockets=list(self._taken),
            listen=list(self.listening),
        )


async def _open_socket(path: str, factory: Callable[[], Connection]) -> asyncio.Server:
    return await asyncio.get_running_loop().create_unix_server(factory, path, backlog=_BACKLOG)


async def _open_address(listener: Listener, factory: Callable[[], Connection]) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(
        factory, listener.address, listener.port, backlog=_BACKLOG, reuse_address=True
    )
