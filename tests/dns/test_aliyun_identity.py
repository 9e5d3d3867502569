"""
Whose key it is, asked of a local STS that checks the signature.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import alidns
from tests.support.alidns import KEY_ID, KEY_SECRET

from gatelodge.dns.providers import PROVIDERS, Parts
from gatelodge.model import DnsSettings, Secret, SecretRef
from gatelodge.ports import KeyHolder
from gatelodge.runtime.system import SystemClock, Web


def provider(http: Any, endpoint: str | None, secret: str = KEY_SECRET) -> Any:
    """
    Make a provider as the configuration does.
    """
    options = {
        "access_key_id": SecretRef(literal=Secret(KEY_ID)),
        "access_key_secret": SecretRef(literal=Secret(secret)),
    }
    settings = DnsSettings(name="home", provider="aliyun", options=options, endpoint=endpoint)
    found = PROVIDERS["aliyun"].make(settings, Parts(http=http, clock=SystemClock(), resolver=None))  # type: ignore[arg-type]
    assert isinstance(found, KeyHolder)
    return found


@pytest.mark.parametrize(("identity", "too_much"), [("Account", True), ("RAMUser", False), ("AssumedRoleUser", False)])
async def test_a_main_accounts_key_is_too_much(identity: str, too_much: bool) -> None:  # noqa: FBT001
    """
    A RAM user's and a role's are not.
    """
    async with alidns.running() as service, Web() as http:
        service.identity = identity
        excess = await provider(http, service.url).excess()

        assert service.requests == ["GetCallerIdentity"]
    assert (excess is not None) is too_much
    if excess is not None:
        assert "main account" in excess.seen
        assert "docs/aliyun.md" in excess.remedy
        assert KEY_ID not in excess.seen + excess.remedy


async def test_what_cannot_be_told_is_nothing() -> None:
    """
    A wrong key is told by what it is used for, and an STS out of reach says nothing.
    """
    async with alidns.running() as service, Web() as http:
        service.identity = "Account"

        assert await provider(http, service.url, "wrong-secret-of-the-key").excess() is None

        url = service.url
    async with Web() as http:
        assert await provider(http, url).excess() is None


class Asked:
    """
    Remembers where it was asked.
    """

    def __init__(self) -> None:
        self.urls: list[str] = []

    async def request(self, method: str, url: str, **_: Any) -> Any:
        del method
        self.urls.append(url.partition("?")[0])
        raise OSError


@pytest.mark.parametrize("endpoint", [None, "https://alidns.cn-hangzhou.aliyuncs.com"])
async def test_aliyuns_own_endpoints_have_an_sts_elsewhere(endpoint: str | None) -> None:
    """
    Whatever Alidns is called, STS has one name.
    """
    http = Asked()
    with pytest.raises(OSError):  # noqa: PT011 - our own
        await provider(http, endpoint).excess()

    assert http.urls == ["https://sts.aliyuncs.com/"]
