"""
Serves the admin socket: status, renew, forget, reload, once.

It reads and writes nothing itself: it asks the loop, and waits for looks that answer. Who may open the socket is root and the
daemon's group (0660); there is no other authentication, and no TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gatelodge.api.wishes import Answer, Wishes
from gatelodge.runtime.report import healthy, report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gatelodge.ports import Clock, Events
    from gatelodge.runtime.reconcile import Reconciler

#: Requests are small JSON objects.
_MAX_BODY = 64 * 1024


@contextlib.asynccontextmanager
async def serving(
    paths: tuple[str, ...], *, reconciler: Reconciler, clock: Clock, events: Events
) -> AsyncIterator[None]:
    """
    Serve the admin socket inside the context, at the first of `paths` that can be bound. When none can, an event says so and
    the daemon goes on without.
    """
    runner = web.AppRunner(_application(reconciler, clock), access_log=None, shutdown_timeout=1)
    await runner.setup()
    bound = None
    try:
        for path in paths:
            try:
                await _bind(runner, path)
            except OSError as error:
                trouble = f"{path}: {error.strerror or error}"
                continue
            bound = path
            break
        if bound is None:
            events.emit("admin.unavailable", level="warning", error__detail=trouble)
        yield
    finally:
        await runner.cleanup()
        if bound is not None:
            _remove(bound)


async def _bind(runner: web.AppRunner, path: str) -> None:
    _remove(path)
    await web.UnixSite(runner, path).start()
    _open_to_group(path)


def _open_to_group(path: str) -> None:
    Path(path).chmod(0o660)


def _remove(path: str) -> None:
    """
    Remove a socket, perhaps one that a killed daemon left behind: the state directory's lock says that nobody uses it.
    """
    Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    Path(path).unlink(missing_ok=True)


def _application(reconciler: Reconciler, clock: Clock) -> web.Application:
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

    async def forget(request: web.Request) -> web.Response:
        body = await _body(request)
        return _answer(await wishes.forget(str(body.get("certificate"))))

    async def reload(_: web.Request) -> web.Response:
        return _answer(await wishes.reload())

    application = web.Application(client_max_size=_MAX_BODY, middlewares=[_errors])
    application.add_routes(
        [
            web.get("/v1/status", status),
            web.post("/v1/once", once),
            web.post("/v1/renew", renew),
            web.post("/v1/forget", forget),
            web.post("/v1/reload", reload),
        ]
    )
    return application


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
