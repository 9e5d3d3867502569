"""
What the Aliyun provider does when Alidns, or the way to it, fails: one row for each fault.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.support import aliyun_world
from tests.support.alidns import KEY_ID
from tests.support.aliyun_world import NAME, RECORD, VALUE, ZONE, refused

from gatelodge.errors import HttpDisconnected, HttpUnreachable

if TYPE_CHECKING:
    from tests.support.quick_clock import QuickClock

    from gatelodge.ports import HttpResponse


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    `faults` befall the first requests of the action under test, one each, in this order. What follows goes well.

    `ends` is "done", or the type of the problem; `requests` is everything that was sent; `says` must be in the error's text.
    """

    faults: tuple[str, ...]
    ends: str
    requests: str
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(dict.fromkeys(self.faults))


def row(faults: str | tuple[str, ...], ends: str, requests: str, *says: str) -> Case:
    """
    Write a case as a row.
    """
    return Case(faults=(faults,) if isinstance(faults, str) else faults, ends=ends, requests=requests, says=says)


FIVE = "add, add, add, add, add"
LOOKED_FIVE = "add, look, add, look, add, look, add, look, add"

#: Adding a record. The fault is Alidns's answer to AddDomainRecord.
ADDING = [
    #   fault                               ends              requests            the error says
    # It passes by itself: asked again, signed anew.
    row("throttled",                        "done",           "add, add"),
    row(("throttled",) * 4,                 "done",           FIVE),
    row(("throttled",) * 5,                 "dnsProvider",    FIVE,               "Throttling.User", "tried again"),
    row("throttled, come in 2 s",           "done",           "add, add"),
    row("throttled, come in 90 s",          "dnsProvider",    "add",              "Throttling", "tried again"),
    row("nonce used",                       "done",           "add, add"),
    # The record may be there: looked for before it is added again.
    row("500",                              "done",           "add, look, add"),
    row("503",                              "done",           "add, look, add"),
    row("internal error",                   "done",           "add, look, add"),
    row("a portal's page",                  "done",           "add, look, add"),
    row("dropped before the write",         "done",           "add, look, add"),
    row("dropped after the write",          "done",           "add, look"),
    row("internal error after the write",   "done",           "add, look"),
    row(("dropped before the write",) * 5,  "dnsProvider",    LOOKED_FIVE,        "did not answer", "127.0.0.1"),
    row(("503",) * 5,                       "dnsProvider",    LOOKED_FIVE,        "ServiceUnavailable"),
    row(("a portal's page",) * 5,           "dnsProvider",    LOOKED_FIVE,        "is it really Alidns?"),
    # It will not pass: told at once, with what to do.
    row("unknown key",                      "dnsCredentials", "add",              "InvalidAccessKeyId.NotFound", "RAM console"),
    row("key switched off",                 "dnsCredentials", "add",              "switched on"),
    row("wrong signature",                  "dnsCredentials", "add",              "SignatureDoesNotMatch", "secret"),
    row("expired STS",                      "dnsCredentials", "add",              "new temporary key"),
    row("RAM refuses",                      "dnsCredentials", "add",              "alidns:AddDomainRecord", "docs/aliyun.md"),
    row("risk control",                     "dnsCredentials", "add",              "RiskControl", "console"),
    row("clock skew",                       "dnsProvider",    "add",              "this machine's clock"),
    row("clock skew, signed",               "dnsProvider",    "add",              "this machine's clock"),
    row("zone gone",                        "dnsZone",        "add",              "add the domain"),
    row("zone of another user",             "dnsZone",        "add",              "another account"),
    row("zone expired",                     "dnsZone",        "add",              "expired"),
    row("zone forbidden",                   "dnsZone",        "add",              "suspended"),
    row("record locked",                    "dnsRecord",      "add",              "unlock"),
    row("CNAME in the way",                 "dnsRecord",      "add",              "CNAME", "alias"),
    row("quota",                            "dnsRecord",      "add",              "90"),
    row("black hole",                       "dnsRecord",      "add",              "black hole"),
    row("something new",                    "dnsProvider",    "add",              "Surprise.Entirely", "Nobody has seen this"),
]  # fmt: skip

#: Removing a record by its id. The fault is Alidns's answer to DeleteDomainRecord.
REMOVING = [
    row("throttled",                        "done",           "look, delete, delete"),
    row("500",                              "done",           "look, delete, delete"),
    row("dropped before the write",         "done",           "look, delete, delete"),
    row("dropped after the write",          "done",           "look, delete, delete"),
    row("record gone",                      "done",           "look, delete"),
    row("record locked",                    "dnsRecord",      "look, delete",     "unlock"),
    row("RAM refuses",                      "dnsCredentials", "look, delete",     "alidns:DeleteDomainRecord"),
    row("zone of another user",             "dnsZone",        "look, delete",     "another account"),
    row("something new",                    "dnsProvider",    "look, delete",     "Surprise.Entirely"),
]  # fmt: skip

#: Finding the zone. The fault is Alidns's answer to DescribeDomains.
LISTING = [
    row("throttled",                        "done",           "zones, zones"),
    row("dropped before the write",         "done",           "zones, zones"),
    row("RAM refuses",                      "dnsCredentials", "zones",            "alidns:DescribeDomains"),
    row("unknown key",                      "dnsCredentials", "zones",            "home"),
]  # fmt: skip


@pytest.mark.parametrize("case", ADDING, ids=str)
async def test_adding(case: Case) -> None:
    """
    Where it ends well the record is there exactly once, whatever happened on the way, and its id is known.

    Where not, the error names the name, the zone, the code and the number of the request. It is over in half a minute.
    """
    async with aliyun_world.running() as world:
        world.fault("add", *case.faults)
        if case.ends == "done":
            known_as = await world.aliyun.add(RECORD)
            assert world.service.records[str(known_as)].value == VALUE
            assert world.service.values(NAME) == [VALUE]
        else:
            problem = (await refused(world.aliyun.add(RECORD))).problem
            assert problem.type == case.ends
            assert world.service.values(NAME) == []
            for words in (NAME, *case.says):
                assert words in problem.detail
            if "did not answer" not in problem.detail and "no JSON" not in problem.detail:
                assert f"(zone {ZONE})" in problem.detail
                assert ", request " in problem.detail
        assert world.requests == case.requests
        assert world.clock.elapsed < 30


@pytest.mark.parametrize("case", REMOVING, ids=str)
async def test_removing(case: Case) -> None:
    """
    Where it ends well the record is gone, and no other is.
    """
    async with aliyun_world.running() as world:
        ours = world.service.put(ZONE, "_acme-challenge.www", "TXT", VALUE)
        other = world.service.put(ZONE, "_acme-challenge.www", "TXT", "somebody else's")
        world.fault("delete", *case.faults)
        if case.ends == "done":
            await world.aliyun.remove(RECORD, ours.id)
            assert case.faults == ("record gone",) or ours.id not in world.service.records
        else:
            problem = (await refused(world.aliyun.remove(RECORD, ours.id))).problem
            assert problem.type == case.ends
            for words in (NAME, *case.says):
                assert words in problem.detail
        assert other.id in world.service.records
        assert world.requests == case.requests


@pytest.mark.parametrize("case", LISTING, ids=str)
async def test_listing(case: Case) -> None:
    """
    A list that could not be had is asked for again by the next who needs it.
    """
    async with aliyun_world.running() as world:
        world.fault("zones", *case.faults)
        if case.ends == "done":
            assert await world.aliyun.zone_of(NAME) == ZONE
        else:
            problem = (await refused(world.aliyun.zone_of(NAME))).problem
            assert problem.type == case.ends
            for words in case.says:
                assert words in problem.detail
        assert world.requests == case.requests
        assert await world.aliyun.zone_of(NAME) == ZONE


async def test_when_to_come_again_is_passed_on() -> None:
    """
    A wait that Alidns asks for is kept when it is short, and told when it is long.
    """
    async with aliyun_world.running() as world:
        world.fault("add", "throttled, come in 2 s")
        await world.aliyun.add(RECORD)
        assert world.clock.elapsed >= 2
        world.fault("delete", "throttled, come in 90 s")
        problem = (await refused(world.aliyun.remove(RECORD, None))).problem
        assert problem.retry_after is not None
        assert problem.retry_after.total_seconds() == 90


async def test_nobody_listens() -> None:
    """
    Nothing was sent, so nothing is looked for.
    """
    async with aliyun_world.running() as world:
        world.service.url = "http://127.0.0.1:9"
        problem = (await refused(world.provider().add(RECORD))).problem
        assert problem.type == "dnsProvider"
        assert "127.0.0.1 cannot be reached" in problem.detail
        assert world.requests == ""


class Quoting:
    """
    An HTTP client that quotes the URL it was given, as ours does for one that it cannot read.
    """

    async def request(self, method: str, url: str, **_: object) -> HttpResponse:
        del method
        assert KEY_ID in url
        raise HttpUnreachable(f"{url!r} is no address that can be asked")


async def test_a_client_that_quotes_urls_shows_no_request() -> None:
    """
    It would show the key's name and a signature: its words are not passed on, nor is its exception.
    """
    async with aliyun_world.running() as world:
        world.http = Quoting()
        problem = (await refused(world.provider().add(RECORD))).problem
        assert (problem.type, "`endpoint`" in problem.detail) == ("dnsProvider", True)


class Silent:
    """
    An HTTP client whose requests all run out of time.
    """

    def __init__(self, clock: QuickClock) -> None:
        self.clock = clock
        self.timeouts: list[float] = []

    async def request(self, method: str, url: str, *, timeout: float = 30, **_: object) -> HttpResponse:
        del method, url
        self.timeouts.append(timeout)
        await self.clock.sleep(timeout)
        raise HttpDisconnected(f"alidns.test did not answer within {timeout:g} s")


async def test_half_a_minute_is_all_it_takes() -> None:
    """
    A request may take 15 s; tries, waits and look-ups share 30 s between them.
    """
    async with aliyun_world.running() as world:
        http = world.http = Silent(world.clock)
        problem = (await refused(world.provider().add(RECORD))).problem
        assert problem.type == "dnsProvider"
        assert http.timeouts[0] == 15
        assert len(http.timeouts) > 1
        assert 28 <= world.clock.elapsed <= 31
