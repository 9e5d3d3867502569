"""
Asking one server one question: real BINDs where they can be had, small servers where misbehaviour is wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from dns.rdtypes.CH.A import A as ChaosnetA
from hypothesis import given
from hypothesis import strategies as st
from tests.support import bind, leftovers, name_servers
from tests.support.name_servers import Records, refusing, reply, silence
from tests.support.quick_clock import QuickClock
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports
from gatelodge.dns import asking
from gatelodge.dns.asking import Answer, Asker, NoAnswer, ask_server, ask_service, read
from gatelodge.runtime.system import Web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.live

ZONE = "example.org"
AT = f"_acme-challenge.{ZONE}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Limits that a test can wait for.
    """
    for limit in ("_UDP_SECONDS", "_TCP_SECONDS", "_DOH_SECONDS"):
        monkeypatch.setattr(asking, limit, 0.15)


@pytest.fixture
async def http() -> AsyncIterator[Web]:
    """
    The HTTP client.
    """
    async with Web() as web:
        yield web


@pytest.fixture
def records() -> Records:
    """
    A zone with one value.
    """
    found = Records(ZONE)
    found.add(AT, "TXT", "one")
    return found


async def ask(
    server: name_servers.NameServer | bind.Bind, name: str = AT, kind: str = "TXT", *, recursive: bool = False
) -> Answer:
    """
    Ask a server.
    """
    return await ask_server(server.address, server.port, name, kind, recursive=recursive)


async def why(server: name_servers.NameServer) -> NoAnswer:
    """
    Return why there was no answer.
    """
    with pytest.raises(NoAnswer) as caught:
        await ask(server)
    return caught.value


async def test_what_a_real_name_server_says(tmp_path: Path) -> None:
    """
    Values, none of that type, no such name, a CNAME, a zone that is not there; a text in pieces is one value.
    """
    async with bind.running(tmp_path, hosts=None) as server:
        await server.update(
            ZONE,
            ("add", f"{AT}.", "60", "TXT", '"one"'),
            ("add", f"{AT}.", "60", "TXT", f'"{"x" * 255}" "{"y" * 45}"'),
            ("add", f"alias.{ZONE}.", "60", "CNAME", "Elsewhere.Test."),
            ("add", f"six.{ZONE}.", "60", "AAAA", "2001:DB8:0::1"),
        )
        said = await ask(server)
        assert (said.rcode, said.authoritative, said.cname) == ("NOERROR", True, None)
        assert said.values == {"one", "x" * 255 + "y" * 45}
        assert (await ask(server, f"six.{ZONE}", "AAAA")).values == {"2001:db8::1"}
        nothing = await ask(server, AT, "A")
        assert (nothing.usable, nothing.values, nothing.zone, str(nothing)) == (
            True,
            frozenset(),
            ZONE,
            "no such record",
        )
        nobody = await ask(server, f"a.b.{ZONE}", "TXT")
        assert (nobody.usable, nobody.rcode, nobody.zone) == (True, "NXDOMAIN", ZONE)
        assert str(nobody) == "NXDOMAIN (no such name)"
        for kind in ("TXT", "CNAME"):
            assert (await ask(server, f"alias.{ZONE}", kind)).cname == "elsewhere.test"
        elsewhere = await ask(server, "www.elsewhere.test")
        assert (elsewhere.usable, elsewhere.zone) == (False, None)
        assert "REFUSED (it does not serve that zone" in str(elsewhere)


async def test_what_is_too_long_for_udp_comes_by_tcp(tmp_path: Path) -> None:
    """
    A name with the challenges of many orders is one.
    """
    async with bind.running(tmp_path, hosts=None) as server:
        values = {f"{number:03}" + "x" * 197 for number in range(30)}
        await server.update(ZONE, *(("add", f"{AT}.", "60", "TXT", f'"{value}"') for value in values))
        assert (await ask(server)).values == values


async def test_ipv6(tmp_path: Path) -> None:
    """
    As IPv4; however the address is written.
    """
    async with bind.running(tmp_path, address="::1", hosts=None) as server:
        for address in ("::1", "0:0::0001"):
            assert (await ask_server(address, server.port, ZONE, "SOA", recursive=False)).zone == ZONE


async def test_only_a_resolver_is_asked_to_look_further(records: Records) -> None:
    """
    RD is for resolvers: a name server that is one too must not answer from elsewhere.
    """
    flags = []

    def behave(query: dns.message.Message, way: str) -> dns.message.Message:
        flags.append(bool(query.flags & dns.flags.RD))
        return records.of_authority(query, way)

    async with name_servers.running(behave) as server:
        await ask(server)
        await ask(server, recursive=True)
    assert flags == [False, True]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("udp", [True, False], ids=["silent", "closed"])
async def test_tcp_where_udp_is_lost(records: Records, *, udp: bool) -> None:
    """
    A network that swallows UDP, or refuses it.
    """
    async with name_servers.running(
        lambda query, way: records.of_authority(query) if way == "tcp" else None, udp=udp
    ) as server:
        assert (await ask(server)).values == {"one"}
    assert server.asked[-1][2] == "tcp"


async def test_a_closed_port_costs_no_time() -> None:
    """
    It is known at once, by UDP too, and said in the system's words without repeating the address.
    """
    async with asyncio.timeout(1.5):  # less than the time for UDP alone
        error = await why(name_servers.NameServer(behave=silence, address="127.0.0.1", port=free_ports(1)[0]))
    assert str(error) == "no answer (UDP: connection refused; TCP: connection refused)"
    assert (error.unreachable, error.late) == (False, False)


@pytest.mark.usefixtures("impatient")
async def test_silence_has_an_end() -> None:
    """
    By both ways, and the text says both.
    """
    async with name_servers.running(silence) as server:
        error = await why(server)
    assert str(error) == "no answer (UDP: nothing within 0.15 s; TCP: nothing within 0.15 s)"
    assert (error.unreachable, error.late) == (False, True)
    assert [way for _, _, way in server.asked] == ["udp", "tcp"]


@pytest.mark.usefixtures("impatient")
async def test_an_answer_that_is_cut_short_and_not_had_by_tcp(records: Records) -> None:
    """
    A firewall that lets no TCP through: that is what the text must say.
    """

    def behave(query: dns.message.Message, _: str) -> dns.message.Message:
        said = records.of_authority(query)
        said.flags |= dns.flags.TC
        return said

    async with name_servers.running(behave, tcp=False) as server:
        assert str(await why(server)) == "no answer (UDP: an answer that was cut short; TCP: connection refused)"


@pytest.mark.usefixtures("impatient")
async def test_who_hangs_up_has_not_answered() -> None:
    """
    A TCP connection that is closed on the question, or inside of the answer.
    """
    async with name_servers.running(lambda _, __: b"", udp=False) as server:
        assert str(await why(server)) == "no answer (UDP: connection refused; TCP: it hung up)"


@pytest.mark.usefixtures("impatient")
async def test_strangers_datagrams_are_passed_over(records: Records) -> None:
    """
    Garbage, another id, another question: who guesses must guess it all. The server's own answer comes later.
    """
    port = free_ports(1)[0]
    loop = asyncio.get_running_loop()

    class Crowd(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            query = dns.message.from_wire(data)
            false = Records(ZONE)
            false.add(AT, "TXT", "false")
            false.add(f"x.{AT}", "TXT", "false")
            other = false.of_authority(query)
            other.id ^= 1
            another = false.of_authority(dns.message.make_query(f"x.{AT}", "TXT", id=query.id))
            for said in (b"", b"\xff" * 40, data, other.to_wire(), another.to_wire()):
                self.transport.sendto(said, addr)
            self.transport.sendto(records.of_authority(query).to_wire(), addr)

    transport, _ = await loop.create_datagram_endpoint(Crowd, local_addr=("127.0.0.1", port))
    with contextlib.closing(transport):
        assert (await ask_server("127.0.0.1", port, AT, "TXT", recursive=False)).values == {"one"}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("what", ["garbage", "id", "question", "query"])
async def test_by_tcp_what_is_no_answer_is_none(records: Records, what: str) -> None:
    """
    There nobody else can speak, so that it is the server's own fault, and said.
    """

    def behave(query: dns.message.Message, way: str) -> dns.message.Message | bytes | None:
        said = records.of_authority(query)
        if way == "udp":
            return None
        if what == "garbage":
            return b"HTTP/1.1 400 Bad Request\r\n\r\n"
        if what == "query":
            return query.to_wire()
        if what == "id":
            said.id ^= 1
        if what == "question":
            return records.of_authority(dns.message.make_query("x.test", "TXT", id=query.id))
        return said

    async with name_servers.running(behave) as server:
        assert "what it answered is no DNS" in str(await why(server))


async def test_who_knows_no_edns_is_asked_without(records: Records) -> None:
    """
    Servers older than 1999, and some boxes at home, answer FORMERR to it (RFC 6891 §7).
    """

    def behave(query: dns.message.Message, _: str) -> dns.message.Message:
        if query.edns < 0:
            return records.of_authority(query)
        said = dns.message.make_response(query)
        said.use_edns(False)
        said.set_rcode(dns.rcode.FORMERR)
        return said

    async with name_servers.running(behave) as server:
        assert (await ask(server)).values == {"one"}
    assert len(server.asked) == 2


async def test_who_answers_formerr_to_everything_is_not_asked_forever() -> None:
    """
    Twice is enough.
    """
    async with name_servers.running(refusing(dns.rcode.FORMERR)) as server:
        assert (await ask(server)).rcode == "FORMERR"
    assert len(server.asked) <= 2


async def test_only_what_stands_under_the_name_counts(records: Records) -> None:
    """
    Other owners, other classes, a SOA of another tree: hostile or confused, it is none of the name's.
    """

    def behave(query: dns.message.Message, _: str) -> dns.message.Message:
        said = reply(
            query,
            dns.rrset.from_text(f"x.{AT}.", 60, "IN", "TXT", '"other owner"'),
            dns.rrset.from_text("other.test.", 60, "IN", "CNAME", "evil.test."),
            dns.rrset.from_text(f"{AT}.", 60, "CH", "TXT", '"other class"'),
            *records.of_authority(query).answer,
        )
        said.authority.append(dns.rrset.from_text("evil.test.", 60, "IN", "SOA", "a. b. 1 2 3 4 5"))
        return said

    async with name_servers.running(behave) as server:
        said = await ask(server)
        assert (said.values, said.cname, said.zone) == ({"one"}, None, None)


async def test_values_that_are_no_text(tmp_path: Path) -> None:
    """
    Bytes that are no UTF-8, and a TXT record of 60 kB: shown somehow, and never an error.
    """
    async with bind.running(tmp_path, hosts=None) as server:
        await server.update(
            ZONE,
            ("add", f"{AT}.", "60", "TXT", '"\\255\\254\\000"'),
            ("add", f"big.{ZONE}.", "60", "TXT", " ".join([f'"{"z" * 255}"'] * 230)),
        )
        assert (await ask(server)).values == {"\ufffd\ufffd\x00"}
        assert (await ask(server, f"big.{ZONE}")).values == {"z" * 255 * 230}


async def test_for_how_long_a_cache_says_the_same() -> None:
    """
    Of a "no" as long as the zone's SOA says (RFC 2308 §5), of values as long as they may be kept.
    """
    records = Records(ZONE, minimum=600)
    records.add(f"there.{ZONE}", "TXT", "one")
    async with name_servers.running(records.of_resolver) as server:
        assert (await ask(server)).lasts == 600
        assert (await ask(server, f"there.{ZONE}")).lasts == 60


@pytest.mark.parametrize("name", [f"{'x' * 64}.{ZONE}", ".".join(["y" * 60] * 5), "a..b"])
async def test_a_name_that_no_question_can_hold(name: str) -> None:
    """
    It is not sent, and is no error of the program.
    """
    with pytest.raises(NoAnswer, match="no name that the DNS can hold"):
        await ask_server("127.0.0.1", 9, name, "TXT", recursive=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace wants root")
async def test_a_machine_without_a_way_there() -> None:
    """
    As most are by IPv6: known at once, and told from a server that is silent.
    """
    program = (
        "import asyncio\nfrom gatelodge.dns.asking import ask_server, NoAnswer\n"
        "async def ask():\n"
        "    try:\n        await ask_server('2001:db8::1', 53, 'example.org', 'SOA', recursive=False)\n"
        "    except NoAnswer as error:\n        print(error.unreachable, error.late, error)\n"
        "asyncio.run(ask())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, ["unshare", "--net", sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    if "unshare" in done.stderr:
        pytest.skip("no network namespaces here")
    assert done.stdout.strip() == ("True False this machine has no way to it (cannot assign requested address)"), (
        done.stderr
    )


# DNS over HTTPS


async def test_a_service_answers(http: Web, records: Records) -> None:
    """
    RFC 8484, with an id of 0 so that caches can be of use.
    """
    ids = []

    def behave(query: dns.message.Message, way: str) -> dns.message.Message:
        ids.append(query.id)
        return records.of_resolver(query, way)

    async with name_servers.over_https(behave) as service:
        assert (await ask_service(http, service.url, AT, "TXT")).values == {"one"}
    assert ids == [0]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("behave", "status", "said"),
    [
        (refusing(dns.rcode.NOERROR), 503, "it answered with status 503"),
        (lambda _, __: b"<html>Log in to this hotel</html>", 200, "what it answered is no DNS"),
        (lambda query, _: query.to_wire(), 200, "something else than what it was asked"),
        (lambda _, __: dns.message.make_response(dns.message.make_query("x.test", "A", id=0)), 200, "something else"),
        (silence, 200, "127.0.0.1 did not answer within 0.15 s"),
    ],
    ids=["status", "portal", "echo", "question", "silence"],
)
async def test_a_service_that_does_not(http: Web, behave: name_servers.Behaviour, status: int, said: str) -> None:
    """
    Captive portals above all.
    """
    async with name_servers.over_https(behave, status=status) as service:
        with pytest.raises(NoAnswer, match=said):
            await ask_service(http, service.url, AT, "TXT")


async def test_a_service_that_is_not_there(http: Web) -> None:
    """
    A refused connection; the text is the HTTP client's.
    """
    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1 cannot be reached") as caught:
        await ask_service(http, f"http://127.0.0.1:{free_ports(1)[0]}/dns-query", AT, "TXT")
    assert caught.value.unreachable


# Hostile bytes

QUERY = dns.message.make_query(AT, "TXT", id=0)

FLAGS = st.sampled_from([0, 0x0400, 0x0002, 0x0003, 0x0200]) | st.integers(0, 0x7FFF)
KINDS = (1, 2, 5, 6, 16, 28, 41, 250, 65280)
CLASSES = (1, 1, 1, 1, 3, 254, 255)
WELL_FORMED = (
    (1, b"\x7f\0\0\1"), (2, b"\xc0\x0c"), (2, b"\0"), (5, b"\xc0\x0c"), (5, b"\2\xff.\0"), (16, b"\3abc"), (16, b"\2\xff\0"),
    (6, b"\0\0" + b"\xff" * 20), (28, b"\0" * 10 + b"\xff" * 2 + b"\1" * 4), (65280, b"?"),
)  # fmt: skip


@st.composite
def records_of_any_kind(draw: st.DrawFn) -> bytes:
    """
    A record that is well formed, or nearly.
    """
    kind, data = draw(st.sampled_from(WELL_FORMED) | st.tuples(st.sampled_from(KINDS), st.binary(max_size=24)))
    return b"".join(
        (
            draw(st.sampled_from([b"\xc0\x0c", b"\0", b"\xc0\x0c", b"\1\xff\xc0\x0c"])),
            kind.to_bytes(2, "big"),
            draw(st.sampled_from(CLASSES)).to_bytes(2, "big"),
            draw(st.integers(0, 2**32 - 1)).to_bytes(4, "big"),
            len(data).to_bytes(2, "big"),
            data,
        )
    )


@given(FLAGS, st.lists(records_of_any_kind(), max_size=4), st.integers(0, 4))
def test_records_are_an_answer_or_none(flags: int, records: list[bytes], first: int) -> None:
    """
    Whatever a server puts into its answer, nothing but `NoAnswer` is raised, and what is told of it can be shown.
    """
    first = min(first, len(records))
    for kind in ("TXT", "A", "AAAA", "NS", "SOA", "CNAME"):
        query = dns.message.make_query(AT, kind, id=0)
        counts = (1, first, len(records) - first, 0)
        header = b"\0\0" + (flags | 0x8000).to_bytes(2, "big") + b"".join(each.to_bytes(2, "big") for each in counts)
        with contextlib.suppress(NoAnswer):
            said = read(header + query.to_wire()[12:] + b"".join(records), query)
            assert isinstance(str(said), str)
            assert said.lasts >= 0


@given(st.binary(max_size=120), st.lists(st.tuples(st.integers(2, 60), st.integers(0, 255)), max_size=3))
def test_bytes_are_an_answer_or_none(wire: bytes, changes: list[tuple[int, int]]) -> None:
    """
    Noise in place of a message, behind the beginning of one, and a message in which some bytes are others.
    """
    changed = bytearray(records_reply())
    for where, what in changes:
        changed[where % len(changed)] = what
    for noise in (wire, records_reply()[:-5] + wire, bytes(changed)):
        with contextlib.suppress(NoAnswer):
            assert isinstance(str(read(noise, QUERY)), str)


def records_reply() -> bytes:
    """
    Return an answer as it should be.
    """
    return reply(QUERY, dns.rrset.from_text(f"{AT}.", 60, "IN", "TXT", '"one"')).to_wire()


def test_an_address_of_another_class_is_no_error() -> None:
    """
    Chaosnet's A records look otherwise: found by hypothesis.
    """
    query = dns.message.make_query(AT, "A", id=0)
    address = ChaosnetA(dns.rdataclass.CH, dns.rdatatype.A, dns.name.from_text("host.test"), 10)
    said = reply(query, dns.rrset.from_rdata(f"{AT}.", 60, address))
    assert read(said.to_wire(), query).values == frozenset()


async def test_a_record_of_no_class_does_not_spoil_those_that_come_later() -> None:
    """
    For a whole process dnspython remembers how a type is read. Found by hypothesis: tests that ran later failed.
    """
    program = (
        "import dns.message, dns.rrset\nfrom gatelodge.dns.asking import read\n"
        "query = dns.message.make_query('example.org', 'A', id=0)\n"
        "def wire(group):\n"
        "    record = b'\\xc0\\x0c\\0\\1\\0' + bytes([group]) + b'\\0\\0\\0\\x3c\\0\\4\\x7f\\0\\0\\1'\n"
        "    return b'\\0\\0\\x84\\0\\0\\1\\0\\1\\0\\0\\0\\0' + query.to_wire()[12:] + record\n"
        "print(*(sorted(read(wire(group), query).values) for group in (255, 1)))\n"
    )
    command = [sys.executable, "-c", program]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[] ['127.0.0.1']", done.stderr


# Many questions


def _asker(http: Web) -> tuple[Asker, QuickClock]:
    clock = QuickClock()
    return Asker(http=http, clock=clock), clock


async def test_only_so_many_are_on_their_way_at_once(http: Web, records: Records) -> None:
    """
    A hundred names are no flood.
    """
    waiting: list[asyncio.Event] = []
    most = 0

    async def question() -> Answer:
        nonlocal most
        event = asyncio.Event()
        waiting.append(event)
        most = max(most, len(waiting))
        await event.wait()
        waiting.remove(event)
        return read(records.of_authority(QUERY).to_wire(), QUERY)

    asker, _ = _asker(http)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asker._ask("somebody", question, hurried=False)) for _ in range(2 * asking.AT_ONCE)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            for event in waiting:
                event.set()
    assert most == asking.AT_ONCE


@pytest.mark.usefixtures("impatient")
async def test_who_kept_one_waiting_does_not_keep_all(http: Web, records: Records) -> None:
    """
    A blocked port is learned once, not once for each of a hundred names. After a while it is tried again, and whoever answers is
    heard again at once.
    """
    asker, clock = _asker(http)
    async with name_servers.running(silence) as server:

        async def hurried() -> str:
            try:
                return str(await asker.server(server.address, server.port, AT, "TXT", hurried=True))
            except NoAnswer as error:
                return str(error)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(hurried()) for _ in range(4 * asking.AT_ONCE)]
        assert {task.result() for task in tasks} == {
            "no answer (UDP: nothing within 0.15 s; TCP: nothing within 0.15 s)"
        }
        assert len(server.asked) <= 2 * asking.AT_ONCE
        server.asked.clear()
        assert "nothing within" in await hurried()
        assert server.asked == []
        server.behave = records.of_authority
        assert (await asker.server(server.address, server.port, AT, "TXT")).values == {"one"}  # who asks all the same
        assert await hurried() == "1 other value"
        server.behave = silence
        await hurried()
        clock.elapsed += 60
        server.behave = records.of_authority
        assert await hurried() == "1 other value"


@pytest.mark.usefixtures("impatient")
async def test_one_lost_question_makes_nobody_deaf(http: Web, records: Records) -> None:
    """
    Others are answered meanwhile.
    """
    asker, _ = _asker(http)

    def behave(query: dns.message.Message, _: str) -> dns.message.Message | None:
        return None if "lost" in str(query.question[0].name) else records.of_authority(query)

    async with name_servers.running(behave) as server:

        async def lost() -> None:
            with pytest.raises(NoAnswer):
                await asker.server(server.address, server.port, f"lost.{ZONE}", "TXT")

        async with asyncio.TaskGroup() as group:
            group.create_task(lost())
            await until(lambda: server.asked)
            await asker.server(server.address, server.port, AT, "TXT")
        assert (await asker.server(server.address, server.port, AT, "TXT", hurried=True)).values == {"one"}


# Giving up


async def test_whoever_is_cancelled_leaves_nothing_behind(http: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    At any await: no task, no socket, no slot, and the cancellation is not forgotten.
    """
    monkeypatch.setattr(asking, "_UDP_SECONDS", 0.02)
    asker, _ = _asker(http)
    async with name_servers.running(silence) as server, name_servers.over_https(silence) as service:
        ways: dict[str, Callable[[], object]] = {
            "server": lambda: asker.server(server.address, server.port, AT, "TXT"),
            "service": lambda: asker.service(service.url, AT, "TXT"),
        }
        for way in ways.values():
            for turns in (0, 1, 2, 3, 5, 8, 13, 40, None):
                server.asked.clear()
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(way())  # type: ignore[arg-type]
                    for _ in range(turns or 0):
                        await asyncio.sleep(0)
                    if turns is None and way is ways["server"]:
                        await until(lambda: any(how == "tcp" for _, _, how in server.asked))
                    task.cancel()
                assert task.cancelled()
            assert leftovers.tasks("dns") == []
        await until(lambda: not server.connections)
        assert asker._slots._value == asking.AT_ONCE
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asker.server(server.address, server.port, AT, "TXT"))
            await until(leftovers.asking_sockets)  # or else the count below proves nothing
            task.cancel()
    assert leftovers.asking_sockets() == 0
