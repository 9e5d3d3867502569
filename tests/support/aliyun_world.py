"""
A provider for Aliyun with the local Alidns behind it: real requests over loopback, time that nobody waits for.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import alidns
from tests.support.quick_clock import QuickClock

from gatelodge.dns.aliyun.provider import make
from gatelodge.dns.providers import Parts
from gatelodge.errors import DnsError
from gatelodge.model import DnsSettings, Secret, SecretRef
from gatelodge.ports import TxtRecord
from gatelodge.runtime.system import Web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from gatelodge.dns.aliyun.provider import Aliyun
    from gatelodge.ports import Http

ZONE = "example.com"
NAME = "_acme-challenge.www.example.com"
VALUE = "Aq3_x-9"
RECORD = TxtRecord(zone=ZONE, name=NAME, value=VALUE)

#: Short words for the actions, in tables.
SHORT = {
    "zones": "DescribeDomains",
    "info": "DescribeDomainInfo",
    "look": "DescribeSubDomainRecords",
    "search": "DescribeDomainRecords",
    "called": "DescribeDomainRecordInfo",
    "add": "AddDomainRecord",
    "update": "UpdateDomainRecord",
    "delete": "DeleteDomainRecord",
}


class NoResolver:
    """
    Stands where `Parts` wants a resolver; this provider uses none.
    """


class World:
    """
    The service, its client, and the clock of the client.
    """

    def __init__(self, service: alidns.Alidns, http: Http) -> None:
        self.service = service
        self.http: Any = http
        self.clock = QuickClock()
        self.aliyun = self.provider()

    def provider(self, *, ttl: int | None = None, **options: object) -> Aliyun:
        """
        Make a provider for an entry of `[dns]`; with the service's own key when no option says otherwise.
        """
        if not {"ram_role", "credentials_file", "access_key_id"} & options.keys():
            options |= {"access_key_id": secret(alidns.KEY_ID), "access_key_secret": secret(alidns.KEY_SECRET)}
        settings = DnsSettings(name="home", provider="aliyun", options=options, endpoint=self.service.url, ttl=ttl)
        return make(settings, Parts(http=self.http, clock=self.clock, resolver=NoResolver()))  # type: ignore[arg-type]

    def fault(self, action: str, *words: str | None) -> None:
        """
        Have the next requests of an action (by its short word) go wrong.
        """
        self.service.faults[SHORT[action]].extend(words)

    @property
    def requests(self) -> str:
        """
        What was asked so far, in order: `add, look, add`.
        """
        words = {action: word for word, action in SHORT.items()}
        return ", ".join(words[action] for action in self.service.requests)


def secret(text: str) -> SecretRef:
    """
    Make a secret that stands in the configuration itself.
    """
    return SecretRef(literal=Secret(text))


async def refused(work: Awaitable[object], *hidden: str) -> DnsError:
    """
    Return the error that some work ends with. Nothing secret is in it, nor in what led to it.
    """
    with pytest.raises(DnsError) as caught:
        await work
    error: BaseException | None = caught.value
    while error is not None:
        for text in (alidns.KEY_ID, alidns.KEY_SECRET, "Signature=", "SignatureNonce=", "AccessKeyId=", *hidden):
            assert text not in f"{error} {error!r} {error.args!r}"
        error = error.__cause__ or error.__context__
    return caught.value


@contextlib.asynccontextmanager
async def running(*zones: str) -> AsyncIterator[World]:
    """
    Make the world, with a zone or more.
    """
    async with alidns.running(*(zones or (ZONE,))) as service, Web() as http:
        yield World(service, http)
