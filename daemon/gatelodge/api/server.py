"""
Serves the admin socket: status, events, renew, revoke, account, forget, reload, once.

It reads and writes nothing itself: it asks the loop, and waits for looks that answer. Who may open the socket is root and the
daemon's group (0660); there is no other authentication, and no TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gatelodge.api import accounts, sockets
from gatelodge.api.client import STATE_HEADER
from gatelodge.api.wishes import Answer, Wishes
from gatelodge.model import RevocationReason
from gatelodge.runtime.events import FOLLOW_SECONDS, Reader
from gatelodge.runtime.report import healthy, report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp.typedefs import Middleware

    from gatelodge.ports import Clock, Events
    from gatelodge.runtime.reconcile import Reconciler

#: Requests are small JSON objects.
_MAX_BODY = 64 * 1024


@contextlib.asynccontextmanager
async def serving(
    paths: tuple[str, ...], *, state_directory: str, reconciler: Reconciler, clock: Clock, events: Events
) -> AsyncIterator[None]:
    """
    Serve the admin socket inside the context, at each of `paths` that can be had. When none can, an event says so and the
    daemon goes on without.
    """
    runner = web.AppRunner(_application(state_directory, reconciler, clock), access_log=None, shutdown_timeout=1)
    await runner.setup()
    taken: dict[str, int] = {}
    troubles = []
    try:
        for path in paths:
            try:
                sockets.make_way(path)
                await web.UnixSite(runner, path).start()
                taken[path] = sockets.take(path)
            except OSError as error:
                troubles.append(f"{path}: {error.strerror or error}")
        if paths[0] not in taken:
            events.emit("admin.unavailable", level="warning", error__detail="; ".join(troubles), sockets=list(taken))
        yield
    finally:
        await runner.cleanup()
        for path, known in taken.items():
            sockets.give_back(path, known)


def _application(state_directory: str, reconciler: Reconciler, clock: Clock) -> web.Application:
    wishes = Wishes(reconciler, clock)

    async def status(_: web.Request) -> web.Response:
        look = reconciler.latest or await reconciler.look()
        return _json(200, report(look, clock.now()))

    async def once(_: web.Request) -> web.Response:
        look = await wishes.once()
        document = report(look, clock.now())
        return _json(200, {"ok": healthy(document), **document})

    async def renew(request: web.Request) -> web.Response:
        body = await _body(request)
        return _answer(await wishes.renew(str(body.get("certificate")), force=body.get("force") is True))

    async def revoke(request: web.Request) -> web.Response:
        body = await _body(request)
        try:
            reason = RevocationReason(str(body.get("reason")))
        except ValueError:
            raise web.HTTPBadRequest(reason=f"reason must be one of {', '.join(RevocationReason)}") from None
        return _answer(await wishes.revoke(str(body.get("certificate")), reason))

    async def account(request: web.Request) -> web.Response:
        body = await _body(request)
        ca, email = body.get("ca"), body.get("email")
        if request.match_info["deed"] not in set(accounts.Deed):
            raise web.HTTPNotFound
        if not isinstance(ca, str | None) or not isinstance(email, str | None):
            raise web.HTTPBadRequest(reason="ca and email must be text")
        deed = accounts.Deed(request.match_info["deed"])
        return _answer(await accounts.do(reconciler.gate, deed, name=ca, email=email))

    async def forget(request: web.Request) -> web.Response:
        body = await _body(request)
        return _answer(await wishes.forget(str(body.get("certificate"))))

    async def reload(_: web.Request) -> web.Response:
        return _answer(await wishes.reload())

    async def events(request: web.Request) -> web.StreamResponse:
        return await _stream(request, Reader(state_directory), clock)

    application = web.Application(client_max_size=_MAX_BODY, middlewares=[_errors, _meant_for(state_directory)])
    application.add_routes(
        [
            web.get("/v1/status", status),
            web.get("/v1/events", events),
            web.post("/v1/once", once),
            web.post("/v1/renew", renew),
            web.post("/v1/revoke", revoke),
            web.post("/v1/account/{deed}", account),
            web.post("/v1/forget", forget),
            web.post("/v1/reload", reload),
        ]
    )
    return application


async def _stream(request: web.Request, reader: Reader, clock: Clock) -> web.StreamResponse:
    """
    Send the events that are kept, one JSON object a line, and with `follow` go on with new ones until the asker leaves.
    """
    answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await answer.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            for entry in reader.new():
                await answer.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            if "follow" not in request.query:
                break
            await clock.sleep(FOLLOW_SECONDS)
    return answer


def _meant_for(state_directory: str) -> Middleware:
    """
    Turn away who means another daemon: two may be configured with one socket.
    """

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.headers.get(STATE_HEADER, state_directory) != state_directory:
            raise web.HTTPMisdirectedRequest(reason=f"this daemon works in {state_directory}")
        return await handler(request)

    return check


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _json(error.status, {"error": error.reason})
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the seam around one request
        return _json(500, {"error": f"{type(error).__name__}: {error}"})


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="the body must be a JSON object")
    return body


def _answer(answer: Answer) -> web.Response:
    return _json(200 if answer.ok else 409, {"ok": answer.ok, "message": answer.message, **answer.fields})


def _json(status: int, document: dict[str, Any]) -> web.Response:
    return web.Response(
        status=status, text=json.dumps(document, ensure_ascii=False) + "\n", content_type="application/json"
    )
