"""
The Aliyun provider against an Alidns on this machine that checks every request as documented.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from tests.support import alidns, aliyun_world
from tests.support.aliyun_world import NAME, RECORD, VALUE, ZONE, World, refused
from tests.support.clock import FakeClock
from tests.support.waiting import until

from gatelodge.dns.aliyun.api import ACTIONS, READS, WRITES, Api
from gatelodge.dns.aliyun.credentials import keys_of
from gatelodge.dns.aliyun.records import Record
from gatelodge.dns.aliyun.zones import AGAIN, FRESH
from gatelodge.ports import HttpResponse, Standing, TxtRecord

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "rr"),
    [
        (NAME, "_acme-challenge.www"),
        ("example.com", "@"),
        ("*.example.com", "*"),
        ("a.b.c.example.com", "a.b.c"),
    ],
)
async def test_a_record_is_added_and_removed_exactly(name: str, rr: str) -> None:
    """
    One request adds; looking and deleting remove. Names are written relative to the zone, `@` for the zone itself.
    """
    record = TxtRecord(zone=ZONE, name=name, value=VALUE)
    async with aliyun_world.running() as world:
        known_as = await world.aliyun.add(record)
        (made,) = world.service.records.values()
        assert (made.id, made.rr, made.type, made.value) == (known_as, rr, "TXT", VALUE)
        assert (made.ttl, made.line) == (600, "default")
        await world.aliyun.remove(record, known_as)
        assert world.service.records == {}
        assert world.requests == "add, look, delete"


@pytest.mark.parametrize("value", ["a+b/c=d", '* ~ % & = \' "x" ?', "ünï©ode", "v=spf1 include:example.net ~all"])
async def test_any_value_is_signed_rightly(value: str) -> None:
    """
    The service escapes and signs by the documentation, not by the SDK.
    """
    record = TxtRecord(zone=ZONE, name=NAME, value=value)
    async with aliyun_world.running() as world:
        known_as = await world.aliyun.add(record)
        assert world.service.values(NAME) == [value]
        await world.aliyun.remove(record, known_as)
        assert world.service.values(NAME) == []


async def test_the_service_refuses_what_is_signed_wrongly() -> None:
    """
    Else its yes would prove nothing: another secret, a nonce for the second time, a request of yesterday.
    """
    async with aliyun_world.running() as world:
        wrong = world.provider(
            access_key_id=aliyun_world.secret(alidns.KEY_ID), access_key_secret=aliyun_world.secret("another-secret")
        )
        problem = (await refused(wrong.add(RECORD), "another-secret")).problem
        assert (problem.type, "SignatureDoesNotMatch" in problem.detail) == ("dnsCredentials", True)
        await world.aliyun.zone_of(NAME)
        signed = dict(world.service.asked[-1])
        for changes, code in [
            ({}, "SignatureNonceUsed"),
            ({"Timestamp": "2020-01-01T00:00:00Z"}, "SignatureDoesNotMatch"),
            ({"Action": "DeleteDomainRecord"}, "SignatureDoesNotMatch"),
            ({"Version": "2014-01-01"}, "InvalidAction.NotFound"),
        ]:
            query = "&".join(f"{name}={aliyun_quoted(value)}" for name, value in (signed | changes).items())
            answer = await world.http.request("POST", f"{world.service.url}/?{query}")
            assert json.loads(answer.body)["Code"] == code


def aliyun_quoted(text: str) -> str:
    """
    Escape as RFC 3986 does.
    """
    return alidns._escaped(text)


async def test_a_value_that_is_there_counts_as_added() -> None:
    """
    Its id is found by exact name, type, value and line, among others that Alidns's filters would find too.
    """
    async with aliyun_world.running() as world:
        world.service.put(ZONE, "_acme-challenge.www", "TXT", "another")
        world.service.put(ZONE, "_acme-challenge.www", "TXT", VALUE, line="telecom")
        world.service.put(ZONE, "x_acme-challenge.www", "TXT", VALUE)
        there = world.service.put(ZONE, "_acme-challenge.www", "TXT", VALUE)
        assert await world.aliyun.add(RECORD) == there.id
        assert len(world.service.records) == 4
        assert world.requests == "add, look"


async def test_a_value_that_is_there_is_found_where_looking_is_forbidden() -> None:
    """
    Then by the list of the zone, whose filter by name finds parts of names: 1 200 of them, in three pages.
    """
    async with aliyun_world.running() as world:
        world.service.forbidden = {"DescribeSubDomainRecords"}
        for number in range(1199):
            world.service.put(ZONE, f"_acme-challenge.www.n{number}", "TXT", VALUE)
        there = world.service.put(ZONE, "_acme-challenge.www", "TXT", VALUE)
        assert await world.aliyun.add(RECORD) == there.id
        assert world.requests == "add, look, search, search, search"


async def test_a_duplicate_that_no_list_shows_yet_is_added_all_the_same() -> None:
    """
    Its id stays unknown, and removing finds it by what it is.
    """
    async with aliyun_world.running() as world:
        world.fault("add", "duplicate")
        assert await world.aliyun.add(RECORD) is None
        assert world.requests == "add, look, search"


async def test_a_value_that_is_switched_off_is_told() -> None:
    """
    Alidns calls it a duplicate, and publishes nothing.
    """
    async with aliyun_world.running() as world:
        world.service.put(ZONE, "_acme-challenge.www", "TXT", VALUE, status="DISABLE")
        problem = (await refused(world.aliyun.add(RECORD))).problem
        assert (problem.type, "switched off" in problem.detail) == ("dnsRecord", True)


async def test_removing_touches_no_other() -> None:
    """
    Not another value, type, line or name; and nothing when ours is not there.
    """
    async with aliyun_world.running() as world:
        for rr, kind, value, line in [
            ("_acme-challenge.www", "TXT", "another", "default"),
            ("_acme-challenge.www", "TXT", VALUE.lower(), "default"),
            ("_acme-challenge.www", "TXT", VALUE, "telecom"),
            ("_acme-challenge", "TXT", VALUE, "default"),
            ("x._acme-challenge.www", "TXT", VALUE, "default"),
            ("_acme-challenge.www", "MX", VALUE, "default"),
        ]:
            world.service.put(ZONE, rr, kind, value, line=line)
        before = dict(world.service.records)
        ours = world.service.put(ZONE, "_acme-challenge.www", "TXT", VALUE)
        await world.aliyun.remove(RECORD, None)
        assert world.service.records == before
        await world.aliyun.remove(RECORD, None)
        await world.aliyun.remove(RECORD, ours.id)
        assert world.service.records == before
        assert world.requests == "look, delete, look, look, called"


@pytest.mark.parametrize("found", ["by its name", "by its id"])
async def test_an_id_that_means_another_record_by_now_deletes_nothing(found: str) -> None:
    """
    A journal may be older than the zone.
    """
    async with aliyun_world.running() as world:
        other = world.service.put(ZONE, "_acme-challenge.www" if found == "by its name" else "mail", "TXT", "precious")
        await world.aliyun.remove(RECORD, other.id)
        assert list(world.service.records) == [other.id]
        ours = world.service.put(ZONE, "_acme-challenge.www", "TXT", VALUE)
        await world.aliyun.remove(RECORD, other.id)
        assert list(world.service.records) == [other.id]
        assert ours.id not in world.service.records


async def test_a_record_that_the_list_lacks_is_removed_by_its_id() -> None:
    """
    A list may lag behind; a record added on another line, before the configuration was changed, is ours too.
    """
    async with aliyun_world.running() as world:
        elsewhere = await world.provider(line="telecom").add(RECORD)
        await world.aliyun.remove(RECORD, elsewhere)
        assert world.service.records == {}


async def test_a_record_of_a_zone_that_is_gone_is_gone() -> None:
    """
    Sweeping after a domain was moved away ends.
    """
    async with aliyun_world.running() as world:
        await world.aliyun.remove(TxtRecord(zone="old.example", name="_acme-challenge.old.example", value=VALUE), "1")
        assert world.requests == "look"


async def test_a_shorter_ttl_is_tried_once() -> None:
    """
    An edition that takes it gets it; one that does not gets 600 s, and is not asked again for that zone.
    """
    async with aliyun_world.running() as world:
        aliyun = world.provider(ttl=60)
        await aliyun.add(RECORD)
        await aliyun.add(TxtRecord(zone=ZONE, name=NAME, value="two"))
        assert {each.ttl for each in world.service.records.values()} == {600}
        assert world.requests == "add, add, add"
        world.service.least_ttl = 1
        await world.provider(ttl=60).add(TxtRecord(zone=ZONE, name=NAME, value="three"))
        assert [each.ttl for each in world.service.records.values()] == [600, 600, 60]
        problem = (await refused(world.provider(ttl=90000).add(TxtRecord(zone=ZONE, name=NAME, value="four")))).problem
        assert (problem.type, "`ttl`" in problem.detail) == ("dnsRecord", True)


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("example.com", "example.com"),
        ("_acme-challenge.www.example.com", "example.com"),
        ("_acme-challenge.lab.example.com", "lab.example.com"),
        ("a.lab.example.com", "lab.example.com"),
        ("notlab.example.com", "example.com"),
        ("_acme-challenge.xn--fsqu00a.example", "xn--fsqu00a.example"),
        ("www.xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
async def test_the_longest_zone_holds_a_name(name: str, zone: str) -> None:
    """
    Zones within zones are told apart, by whole labels. A zone in Unicode is known by its A-labels, given or not.
    """
    async with aliyun_world.running("example.com", "Lab.Example.com", "例子.example", "bücher.example") as world:
        world.service.puny["例子.example"] = "xn--fsqu00a.example"
        assert await world.aliyun.zone_of(name) == zone


async def test_a_zone_in_unicode_is_written_as_alidns_writes_it() -> None:
    """
    Records go into the zone by its own spelling.
    """
    record = TxtRecord(zone="xn--fsqu00a.example", name="_acme-challenge.xn--fsqu00a.example", value=VALUE)
    async with aliyun_world.running("例子.example") as world:
        world.service.puny["例子.example"] = "xn--fsqu00a.example"
        known_as = await world.aliyun.add(record)
        (made,) = world.service.records.values()
        assert (made.zone, made.rr) == ("例子.example", "_acme-challenge")
        assert await world.aliyun.name_servers("xn--fsqu00a.example") == frozenset(alidns.SERVERS)
        await world.aliyun.remove(record, known_as)
        assert world.service.records == {}


async def test_a_zone_within_a_zone_holds_its_own_records() -> None:
    """
    The same full name can stand in both; only the one asked for is seen.
    """
    record = TxtRecord(zone="lab.example.com", name="_acme-challenge.lab.example.com", value=VALUE)
    async with aliyun_world.running("example.com", "lab.example.com") as world:
        parent = world.service.put("example.com", "_acme-challenge.lab", "TXT", VALUE)
        await world.aliyun.remove(record, await world.aliyun.add(record))
        await world.aliyun.remove(record, None)
        assert list(world.service.records) == [parent.id]


async def test_many_zones_are_listed_once_for_all() -> None:
    """
    250 zones are three pages; fifty who ask at once share them; the list is good for ten minutes.
    """
    async with aliyun_world.running(*(f"z{number}.example" for number in range(250))) as world:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(world.aliyun.zone_of(f"www.z{number}.example")) for number in range(200, 250)]
        assert [each.result() for each in asked] == [f"z{number}.example" for number in range(200, 250)]
        assert world.requests == "zones, zones, zones"
        world.clock.elapsed += FRESH - 10
        await world.aliyun.zone_of("z1.example")
        assert world.requests == "zones, zones, zones"
        world.clock.elapsed += 20
        await world.aliyun.zone_of("z1.example")
        assert world.service.counts == {"DescribeDomains": 6}


async def test_a_failed_list_answers_all_who_waited_for_it() -> None:
    """
    A dead Alidns costs its patience once, not once for each name.
    """
    async with aliyun_world.running() as world:
        world.fault("zones", *["503"] * 5)
        names = [f"_acme-challenge.n{number}.{ZONE}" for number in range(10)]
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(refused(world.aliyun.zone_of(name))) for name in names]
        assert {each.result().problem.type for each in asking} == {"dnsProvider"}
        assert world.service.counts == {"DescribeDomains": 5}
        assert await world.aliyun.zone_of(NAME) == ZONE


async def test_a_new_zone_is_noticed() -> None:
    """
    A name that no known zone holds has the list asked for again, unless that was just done.
    """
    async with aliyun_world.running() as world:
        problem = (await refused(world.aliyun.zone_of("www.new.example"))).problem
        assert problem.type == "dnsZone"
        for words in ("www.new.example", "home", ZONE, "Alidns console"):
            assert words in problem.detail
        assert world.requests == "zones"
        world.service.zone("new.example")
        await refused(world.aliyun.zone_of("www.new.example"))
        assert world.requests == "zones"
        world.clock.elapsed += AGAIN + 1
        assert await world.aliyun.zone_of("www.new.example") == "new.example"
        assert world.requests == "zones, zones"


async def test_a_zone_that_went_elsewhere_is_forgotten() -> None:
    """
    When Alidns says that a zone is not there, the list is asked for again.
    """
    async with aliyun_world.running("example.com", "www.example.com") as world:
        assert await world.aliyun.zone_of(NAME) == "www.example.com"
        del world.service.zones["www.example.com"]
        await refused(world.aliyun.add(TxtRecord(zone="www.example.com", name=NAME, value=VALUE)))
        assert await world.aliyun.zone_of(NAME) == "example.com"


async def test_name_servers_come_with_the_list() -> None:
    """
    In lower case without a final dot; asked for one by one only where the list lacks them, and once.
    """
    async with aliyun_world.running() as world:
        world.service.zones[ZONE] = ("NS1.AliDNS.test.", "ns2.alidns.test")
        assert await world.aliyun.name_servers(ZONE) == frozenset({"ns1.alidns.test", "ns2.alidns.test"})
        assert world.requests == "zones"
        world.service.zones["bare.example"] = ()
        world.clock.elapsed += FRESH + 1
        assert await world.aliyun.name_servers("bare.example") is None
        assert world.requests == "zones, zones, info"
        world.service.forbidden = {"DescribeDomainInfo"}
        assert await world.aliyun.name_servers("bare.example") is None


async def test_addresses_are_read_and_written() -> None:
    """
    Canonical values; others lines and records that are switched off do not count; an update keeps the record and its TTL.
    """
    async with aliyun_world.running() as world:
        old = world.service.put(ZONE, "www", "A", "192.0.2.1", ttl=1200)
        world.service.put(ZONE, "www", "A", "192.0.2.2", line="telecom")
        world.service.put(ZONE, "www", "AAAA", "2001:DB8:0::9", status="DISABLE")
        name = f"www.{ZONE}"
        assert await world.aliyun.standing(ZONE, name) == Standing(ipv4=frozenset({"192.0.2.1"}))
        await world.aliyun.set_address(ZONE, name, "192.0.2.7", instead_of="192.0.2.1")
        changed = world.service.records[old.id]
        assert (changed.value, changed.ttl) == ("192.0.2.7", 1200)
        await world.aliyun.set_address(ZONE, name, "192.0.2.7", instead_of="192.0.2.1")
        await world.aliyun.set_address(ZONE, name, "2001:DB8::0:1", instead_of=None)
        assert await world.aliyun.standing(ZONE, name) == Standing(
            ipv4=frozenset({"192.0.2.7"}), ipv6=frozenset({"2001:db8::1"})
        )
        assert len(world.service.records) == 4
        world.service.put(ZONE, "go", "CNAME", "Home.Example.NET.")
        assert (await world.aliyun.standing(ZONE, f"go.{ZONE}")).cname == "home.example.net"


@pytest.mark.parametrize(
    ("there", "instead_of"),
    [
        ([("A", "192.0.2.9")], "192.0.2.1"),
        ([("A", "192.0.2.9")], None),
        ([("A", "192.0.2.1"), ("A", "192.0.2.9")], "192.0.2.1"),
        ([("CNAME", "home.example.net")], None),
        ([], "192.0.2.1"),
    ],
)
async def test_other_addresses_are_left_alone(there: list[tuple[str, str]], instead_of: str | None) -> None:
    """
    What stands there is told, and nothing is written.
    """
    async with aliyun_world.running() as world:
        for kind, value in there:
            world.service.put(ZONE, "www", kind, value)
        before = dict(world.service.records)
        work = world.aliyun.set_address(ZONE, f"www.{ZONE}", "192.0.2.7", instead_of=instead_of)
        problem = (await refused(work)).problem
        assert problem.type == "dnsRecord"
        for _, value in there:
            assert value in problem.detail
        assert world.service.records == before


async def test_an_update_whose_answer_was_lost_is_done() -> None:
    """
    The second finds a duplicate: what the first one wrote.
    """
    async with aliyun_world.running() as world:
        world.service.put(ZONE, "www", "A", "192.0.2.1")
        world.fault("update", "dropped after the write")
        await world.aliyun.set_address(ZONE, f"www.{ZONE}", "192.0.2.7", instead_of="192.0.2.1")
        assert world.service.values(f"www.{ZONE}", "A") == ["192.0.2.7"]
        assert world.requests == "look, update, update, look"


@pytest.mark.parametrize("fault", ["hangs before the write", "hangs after the write"])
async def test_cancelling_while_a_record_is_added(fault: str) -> None:
    """
    It ends at once. Whatever is there by then is removed by what it is, as after a crash.
    """
    async with aliyun_world.running() as world:
        world.fault("add", fault)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(world.aliyun.add(RECORD))
            await until(world.service.reached.is_set)
            task.cancel()
        assert task.cancelled()
        await world.aliyun.remove(RECORD, None)
        assert world.service.records == {}
        assert await world.aliyun.add(RECORD) is not None


async def test_cancelling_who_lists_the_zones_leaves_it_to_the_next() -> None:
    """
    Nobody waits for a list that nobody asks for.
    """
    async with aliyun_world.running() as world:
        world.fault("zones", "hangs before the write")
        async with asyncio.TaskGroup() as group:
            first = group.create_task(world.aliyun.zone_of(NAME))
            await until(world.service.reached.is_set)
            second = group.create_task(world.aliyun.zone_of(NAME))
            first.cancel()
        assert second.result() == ZONE


class Counting:
    """
    An HTTP client that answers at once, and remembers when it was asked.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.times: list[float] = []

    async def request(self, method: str, url: str, **_: object) -> HttpResponse:
        del method, url
        self.times.append(self.clock.monotonic())
        return HttpResponse(status=200, headers={}, body=b'{"RequestId": "1"}')


@pytest.mark.parametrize(("action", "rate"), [("DeleteDomainRecord", WRITES), ("DescribeDomainRecordInfo", READS)])
async def test_requests_keep_to_a_rate(action: str, rate: float) -> None:
    """
    A hundred at once take their time, after the few that may come together; none fails for having waited.
    """
    clock = FakeClock()
    http = Counting(clock)
    secrets = {"access_key_id": aliyun_world.secret("a"), "access_key_secret": aliyun_world.secret("b")}
    api = Api(endpoint=None, keys=keys_of(secrets, http=http, clock=clock), http=http, clock=clock, spread=lambda: 0.5)
    together = int(rate / 2)
    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(api.call(action, {"RecordId": number}, what="x"))
        await until(lambda: clock.sleeping == 100 - together)
        await clock.advance(100 / rate)
    assert len(http.times) == 100
    assert http.times.count(0) == together
    assert max(sum(at <= other < at + 1 for other in http.times) for at in http.times) <= 1.5 * rate
    assert http.times[-1] == pytest.approx((100 - together) / rate)


async def test_every_try_is_signed_anew() -> None:
    """
    Alidns takes a nonce once.
    """
    async with aliyun_world.running() as world:
        world.fault("add", *["throttled"] * 4)
        await world.aliyun.add(RECORD)
        assert len({each["SignatureNonce"] for each in world.service.asked}) == 5


def test_the_policy_in_the_docs_allows_what_is_asked() -> None:
    """
    No action is missing, and none is there without need.
    """
    text = (REPOSITORY / "docs" / "aliyun.md").read_text(encoding="utf-8")
    policy = json.loads(next(re.finditer(r"```json\n(.*?)```", text, re.DOTALL))[1])
    allowed = {action.removeprefix("alidns:") for each in policy["Statement"] for action in each["Action"]}
    assert allowed == set(ACTIONS)
    assert {each["Effect"] for each in policy["Statement"]} == {"Allow"}
    # RAM knows no domain for the list of domains; whatever changes a record is for the user's own domain.
    for each in policy["Statement"]:
        wide = each["Action"] == ["alidns:DescribeDomains"]
        assert each["Resource"] == ("*" if wide else ["acs:alidns:*:*:domain/EXAMPLE.COM"])


async def test_a_hundred_names_at_once() -> None:
    """
    Together with their removal; nothing is left, and every id was its own.
    """
    records = [TxtRecord(zone=ZONE, name=f"_acme-challenge.n{number}.{ZONE}", value=VALUE) for number in range(100)]
    async with aliyun_world.running() as world:
        known = await at_once(world, records)
        assert len(set(known)) == 100
        async with asyncio.TaskGroup() as group:
            for record, known_as in zip(records, known, strict=True):
                group.create_task(world.aliyun.remove(record, known_as))
        assert world.service.records == {}
        assert world.service.counts == {
            "AddDomainRecord": 100, "DescribeSubDomainRecords": 100, "DeleteDomainRecord": 100
        }  # fmt: skip


async def at_once(world: World, records: list[TxtRecord]) -> list[str | None]:
    """
    Add records at the same time.
    """
    async with asyncio.TaskGroup() as group:
        adding = [group.create_task(world.aliyun.add(record)) for record in records]
    return [each.result() for each in adding]


def test_a_record_is_shown_as_people_write_it() -> None:
    """
    In errors about what stands in the way.
    """
    record = Record(id="1", kind="A", value="192.0.2.1", line="default", ttl=600, enabled=True)
    assert str(record) == "A 192.0.2.1"
