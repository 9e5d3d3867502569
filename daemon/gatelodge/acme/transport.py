"""
Carries signed requests to an ACME server: directory, nonces, and trying again where that is harmless (RFC 8555 §6).

What is tried again: a refused nonce, always; a lost answer, no connection and 5xx, a few times over some seconds, and only for
requests that may arrive twice. Whatever else the server refuses is raised as an `IssuanceError` with its Retry-After kept. It
does not know what an order is.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from josepy.b64 import b64decode, b64encode

from gatelodge.acme import messages, problems, retry_after
from gatelodge.acme.single_flight import SingleFlight
from gatelodge.errors import HttpDisconnected, HttpUnreachable, IssuanceError, TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gatelodge.acme.signer import Signer
    from gatelodge.model import JsonObject
    from gatelodge.ports import Clock, Http, HttpResponse

#: Seconds before the 2nd, 3rd and 4th try after trouble on the way. The first is short: mostly an idle connection was closed.
_PAUSES = (0.1, 1.0, 3.0)

#: A server in trouble that asks for more than this is not asked again here: the caller has better to do.
_LONGEST_PAUSE = 5.0

#: Tries of one request when its nonce is refused, and after how many there is a pause (seconds) before each. pebble refuses 5 % of good
#: ones on purpose, and any share one likes: of a thousand requests at 50 %, one is refused ten times in a row.
_NONCE_TRIES = 30
_NONCE_TRIES_AT_ONCE = 10
_NONCE_PAUSE = 0.2

#: Nonces kept; the oldest go first. Servers forget old ones, so more are of no use.
_MOST_NONCES = 64

#: How long a directory is believed. A daemon runs for months, and servers add services.
_DIRECTORY_SECONDS = 86400.0

_TROUBLE = 500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str] | None = None
    body: bytes | None = None


class Transport:
    """
    One ACME server, by its directory URL.
    """

    def __init__(self, *, directory: str, http: Http, clock: Clock) -> None:
        self._url = directory
        self._http = http
        self._clock = clock
        self._directory: messages.Directory | None = None
        self._directory_until = 0.0
        self._fetching = SingleFlight()
        self._nonces: collections.deque[bytes] = collections.deque(maxlen=_MOST_NONCES)
        self._refilling = SingleFlight()

    def now(self) -> dt.datetime:
        """
        Return our clock's time.
        """
        return self._clock.now()

    async def directory(self) -> messages.Directory:
        """
        Return the server's directory, asked for once a day.

        Raises: as `post`.
        """
        while self._directory is None or self._clock.monotonic() >= self._directory_until:
            await self._fetching.run(self._fetch_directory)
        return self._directory

    async def date(self) -> dt.datetime:
        """
        Return the server's clock, from a fresh answer.

        Raises:
            TransientError: it cannot be had now.
        """
        response = await self._http.request("GET", self._url, headers={"Cache-Control": "no-cache"})
        date = retry_after.date_of(response)
        if date is None:
            raise TransientError(f"{self._url} answered {response.status} without a Date")
        return date

    async def get(self, url: str) -> HttpResponse:
        """
        Ask for what anybody may see, without a signature, and return the answer, which is a success.

        Raises: as `post`.
        """
        return await self._ask("GET", url)

    async def post(
        self,
        url: str,
        payload: JsonObject | None,
        *,
        signer: Signer,
        repeatable: bool = True,
        accept: str = "application/json",
    ) -> HttpResponse:
        """
        Send a signed request and return its answer, which is a success.

        Args:
            payload: None for POST-as-GET.
            repeatable: False for a request that must not arrive twice.

        Raises:
            IssuanceError: the server refused, or made no sense.
            HttpUnreachable: it was not reached.
            HttpDisconnected: its answer was lost.
        """
        headers = {"Content-Type": "application/jose+json", "Accept": accept, "Accept-Language": "en"}

        async def signed() -> _Request:
            body = signer.sign(payload, url=url, nonce=await self._nonce())
            return _Request(method="POST", url=url, headers=headers, body=body)

        for tries in range(_NONCE_TRIES):
            if tries >= _NONCE_TRIES_AT_ONCE:
                await self._clock.sleep(_NONCE_PAUSE)
            response = await self._patiently(signed, repeatable=repeatable)
            if _succeeded(response):
                return response
            problem = problems.from_answer(response, url=url, now=self._clock.now())
            if problem.type != "badNonce":
                break
            # The refusal brought a fresh one, which is taken next (RFC 8555 §6.5). The second in a row is no chance any more:
            # then the others, which are no younger, go as well.
            if tries:
                self._nonces.clear()
                self._keep_nonce(response)
        raise IssuanceError(problem)

    async def _fetch_directory(self) -> None:
        response = await self._ask("GET", self._url)
        self._directory = messages.directory(response, url=self._url)
        self._directory_until = self._clock.monotonic() + _DIRECTORY_SECONDS

    async def _nonce(self) -> bytes:
        while not self._nonces:
            # One at a time: Let's Encrypt takes 20 such requests a second, and answers on the way bring more.
            await self._refilling.run(self._fetch_nonce)
        return self._nonces.pop()

    async def _fetch_nonce(self) -> None:
        url = (await self.directory()).new_nonce
        await self._ask("HEAD", url)
        if not self._nonces:
            raise problems.bad_answer(f"{url} answered without a nonce that can be used")

    async def _ask(self, method: str, url: str) -> HttpResponse:
        async def plain() -> _Request:
            return _Request(method=method, url=url)

        response = await self._patiently(plain)
        if not _succeeded(response):
            raise IssuanceError(problems.from_answer(response, url=url, now=self._clock.now()))
        return response

    def _keep_nonce(self, response: HttpResponse) -> None:
        text = (response.header("replay-nonce") or "").encode("ascii", "replace")
        try:
            nonce = b64decode(text)
        except ValueError:
            return
        # One that is no base64url is ignored (RFC 8555 §6.5.1); it would come out of the signature as another.
        if nonce and b64encode(nonce) == text:
            self._nonces.append(nonce)

    async def _patiently(self, prepare: Callable[[], Awaitable[_Request]], *, repeatable: bool = True) -> HttpResponse:
        """
        Send a request until an answer comes that is no sign of passing trouble, or patience ends. It is prepared anew for each
        try, since a nonce is good for one.
        """
        pauses = iter(_PAUSES)
        while True:
            request = await prepare()
            pause = next(pauses, None)
            try:
                response = await self._http.request(
                    request.method, request.url, headers=request.headers, body=request.body
                )
            except (HttpUnreachable, HttpDisconnected) as error:
                if pause is None or (isinstance(error, HttpDisconnected) and not repeatable):
                    raise
            else:
                self._keep_nonce(response)
                if pause is None or response.status < _TROUBLE or not repeatable:
                    return response
                asked = retry_after.of_answer(response, now=self._clock.now()) or dt.timedelta(0)
                if asked.total_seconds() > _LONGEST_PAUSE:
                    return response
                pause = max(pause, asked.total_seconds())
            await self._clock.sleep(pause)


def _succeeded(response: HttpResponse) -> bool:
    return 200 <= response.status < 300  # noqa: PLR2004 - the class of success in HTTP
