"""
Decides who may ask over TCP: whoever sends the token, is no browser that some page made ask, and does not ask too often.

Who opens a socket in the file system was let in by its mode, and is asked for no token. No page of any origin is ever let in (no CORS),
and no request whose Host is a name that anybody could have made lead here (DNS rebinding). `/healthz` says nothing but that the daemon
lives, and is told to whoever may connect.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from aiohttp import web

from gatelodge.api.connections import Connection
from gatelodge.config.values.names import is_private
from gatelodge.model import Name, is_ip

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from gatelodge.api.pace import Pace
    from gatelodge.model import Secret

#: What is answered without a token.
OPEN = frozenset({"/healthz"})

#: Of any case (RFC 9110 §11.1).
_BEARER = "bearer "
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")

#: What every answer carries: it is for programs, and never to be kept.
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "gatelodge"}


class Entrance:
    """
    Lets requests in. `token` is what is to be sent now; while it is None nobody comes in over TCP. `hosts` returns the names under
    which sites of ours may lead here.
    """

    def __init__(self, *, pace: Pace, hosts: Callable[[], Collection[str]]) -> None:
        self.token: Secret | None = None
        self._pace = pace
        self._hosts = hosts

    @web.middleware
    async def check(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """
        Answer only who may ask.
        """
        if "Origin" in request.headers:
            raise web.HTTPForbidden(reason="pages of browsers are not answered")
        remote = connection_of(request).remote
        if remote:
            self._let_in(request, remote)
        return await handler(request)

    def _let_in(self, request: web.Request, remote: str) -> None:
        if not self._is_ours(request.headers.getall("Host", [])):
            raise web.HTTPForbidden(reason="the Host header names no address, no private name and no site of this gate")
        if wait := self._pace.take(remote):
            raise web.HTTPTooManyRequests(reason="too many requests", headers={"Retry-After": str(wait)})
        if request.path not in OPEN and not self._is_right(request.headers.getall("Authorization", [])):
            self._pace.punish(remote)
            raise web.HTTPUnauthorized(
                reason="send the token of [admin] as `Authorization: Bearer`", headers={"WWW-Authenticate": "Bearer"}
            )

    def _is_ours(self, given: list[str]) -> bool:
        found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if found is None:
            return False
        name = found["name"].strip("[]").lower().removesuffix(".")
        # Nobody on the internet can make a name lead here that means something in one network only.
        return is_ip(name) or is_private(Name(name)) or name in self._hosts()

    def _is_right(self, given: list[str]) -> bool:
        if self.token is None or len(given) != 1 or not given[0].lower().startswith(_BEARER):
            return False
        sent = given[0][len(_BEARER) :].strip().encode(errors="surrogateescape")
        # Digests are equally long, so that not even the length of the token shows in the time this takes.
        return hmac.compare_digest(hashlib.sha256(sent).digest(), hashlib.sha256(self.token.reveal().encode()).digest())


def connection_of(request: web.Request) -> Connection:
    """
    Return the connection by which a request came.

    Raises:
        ConnectionResetError: it is gone.
    """
    found = request.transport.get_protocol() if request.transport is not None else None
    if not isinstance(found, Connection):
        raise ConnectionResetError("the connection is gone")
    return found


async def dress(request: web.Request, response: web.StreamResponse) -> None:
    """
    Put on every answer what all carry.
    """
    del request
    response.headers.update(HEADERS)
