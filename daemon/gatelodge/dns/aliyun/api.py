"""
Asks Alidns: has each request built and signed by the SDK, carries it by our own HTTP client, and asks again where that helps.

The SDK's transport is not used: it speaks plain http by default, sends no SNI on newer Pythons and never repeats a request to Alidns.
A signed URL holds the key's name and a signature, so no URL, and no error that quotes one, leaves this file.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any

from aliyunsdkalidns.request.v20150109.AddDomainRecordRequest import AddDomainRecordRequest
from aliyunsdkalidns.request.v20150109.DeleteDomainRecordRequest import DeleteDomainRecordRequest
from aliyunsdkalidns.request.v20150109.DescribeDomainInfoRequest import DescribeDomainInfoRequest
from aliyunsdkalidns.request.v20150109.DescribeDomainRecordInfoRequest import DescribeDomainRecordInfoRequest
from aliyunsdkalidns.request.v20150109.DescribeDomainRecordsRequest import DescribeDomainRecordsRequest
from aliyunsdkalidns.request.v20150109.DescribeDomainsRequest import DescribeDomainsRequest
from aliyunsdkalidns.request.v20150109.DescribeSubDomainRecordsRequest import DescribeSubDomainRecordsRequest
from aliyunsdkalidns.request.v20150109.UpdateDomainRecordRequest import UpdateDomainRecordRequest

from gatelodge.dns.aliyun.errors import Meaning, Refusal
from gatelodge.errors import DnsError, HttpDisconnected, HttpUnreachable, Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from gatelodge.dns.aliyun.key import Key, Keys
    from gatelodge.ports import Clock, Http, HttpResponse

ENDPOINT = "https://alidns.aliyuncs.com"

#: Everything that is ever asked for. The policy in docs/aliyun.md allows these, and no more.
ACTIONS: Mapping[str, Callable[[], Any]] = {
    "DescribeDomains": DescribeDomainsRequest,
    "DescribeDomainInfo": DescribeDomainInfoRequest,
    "DescribeSubDomainRecords": DescribeSubDomainRecordsRequest,
    "DescribeDomainRecords": DescribeDomainRecordsRequest,
    "DescribeDomainRecordInfo": DescribeDomainRecordInfoRequest,
    "AddDomainRecord": AddDomainRecordRequest,
    "UpdateDomainRecord": UpdateDomainRecordRequest,
    "DeleteDomainRecord": DeleteDomainRecordRequest,
}

#: Every region has the same zones; the SDK wants one named.
_REGION = "cn-hangzhou"

#: Requests a second that write and that read: half of the account's tightest quotas, 60 and 100, since others share it
#: (https://help.aliyun.com/zh/dns/api-alidns-2015-01-09-quota). After a pause, half a second's worth may come at once.
WRITES = 30.0
READS = 50.0

#: Waits between tries, each between half and one and a half of this; and what tries and waits together may take. Seconds.
WAITS = (0.5, 1.0, 2.0, 4.0)
PATIENCE = 30.0
_TIMEOUT = 15.0

#: A list that does not end is no list.
_MOST_PAGES = 1000

_OK = 200
_SERVER_ERROR = 500
_MOST_SHOWN = 200
_URL = re.compile(r"\S*://\S*")
_AFTER = re.compile(r"[0-9]{1,6}", re.ASCII)


class Patience:
    """
    What is left of the time for one piece of work. Waiting for one's turn is not counted: that is our own doing.
    """

    def __init__(self, seconds: float = PATIENCE) -> None:
        self.left = seconds


class Api:
    """
    One account's Alidns.
    """

    def __init__(
        self, *, endpoint: str | None, keys: Keys, http: Http, clock: Clock, spread: Callable[[], float]
    ) -> None:
        """
        Args:
            spread: returns a random number from 0 up to 1, for jitter.
        """
        self._endpoint = (endpoint or ENDPOINT).rstrip("/")
        self._keys = keys
        self._http = http
        self._clock = clock
        self._spread = spread
        self._writes, self._reads = _Row(WRITES, clock), _Row(READS, clock)

    async def call(
        self,
        action: str,
        parameters: Mapping[str, object],
        *,
        what: str,
        settled: Callable[[Patience], Awaitable[Mapping[str, Any] | None]] | None = None,
        patience: Patience | None = None,
    ) -> Mapping[str, Any]:
        """
        Return the answer to an action.

        Args:
            what: the name or zone that it is about, for people.
            settled: asked before an action is repeated that may have been carried out; what it returns, if anything, is the answer.

        Raises:
            Refusal: Alidns said no, for good as far as this call goes.
            DnsError: it cannot be reached; or there is no key.
        """
        patience = patience or Patience()
        renewed = False
        for wait in (*WAITS, None):
            failure: Refusal | DnsError
            try:
                return await self._once(action, parameters, patience)
            except Refusal as refusal:
                failure, unsure, again = refusal, refusal.unsure, refusal.meaning is Meaning.AGAIN
                if refusal.meaning is Meaning.TOKEN and not renewed:
                    renewed = again = self._keys.refused()
            except (HttpUnreachable, HttpDisconnected) as error:
                failure, unsure, again = _unanswered(what, action, error), isinstance(error, HttpDisconnected), True
            # Raised here and not above, so that no HTTP client's exception hangs on it as its context.
            if not again or wait is None or not await self._waited(wait, failure, patience):
                raise failure
            if unsure and settled is not None and (found := await settled(patience)) is not None:
                return found
        raise AssertionError("the last try returns or raises")

    async def pages(
        self,
        action: str,
        parameters: Mapping[str, object],
        *,
        size: int,
        what: str,
        patience: Patience | None = None,
    ) -> AsyncIterator[Mapping[str, Any]]:
        """
        Yield all pages of a list.

        Raises:
            Refusal, DnsError: as `call`.
        """
        seen = 0
        for number in range(1, _MOST_PAGES + 1):
            wanted = {**parameters, "PageNumber": number, "PageSize": size}
            page = await self.call(action, wanted, what=what, patience=patience)
            yield page
            seen += _number(page.get("PageSize")) or size
            if seen >= _number(page.get("TotalCount")):
                return

    async def _waited(self, wait: float, failure: Refusal | DnsError, patience: Patience) -> bool:
        """
        Wait before the next try. Returns False at once when there is no time for it.
        """
        wait *= 0.5 + self._spread()
        if isinstance(failure, Refusal) and failure.retry_after is not None:
            wait = max(wait, failure.retry_after.total_seconds())
        if wait >= patience.left:
            return False
        await self._clock.sleep(wait)
        patience.left -= wait
        return True

    async def _once(self, action: str, parameters: Mapping[str, object], patience: Patience) -> Mapping[str, Any]:
        await (self._reads if action.startswith("Describe") else self._writes).turn()
        key = await self._keys.get()
        request = ACTIONS[action]()
        request.set_accept_format("JSON")
        for name, value in parameters.items():
            request.add_query_param(name, value)
        if key.token is not None:
            request.add_query_param("SecurityToken", key.token.reveal())
        # A new nonce and a new time at every try: Alidns takes a signed request once.
        signed = request.get_url(_REGION, key.id.reveal(), key.secret.reveal())
        began = self._clock.monotonic()
        try:
            answer = await self._http.request(
                request.get_method(), self._endpoint + signed, timeout=max(min(_TIMEOUT, patience.left), 1.0)
            )
        finally:
            patience.left -= self._clock.monotonic() - began
        return _read(action, answer, key)


class _Row:
    """
    Requests that wait for their turn: a bucket of tokens that holds half a second's worth.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._due = 0.0

    async def turn(self) -> None:
        """
        Return when the next request may be sent.
        """
        now = self._clock.monotonic()
        self._due = max(self._due, now)
        # The first finds a full bucket.
        wait = round(self._due - now - 0.5 + 1 / self._rate, 6)
        self._due += 1 / self._rate
        if wait > 0:
            await self._clock.sleep(wait)


def _read(action: str, answer: HttpResponse, key: Key) -> Mapping[str, Any]:
    """
    Raises:
        Refusal: it is an error, or not Alidns's word at all.
    """
    after = _seconds(answer.header("retry-after"))
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        # A gateway's page, or a portal's.
        raise Refusal(
            action, "ServiceUnavailable", f"what came was no JSON, with status {answer.status}: is it really Alidns?",
            status=max(answer.status, _SERVER_ERROR), retry_after=after,
        )  # fmt: skip
    if answer.status != _OK or "Code" in said:
        raise Refusal(
            action,
            _plain(said.get("Code") or f"Http{answer.status}", key),
            _plain(said.get("Message") or "it gives no reason", key),
            status=answer.status,
            request_id=_plain(said["RequestId"], key) if said.get("RequestId") else None,
            retry_after=after,
        )
    return said


def _plain(said: object, key: Key) -> str:
    """
    Return the first words of a text. After a wrong signature it goes on with what was signed, with the key's name in it.
    """
    text = "".join(each if each.isprintable() else " " for each in str(said))
    for secret in (key.id, key.secret, key.token):
        if secret is not None and secret.reveal():
            text = text.replace(secret.reveal(), "…")
    return _URL.sub("…", text.partition("server string to sign")[0]).strip()[:_MOST_SHOWN]


def _unanswered(what: str, action: str, error: HttpUnreachable | HttpDisconnected) -> DnsError:
    why = str(error)
    if "://" in why or "Signature" in why or "AccessKeyId" in why:
        why = "its URL cannot be asked: look at `endpoint`"
    return DnsError(
        Problem(
            type="dnsProvider",
            detail=f"{what}: Alidns did not answer {action}: {why}; it will be tried again. Does this machine reach the network?",
            retry_after=error.retry_after,
        )
    )


def _seconds(text: str | None) -> dt.timedelta | None:
    """
    Read a Retry-After in seconds; the form with a date is not worth doubting clocks for.
    """
    return dt.timedelta(seconds=int(text)) if text is not None and _AFTER.fullmatch(text) else None


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
