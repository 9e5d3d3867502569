"""
A TLS proxy before pebble that plays one fault at a chosen request, and counts what is asked.

pebble writes its URLs for the host that it was asked by, so all of them lead back here: the client never speaks to pebble itself.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime as dt
import email.utils
import enum
import itertools
import json
import ssl
from typing import TYPE_CHECKING

import aiohttp
import trustme
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.b64 import b64decode

from gatelodge.runtime.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from gatelodge.demo.pebble import Pebble


class Kind(enum.StrEnum):
    """
    What is asked, by the way that pebble names its services.
    """

    DIRECTORY = "directory"
    NEW_NONCE = "newNonce"
    NEW_ACCOUNT = "newAccount"
    NEW_ORDER = "newOrder"
    AUTHORIZATION = "authorization"
    CHALLENGE = "challenge"
    FINALIZE = "finalize"
    ORDER = "order"
    CERTIFICATE = "certificate"
    REVOKE = "revoke"
    OTHER = "other"


_PATHS = {
    "/dir": Kind.DIRECTORY,
    "/nonce-plz": Kind.NEW_NONCE,
    "/sign-me-up": Kind.NEW_ACCOUNT,
    "/order-plz": Kind.NEW_ORDER,
    "/authZ/": Kind.AUTHORIZATION,
    "/chalZ/": Kind.CHALLENGE,
    "/finalize-order/": Kind.FINALIZE,
    "/my-order/": Kind.ORDER,
    "/certZ/": Kind.CERTIFICATE,
    "/revoke-cert": Kind.REVOKE,
}


class Fault(enum.StrEnum):
    """
    What goes wrong, once. The value is the head of its column.
    """

    #: The connection is reset, and pebble never hears of the request.
    RESET = "reset"
    #: pebble answered, and the connection is reset before the answer is sent.
    LOST = "lost"
    #: pebble answered, and nothing comes.
    HANG = "hang"
    #: In place of pebble, which never hears of the request.
    ERROR = "500"
    #: pebble did what it was asked, and the answer is an error all the same.
    LATE_ERROR = "500 done"
    BUSY = "503 2 s"
    LIMITED = "429 120 s"
    LIMITED_DATE = "429 date"
    #: HTML with status 200 in place of pebble, which never hears of the request; and in place of its answer.
    PAGE = "HTML"
    LATE_PAGE = "HTML done"
    #: The first half of pebble's answer.
    TRUNCATED = "half"
    CONTENT_TYPE = "type"
    OTHER_KEY = "other key"
    OTHER_NAMES = "other names"
    BAD_NONCE = "badNonce"


#: What a server asks for that has had enough, in seconds.
LIMIT = 120

_FORGED = frozenset({Fault.OTHER_KEY, Fault.OTHER_NAMES})


class FaultProxy:
    """
    Stands before a pebble. `orders` are the ids of the orders that were made through it, `counts` what was asked. With
    `hides_orders` it names no list of an account's orders, as Let's Encrypt does not.
    """

    def __init__(self, ca: Pebble, session: aiohttp.ClientSession) -> None:
        self._upstream = ca.directory.removesuffix("/dir")
        self._session = session
        self._armed: tuple[Kind, int, Fault | Callable[[], Awaitable[object]], bool] | None = None
        self._requested: CertificatePublicKeyTypes | None = None
        self._refused: set[str] | None = None
        self.directory = ""
        self.root = ""
        self.counts: collections.Counter[Kind] = collections.Counter()
        self.orders: list[str] = []
        self.played = False
        self.hides_orders = False

    def arm(self, kind: Kind, nth: int, fault: Fault) -> None:
        """
        Play a fault at the n-th request of a kind from now on (the first is 1).
        """
        self._arm(kind, nth, fault, late=False)

    def call(self, kind: Kind, nth: int, do: Callable[[], Awaitable[object]], *, late: bool) -> None:
        """
        Do something at the n-th request of a kind from now on, then reset the connection.

        Args:
            late: after pebble has answered; else pebble never hears of the request.
        """
        self._arm(kind, nth, do, late=late)

    def refuse_every_nonce_once(self) -> None:
        """
        Answer badNonce to each signed request, and let it through when it comes again.
        """
        self._refused = set()

    def _arm(self, kind: Kind, nth: int, what: Fault | Callable[[], Awaitable[object]], *, late: bool) -> None:
        self.played = False
        self._armed = (kind, self.counts[kind] + nth, what, late)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """
        Answer a request as pebble does, or as the fault wants it.
        """
        kind = next((kind for path, kind in _PATHS.items() if request.path.startswith(path)), Kind.OTHER)
        body = await request.read()
        self.counts[kind] += 1
        fault, do, late = self._due(kind)
        if do is not None and not late:
            await do()
            return _reset(request)
        if fault is Fault.RESET:
            return _reset(request)
        if fault is Fault.BAD_NONCE or self._refuses(request, body):
            return await self._bad_nonce()
        if (instead := _instead(fault)) is not None:
            return instead
        answer = await self._forwarded(request, body)
        self._learn(kind, answer, body)
        if do is not None:
            await do()
            return _reset(request)
        if fault is Fault.LOST:
            return _reset(request)
        if fault is Fault.HANG:
            await asyncio.Event().wait()
        return self._changed(answer, fault)

    def _due(self, kind: Kind) -> tuple[Fault | None, Callable[[], Awaitable[object]] | None, bool]:
        if self._armed is None or self._armed[:2] != (kind, self.counts[kind]):
            return None, None, False
        (_, _, what, late), self._armed = self._armed, None
        self.played = True
        return (what, None, late) if isinstance(what, Fault) else (None, what, late)

    def _refuses(self, request: web.Request, body: bytes) -> bool:
        if self._refused is None or request.method != "POST":
            return False
        asked = f"{request.path} {json.loads(body)['payload']}"
        if asked in self._refused:
            # Asked once more, as polls are, it is another request.
            self._refused.remove(asked)
            return False
        self._refused.add(asked)
        return True

    async def _forwarded(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "accept-encoding"}
        async with self._session.request(
            request.method, f"{self._upstream}{request.path_qs}", headers=headers, data=body or None
        ) as answer:
            left_out = {"content-length", "transfer-encoding", "connection", "date"}
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in left_out]
            content = await answer.read()
            if self.hides_orders and request.path.startswith("/my-account/"):
                content = json.dumps({**json.loads(content), "orders": None}).encode()
            response = web.Response(status=answer.status, body=content)
            response.headers.clear()
            for name, value in kept:
                response.headers.add(name, value)
            return response

    def _learn(self, kind: Kind, answer: web.Response, body: bytes) -> None:
        if kind is Kind.NEW_ORDER and answer.status == 201:
            self.orders.append(answer.headers["Location"].rpartition("/")[2])
        if kind is Kind.FINALIZE:
            payload = json.loads(b64decode(json.loads(body)["payload"].encode()))
            if "csr" in payload:
                self._requested = x509.load_der_x509_csr(b64decode(payload["csr"].encode())).public_key()

    def _changed(self, answer: web.Response, fault: Fault | None) -> web.Response:
        nonce = {"Replay-Nonce": answer.headers["Replay-Nonce"]} if "Replay-Nonce" in answer.headers else {}
        match fault:
            case Fault.LATE_ERROR:
                return web.Response(status=500, text="broken")
            case Fault.LATE_PAGE:
                return _page()
            case Fault.TRUNCATED:
                whole = bytes(answer.body or b"")  # type: ignore[arg-type]
                answer.body = whole[: len(whole) // 2]
            case Fault.CONTENT_TYPE:
                answer.headers["Content-Type"] = "text/html"
            case Fault.OTHER_KEY:
                own = ec.generate_private_key(ec.SECP256R1()).public_key()
                return web.Response(text=_forged(own, None, bytes(answer.body)), headers=nonce)  # type: ignore[arg-type]
            case Fault.OTHER_NAMES:
                assert self._requested is not None
                text = _forged(self._requested, "other.example", bytes(answer.body))  # type: ignore[arg-type]
                return web.Response(text=text, headers=nonce)
            case _:
                pass
        return answer

    async def _bad_nonce(self) -> web.Response:
        async with self._session.head(f"{self._upstream}/nonce-plz") as fresh:
            nonce = fresh.headers["Replay-Nonce"]
        document = {"type": "urn:ietf:params:acme:error:badNonce", "detail": "an old nonce", "status": 400}
        return web.json_response(
            document, status=400, content_type="application/problem+json", headers={"Replay-Nonce": nonce}
        )


def _reset(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def _page() -> web.Response:
    return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")


def _instead(fault: Fault | None) -> web.Response | None:
    limited = json.dumps({"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many", "status": 429})
    match fault:
        case Fault.ERROR:
            return web.Response(status=500, text="broken")
        case Fault.PAGE:
            return _page()
        case Fault.BUSY:
            return web.Response(status=503, headers={"Retry-After": "2"})
        case Fault.LIMITED:
            wait = str(LIMIT)
        case Fault.LIMITED_DATE:
            wait = email.utils.format_datetime(SystemClock().now() + dt.timedelta(seconds=LIMIT), usegmt=True)
        case _:
            return None
    return web.Response(
        status=429, text=limited, content_type="application/problem+json", headers={"Retry-After": wait}
    )


def _forged(key: CertificatePublicKeyTypes, name: str | None, like: bytes) -> str:
    """
    Return a certificate for a key, with the names of another one or a name of its own.
    """
    given = x509.load_pem_x509_certificates(like)[0]
    names = given.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(given.issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(given.not_valid_before_utc)
        .not_valid_after(given.not_valid_after_utc)
        .add_extension(names if name is None else x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


_numbers = itertools.count()


@contextlib.asynccontextmanager
async def proxied(ca: Pebble, folder: Path) -> AsyncIterator[FaultProxy]:
    """
    Run a proxy before a pebble inside the context. Its `root` is a file in a folder by which both are trusted.
    """
    authority = trustme.CA()
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(own)
    root = folder / f"roots-{next(_numbers)}.pem"
    with open(ca.root, "rb") as theirs:  # noqa: ASYNC230, PTH123 - a small file of the test's own
        root.write_bytes(theirs.read() + authority.cert_pem.bytes())
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca.root))
    async with aiohttp.ClientSession(connector=connector) as session:
        proxy = FaultProxy(ca, session)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", proxy.answer)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=own).start()
            proxy.directory = f"https://127.0.0.1:{runner.addresses[0][1]}/dir"
            proxy.root = str(root)
            yield proxy
        finally:
            await runner.cleanup()
