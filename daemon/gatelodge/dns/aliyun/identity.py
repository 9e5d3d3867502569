"""
Finds out whose key it is: the main account's, which can do everything, or one that was made for this.

STS is asked (https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-getcalleridentity), which needs no permission.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aliyunsdkcore.request import RpcRequest

from gatelodge.errors import HttpDisconnected, HttpUnreachable
from gatelodge.ports import Excess

if TYPE_CHECKING:
    from gatelodge.dns.aliyun.key import Keys
    from gatelodge.ports import Http

ENDPOINT = "https://sts.aliyuncs.com"

#: What STS calls the main account; others are `RAMUser` and `AssumedRoleUser`.
_MAIN = "Account"

#: The SDK wants a region named.
_REGION = "cn-hangzhou"
_SECONDS = 10.0
_OK = 200


class Identity:
    """
    The identity behind the key of one `[dns.NAME]`.
    """

    def __init__(self, *, endpoint: str | None, keys: Keys, http: Http) -> None:
        """
        Args:
            endpoint: Alidns's, when it is not the usual one: what is not Aliyun's is asked for both.
        """
        host = urlsplit(endpoint).hostname if endpoint else None
        theirs = host is None or host == "aliyuncs.com" or host.endswith(".aliyuncs.com")
        self._endpoint = ENDPOINT if theirs else (endpoint or "").rstrip("/")
        self._keys = keys
        self._http = http

    async def excess(self) -> Excess | None:
        """
        Say that it is the main account's key, as `ports.KeyHolder` says.
        """
        key = await self._keys.get()
        request = RpcRequest("Sts", "2015-04-01", "GetCallerIdentity")
        request.set_accept_format("JSON")
        if key.token is not None:
            request.add_query_param("SecurityToken", key.token.reveal())
        signed = request.get_url(_REGION, key.id.reveal(), key.secret.reveal())
        try:
            answer = await self._http.request(request.get_method(), self._endpoint + signed, timeout=_SECONDS)
            said = json.loads(answer.body) if answer.status == _OK else {}
        except (HttpUnreachable, HttpDisconnected, ValueError, RecursionError):
            return None
        if not isinstance(said, dict) or said.get("IdentityType") != _MAIN:
            return None
        return Excess(
            seen="this is the key of the main account, which may do everything in it: delete its servers, pay with its money",
            remedy="make a RAM user for Gatelodge with the policy in docs/aliyun.md, give its key here, and disable this one",
        )
