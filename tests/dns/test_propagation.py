"""
Waiting until every name server has a record, on a clock that runs while the questions are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.rrset
import pytest
from tests.support import leftovers, name_servers
from tests.support.eventful_clock import EventfulClock
from tests.support.name_servers import Cache, Records, refusing, reply, silence

from gatelodge.demo.ports import free_ports
from gatelodge.dns import asking
from gatelodge.dns.resolver import PublicResolver
from gatelodge.errors import DnsError, Problem
from gatelodge.runtime.system import SystemClock, Web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from tests.support.name_servers import Behaviour, NameServer

    from gatelodge.ports import Clock

pytestmark = pytest.mark.live

ZONE = "example.org"
AT = f"_acme-challenge.{ZONE}"
ONE, TWO, THREE = "127.0.0.2", "127.0.0.3", "127.0.0.4"
APEX, WILDCARD = "a" * 43, "b" * 43
MANY = {f"_acme-challenge.n{number}.{ZONE}": frozenset({APEX}) for number in range(100)}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Limits that a test can wait for, and in which a server on a busy machine answers for a hundred names.
    """
    for limit in ("_UDP_SECONDS", "_TCP_SECONDS"):
        monkeypatch.setattr(asking, limit, 0.6)


@pytest.fixture
def impatient_over_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    As above, of services.
    """
    monkeypatch.setattr(asking, "_DOH_SECONDS", 0.2)


@dataclasses.dataclass(kw_only=True)
class World:
    """
    Name servers by label, what each of them holds, a resolver that goes by the first one's records, and a clock.
    """

    clock: EventfulClock
    http: Web
    port: int = 0
    recursive: str = ""
    records: dict[str, Records] = dataclasses.field(default_factory=dict)
    servers: dict[str, NameServer] = dataclasses.field(default_factory=dict)
    doh: list[str] = dataclasses.field(default_factory=list)
    told: list[str] = dataclasses.field(default_factory=list)

    def resolver(self, clock: Clock | None = None) -> PublicResolver:
        """
        Return a resolver that has not looked yet.
        """
        return PublicResolver(
            servers=[self.recursive], doh=self.doh, http=self.http, clock=clock or self.clock, port=self.port
        )

    async def wait(
        self, wanted: Mapping[str, frozenset[str]] | None = None, *, seconds: float = 120, kind: str = "TXT"
    ) -> float:
        """
        Wait for values, and return how long that took by the clock.
        """
        began = self.clock.elapsed
        wanted = {AT: frozenset({APEX})} if wanted is None else wanted
        within = dt.timedelta(seconds=seconds)
        await self.resolver().wait_for(wanted, kind=kind, within=within, progress=self.told.append)
        return self.clock.elapsed - began

    async def problem(self, wanted: Mapping[str, frozenset[str]] | None = None, **how: object) -> Problem:
        """
        Wait in vain, and return what is said of that.
        """
        with pytest.raises(DnsError) as caught:
            await self.wait(wanted, **how)  # type: ignore[arg-type]
        assert caught.value.problem.type == "propagation"
        return caught.value.problem

    def publish(self, *labels: str, names: Sequence[str] = (AT,), value: str = APEX) -> None:
        """
        Put a value at some servers.
        """
        for label in labels:
            for name in names:
                self.records[label].add(name, "TXT", value)

    def later(self, seconds: float, *labels: str, names: Sequence[str] = (AT,), value: str = APEX) -> None:
        """
        Put a value there after a while.
        """

        async def do() -> None:
            self.publish(*labels, names=names, value=value)

        self.clock.at(seconds, do)


@pytest.fixture
async def http() -> AsyncIterator[Web]:
    """
    The HTTP client.
    """
    async with Web() as web:
        yield web


@contextlib.asynccontextmanager
async def world(
    http: Web, *, minimum: int = 1, recursive: Behaviour | None = None, **addresses: str
) -> AsyncIterator[World]:
    """
    Run small name servers, by label, and a resolver.
    """
    made = World(clock=EventfulClock(), http=http, port=free_ports(1)[0])
    async with contextlib.AsyncExitStack() as stack:
        for label, address in (addresses or {"ns1": ONE, "ns2": TWO}).items():
            made.records[label] = Records(ZONE, minimum=minimum)
            made.records[label].served_by(**(addresses or {"ns1": ONE, "ns2": TWO}))
            made.servers[label] = await stack.enter_async_context(
                name_servers.running(made.records[label].of_authority, address=address, port=made.port)
            )
        first = next(iter(made.records.values()))
        resolving = await stack.enter_async_context(
            name_servers.running(recursive or first.of_resolver, port=made.port)
        )
        made.recursive = resolving.server
        yield made


# Name servers


async def test_every_real_name_server_is_asked_by_ipv4_and_ipv6(http: Web, tmp_path: Path) -> None:
    """
    One lags 20 s: it is waited for, and named where the wait is too short.
    """
    async with name_servers.binds(tmp_path, {"ns1": "127.0.0.1", "ns2": TWO, "six": "::1"}, ZONE) as servers:
        made = World(clock=EventfulClock(), http=http, port=servers["ns1"].port, recursive=servers["ns1"].server)
        added = ("add", f"{AT}.", "60", "TXT", f'"{APEX}"')
        for label in ("ns1", "ns2"):
            await servers[label].update(ZONE, added)
        problem = await made.problem(seconds=10)
        assert problem.detail == (
            f"after 10 s six.{ZONE} (::1) has not the TXT record of {AT}: it answered NXDOMAIN (no such name); the CA was not "
            "asked. Raise `wait` of this provider in [dns] when the name server is only slow, otherwise have it mended"
        )
        assert made.clock.elapsed == 10
        made.clock.at(made.clock.elapsed + 20, lambda: servers["six"].update(ZONE, added))
        assert 20 <= await made.wait() <= 25
        assert await made.wait() == 0


async def test_apex_and_wildcard_have_a_value_each(http: Web) -> None:
    """
    Both under one name; one of two is not enough, and others do not matter.
    """
    async with world(http) as made:
        made.publish("ns1", "ns2", value="somebody else's")
        made.publish("ns1", "ns2", value=APEX)
        made.publish("ns1", value=WILDCARD)
        wanted = {AT: frozenset({APEX, WILDCARD})}
        assert (
            f"ns2.{ZONE} ({TWO}) has not the TXT record of {AT}: it has 1 of 2 values"
            in (await made.problem(wanted, seconds=5)).detail
        )
        made.later(made.clock.elapsed + 3, "ns2", value=WILDCARD)
        assert 3 <= await made.wait(wanted) <= 5


async def test_what_else_a_server_may_say(http: Web) -> None:
    """
    Other values, no such record, a CNAME: the text tells them apart.
    """
    async with world(http) as made:
        made.publish("ns1", "ns2", value="old")
        assert "it answered 1 other value;" in (await made.problem(seconds=1)).detail
    async with world(http) as made:
        for records in made.records.values():
            records.add(AT, "A", "192.0.2.1")
        assert "it answered no such record" in (await made.problem(seconds=1)).detail
    async with world(http) as made:
        for records in made.records.values():
            records.add(AT, "CNAME", "elsewhere.test.")
        assert "it answered a CNAME to elsewhere.test" in (await made.problem(seconds=1)).detail


async def test_a_server_that_cannot_tell_never_counts_as_having_it(http: Web) -> None:
    """
    SERVFAIL, whatever the others say and however long one waits.
    """
    async with world(http) as made:
        made.publish("ns1", "ns2")
        made.servers["ns2"].behave = refusing(dns.rcode.SERVFAIL)
        detail = (await made.problem(seconds=300)).detail
        assert f"ns2.{ZONE} ({TWO}) has not the TXT record of {AT}: it answered SERVFAIL (it cannot tell)" in detail
        assert "ns1" not in detail
        made.servers["ns2"].behave = made.records["ns2"].of_authority
        assert await made.wait() == 0


@pytest.mark.usefixtures("impatient")
async def test_a_dead_server_is_passed_over_while_another_has_the_record(http: Web) -> None:
    """
    After some rounds, as the CA's resolver does. It is asked for one name, not for a hundred.
    """
    async with world(http) as made:
        made.publish("ns1", "ns2", names=list(MANY))
        made.servers["ns2"].behave = silence
        assert 0 < await made.wait(MANY) < 10
        assert len(made.servers["ns2"].names("TXT")) == 2 * 3  # rounds, by UDP and TCP


@pytest.mark.usefixtures("impatient")
async def test_a_dead_server_among_some_that_lack_it_is_no_excuse(http: Web) -> None:
    """
    The one that answers is waited for, and blamed; the dead one is not.
    """
    async with world(http) as made:
        made.servers["ns2"].behave = silence
        detail = (await made.problem(seconds=8)).detail
        assert f"ns1.{ZONE}" in detail
        assert f"ns2.{ZONE}" not in detail


@pytest.mark.usefixtures("impatient")
async def test_the_only_server_is_not_passed_over(http: Web) -> None:
    """
    It was there when the zone was looked for, and is not any more.
    """
    async with world(http, ns1=ONE) as made:
        made.publish("ns1")
        resolver = made.resolver()
        await resolver.zone(AT)
        made.servers["ns1"].behave = silence
        with pytest.raises(DnsError) as caught:
            await resolver.wait_for({AT: frozenset({APEX})}, kind="TXT", within=dt.timedelta(seconds=6))
        assert f"ns1.{ZONE} ({ONE}) has not the TXT record of {AT}: no answer (UDP: nothing" in str(caught.value)


@pytest.mark.usefixtures("impatient")
async def test_servers_that_lacked_it_and_fell_silent_have_it_not(http: Web) -> None:
    """
    This machine's network went away in the middle: that proves nothing.
    """
    async with world(http) as made:

        async def go() -> None:
            for server in made.servers.values():
                server.behave = silence

        made.clock.at(2, go)
        assert "ns1" in (await made.problem(seconds=20)).detail


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_comes_back_is_heard_again(http: Web) -> None:
    """
    It was passed over as dead, and now says that it lacks it.
    """
    async with world(http) as made:
        made.servers["ns2"].behave = silence

        async def back() -> None:
            made.servers["ns2"].behave = made.records["ns2"].of_authority
            made.publish("ns1")

        made.clock.at(10, back)
        detail = (await made.problem(seconds=14)).detail
        assert f"ns2.{ZONE} ({TWO})" in detail
        assert "NXDOMAIN" in detail


async def test_somebody_who_begins_to_answer_in_its_name(http: Web) -> None:
    """
    Right values from the wrong mouth are none.
    """
    async with world(http) as made:
        made.publish("ns1", "ns2")
        resolver = made.resolver()
        await resolver.zone(AT)
        made.servers["ns2"].behave = made.records["ns2"].of_resolver
        with pytest.raises(DnsError) as caught:
            await resolver.wait_for({AT: frozenset({APEX})}, kind="TXT", within=dt.timedelta(seconds=5))
        assert f"ns2.{ZONE} ({TWO}) has not the TXT record of {AT}: somebody answers in its name" in str(caught.value)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("hostile", ["garbage", "huge", "bytes", "loop", "other name", "other class"])
async def test_hostile_answers_are_lacking(http: Web, hostile: str) -> None:
    """
    And never an error of the program.
    """

    def behave(query: dns.message.Message, _: str) -> dns.message.Message | bytes:
        if hostile == "garbage":
            return b"\xff" * 50
        rows = {
            "huge": (AT, "IN", "TXT", " ".join([f'"{"x" * 255}"'] * 230)),
            "bytes": (AT, "IN", "TXT", '"\\255\\000\\010"'),
            "loop": (AT, "IN", "CNAME", f"{AT}."),
            "other name": (f"x.{AT}", "IN", "TXT", f'"{APEX}"'),
            "other class": (AT, "CH", "TXT", f'"{APEX}"'),
        }
        name, *row = rows[hostile]
        return reply(query, dns.rrset.from_text(f"{name}.", 60, *row))

    async with world(http) as made:
        made.publish("ns1")
        made.servers["ns2"].behave = lambda query, way: (
            made.records["ns2"].of_authority(query) if "SOA" in str(query.question[0]) else behave(query, way)
        )
        if hostile == "garbage":
            assert await made.wait(seconds=60) < 60  # by UDP it may be anybody's, by TCP it is a server that is none
        else:
            assert f"ns2.{ZONE}" in (await made.problem(seconds=2)).detail


# Many names


async def _rounds(http: Web, wanted: Mapping[str, frozenset[str]]) -> tuple[float, int, int]:
    """
    Let one of two servers lag 20 s. Returns how long that took, and how often each was asked.
    """
    async with world(http) as made:
        made.publish("ns1", names=list(wanted))
        made.later(20, "ns2", names=list(wanted))
        took = await made.wait(wanted)
        asked = [made.servers[label].names("TXT") for label in ("ns1", "ns2")]
        assert set(asked[0]) == set(asked[1]) == set(wanted)
        return took, len(asked[0]), len(asked[1])


async def test_a_hundred_names_take_the_time_of_one(http: Web) -> None:
    """
    And little more of the servers: who has it all is asked once for each, who lags is asked for one until that is there.
    """
    one, at_first, at_second = await _rounds(http, {AT: frozenset({APEX})})
    assert (at_first, at_second) == (1, 9)
    assert await _rounds(http, MANY) == (one, 100, 108)


async def test_names_that_come_one_by_one(http: Web) -> None:
    """
    A server that gets each record on its own is asked until it has the last.
    """
    names = list(MANY)[:10]
    async with world(http) as made:
        made.publish("ns1", names=names)
        for number, name in enumerate(names):
            made.later(3.0 * number, "ns2", names=[name])
        assert 27 <= await made.wait({name: frozenset({APEX}) for name in names}) <= 32


async def test_all_names_that_lack_are_told(http: Web) -> None:
    """
    In the end all are asked for, so that the text is complete; shortly, by server and reason.
    """
    async with world(http) as made:
        made.publish("ns1", "ns2", names=list(MANY)[:50])
        made.publish("ns1", names=list(MANY)[50:])
        made.publish("ns2", names=list(MANY)[60:70])
        detail = (await made.problem(MANY, seconds=3)).detail
        names = ", ".join(f"_acme-challenge.n{number}.{ZONE}" for number in (50, 51, 52))
        assert (
            f"after 3 s ns2.{ZONE} ({TWO}) has not the TXT record of {names} and 37 more: it answered NXDOMAIN"
            in detail
        )


async def test_names_of_several_zones_wait_together(http: Web) -> None:
    """
    One of them is nobody's to wait for the others with.
    """
    records = Records(ZONE, "other.test")
    records.served_by(ns1=ONE)
    async with world(http, ns1=ONE, recursive=records.of_resolver) as made:
        made.servers["ns1"].behave = records.of_authority
        made.records["ns1"] = records
        other = "_acme-challenge.other.test"
        made.publish("ns1")
        made.later(20, "ns1", names=[other])
        assert 20 <= await made.wait({AT: frozenset({APEX}), other: frozenset({APEX})}) <= 25
        assert made.servers["ns1"].names("TXT").count(AT) == 1


async def test_nothing_wanted_is_there(http: Web) -> None:
    """
    At once.
    """
    async with world(http) as made:
        assert await made.wait({}) == 0


async def test_no_time_is_one_look(http: Web) -> None:
    """
    A `wait` of nothing.
    """
    async with world(http) as made:
        await made.problem(seconds=0)
        made.publish("ns1", "ns2")
        assert await made.wait(seconds=0) == 0
        assert made.clock.slept == []


async def test_what_goes_on_is_told(http: Web) -> None:
    """
    Whom one waits for, and why.
    """
    async with world(http) as made:
        made.publish("ns1")
        made.later(1, "ns2")
        await made.wait()
        assert made.told[0] == (
            f"waiting for the DNS: ns2.{ZONE} ({TWO}) has not the TXT record of {AT}: it answered NXDOMAIN (no such name)"
        )


async def test_addresses_are_waited_for_too(http: Web) -> None:
    """
    Dynamic DNS proves what it wrote. There is no `wait` to raise, and no CA.
    """
    async with world(http) as made:
        made.records["ns1"].add(ZONE, "AAAA", "2001:db8::1")
        made.records["ns2"].add(ZONE, "AAAA", "2001:db8::2")
        wanted = {ZONE: frozenset({"2001:db8::1"})}
        detail = (await made.problem(wanted, seconds=5, kind="AAAA")).detail
        assert f"ns2.{ZONE} ({TWO}) has not the AAAA record of {ZONE}: it answered 1 other value; look at" in detail
        assert "CA" not in detail
        made.records["ns2"].held[ZONE, "AAAA"] = ["2001:0db8::0001"]
        assert await made.wait(wanted, kind="AAAA") == 0


# A network in the way: DNS over HTTPS


@contextlib.asynccontextmanager
async def rewritten(http: Web, *caches: Behaviour, minimum: int = 1) -> AsyncIterator[tuple[World, list[NameServer]]]:
    """
    A network in which one resolver answers in the name of every server, and services. A cache is made of the true records.
    """
    async with contextlib.AsyncExitStack() as stack:
        made = await stack.enter_async_context(world(http, minimum=minimum, ns1=ONE))
        made.servers["ns1"].behave = made.records["ns1"].of_resolver
        services = [
            await stack.enter_async_context(
                name_servers.over_https(cache or Cache(made.records["ns1"], made.clock).answer)
            )
            for cache in caches
        ]
        made.doh = [each.url for each in services]
        yield made, services


CACHE: Behaviour = None  # type: ignore[assignment] # one of the true records


async def test_a_resolver_that_lies_is_not_believed(http: Web) -> None:
    """
    It shows the value; the services, which see the world, do not yet.
    """
    truth = Records(ZONE)
    truth.served_by(ns1=ONE)
    async with rewritten(http, truth.of_resolver, truth.of_resolver) as (made, services):
        made.publish("ns1")
        detail = (await made.problem(seconds=60)).detail
        assert f"{services[1].url} has not the TXT record of {AT}: it answered NXDOMAIN" in detail

        async def there() -> None:
            truth.add(AT, "TXT", APEX)

        made.clock.at(made.clock.elapsed + 20, there)
        assert 20 <= await made.wait(seconds=60) <= 40
        assert made.servers["ns1"].names("TXT") == []


async def test_without_services_time_is_all_there_is(http: Web) -> None:
    """
    The provider took the records: after `wait` the CA is asked.
    """
    async with rewritten(http) as (made, _):
        assert await made.wait(seconds=60) == 60
        assert made.told == [f"waiting for the DNS: nobody can be asked for {AT}"] * 4


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("silent", [True, False], ids=["silent", "closed"])
async def test_a_blocked_port(http: Web, *, silent: bool) -> None:
    """
    Of name servers and resolvers: all is looked up over HTTPS. Two services must have seen the record.
    """
    records = Records(ZONE)
    records.served_by(ns1=THREE)
    async with contextlib.AsyncExitStack() as stack:
        services = [await stack.enter_async_context(name_servers.over_https(records.of_resolver)) for _ in range(3)]
        made = World(clock=EventfulClock(), http=http, port=free_ports(1)[0], doh=[each.url for each in services])
        made.recursive = f"{ONE}:{made.port}"
        if silent:
            for address in (ONE, THREE):
                await stack.enter_async_context(name_servers.running(silence, address=address, port=made.port))
        for name in MANY:
            records.add(name, "TXT", APEX)
        async with asyncio.timeout(6):
            assert await made.wait(MANY) < 10
        assert len(services[1].names("TXT")) == len(services[2].names("TXT")) == 100
        assert services[0].names("TXT") == []  # it was asked where they lead, and may remember


@pytest.mark.usefixtures("impatient_over_https")
async def test_one_service_that_is_down(http: Web) -> None:
    """
    The others are witnesses enough.
    """
    async with rewritten(http, CACHE, silence, CACHE, CACHE) as (made, services):
        made.publish("ns1")
        assert await made.wait() < 10
        assert [len(each.names("TXT")) for each in services] == [0, 1, 1, 1]


@pytest.mark.usefixtures("impatient_over_https")
async def test_where_most_services_cannot_be_reached(http: Web) -> None:
    """
    As in mainland China: one that was asked too early, one that sees, two that are blocked. The one that sees is enough.
    """
    async with rewritten(http, CACHE, CACHE, silence, silence, minimum=600) as (made, _):
        resolver = made.resolver()
        await resolver.canonical(AT)  # before the record is there
        made.publish("ns1")
        await resolver.wait_for({AT: frozenset({APEX})}, kind="TXT", within=dt.timedelta(seconds=120))
        assert made.clock.elapsed < 30


@pytest.mark.usefixtures("impatient_over_https")
async def test_the_only_service_is_asked_though_it_may_remember(http: Web) -> None:
    """
    It says no for as long as the zone lets it, and then yes.
    """
    async with rewritten(http, CACHE, silence, minimum=40) as (made, _):
        resolver = made.resolver()
        await resolver.canonical(AT)
        made.publish("ns1")
        await resolver.wait_for({AT: frozenset({APEX})}, kind="TXT", within=dt.timedelta(seconds=120))
        assert 40 <= made.clock.elapsed <= 70


async def test_services_are_not_all_asked_too_early(http: Web) -> None:
    """
    Each remembers a "no" for ten minutes, and the record comes after half a minute: one is kept for the end.
    """
    async with rewritten(http, CACHE, CACHE, CACHE, CACHE, minimum=600) as (made, services):
        made.later(36, "ns1")
        assert await made.wait(seconds=120) == 120
        assert len(services[3].names("TXT")) == 1


async def test_a_service_that_says_no_while_another_says_yes(http: Web) -> None:
    """
    Some name server lacks it still; two have to say yes while there are two that can. The first was asked too early.
    """
    lagging = Records(ZONE)
    lagging.served_by(ns1=ONE)
    async with rewritten(http, CACHE, CACHE, lagging.of_resolver, minimum=600) as (made, services):
        made.later(1, "ns1")
        detail = (await made.problem(seconds=60)).detail
        assert f"{services[2].url} has not the TXT record of {AT}" in detail
        assert services[1].url not in detail

        async def there() -> None:
            lagging.add(AT, "TXT", APEX)

        made.clock.at(made.clock.elapsed + 20, there)
        assert 20 <= await made.wait(seconds=60) < 60


async def test_services_that_cannot_tell(http: Web) -> None:
    """
    SERVFAIL of all: the zone's servers are broken for the world, too, and that is no case of nobody to ask.
    """

    def behave(query: dns.message.Message, way: str) -> dns.message.Message:
        return (refusing(dns.rcode.SERVFAIL) if "TXT" in str(query.question[0]) else truth.of_resolver)(query, way)

    truth = Records(ZONE)
    truth.served_by(ns1=ONE)
    async with rewritten(http, behave, behave) as (made, _):
        made.publish("ns1")
        assert "it answered SERVFAIL (it cannot tell)" in (await made.problem(seconds=60)).detail


async def test_nothing_can_be_asked_at_all(http: Web) -> None:
    """
    No resolver, no name server, no service: after `wait` the provider's word has to do.
    """
    (port,) = free_ports(1)
    made = World(clock=EventfulClock(), http=http, port=port, recursive=f"{ONE}:{port}", doh=[f"http://{ONE}:{port}/"])
    assert await made.wait(MANY, seconds=60) == 60
    assert made.told[0].startswith(
        f"waiting for the DNS: http://{ONE}:{port}/ has not the TXT record of _acme-challenge.n0"
    )


@pytest.mark.usefixtures("impatient_over_https")
async def test_a_hundred_names_at_silent_services_do_not_outlast_the_wait(http: Web) -> None:
    """
    By a clock that is true. Every question to a silent service costs its time, but not for each name.
    """
    async with name_servers.over_https(silence) as first, name_servers.over_https(silence) as second:
        (port,) = free_ports(1)
        made = World(
            clock=EventfulClock(), http=http, port=port, recursive=f"{ONE}:{port}", doh=[first.url, second.url]
        )
        clock = SystemClock()
        began = clock.monotonic()
        await made.resolver(clock).wait_for(MANY, kind="TXT", within=dt.timedelta(seconds=1.5))
        assert 1.5 <= clock.monotonic() - began < 3


@pytest.mark.usefixtures("impatient")
async def test_a_hundred_names_at_a_silent_server_do_not_outlast_the_wait(http: Web) -> None:
    """
    As above, where name servers are asked themselves: one is silent, one lacks it all.
    """
    async with world(http) as made:
        made.servers["ns2"].behave = silence
        clock = SystemClock()
        began = clock.monotonic()
        with pytest.raises(DnsError):
            await made.resolver(clock).wait_for(MANY, kind="TXT", within=dt.timedelta(seconds=1))
        assert 1 <= clock.monotonic() - began < 3


# Giving up


@pytest.mark.usefixtures("impatient")
async def test_whoever_is_cancelled_leaves_nothing_behind(http: Web) -> None:
    """
    In the first round, between rounds, over HTTPS; and the cancellation is not forgotten.
    """
    for deaf in (True, False):
        async with rewritten(http, CACHE, CACHE) as (services, _), world(http) as servers:
            for made in (services, servers):
                if deaf:
                    for server in made.servers.values():
                        server.behave = silence
                for turns in (1, 5, 20, 60, 200):
                    async with asyncio.TaskGroup() as group:
                        task = group.create_task(made.wait(MANY, seconds=1e9))
                        for _ in range(turns):
                            await asyncio.sleep(0)
                        task.cancel()
                    assert task.cancelled()
                assert leftovers.tasks("dns") == []
        assert leftovers.asking_sockets() == 0
