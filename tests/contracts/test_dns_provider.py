"""
What every DNS provider must do, seen in a real name server into which each of them publishes.

A provider joins with a `Case` of its own: the settings for a server that runs (BIND, where it wants no other), and a context for
whatever service stands between.
What it declares in `PROVIDERS` decides whether the tests of addresses are for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import acme_dns, alidns, bind, pdns, zone_file

from gatelodge.dns.providers import PROVIDERS, Parts
from gatelodge.dns.resolver import PublicResolver
from gatelodge.errors import DnsError
from gatelodge.model import DnsSettings, Secret, SecretRef
from gatelodge.ports import Standing, TxtRecord
from gatelodge.runtime.system import SystemClock, Web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.support.bind import Bind
    from tests.support.zone_file import ZoneFiles

    from gatelodge.ports import AddressProvider, DnsProvider

pytestmark = pytest.mark.live

ZONE, SUB = "example.org", "lab.example.org"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    A provider under test. `server` runs where it publishes.
    """

    provider: str
    settings: Callable[[Any, Path], AbstractAsyncContextManager[DnsSettings]]
    server: Callable[[Path], AbstractAsyncContextManager[Any]] = lambda folder: bind.running(
        folder, zones=(ZONE, SUB), hosts=None
    )
    name: str = f"_acme-challenge.{ZONE}"
    any_name: bool = True
    any_zone: bool = True
    forgets: bool = True


def secret(text: str) -> SecretRef:
    """
    Return a secret that stands in the configuration.
    """
    return SecretRef(literal=Secret(text))


def _rfc2136(algorithm: str) -> Callable[[Bind, Path], AbstractAsyncContextManager[DnsSettings]]:
    @contextlib.asynccontextmanager
    async def settings(server: Bind, _: Path) -> AsyncIterator[DnsSettings]:
        options = {
            "server": (server.address, server.port),
            "key_name": server.key_name(algorithm),
            "key_secret": secret(server.secrets[algorithm]),
            "key_algorithm": algorithm,
        }
        yield DnsSettings(name="home", provider="rfc2136", options=options)

    return settings


@contextlib.asynccontextmanager
async def _exec(server: Bind, folder: Path) -> AsyncIterator[DnsSettings]:
    program = folder / "publish.py"
    program.write_text(
        "import os, sys, dns.query, dns.tsigkeyring, dns.update\n"
        "action, name, value = sys.argv[1:]\n"
        f"ring = dns.tsigkeyring.from_text({{{server.key_name()!r}: ('hmac-sha256', {server.secrets['hmac-sha256']!r})}})\n"
        "update = dns.update.UpdateMessage(os.environ['GATELODGE_ZONE'], keyring=ring)\n"
        "change = (update.add, name + '.', 60) if action == 'add' else (update.delete, name + '.')\n"
        "change[0](*change[1:], 'TXT', '\"' + value + '\"')\n"
        f"sys.exit(dns.query.tcp(update, {server.address!r}, port={server.port}, timeout=10).rcode())\n"
    )
    yield DnsSettings(name="home", provider="exec", options={"command": (sys.executable, str(program))})


@contextlib.asynccontextmanager
async def _acme_dns(server: Bind, _: Path) -> AsyncIterator[DnsSettings]:
    async with acme_dns.running(server, ZONE) as service:
        options = {
            "username": secret(acme_dns.USERNAME),
            "password": secret(acme_dns.PASSWORD),
            "subdomain": acme_dns.SUBDOMAIN,
            "fulldomain": service.domain,
        }
        yield DnsSettings(name="home", provider="acme-dns", options=options, endpoint=service.url)


@contextlib.asynccontextmanager
async def _aliyun(server: Bind, _: Path) -> AsyncIterator[DnsSettings]:
    async with alidns.running(ZONE, SUB) as service:
        service.publish = alidns.into(server)
        options = {"access_key_id": secret(alidns.KEY_ID), "access_key_secret": secret(alidns.KEY_SECRET)}
        yield DnsSettings(name="home", provider="aliyun", options=options, endpoint=service.url)


@contextlib.asynccontextmanager
async def _pdns(folder: Path) -> AsyncIterator[Bind]:
    async with pdns.running(folder, zones=(ZONE, SUB)) as (server, api):
        (folder / "pdns.url").write_text(api.url)
        (folder / "pdns.key").write_text(api.key)
        yield server


@contextlib.asynccontextmanager
async def _powerdns(_: Bind, folder: Path) -> AsyncIterator[DnsSettings]:
    given = {"pdns_server": (folder / "pdns.url").read_text(), "auth_token": SecretRef(file=str(folder / "pdns.key"))}
    yield DnsSettings(name="home", provider="lexicon", options={"service": "powerdns", "options": given})


@contextlib.asynccontextmanager
async def _localzone(files: ZoneFiles, _: Path) -> AsyncIterator[DnsSettings]:
    given = {"filename": str(files.file(ZONE))}
    yield DnsSettings(name="home", provider="lexicon", options={"service": "localzone", "options": given})


CASES = {
    "rfc2136 sha256": Case(provider="rfc2136", settings=_rfc2136("hmac-sha256")),
    "rfc2136 sha512": Case(provider="rfc2136", settings=_rfc2136("hmac-sha512")),
    "exec": Case(provider="exec", settings=_exec),
    "acme-dns": Case(
        provider="acme-dns", settings=_acme_dns, name=f"{acme_dns.SUBDOMAIN}.{ZONE}", any_name=False, forgets=False
    ),
    "aliyun": Case(provider="aliyun", settings=_aliyun),
    "lexicon powerdns": Case(provider="lexicon", settings=_powerdns, server=_pdns),
    "lexicon localzone": Case(
        provider="lexicon",
        settings=_localzone,
        server=lambda folder: zone_file.running(folder, zones=(ZONE, SUB)),
        any_zone=False,
    ),
}
ADDRESSES = {name: case for name, case in CASES.items() if PROVIDERS[case.provider].kind.addresses}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    """
    Each provider in turn.
    """
    found: Case = request.param
    return found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    A provider and the server into which it publishes.
    """

    provider: DnsProvider
    bind: Bind
    case: Case

    def record(self, text: str, name: str | None = None, zone: str = ZONE) -> TxtRecord:
        """
        Return a record with a value as long as dns-01's.
        """
        return TxtRecord(zone=zone, name=name or self.case.name, value=value(text))

    async def values(self, name: str | None = None, zone: str = ZONE) -> set[str]:
        """
        Return the values that are really published under a name.
        """
        return {found for where, found in await self.bind.txt(zone) if where == (name or self.case.name)}


def value(text: str) -> str:
    """
    Return 43 characters that stand for a text.
    """
    return hashlib.sha256(text.encode()).hexdigest()[:43]


@contextlib.asynccontextmanager
async def opened(case: Case, folder: Path) -> AsyncIterator[World]:
    """
    Run a server and a provider for it.
    """
    async with (
        case.server(folder) as server,
        Web() as http,
        case.settings(server, folder) as settings,
    ):
        clock = SystemClock()
        resolver = PublicResolver(servers=[server.server], doh=(), http=http, clock=clock, port=server.port)
        provider = PROVIDERS[case.provider].make(settings, Parts(http=http, clock=clock, resolver=resolver))
        yield World(provider=provider, bind=server, case=case)


async def test_values_live_beside_each_other_and_go_one_by_one(case: Case, tmp_path: Path) -> None:
    """
    Apex and wildcard share a name. Adding twice is adding once, removing what is not there is nothing.
    """
    async with opened(case, tmp_path) as world:
        one, two = world.record("one"), world.record("two")
        known_as = await world.provider.add(one)
        await world.provider.add(two)
        await world.provider.add(one)
        assert await world.values() == {one.value, two.value}
        await world.provider.remove(one, known_as)
        await world.provider.remove(one, known_as)
        if case.forgets:
            assert await world.values() == {two.value}
        await world.provider.remove(two, None)
        await world.provider.remove(world.record("never there"), None)
        assert await world.values() == (set() if case.forgets else {one.value, two.value})


async def test_an_id_that_was_never_learned_is_no_hindrance(case: Case, tmp_path: Path) -> None:
    """
    After a crash only name and value are known; another instance takes it away.
    """
    if not case.forgets:
        pytest.skip("the server itself forgets, when others come")
    async with opened(case, tmp_path) as world:
        await world.provider.add(world.record("one"))
        await world.provider.add(world.record("two"))
        await world.provider.remove(world.record("one"), None)
        assert await world.values() == {value("two")}


async def test_what_others_put_there_survives(case: Case, tmp_path: Path) -> None:
    """
    Under the same name, and records of other types elsewhere.
    """
    if not case.forgets:
        pytest.skip("the name is this provider's alone")
    async with opened(case, tmp_path) as world:
        await world.bind.update(
            ZONE,
            ("add", f"{case.name}.", "60", "TXT", '"somebody else\'s"'),
            ("add", f"www.{ZONE}.", "60", "A", "192.0.2.7"),
        )
        before = await world.bind.records(ZONE)
        known_as = await world.provider.add(world.record("ours"))
        assert await world.values() == {"somebody else's", value("ours")}
        await world.provider.remove(world.record("ours"), known_as)
        assert await world.bind.records(ZONE) == before


async def test_the_zone_is_the_one_with_the_longest_suffix(case: Case, tmp_path: Path) -> None:
    """
    Also of a sub-zone, and of names below names that are not there.
    """
    async with opened(case, tmp_path) as world:
        if case.any_name:
            for name, zone in (
                (f"_acme-challenge.{ZONE}", ZONE),
                (f"_acme-challenge.a.b.{ZONE}", ZONE),
                (f"_acme-challenge.{SUB}", SUB),
                (f"_acme-challenge.x.{SUB}", SUB),
            ):
                assert await world.provider.zone_of(name) == zone
        if case.any_name and case.any_zone:
            await world.provider.add(world.record("sub", f"_acme-challenge.{SUB}", SUB))
            assert await world.values(f"_acme-challenge.{SUB}", SUB) == {value("sub")}
        with pytest.raises(DnsError) as caught:
            await world.provider.zone_of("_acme-challenge.elsewhere.test")
        assert caught.value.problem.type in {"dnsZone", "dnsProvider"}
        assert "_acme-challenge.elsewhere.test" in str(caught.value)


async def test_many_at_once(case: Case, tmp_path: Path) -> None:
    """
    A certificate of many names adds and removes all of its records at once.
    """
    if not case.any_name:
        pytest.skip("it holds one name")
    async with opened(case, tmp_path) as world:
        records = [world.record(f"{number}", f"_acme-challenge.n{number}.{ZONE}") for number in range(20)]
        async with asyncio.TaskGroup() as group:
            added = [(record, group.create_task(world.provider.add(record))) for record in records]
        assert await world.bind.txt(ZONE) == {(record.name, record.value) for record in records}
        async with asyncio.TaskGroup() as group:
            for record, task in added:
                group.create_task(world.provider.remove(record, task.result()))
        assert await world.bind.txt(ZONE) == set()


async def test_a_cancelled_request_leaves_it_in_working_order(case: Case, tmp_path: Path) -> None:
    """
    At whatever moment; what may be there is taken away by name and value.
    """
    async with opened(case, tmp_path) as world:
        record = world.record("cut short")
        for turns in (0, 1, 3, 10, 30):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(world.provider.add(record))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
            await world.provider.remove(record, None)
        await world.provider.add(record)
        assert record.value in await world.values()


@pytest.mark.parametrize("name", [name for name in CASES if name not in ADDRESSES])
async def test_who_declares_no_addresses_has_none(name: str, tmp_path: Path) -> None:
    """
    `check` goes by what is declared.
    """
    async with opened(CASES[name], tmp_path) as world:
        assert not hasattr(world.provider, "standing")
        assert not hasattr(world.provider, "set_address")


@contextlib.asynccontextmanager
async def addressed(name: str, folder: Path) -> AsyncIterator[tuple[AddressProvider, World]]:
    """
    Run a provider that declares addresses.
    """
    async with opened(ADDRESSES[name], folder) as world:
        yield world.provider, world  # type: ignore[misc] # that it is one is what is tested


@pytest.mark.parametrize("name", ADDRESSES)
async def test_addresses_are_set_and_replaced_by_family(name: str, tmp_path: Path) -> None:
    """
    The other family, and TXT records of that name, stay. Setting what is there is nothing.
    """
    async with addressed(name, tmp_path) as (provider, world):
        host = f"home.{ZONE}"
        assert await provider.standing(ZONE, host) == Standing()
        await provider.add(TxtRecord(zone=ZONE, name=host, value="text"))
        await provider.set_address(ZONE, host, "192.0.2.1", instead_of=None)
        await provider.set_address(ZONE, host, "2001:db8::1", instead_of=None)
        assert await provider.standing(ZONE, host) == Standing(
            ipv4=frozenset({"192.0.2.1"}), ipv6=frozenset({"2001:db8::1"})
        )
        await provider.set_address(ZONE, host, "192.0.2.2", instead_of="192.0.2.1")
        await provider.set_address(ZONE, host, "192.0.2.2", instead_of="192.0.2.1")
        assert {(kind, found) for where, kind, found in await world.bind.records(ZONE) if where == host} == {
            ("A", "192.0.2.2"), ("AAAA", "2001:db8::1"), ("TXT", "text"),
        }  # fmt: skip


@pytest.mark.parametrize("name", ADDRESSES)
async def test_the_apex_and_a_wildcard_can_have_addresses(name: str, tmp_path: Path) -> None:
    """
    Both are names of homes.
    """
    async with addressed(name, tmp_path) as (provider, world):
        for host in (ZONE, f"*.{ZONE}"):
            await provider.set_address(ZONE, host, "192.0.2.1", instead_of=None)
            assert (await provider.standing(ZONE, host)).ipv4 == {"192.0.2.1"}
        found = {where for where, kind, _ in await world.bind.records(ZONE) if kind == "A"}
        assert {ZONE, f"*.{ZONE}"} <= found


@pytest.mark.parametrize("name", ADDRESSES)
async def test_what_somebody_else_set_is_never_overwritten(name: str, tmp_path: Path) -> None:
    """
    A CNAME, another address, several addresses.
    """
    async with addressed(name, tmp_path) as (provider, world):
        await provider.set_address(ZONE, f"home.{ZONE}", "192.0.2.1", instead_of=None)
        await provider.set_address(ZONE, f"home.{ZONE}", "192.0.2.9", instead_of="192.0.2.1")
        before = await world.bind.records(ZONE)
        for instead_of in (None, "192.0.2.1"):
            with pytest.raises(DnsError) as caught:
                await provider.set_address(ZONE, f"home.{ZONE}", "192.0.2.2", instead_of=instead_of)
            assert caught.value.problem.type == "dnsRecord"
            assert "192.0.2.9" in str(caught.value)
        assert await world.bind.records(ZONE) == before
