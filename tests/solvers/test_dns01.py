"""
dns-01 through a provider: what would make the CA's look fail is found before the CA is asked.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import pytest
from tests.support.fake_provider import FakeProvider
from tests.support.quick_clock import QuickClock
from tests.support.recorder import Recorder

from gatelodge.errors import DnsError, IssuanceError, Problem
from gatelodge.model import Name
from gatelodge.ports import Authority, Challenge, TxtRecord
from gatelodge.solvers.dns01 import Dns01
from gatelodge.solvers.ledger import Ledger
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

APEX = Name("example.org")
WILDCARD = Name("*.example.org")
AT = "_acme-challenge.example.org"
SERVERS = frozenset({"ns1.provider.test", "ns2.provider.test"})
DEAF = DnsError(Problem(type="dnsProvider", detail="nothing answers"))


class World:
    """
    A zone at a provider, what the world's DNS says of it, and a solver. Implements `ports.Resolver`.
    """

    def __init__(self) -> None:
        self.provider = FakeProvider("example.org", "answers.test", servers=SERVERS)
        self.cnames: dict[str, str] = {}
        self.servers = SERVERS
        self.deaf = False
        self.late: DnsError | None = None
        self.seen: list[Mapping[str, frozenset[str]]] = []
        clock = QuickClock()
        self.solver = Dns01(
            name="home",
            kind="aliyun",
            provider=self.provider,
            ledger=Ledger(documents=MemoryDocuments(), clock=clock, events=Recorder()),
            resolver=self,
            wait=dt.timedelta(minutes=3),
        )

    async def canonical(self, name: str) -> str:
        if self.deaf:
            raise DEAF
        return self.cnames.get(name, name)

    async def authority(self, name: str) -> Authority:
        if self.deaf:
            raise DEAF
        return Authority(zone=name.partition(".")[2], servers=self.servers)

    async def wait_for(
        self,
        wanted: Mapping[str, frozenset[str]],
        *,
        kind: str,
        within: dt.timedelta,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        del progress
        assert (kind, within) == ("TXT", dt.timedelta(minutes=3))
        self.seen.append(wanted)
        if self.late is not None:
            raise self.late

    async def problem(self, name: Name, alias: str | None = None) -> Problem:
        refused = await self.solver.refuses([name], alias=None if alias is None else Name(alias))
        assert list(refused) == [name]
        return refused[name]


@pytest.fixture
def world() -> World:
    """
    A world of its own for each test.
    """
    return World()


def challenge(name: Name, token: str, alias: str | None = None) -> Challenge:
    """
    Return a challenge for a name.
    """
    return Challenge(
        name=name, token=token, key_authorization=f"{token}.thumb", alias=None if alias is None else Name(alias)
    )


def value(token: str) -> str:
    """
    Return what RFC 8555 §8.4 wants in the record.
    """
    return base64.urlsafe_b64encode(hashlib.sha256(f"{token}.thumb".encode()).digest()).decode().rstrip("=")


async def test_apex_and_wildcard_share_a_name_and_have_a_value_each(world: World) -> None:
    """
    Both are there, seen at the name servers, before the context is entered, and gone after it.
    """
    async with world.solver.published([challenge(APEX, "one"), challenge(WILDCARD, "two")]):
        assert world.seen == [{AT: frozenset({value("one"), value("two")})}]
        assert world.provider.records == {
            TxtRecord(zone="example.org", name=AT, value=value("one")),
            TxtRecord(zone="example.org", name=AT, value=value("two")),
        }
    assert world.provider.records == set()


async def test_a_cname_leads_to_where_the_answer_belongs(world: World) -> None:
    """
    RFC 8555 §8.4: the CA follows it. `alias` says the same and is compared.
    """
    world.cnames[AT] = "x1.answers.test"
    for alias in (None, "x1.answers.test"):
        async with world.solver.published([challenge(APEX, "one", alias)]):
            assert {(each.zone, each.name) for each in world.provider.records} == {("answers.test", "x1.answers.test")}


async def test_an_alias_that_is_not_in_the_dns_is_told_before_anything_is_added(world: World) -> None:
    """
    No CNAME at all, and one that leads elsewhere.
    """
    missing = await world.problem(APEX, "x1.answers.test")
    assert (missing.type, missing.detail) == (
        "dnsDelegation",
        f"example.org: {AT} is no CNAME, and `alias` says x1.answers.test; make it a CNAME to x1.answers.test",
    )
    world.cnames[AT] = "x2.answers.test"
    assert "leads to x2.answers.test" in (await world.problem(APEX, "x1.answers.test")).detail


async def test_a_cname_for_all_names_of_a_home_is_none_for_the_answer(world: World) -> None:
    """
    `*.example.org` leads to the address of a dynamic-DNS service, where nobody of ours may write: a record at the name itself stands
    before the wildcard (RFC 4592 §2.2.1). `alias` can say so too.
    """
    world.cnames[AT] = "myhome.dyndns.example"
    for alias in (None, AT):
        async with world.solver.published([challenge(APEX, "one", alias)]):
            assert {(each.zone, each.name) for each in world.provider.records} == {("example.org", AT)}
    problem = await world.problem(Name("other.test"))
    assert problem.type == "dnsZone"


async def test_an_alias_may_lead_further(world: World) -> None:
    """
    `alias` names the first step of several; the answer belongs where they end.
    """
    world.cnames |= {AT: "end.answers.test", "mid.answers.test": "end.answers.test"}
    async with world.solver.published([challenge(APEX, "one", "mid.answers.test")]):
        assert {each.name for each in world.provider.records} == {"end.answers.test"}


async def test_name_servers_of_somebody_else_are_told_before_anything_is_added(world: World) -> None:
    """
    The text names theirs and the provider's, and both ways out.
    """
    world.servers = frozenset({"ns1.example.net"})
    problem = await world.problem(WILDCARD)
    assert problem.type == "dnsDelegation"
    assert problem.detail == (
        f"*.example.org: the name servers of {AT} are ns1.example.net; records of example.org at home are not seen, since its name "
        "servers are ns1.provider.test, ns2.provider.test: change the NS records at the registrar, or make "
        f"{AT} a CNAME and set `alias`"
    )
    with pytest.raises(IssuanceError, match="are not seen"):
        async with world.solver.published([challenge(WILDCARD, "one")]):
            raise AssertionError("nobody would see it")
    assert world.provider.calls["add"] == 0


async def test_one_name_server_in_common_will_do(world: World) -> None:
    """
    The providers' lists and the registrar's need not be equal.
    """
    world.servers = frozenset({"ns1.provider.test", "ns1.example.net"})
    assert await world.solver.refuses([APEX], alias=None) == {}


async def test_a_lan_where_nothing_answers_leaves_it_to_what_is_configured(world: World) -> None:
    """
    The name itself, or the alias; the provider's word counts.
    """
    world.deaf = True
    async with world.solver.published([challenge(APEX, "one")]):
        assert {each.name for each in world.provider.records} == {AT}
    async with world.solver.published([challenge(APEX, "one", "x1.answers.test")]):
        assert {each.name for each in world.provider.records} == {"x1.answers.test"}


@pytest.mark.parametrize(
    ("name", "kind"), [("192.0.2.7", "noSolver"), ("2001:db8::7", "noSolver"), ("other.test", "dnsZone")]
)
async def test_names_that_no_zone_holds_are_refused(world: World, name: str, kind: str) -> None:
    """
    Also IP addresses, which have no zone of their own to speak of (RFC 8738 §7).
    """
    problem = await world.problem(Name(name))
    assert problem.type == kind
    assert await world.solver.refuses([APEX, Name(name)], alias=None) == {Name(name): problem}


async def test_a_name_server_that_lacks_the_record_in_time_is_an_end(world: World) -> None:
    """
    The CA is never told, and the record is taken away.
    """
    world.late = DnsError(Problem(type="propagation", detail="ns2.provider.test has not …"))
    with pytest.raises(IssuanceError) as caught:
        async with world.solver.published([challenge(APEX, "one")]):
            raise AssertionError("the CA would be told")
    assert caught.value.problem == world.late.problem
    assert world.provider.calls == {"add": 1, "remove": 1}
    assert world.provider.records == set()


async def test_a_hundred_names_wait_together(world: World) -> None:
    """
    One look at the name servers for all.
    """
    names = [Name(f"n{number}.example.org") for number in range(100)]
    async with world.solver.published([challenge(name, f"t{number}") for number, name in enumerate(names)]):
        assert len(world.provider.records) == 100
        assert [len(each) for each in world.seen] == [100]
    assert world.provider.records == set()


async def test_cancelled_while_it_waits_it_leaves_nothing(world: World) -> None:
    """
    A daemon that is told to stop in the middle of propagation.
    """
    waiting = asyncio.Event()

    async def for_ever(*_: object, **__: object) -> None:
        waiting.set()
        await asyncio.Event().wait()

    world.wait_for = for_ever  # type: ignore[method-assign]

    async def publish() -> None:
        async with world.solver.published([challenge(APEX, "one")]):
            raise AssertionError("it never comes to be seen")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(publish())
        await waiting.wait()
        assert len(world.provider.records) == 1
        task.cancel()
    assert world.provider.records == set()
