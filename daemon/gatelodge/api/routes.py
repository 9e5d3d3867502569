"""
What the admin service answers: how things stand, what would be done, what happened; and what people ask for.

It reads and writes nothing itself: it asks the loop, and waits for looks that answer. Any answer is a JSON object, but for events and
metrics. A mistake in a request is told; a defect of ours is named in an event, and nothing of it in the answer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gatelodge.api import accounts, health
from gatelodge.api.client import STATE_HEADER
from gatelodge.api.entrance import OPEN, connection_of, dress
from gatelodge.api.following import Following
from gatelodge.api.wishes import Answer, Wishes
from gatelodge.durable import in_thread
from gatelodge.errors import GatelodgeError
from gatelodge.model import RevocationReason
from gatelodge.runtime.standing.changes import diff, planned
from gatelodge.runtime.standing.measures import Measures
from gatelodge.runtime.standing.metrics import Seen, known, metrics
from gatelodge.runtime.standing.readiness import unready
from gatelodge.runtime.standing.report import doing, healthy, report

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from aiohttp.typedefs import Handler, Middleware

    from gatelodge.api.entrance import Entrance
    from gatelodge.ports import Clock, Events
    from gatelodge.runtime.look import Look
    from gatelodge.runtime.reconcile import Reconciler

#: Requests are small JSON objects. Bytes.
MOST_BODY = 64 * 1024

#: They come at once. Seconds.
_BODY_SECONDS = 10.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """
    Whom the service asks. `texts` returns what nginx has now of each site and stream, by the name of its part; it blocks. `measures` are
    what was counted since the daemon began, at `began_at`.
    """

    state_directory: str
    reconciler: Reconciler
    clock: Clock
    events: Events
    texts: Callable[[], Mapping[str, str]] = dict
    measures: Measures = dataclasses.field(default_factory=Measures)
    began_at: dt.datetime


def application(desk: Desk, entrance: Entrance) -> web.Application:
    """
    Make what answers.
    """
    answers = _Answers(desk)
    made = web.Application(
        client_max_size=MOST_BODY,
        middlewares=[_told(desk.events), _timely, entrance.check, _meant_for(desk.state_directory)],
    )
    made.on_response_prepare.append(dress)
    made.add_routes(
        [web.get(path, answers.healthz) for path in sorted(OPEN)]
        + [
            web.get("/readyz", answers.readyz),
            web.get("/metrics", answers.metrics),
            web.get("/v1/status", answers.status),
            web.get("/v1/jobs", answers.jobs),
            web.get("/v1/plan", answers.plan),
            web.get("/v1/events", answers.events, allow_head=False),
            web.post("/v1/once", answers.once),
            web.post("/v1/renew", answers.renew),
            web.post("/v1/certificates/{name}/renew", answers.renew_one),
            web.post("/v1/revoke", answers.revoke),
            web.post("/v1/account/{deed}", answers.account),
            web.post("/v1/forget", answers.forget),
            web.post("/v1/reload", answers.reload),
        ]
    )
    return made


class _Answers:
    """
    One method for each thing that can be asked.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reconciler = desk.reconciler
        self._wishes = Wishes(desk.reconciler, desk.clock)
        self._following = Following(state_directory=desk.state_directory, clock=desk.clock)

    async def healthz(self, _: web.Request) -> web.Response:
        alive = await health.is_alive(self._reconciler, self._desk.clock)
        return _json(200 if alive else 503, {"ok": alive})

    async def readyz(self, _: web.Request) -> web.Response:
        reasons = unready(report(await self._latest(), self._desk.clock.now()))
        return _json(503 if reasons else 200, {"ok": not reasons, "reasons": reasons})

    async def metrics(self, request: web.Request) -> web.Response:
        # Heavy, and asked for by few.
        from gatelodge.api.exposition import exposed  # noqa: PLC0415 - memory on a small machine

        look, desk = await self._latest(), self._desk
        document, desired = report(look, desk.clock.now()), look.gate.desired
        certificates, cas = known(document, desired)
        desk.measures.keep(certificates=certificates, cas=cas)
        seen = Seen(
            document=document,
            desired=desired,
            measures=desk.measures.copied(),
            connections=await look.gate.connections(look.rendered) if look.rendered is not None else None,
            began_at=desk.began_at,
        )
        accepted = request.headers.get("Accept", "")
        body, content_type = await in_thread(lambda: exposed(metrics(seen), accepted))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def status(self, _: web.Request) -> web.Response:
        return _json(200, report(await self._latest(), self._desk.clock.now()))

    async def jobs(self, _: web.Request) -> web.Response:
        return _json(200, doing(self._reconciler.running, self._desk.clock.now()))

    async def plan(self, _: web.Request) -> web.Response:
        look = await self._reconciler.look()
        return _json(200, await in_thread(lambda: planned(look, diff(self._desk.texts(), look))))

    async def events(self, request: web.Request) -> web.StreamResponse:
        return await self._following.send(request)

    async def once(self, _: web.Request) -> web.Response:
        look = await self._wishes.once()
        document = report(look, self._desk.clock.now())
        return _json(200, {"ok": healthy(document), **document})

    async def renew(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return _answer(await self._wishes.renew(_named(body), force=body.get("force") is True))

    async def renew_one(self, request: web.Request) -> web.Response:
        body = await _body(request) if request.can_read_body else {}
        if body.keys() - {"force"} or not isinstance(body.get("force", False), bool):
            raise web.HTTPBadRequest(reason='the body may hold {"force": true} or {"force": false}, and nothing else')
        name = request.match_info["name"]
        if (refusal := await self._wishes.cannot_renew(name)) is not None:
            return _json(404, {"ok": False, "message": refusal.message})
        return _answer(await self._wishes.renew(name, force=body.get("force", False)))

    async def revoke(self, request: web.Request) -> web.Response:
        body = await _body(request)
        try:
            reason = RevocationReason(str(body.get("reason")))
        except ValueError:
            raise web.HTTPBadRequest(reason=f"reason must be one of {', '.join(RevocationReason)}") from None
        return _answer(await self._wishes.revoke(_named(body), reason))

    async def account(self, request: web.Request) -> web.Response:
        body = await _body(request)
        ca, email = body.get("ca"), body.get("email")
        if request.match_info["deed"] not in set(accounts.Deed):
            raise web.HTTPNotFound
        if not isinstance(ca, str | None) or not isinstance(email, str | None):
            raise web.HTTPBadRequest(reason="ca and email must be text")
        deed = accounts.Deed(request.match_info["deed"])
        return _answer(await accounts.do(self._reconciler.gate, deed, name=ca, email=email))

    async def forget(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return _answer(await self._wishes.forget(_named(body)))

    async def reload(self, _: web.Request) -> web.Response:
        return _answer(await self._wishes.reload())

    async def _latest(self) -> Look:
        return self._reconciler.current or await self._reconciler.look()


def _meant_for(state_directory: str) -> Middleware:
    """
    Turn away who means another daemon: two may be configured with one socket.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get(STATE_HEADER, state_directory) != state_directory:
            raise web.HTTPMisdirectedRequest(reason=f"this daemon works in {state_directory}")
        return await handler(request)

    return check


@web.middleware
async def _timely(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Have each connection carry one request, which may take its time to be answered, and end soon after.
    """
    connection = connection_of(request)
    connection.begun()
    try:
        response = await handler(request)
    finally:
        connection.answered()
    response.force_close()
    return response


def _told(events: Events) -> Middleware:
    """
    Put whatever goes wrong into words.
    """

    @web.middleware
    async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            kept = {name: value for name, value in error.headers.items() if name in _KEPT}
            answer = _json(error.status, {"error": error.reason}, headers=kept)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except GatelodgeError as error:
            answer = _json(503, {"error": str(error)})
        except Exception as error:  # noqa: BLE001 - the seam around one request
            problem = f"{request.method} {request.path}: {type(error).__name__}: {error}"
            events.emit("admin.failed", level="error", error__type="internal", error__detail=problem)
            answer = _json(500, {"error": "a defect of Gatelodge; it is named in the events"})
        answer.force_close()
        return answer

    return tell


#: Headers that say more about a refusal.
_KEPT = frozenset({"Allow", "Retry-After", "WWW-Authenticate"})


def _named(body: dict[str, Any]) -> str:
    name = body.get("certificate")
    if not isinstance(name, str):
        raise web.HTTPBadRequest(reason="the body must say which `certificate`, as text")
    return name


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.json()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body did not come") from None
    except (ValueError, LookupError, RecursionError, web.RequestPayloadError):
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="the body must be a JSON object")
    return body


def _answer(answer: Answer) -> web.Response:
    return _json(200 if answer.ok else 409, {"ok": answer.ok, "message": answer.message, **answer.fields})


def _json(status: int, document: dict[str, Any], *, headers: Mapping[str, str] | None = None) -> web.Response:
    # A lone surrogate, which a name of the request may hold, cannot be sent as it is.
    text = json.dumps(document, ensure_ascii=False) + "\n"
    return web.Response(
        status=status,
        body=text.encode(errors="backslashreplace"),
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )
