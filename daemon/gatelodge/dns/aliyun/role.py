"""
Fetches the temporary keys that an ECS instance is lent by its RAM role, and keeps each until shortly before its end.

https://www.alibabacloud.com/help/en/ecs/user-guide/attach-an-instance-ram-role-to-an-ecs-instance. The metadata service speaks
plain http, on an address that only the instance itself can reach. What it says never reaches an error.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from gatelodge.dns.aliyun.key import Key, missing
from gatelodge.errors import DnsError, HttpDisconnected, HttpUnreachable, Problem
from gatelodge.model import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.ports import Clock, Http, HttpResponse

#: https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata, with the session of the hardened mode.
METADATA = "http://100.100.100.200"
_ROLE = "/latest/meta-data/ram/security-credentials/"
_SESSION = "/latest/api/token"
_SESSION_SECONDS = "60"

#: A key is fetched anew this long before its end, and not more often than that while it is good.
_EARLY = dt.timedelta(minutes=10)
_AT_MOST = dt.timedelta(minutes=1)

_TIMEOUT = 5.0
_OK = 200
_NOT_FOUND = 404


class RoleKeys:
    """
    Implements `key.Keys`.
    """

    def __init__(self, role: str, *, http: Http, clock: Clock) -> None:
        self._role = role
        self._http = http
        self._clock = clock
        self._known: tuple[dt.datetime, Key] | None = None
        self._fetching = asyncio.Lock()

    async def get(self) -> Key:
        """
        Return the key, as `Keys` says. Who comes while it is fetched waits for it.
        """
        async with self._fetching:
            now = self._clock.now()
            if self._known is None or now >= self._known[0]:
                expires, key = await self._lent()
                self._known = (max(expires - _EARLY, now + _AT_MOST), key)
            return self._known[1]

    def refused(self) -> bool:
        """
        Forget the key, so that the next is fetched, as `Keys` says.
        """
        self._known = None
        return True

    async def _lent(self) -> tuple[dt.datetime, Key]:
        answer = await self._ask("GET", _ROLE + quote(self._role, safe=""), await self._session())
        if answer.status == _NOT_FOUND:
            raise missing(
                f"this ECS instance has no RAM role {self._role}; attach it to the instance in the ECS console"
            )
        try:
            said = json.loads(answer.body)
            expires = dt.datetime.fromisoformat(said["Expiration"])
            values = [str(said[name]) for name in ("AccessKeyId", "AccessKeySecret", "SecurityToken")]
        except (ValueError, KeyError, TypeError, RecursionError):
            expires, values = None, []
        if expires is None or expires.tzinfo is None or not all(values):
            # Said outside of the except clause: what was read may hold half a key.
            raise _not_now(f"the metadata service gave no key of the RAM role {self._role} (status {answer.status})")
        access, secret, token = (Secret(value) for value in values)
        return expires, Key(id=access, secret=secret, token=token)

    async def _session(self) -> Mapping[str, str]:
        """
        Return the header of a metadata session; none where it cannot be had, as from within some containers.
        """
        try:
            answer = await self._ask("PUT", _SESSION, {"X-aliyun-ecs-metadata-token-ttl-seconds": _SESSION_SECONDS})
        except DnsError:
            return {}
        token = answer.body.decode(errors="replace").strip()
        return {"X-aliyun-ecs-metadata-token": token} if answer.status == _OK and token.isprintable() else {}

    async def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> HttpResponse:
        try:
            return await self._http.request(method, METADATA + path, headers=headers, timeout=_TIMEOUT)
        except (HttpUnreachable, HttpDisconnected) as error:
            raise _not_now(
                f"the metadata service gives no key of the RAM role {self._role}: {error}; `ram_role` works on ECS only"
            ) from error


def _not_now(detail: str) -> DnsError:
    return DnsError(Problem(type="dnsProvider", detail=detail))
