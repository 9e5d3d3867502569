"""
Where names lead and which zone holds them, as the world sees it, also where a home's network is in the way.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
from tests.support import bind, leftovers, name_servers
from tests.support.name_servers import NameServer, Records, refusing, reply, silence
from tests.support.quick_clock import QuickClock

from gatelodge.demo.ports import free_ports
from gatelodge.dns import asking
from gatelodge.dns.caches import DOH
from gatelodge.dns.resolver import MOST_ADDRESSES, MOST_CNAMES, PublicResolver, Zone
from gatelodge.errors import DnsError, Problem
from gatelodge.ports import Authority
from gatelodge.runtime.system import Web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.support.name_servers import Behaviour

pytestmark = pytest.mark.live

ZONE, SUB, OTHER = "example.org", "lab.example.org", "other.test"
AT = f"_acme-challenge.{ZONE}"
ONE, TWO = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Limits that a test can wait for.
    """
    for limit in ("_UDP_SECONDS", "_TCP_SECONDS"):
        monkeypatch.setattr(asking, limit, 0.15)


@pytest.fixture
def impatient_over_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    As above, of services.
    """
    monkeypatch.setattr(asking, "_DOH_SECONDS", 0.15)


@pytest.fixture
async def http() -> AsyncIterator[Web]:
    """
    The HTTP client.
    """
    async with Web() as web:
        yield web


def resolver(
    http: Web, *servers: str, port: int, doh: Sequence[str] = (), clock: QuickClock | None = None
) -> PublicResolver:
    """
    Return a resolver.
    """
    return PublicResolver(servers=servers, doh=doh, http=http, clock=clock or QuickClock(), port=port)


async def problem(asked: object) -> Problem:
    """
    Return the problem with which a look-up ends.
    """
    with pytest.raises(DnsError) as caught:
        await asked  # type: ignore[misc]
    return caught.value.problem


@contextlib.asynccontextmanager
async def world(
    records: Records, *, recursive: Behaviour | None = None, address: str = ONE, behave: Behaviour | None = None
) -> AsyncIterator[tuple[NameServer, NameServer]]:
    """
    Run a resolver and a name server, on one port.
    """
    (port,) = free_ports(1)
    async with (
        name_servers.running(recursive or records.of_resolver, port=port) as first,
        name_servers.running(behave or records.of_authority, address=address, port=port) as second,
    ):
        yield first, second


def home(**servers: str) -> Records:
    """
    Return a zone with a name server.
    """
    records = Records(ZONE)
    records.served_by(**(servers or {"ns1": ONE}))
    return records


# Zones


async def test_the_zone_of_a_name_in_real_name_servers(http: Web, tmp_path: Path) -> None:
    """
    By its SOA: at the zone's own name, below it, below names that are not there, and in a zone inside of the zone.
    """
    async with name_servers.binds(tmp_path, {"ns1": "127.0.0.1", "ns2": TWO, "six": "::1"}, ZONE, SUB) as servers:
        first = servers["ns1"]
        looking = resolver(http, first.server, port=first.port)
        for name, zone in (
            (ZONE, ZONE), (AT, ZONE), (f"a.b.c.{ZONE}", ZONE), (f"*.{ZONE}", ZONE), (SUB, SUB), (f"_acme-challenge.x.{SUB}", SUB),
        ):  # fmt: skip
            assert await looking.authority(name) == Authority(
                zone=zone, servers=frozenset({f"{label}.{zone}" for label in servers})
            )
        zone = await looking.zone(AT)
        assert set(zone.addresses) == {(f"ns1.{ZONE}", "127.0.0.1"), (f"ns2.{ZONE}", TWO), (f"six.{ZONE}", "::1")}
        assert zone.direct
        assert not zone.public


async def test_a_zone_that_is_delegated_to_others(http: Web) -> None:
    """
    Whose parent's servers know nothing of it.
    """
    parent, child = home(ns1=ONE), Records(SUB)
    child.served_by(ns=TWO)
    both = Records(ZONE, SUB)
    both.held = {**parent.held, **child.held}
    child.add(f"_acme-challenge.{SUB}", "CNAME", f"answers.{SUB}.")
    async with (
        world(parent, recursive=both.of_resolver) as (recursive, _),
        name_servers.running(child.of_authority, address=TWO, port=recursive.port),
    ):
        looking = resolver(http, recursive.server, port=recursive.port)
        assert await looking.authority(f"x.{SUB}") == Authority(zone=SUB, servers=frozenset({f"ns.{SUB}"}))
        assert (await looking.authority(ZONE)).zone == ZONE
        # The child's own server tells where it leads: the resolver does not know it yet.
        assert await looking.canonical(f"_acme-challenge.{SUB}") == f"answers.{SUB}"


async def test_names_that_no_zone_holds(http: Web) -> None:
    """
    A domain that nobody registered, a top-level domain, and a resolver that knows nothing at all.
    """
    root = dns.rrset.from_text(".", 60, "IN", "SOA", "a. b. 1 2 3 4 5")

    def behave(query: dns.message.Message, _: str) -> dns.message.Message:
        said = reply(query, authoritative=False)
        said.set_rcode(dns.rcode.NXDOMAIN)
        said.authority.append(root)
        return said

    for behaviour in (behave, refusing(dns.rcode.NXDOMAIN), refusing(dns.rcode.NOERROR)):
        async with name_servers.running(behaviour) as server:
            looking = resolver(http, server.server, port=server.port)
            for name in ("x.nobody.test", "com", "."):
                found = await problem(looking.authority(name))
                assert found.type == "dnsZone"
                assert f"{name}: the public DNS has no zone that holds it" in found.detail


async def test_a_soa_of_somewhere_else_makes_no_zone(http: Web) -> None:
    """
    A resolver that answers for everything with a zone of its own, or with the root.
    """
    for owner in (".", "evil.test.", f"www.{ZONE}."):
        soa = dns.rrset.from_text(owner, 60, "IN", "SOA", "a. b. 1 2 3 4 5")
        async with name_servers.running(lambda query, _, soa=soa: reply(query, soa)) as server:  # type: ignore[misc]
            assert (await problem(resolver(http, server.server, port=server.port).authority(AT))).type == "dnsZone"


async def test_what_was_found_is_good_for_a_minute(http: Web) -> None:
    """
    A certificate's check, order and wait ask three times for each name; the resolver is asked once. Later it is looked at again.
    """
    clock = QuickClock()
    async with world(home()) as (recursive, server):
        looking = resolver(http, recursive.server, port=recursive.port, clock=clock)
        for _ in range(3):
            await looking.canonical(AT)
            await looking.authority(AT)
        assert recursive.names("SOA") == [AT]
        assert server.names("SOA") == [ZONE]
        clock.elapsed += 61
        await looking.authority(AT)
        assert recursive.names("SOA") == [AT] * 2
        assert server.names("SOA") == [ZONE] * 2


async def test_a_hundred_names_explore_their_zone_once(http: Web) -> None:
    """
    All at once.
    """
    async with world(home()) as (recursive, server):
        looking = resolver(http, recursive.server, port=recursive.port)
        names = [f"_acme-challenge.n{number}.{ZONE}" for number in range(100)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(looking.authority(name)) for name in names]
        assert {task.result().zone for task in tasks} == {ZONE}
        assert sorted(recursive.names("SOA")) == sorted(names)
        assert recursive.names("NS") == [ZONE]
        assert server.names("SOA") == [ZONE]


async def test_a_zone_with_a_thousand_name_servers_is_a_joke(http: Web) -> None:
    """
    Not all are asked.
    """
    records = home()
    for number in range(1000):
        records.add(ZONE, "NS", f"x{number}.{ZONE}.")
        records.add(f"x{number}.{ZONE}", "A", f"127.1.{number // 250}.{number % 250 + 1}")
    async with world(records) as (recursive, _):
        looking = resolver(http, recursive.server, port=recursive.port)
        assert len((await looking.zone(AT)).addresses) <= MOST_ADDRESSES
        assert len(recursive.names("A")) <= MOST_ADDRESSES


@pytest.mark.usefixtures("impatient")
async def test_poisonous_addresses_of_name_servers(http: Web) -> None:
    """
    Broadcast, nowhere, link-local, multicast, this machine's own resolver: tried or not, they are no reason to fail.
    """
    records = home()
    for number, address in enumerate(("255.255.255.255", "fe80::1", "ff02::1", "::", "::ffff:127.0.0.2", "127.0.0.1")):
        records.add(ZONE, "NS", f"x{number}.{ZONE}.")
        records.add(f"x{number}.{ZONE}", "AAAA" if ":" in address else "A", address)
    records.add(ZONE, "NS", ".", "no-address.test.")
    async with world(records) as (recursive, _):
        zone = await resolver(http, recursive.server, port=recursive.port).zone(AT)
        assert zone.direct
        assert (f"ns1.{ZONE}", ONE) in zone.addresses
        assert (f"x5.{ZONE}", "127.0.0.1") not in zone.addresses  # it answers, but not for itself


# CNAMEs


async def test_where_names_lead_in_a_real_name_server(http: Web, tmp_path: Path) -> None:
    """
    Nowhere else, along a chain, into another zone, to a name that is not there, to a domain that is not there.
    """
    async with bind.running(tmp_path, zones=(ZONE, OTHER), hosts=None) as server:
        leads = {
            f"a.{ZONE}": f"b.{ZONE}", f"b.{ZONE}": f"c.{OTHER}", f"c.{OTHER}": f"d.{OTHER}",
            f"gone.{ZONE}": f"nobody.{OTHER}", f"away.{ZONE}": "x.unregistered.test",
        }  # fmt: skip
        for name, target in leads.items():
            await server.update(".".join(name.split(".")[1:]), ("add", f"{name}.", "60", "CNAME", f"{target}."))
        looking = resolver(http, server.server, port=server.port)
        for name, end in (
            (AT, AT), (ZONE, ZONE), (f"a.{ZONE}", f"d.{OTHER}"), (f"gone.{ZONE}", f"nobody.{OTHER}"),
            (f"away.{ZONE}", "x.unregistered.test"),
        ):  # fmt: skip
            if end == "x.unregistered.test":
                # This name server refuses to speak of it, and a resolver would not: nothing is known.
                assert (await problem(looking.canonical(name))).type == "dnsProvider"
            else:
                assert await looking.canonical(name) == end


async def test_cnames_without_an_end(http: Web) -> None:
    """
    In a circle, at themselves, and through ever new names; the text names some of them.
    """
    records = home()
    records.add(f"a.{ZONE}", "CNAME", f"b.{ZONE}.")
    records.add(f"b.{ZONE}", "CNAME", f"c.{ZONE}.")
    records.add(f"c.{ZONE}", "CNAME", f"b.{ZONE}.")
    records.add(f"self.{ZONE}", "CNAME", f"SELF.{ZONE}.")
    for number in range(MOST_CNAMES + 5):
        records.add(f"n{number}.{ZONE}", "CNAME", f"n{number + 1}.{ZONE}.")
    async with world(records) as (recursive, _):
        looking = resolver(http, recursive.server, port=recursive.port)
        circle = await problem(looking.canonical(f"a.{ZONE}"))
        assert circle.type == "dnsRecord"
        assert circle.detail == (
            f"a.{ZONE}: CNAME records lead in a circle: a.{ZONE} → b.{ZONE} → c.{ZONE} → b.{ZONE}; remove or mend one of them"
        )
        assert "in a circle" in (await problem(looking.canonical(f"self.{ZONE}"))).detail
        endless = await problem(looking.canonical(f"n0.{ZONE}"))
        assert endless.type == "dnsRecord"
        assert f"through more than {MOST_CNAMES} CNAMEs: n0.{ZONE}" in endless.detail
        assert await looking.canonical(f"n10.{ZONE}") == f"n{MOST_CNAMES + 5}.{ZONE}"


@pytest.mark.parametrize(
    "target", [".", "\\000\\255.test.", "a\\.b.test.", "*.test.", "\\@.test.", "x" * 63 + ".test."]
)
async def test_strange_targets(http: Web, target: str) -> None:
    """
    Whatever a CNAME says, it is followed or told, never an error of the program.
    """
    records = home()
    records.add(AT, "CNAME", target)
    async with world(records) as (recursive, _):
        looking = resolver(http, recursive.server, port=recursive.port)
        end = await looking.canonical(AT)
        assert end == target.removesuffix(".") or end == "."
        assert (await problem(looking.authority(end))).type == "dnsZone"


async def test_a_name_that_is_too_long(http: Web) -> None:
    """
    `_acme-challenge.` before a name that is just short enough makes one that is not.
    """
    name = "_acme-challenge." + ".".join(["y" * 62] * 4) + ".test"
    looking = resolver(http, port=9)
    for asked in (looking.canonical(name), looking.authority(name)):
        assert "is no name that the DNS can hold" in (await problem(asked)).detail


async def test_the_look_goes_past_the_cache(http: Web) -> None:
    """
    What a resolver remembers of a CNAME that was changed is not what the CA will see.
    """
    records, remembered = home(), home()
    records.add(AT, "CNAME", f"new.{ZONE}.")
    remembered.add(AT, "CNAME", f"old.{ZONE}.")
    async with world(records, recursive=remembered.of_resolver) as (recursive, _):
        assert await resolver(http, recursive.server, port=recursive.port).canonical(AT) == f"new.{ZONE}"


# A network in the way


def router(records: Records) -> Behaviour:
    """
    Return what many routers do: whoever is asked, their own resolver answers.
    """
    return records.of_resolver


async def test_a_network_that_answers_for_every_server_is_noticed(http: Web) -> None:
    """
    There is no AA flag. DNS-over-HTTPS knows no better of the servers, but the look-ups go there.
    """
    records, seen = home(), home()
    seen.add(AT, "CNAME", f"seen-by-the-world.{ZONE}.")
    async with (
        world(records, behave=router(records)) as (recursive, server),
        name_servers.over_https(seen.of_resolver) as doh,
    ):
        looking = resolver(http, recursive.server, port=recursive.port, doh=[doh.url])
        zone = await looking.zone(AT)
        assert (zone.name, zone.direct, zone.addresses) == (ZONE, False, ())
        assert zone.servers == {f"ns1.{ZONE}"}
        assert await looking.canonical(AT) == f"seen-by-the-world.{ZONE}"
        assert server.names("CNAME") == []


async def test_one_server_of_several_that_is_not_itself(http: Web) -> None:
    """
    It is left out; the others are asked themselves.
    """
    records = home(ns1=ONE, ns2=TWO)
    async with (
        world(records) as (recursive, _),
        name_servers.running(router(records), address=TWO, port=recursive.port),
    ):
        zone = await resolver(http, recursive.server, port=recursive.port).zone(AT)
        assert (zone.direct, zone.addresses) == (True, ((f"ns1.{ZONE}", ONE),))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("lie", ["address", "nothing", "nxdomain", "garbage"])
async def test_a_resolver_that_lies_is_overruled(http: Web, lie: str) -> None:
    """
    Its own address for every name, nothing for every name, no name at all, no DNS at all: what HTTPS says counts.
    """

    def behave(query: dns.message.Message, _: str) -> dns.message.Message | bytes:
        said = reply(query, authoritative=lie == "address")
        if lie == "garbage":
            return b"\0" * 12
        if lie == "address":
            said.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "127.0.0.1"))
        if lie == "nxdomain":
            said.set_rcode(dns.rcode.NXDOMAIN)
        return said

    records = home()
    records.add(AT, "CNAME", f"answers.{ZONE}.")
    async with (
        world(records, recursive=behave) as (recursive, _),
        name_servers.over_https(records.of_resolver) as doh,
    ):
        looking = resolver(http, recursive.server, port=recursive.port, doh=[doh.url])
        zone = await looking.zone(AT)
        assert (zone.name, zone.direct) == (ZONE, True)
        assert await looking.canonical(AT) == f"answers.{ZONE}"


async def test_a_zone_with_a_view_of_its_own_for_the_lan(http: Web) -> None:
    """
    The name server in the LAN has a private address: the world sees others, and the world's are asked. Without
    DNS-over-HTTPS the LAN's is all there is.
    """
    lan, world_wide = home(ns1=ONE), home(ns=TWO)
    lan.add(AT, "CNAME", f"inside.{ZONE}.")
    world_wide.add(AT, "CNAME", f"outside.{ZONE}.")
    async with (
        world(lan) as (recursive, _),
        name_servers.running(world_wide.of_authority, address=TWO, port=recursive.port),
        name_servers.over_https(world_wide.of_resolver) as doh,
    ):
        looking = resolver(http, recursive.server, port=recursive.port, doh=[doh.url])
        assert await looking.canonical(AT) == f"outside.{ZONE}"
        assert (await looking.authority(AT)).servers == {f"ns.{ZONE}"}
        alone = resolver(http, recursive.server, port=recursive.port)
        assert await alone.canonical(AT) == f"inside.{ZONE}"


async def test_a_public_server_is_enough_for_the_first_look() -> None:
    """
    Then nobody else has to be asked.
    """
    private = Zone(name=ZONE, servers=frozenset(), addresses=(("ns1", "192.168.1.1"), ("ns2", "fd00::1")), direct=True)
    public = Zone(name=ZONE, servers=frozenset(), addresses=(("ns1", "192.168.1.1"), ("ns2", "8.8.8.8")), direct=True)
    assert (private.public, public.public) == (False, True)
    assert all(url.startswith("https://") for url in DOH)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("silent", [True, False], ids=["silent", "closed"])
async def test_a_blocked_port_costs_a_hundred_names_no_more_than_one(http: Web, *, silent: bool) -> None:
    """
    Two resolvers of which nothing comes: learned once, and then all look-ups go over HTTPS. Each name was looked up three times.
    """
    records = home(ns1="127.0.0.9")
    (port,) = free_ports(1)
    async with contextlib.AsyncExitStack() as stack:
        mute = [
            await stack.enter_async_context(name_servers.running(silence, address=address, port=port))
            for address in ((ONE, TWO, "127.0.0.9") if silent else ())
        ]
        doh = await stack.enter_async_context(name_servers.over_https(records.of_resolver))
        looking = resolver(http, f"{ONE}:{port}", f"{TWO}:{port}", port=port, doh=[doh.url])

        async def look(name: str) -> None:
            assert await looking.canonical(name) == name
            assert (await looking.authority(name)).zone == ZONE
            assert not (await looking.zone(name)).direct

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(look(f"_acme-challenge.n{number}.{ZONE}"))
        assert len(doh.names("SOA")) == 100
        # What was on its way when the first one had waited in vain, by UDP and TCP, and no more.
        assert all(0 < len(each.asked) <= 2 * asking.AT_ONCE for each in mute)


@pytest.mark.usefixtures("impatient")
async def test_the_next_resolver_is_asked(http: Web) -> None:
    """
    When the first is silent, or cannot tell.
    """
    records = home()
    for first in (silence, refusing(dns.rcode.SERVFAIL), refusing(dns.rcode.REFUSED)):
        async with (
            world(records) as (second, _),
            name_servers.running(first, address=TWO, port=second.port) as bad,
        ):
            looking = resolver(http, bad.server, second.server, port=second.port)
            assert (await looking.authority(AT)).zone == ZONE


@pytest.mark.usefixtures("impatient")
async def test_nothing_answers(http: Web) -> None:
    """
    The text says who was asked and what each did.
    """
    async with (
        name_servers.running(silence) as deaf,
        name_servers.running(refusing(dns.rcode.SERVFAIL), address=TWO) as broken,
        name_servers.over_https(refusing(dns.rcode.NOERROR), status=502) as doh,
    ):
        looking = resolver(http, deaf.server, broken.server, port=deaf.port, doh=[doh.url])
        found = await problem(looking.authority(AT))
        assert found.type == "dnsProvider"
        assert found.detail == (
            f"{AT}: its zone cannot be looked up: DNS servers: 127.0.0.1: no answer (UDP: nothing within 0.15 s; TCP: nothing "
            f"within 0.15 s), {TWO}: SERVFAIL (it cannot tell); DNS over HTTPS: {doh.url}: it answered with status 502; look at "
            "this machine's network, or name other servers in [resolver]"
        )
        led = await problem(looking.canonical(AT))
        assert led.type == "dnsProvider"
        assert "whether it is a CNAME cannot be looked up" in led.detail
        assert TWO in led.detail


async def test_a_machine_without_resolvers(http: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An empty resolv.conf, and no services: that is what is said.
    """
    monkeypatch.setattr("gatelodge.dns.caches._own_servers", lambda: ())
    found = await problem(resolver(http, port=9).authority(AT))
    assert "DNS servers: none is known; DNS over HTTPS: no service is named" in found.detail


async def test_the_machines_own_resolvers(http: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    As resolv.conf(5) names them at the moment of the question, since a home's router may change them.
    """
    conf = tmp_path / "resolv.conf"
    real = dns.resolver.Resolver
    monkeypatch.setattr(dns.resolver, "Resolver", lambda: real(filename=str(conf)))
    own = resolver(http, port=9)
    for text, said in (
        ("nameserver 127.0.0.9\n", "127.0.0.9: no answer"),
        ("nameserver 127.0.0.10\n", "127.0.0.10: no answer"),
        ("", "DNS servers: none is known"),
    ):
        await asyncio.to_thread(conf.write_text, text)
        assert said in (await problem(own.authority(AT))).detail


async def test_a_name_server_whose_address_is_not_known(http: Web) -> None:
    """
    Its domain is broken; the zone's others are asked.
    """
    records = home()
    records.add(ZONE, "NS", "ns.broken.test.")

    def behave(query: dns.message.Message, way: str) -> dns.message.Message:
        broken = "broken" in str(query.question[0].name)
        return refusing(dns.rcode.SERVFAIL)(query, way) if broken else records.of_resolver(query, way)  # type: ignore[return-value]

    async with world(records, recursive=behave) as (recursive, _):
        zone = await resolver(http, recursive.server, port=recursive.port).zone(AT)
        assert (zone.direct, zone.addresses) == (True, ((f"ns1.{ZONE}", ONE),))
        assert zone.servers == {f"ns1.{ZONE}", "ns.broken.test"}


@pytest.mark.usefixtures("impatient_over_https")
async def test_services_that_are_down_are_passed_over(http: Web) -> None:
    """
    The next is asked; those that were asked for names before there was anything to find are marked, for they may remember.
    """
    clock = QuickClock()
    records = home()
    down = f"http://127.0.0.1:{free_ports(1)[0]}/dns-query"
    async with (
        name_servers.over_https(silence) as deaf,
        name_servers.over_https(records.of_resolver) as second,
        name_servers.over_https(records.of_resolver) as third,
    ):
        services = [down, deaf.url, second.url, third.url]
        looking = resolver(http, f"{ONE}:9", port=free_ports(1)[0], doh=services, clock=clock)
        assert {url for url, spoilt in looking.services if spoilt} == set()
        assert await looking.canonical(AT) == AT
        assert third.asked == []
        assert looking.services == ((down, False), (deaf.url, False), (third.url, False), (second.url, True))
        clock.elapsed += 3601
        assert all(not spoilt for _, spoilt in looking.services)


async def test_whoever_is_cancelled_leaves_nothing_behind(http: Web) -> None:
    """
    In the middle of exploring a zone; the next one who asks is answered.
    """
    records = home(ns1=ONE, ns2=TWO)
    silent = asyncio.Event()

    def behave(query: dns.message.Message, way: str) -> dns.message.Message | None:
        return records.of_resolver(query, way) if silent.is_set() else None

    async with world(records, recursive=behave) as (recursive, _):
        looking = resolver(http, recursive.server, port=recursive.port)
        for turns in (1, 5, 20, 100):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(looking.authority(f"n{number}.{ZONE}")) for number in range(3)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
            assert all(task.cancelled() for task in tasks)
        assert leftovers.tasks("dns") == []
        silent.set()
        assert (await looking.authority(AT)).zone == ZONE
