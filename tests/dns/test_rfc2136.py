"""
Dynamic updates at BIND, Knot and PowerDNS, and what is told when a server, its key or its rules are not as the settings say.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import types
from typing import TYPE_CHECKING, Any

import dns.message
import pytest
from tests.support import bind, knot, pdns_update
from tests.support.quick_clock import QuickClock
from tests.support.waiting import until

from gatelodge.dns import rfc2136
from gatelodge.dns.rfc2136 import Rfc2136
from gatelodge.errors import DnsError
from gatelodge.model import DnsSettings, Secret, SecretRef
from gatelodge.ports import Standing, TxtRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.support.bind import Bind

    from gatelodge.errors import Problem

pytestmark = pytest.mark.live

ZONE, SUB = "example.org", "lab.example.org"
HOST = f"home.{ZONE}"
NAME = f"_acme-challenge.{ZONE}"
OTHER_KEY = "dGhpcyBrZXkgaXMga25vd24gdG8gbm8gc2VydmVyIQ=="

SERVERS: dict[str, Callable[[Path], Any]] = {
    "bind": lambda folder: bind.running(folder, zones=(ZONE, SUB), hosts=None),
    "knot": lambda folder: knot.running(folder, zones=(ZONE, SUB)),
    "powerdns": lambda folder: pdns_update.running(folder, zones=(ZONE, SUB)),
}


@pytest.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bind]:
    """
    Each server in turn.
    """
    async with SERVERS[request.param](tmp_path) as running:
        yield running


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[Bind]:
    """
    A BIND, where one server is enough.
    """
    async with SERVERS["bind"](tmp_path) as running:
        yield running


def provider(there: Bind, algorithm: str = "hmac-sha256", **options: object) -> Rfc2136:
    """
    Return the provider for a server, with the key of an algorithm; None takes an option away.
    """
    usual = {
        "server": (there.address, there.port),
        "key_name": there.key_name(algorithm),
        "key_secret": secret(there.secrets[algorithm]),
        "key_algorithm": algorithm,
    }
    wanted = {key: value for key, value in {**usual, **options}.items() if value is not None}
    return Rfc2136(settings=DnsSettings(name="lab", provider="rfc2136", options=wanted), clock=QuickClock())


def secret(text: str) -> SecretRef:
    """
    Return a secret that stands in the configuration.
    """
    return SecretRef(literal=Secret(text))


def record(value: str, name: str = NAME) -> TxtRecord:
    """
    Return a TXT record.
    """
    return TxtRecord(zone=ZONE, name=name, value=value)


async def refused(work: Any) -> Problem:
    """
    Return the problem with which some work fails, in which no secret may be.
    """
    with pytest.raises(DnsError) as caught:
        await work
    assert OTHER_KEY not in str(caught.value)
    return caught.value.problem


@pytest.mark.parametrize("algorithm", bind.ALGORITHMS)
async def test_values_come_and_go_one_by_one(server: Bind, algorithm: str) -> None:
    """
    Twice is once; what others put there stays; serial numbers aside, the zone is as before in the end.
    """
    await server.update(ZONE, ("add", f"{NAME}.", "60", "TXT", '"somebody else\'s"'))
    before = await server.records(ZONE)
    lab = provider(server, algorithm)
    assert await lab.zone_of(NAME) == ZONE
    for value in ("apex", "wildcard", "apex"):
        await lab.add(record(value))
    assert await server.txt(ZONE) == {(NAME, "apex"), (NAME, "wildcard"), (NAME, "somebody else's")}
    for value in ("apex", "apex", "never there", "wildcard"):
        await lab.remove(record(value), None)
    assert await server.records(ZONE) == before


@pytest.mark.parametrize("value", ["x" * 255, "x" * 256, "é" * 400, 'a "quoted" \\ back\\slash; and (more)', " ", "@"])
async def test_any_text_is_published_as_it_is(server: Bind, value: str) -> None:
    """
    Longer than a TXT string, with quotes, backslashes, blanks, and letters of several bytes.
    """
    lab = provider(server)
    await lab.add(record(value))
    assert await server.txt(ZONE) == {(NAME, value)}
    await lab.remove(record(value), None)
    assert await server.txt(ZONE) == set()


async def test_a_cname_hides_no_zone(server: Bind) -> None:
    """
    A question about a name that is a CNAME is answered by where it leads, in another zone or none of this server's. The zone that
    holds the name is found all the same.
    """
    await server.update(ZONE, ("add", f"www.{ZONE}.", "60", "CNAME", "www.elsewhere.test."))
    await server.update(ZONE, ("add", f"in.{ZONE}.", "60", "CNAME", f"x.{SUB}."))
    await server.update(SUB, ("add", f"up.{SUB}.", "60", "CNAME", f"x.{ZONE}."))
    lab = provider(server)
    assert [await lab.zone_of(name) for name in (f"www.{ZONE}", f"in.{ZONE}", f"up.{SUB}", f"_a.b.{SUB}", SUB)] == [
        ZONE, ZONE, SUB, SUB, SUB,
    ]  # fmt: skip
    assert await lab.standing(ZONE, f"www.{ZONE}") == Standing(cname="www.elsewhere.test")
    problem = await refused(lab.zone_of("home.elsewhere.test"))
    assert problem.type == "dnsZone"
    assert problem.detail.startswith(f"home.elsewhere.test: {server.server} has no zone for it")


async def test_what_a_wildcard_answers_does_not_stand_there(server: Bind) -> None:
    """
    A name without records of its own can be written, whatever the wildcard beside it says. The wildcard itself stands.
    """
    lab = provider(server)
    for kind, value in (("A", "192.0.2.9"), ("AAAA", "2001:db8::9")):
        await server.update(ZONE, ("add", f"*.{ZONE}.", "60", kind, value))
    assert await lab.standing(ZONE, HOST) == Standing()
    assert await lab.standing(ZONE, f"*.{ZONE}") == Standing(
        ipv4=frozenset({"192.0.2.9"}), ipv6=frozenset({"2001:db8::9"})
    )
    await lab.set_address(ZONE, HOST, "192.0.2.1", instead_of=None)
    assert await lab.standing(ZONE, HOST) == Standing(ipv4=frozenset({"192.0.2.1"}))
    await server.update(SUB, ("add", f"*.{SUB}.", "60", "CNAME", "elsewhere.test."))
    assert await lab.standing(SUB, f"home.{SUB}") == Standing()
    assert await lab.zone_of(f"home.{SUB}") == SUB


async def test_an_address_is_replaced_in_its_family_alone(server: Bind) -> None:
    """
    Everything else of the name stays, also when it is set twice.
    """
    lab = provider(server)
    await server.update(ZONE, ("add", f"{HOST}.", "60", "TXT", '"text"'))
    await lab.set_address(ZONE, HOST, "192.0.2.1", instead_of=None)
    await lab.set_address(ZONE, HOST, "2001:db8::1", instead_of=None)
    for _ in range(2):
        await lab.set_address(ZONE, HOST, "192.0.2.2", instead_of="192.0.2.1")
    await lab.set_address(ZONE, HOST, "2001:db8::2", instead_of="2001:db8::1")
    assert {(kind, value) for name, kind, value in await server.records(ZONE) if name == HOST} == {
        ("A", "192.0.2.2"), ("AAAA", "2001:db8::2"), ("TXT", "text"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values", "stands"),
    [
        ("CNAME", ("www.elsewhere.test.",), "www.elsewhere.test"),
        ("A", ("192.0.2.9",), "192.0.2.9"),
        ("A", ("192.0.2.1", "192.0.2.9"), "192.0.2.1, 192.0.2.9"),
        ("TXT", ("gone",), "nothing"),
    ],
)
async def test_what_changed_meanwhile_is_left_alone(
    server: Bind, kind: str, values: tuple[str, ...], stands: str
) -> None:
    """
    The server itself refuses the change, whatever was seen before; it is told what stands there now.
    """
    await server.update(ZONE, *(("add", f"{HOST}.", "60", kind, value) for value in values))
    before = await server.records(ZONE)
    problem = await refused(provider(server).set_address(ZONE, HOST, "192.0.2.2", instead_of="192.0.2.1"))
    assert (problem.type, problem.detail) == (
        "dnsRecord",
        f"{HOST}: somebody else changed what stands there (now {stands}), so 192.0.2.2 was not written",
    )
    assert await server.records(ZONE) == before


@pytest.mark.parametrize(
    "options",
    [
        {"key_secret": secret(OTHER_KEY)},
        {"key_name": "nobody", "key_secret": secret(OTHER_KEY)},
        {"key_algorithm": "hmac-sha512"},
    ],
    ids=["another secret", "a key that is not there", "another algorithm"],
)
async def test_a_key_that_is_not_accepted_shows_before_anything_is_changed(
    server: Bind, options: dict[str, object]
) -> None:
    """
    The server's answer may be signed or not. What is told names the server, the name, and what to compare.
    """
    lab = provider(server, **options)
    for work in (lab.zone_of(NAME), lab.standing(ZONE, HOST), lab.add(record("x"))):
        problem = await refused(work)
        assert problem.detail.startswith(f"{NAME}: {server.server}") or problem.detail.startswith(f"{HOST}: ")
        assert "key" in problem.detail
        assert problem.type in {"dnsCredentials", "dnsZone"}
    assert (await refused(lab.zone_of(NAME))).type == "dnsCredentials"
    assert await server.txt(ZONE) == set()


async def test_clocks_that_differ_are_said_to(server: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A signature is good for five minutes. PowerDNS does not say why it refuses one.
    """
    true = dns.message.time
    monkeypatch.setattr(dns.message, "time", types.SimpleNamespace(time=lambda: true.time() + 3600))
    problem = await refused(provider(server).zone_of(NAME))
    assert problem.type == "dnsCredentials"
    assert "clocks differ" in problem.detail or "compare key_name" in problem.detail


async def test_who_may_not_update_is_told_what_to_allow(server: Bind) -> None:
    """
    Without a key, questions are answered and updates are not.
    """
    lab = provider(server, key_name=None, key_secret=None)
    assert await lab.zone_of(NAME) == ZONE
    problem = await refused(lab.add(record("x")))
    assert problem.type in {"dnsCredentials", "dnsZone"}
    assert problem.detail.startswith(f"{NAME}: {server.server} refused the update (")
    assert "key" in problem.detail
    assert await server.txt(ZONE) == set()


async def test_a_zone_that_is_not_the_servers_is_told(server: Bind) -> None:
    """
    Where `zone` was written wrongly, only the update shows it.
    """
    lab = provider(server, zone="elsewhere.test")
    assert await lab.zone_of("_acme-challenge.elsewhere.test") == "elsewhere.test"
    there = TxtRecord(zone="elsewhere.test", name="_acme-challenge.elsewhere.test", value="x")
    problem = await refused(lab.add(there))
    assert problem.type == "dnsZone"
    assert problem.detail.startswith(f"{there.name}: {server.server} refused the update (NOTAUTH); ")
    assert "primary" in problem.detail
    problem = await refused(lab.zone_of(NAME))
    assert (problem.type, problem.detail.split(";")[0]) == ("dnsZone", f"{NAME}: `zone` of lab is elsewhere.test")


async def test_a_secondary_is_said_to_be_none_to_update(named: Bind, tmp_path: Path) -> None:
    """
    It has the zone, and cannot change it.
    """
    async with secondary(tmp_path, named) as copy:
        lab = provider(copy)
        assert await lab.zone_of(NAME) == ZONE
        problem = await refused(lab.add(record("x")))
        assert problem.detail.startswith(f"{NAME}: {copy.server} refused the update (")
        assert "primary" in problem.detail
    assert await named.txt(ZONE) == set()


async def test_a_rule_that_allows_txt_alone_serves_certificates(named: Bind, tmp_path: Path) -> None:
    """
    BIND's `update-policy` as it is advised: the key may set TXT records under one name. More is refused.
    """
    rule = f'grant "{named.key_name()}" name {NAME}. TXT;'
    async with ruled(tmp_path, named, rule) as strict:
        lab = provider(strict)
        await lab.add(record("x"))
        assert await strict.txt(ZONE) == {(NAME, "x")}
        await lab.remove(record("x"), None)
        for work in (
            lab.add(record("x", f"_acme-challenge.www.{ZONE}")),
            lab.set_address(ZONE, HOST, "192.0.2.1", instead_of=None),
        ):
            problem = await refused(work)
            assert problem.type == "dnsCredentials"
            assert "update-policy" in problem.detail


async def test_a_rule_for_addresses_is_enough_for_them(named: Bind, tmp_path: Path) -> None:
    """
    Also for asking whether a name is in use, which is an update that changes nothing.
    """
    rule = f'grant "{named.key_name()}" name {HOST}. A;'
    async with ruled(tmp_path, named, rule) as strict:
        lab = provider(strict)
        await lab.set_address(ZONE, HOST, "192.0.2.1", instead_of=None)
        assert await lab.standing(ZONE, HOST) == Standing(ipv4=frozenset({"192.0.2.1"}))


async def test_where_nobody_may_ask_nothing_is_taken_for_empty(named: Bind, tmp_path: Path) -> None:
    """
    A refusal is not an answer: an address is not written over what could not be seen.
    """
    async with ruled(tmp_path, named, f'grant "{named.key_name()}" zonesub A;', "allow-query { none; };") as strict:
        problem = await refused(provider(strict).standing(ZONE, HOST))
        assert problem.type == "dnsCredentials"
        assert problem.detail.startswith(f"{HOST}: {strict.server} did not tell the A records (REFUSED)")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "it did not answer with DNS"),
        (b"\x00\x05hello", "it did not answer with DNS"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it did not answer with DNS"),
        (b"\x00\x20" + bytes(32), "it did not answer with DNS"),
        (None, "it did not answer within 0.2 s"),
    ],
    ids=["hangs up", "too short", "another protocol", "zeros", "hangs"],
)
async def test_what_is_no_name_server_is_told(answer: bytes | None, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is asked twice, since a server may be restarting.
    """
    monkeypatch.setattr(rfc2136, "_SECONDS", 0.2)
    calls = ended = 0

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls, ended
        calls += 1
        await reader.readexactly(2)
        if answer is not None:
            writer.write(answer)
        else:
            await reader.read()
        writer.close()
        ended += 1

    async with await asyncio.start_server(served, "127.0.0.1", 0) as listening:
        address, port = listening.sockets[0].getsockname()
        there = bind.Bind(pid=0, address=address, port=port, zones=(), secrets={"hmac-sha256": OTHER_KEY})
        problem = await refused(provider(there).add(record("x")))
        await until(lambda: ended == calls == 2)
    assert problem.type == "dnsProvider"
    assert problem.detail.startswith(f"{NAME}: 127.0.0.1:{port} cannot be asked by TCP: {told}")


async def test_a_server_that_is_not_there_is_told(named: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    By its address, or by a name that is none.
    """
    nobody = dataclasses.replace(named, port=knot.described(()).port)
    problem = await refused(provider(nobody).add(record("x")))
    assert (problem.type, problem.detail.startswith(f"{NAME}: {nobody.server} cannot be asked by TCP: ")) == (
        "dnsProvider", True,
    )  # fmt: skip
    assert "is it running" in problem.detail

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    problem = await refused(provider(named, server=("ns.nowhere.invalid", 53)).add(record("x")))
    assert problem.type == "dnsProvider"
    assert "ns.nowhere.invalid:53" in problem.detail
    assert "is not found here" in problem.detail


async def test_a_server_is_found_by_its_name(named: Bind) -> None:
    """
    At whichever of its addresses it listens.
    """
    lab = provider(named, server=("localhost", named.port))
    await lab.add(record("x"))
    assert await named.txt(ZONE) == {(NAME, "x")}


@pytest.mark.parametrize("text", ["not base64", "c2hvcnQ", "ä"])
async def test_a_secret_that_is_no_key_is_not_shown(named: Bind, text: str) -> None:
    """
    It is said where a key is copied from.
    """
    problem = await refused(provider(named, key_secret=secret(text)).add(record("x")))
    assert problem.type == "dnsCredentials"
    assert "tsig-keygen" in problem.detail
    assert text not in problem.detail


async def test_a_new_secret_is_used_at_once(named: Bind, tmp_path: Path) -> None:
    """
    A secret in a file is read for each message; a file that is not there is named.
    """
    file = tmp_path / "key"
    lab = provider(named, key_secret=SecretRef(file=str(file)))
    problem = await refused(lab.add(record("x")))
    assert (problem.type, str(file) in problem.detail) == ("dnsCredentials", True)
    file.write_text(f"{named.secrets['hmac-sha256']}\n")
    await lab.add(record("x"))
    assert await named.txt(ZONE) == {(NAME, "x")}


@contextlib.asynccontextmanager
async def ruled(folder: Path, like: Bind, rule: str, more: str = "") -> AsyncIterator[Bind]:
    """
    Run a BIND with a rule for updates, and the keys of another one.
    """
    text = f"$TTL 60\n@ IN SOA ns1 hostmaster 1 60 60 3600 1\n@ IN NS ns1\nns1 IN A {like.address}\n"
    async with configured(
        folder, like, f'type primary; file "ruled.zone"; update-policy {{ {rule} }}; {more}', text
    ) as running:
        yield running


@contextlib.asynccontextmanager
async def secondary(folder: Path, primary: Bind) -> AsyncIterator[Bind]:
    """
    Run a BIND that copies the zone from another one.
    """
    place = f"{primary.address} port {primary.port}"
    async with configured(folder, primary, f"type secondary; primaries {{ {place}; }};") as running:
        lab = provider(running)

        async def copied() -> bool:
            with contextlib.suppress(DnsError):
                return await lab.zone_of(NAME) == ZONE
            return False

        await until(copied)
        yield running


@contextlib.asynccontextmanager
async def configured(folder: Path, like: Bind, zone: str, text: str = "") -> AsyncIterator[Bind]:
    """
    Run a BIND with a zone as it is written here.
    """
    own = folder / "own-bind"
    own.mkdir()
    (own / "ruled.zone").write_text(text)
    running = dataclasses.replace(like, port=knot.described(()).port)
    keys = "".join(
        f'key "{like.key_name(algorithm)}" {{ algorithm {algorithm}; secret "{value}"; }};\n'
        for algorithm, value in like.secrets.items()
    )
    config = own / "named.conf"
    config.write_text(
        f'options {{ directory "{own}"; pid-file none; session-keyfile "{own}/session.key"; lock-file none; recursion no;\n'
        f"listen-on port {running.port} {{ {running.address}; }}; listen-on-v6 {{ none; }}; dnssec-validation no;\n"
        f'allow-transfer {{ any; }}; notify no; }};\ncontrols {{ }};\n{keys}zone "{ZONE}" {{ {zone} }};\n'
    )
    command = (knot.found("named", package="bind9"), "-g", "-c", str(config), "-n", "1")
    async with knot.served(running, own / "named.log", *command):
        yield running
