"""
What visitors of streams get, on the oldest nginx at hand and on the newest; and that a stream harms nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import os
import signal
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from tests.nginx.streams import pool, stream
from tests.support import upstream
from tests.support.nginx_dns import naming
from tests.support.nginx_house import DEBIAN, NOW, WHEEL, house, trusting
from tests.support.plain import echoing, echoing_datagrams, say, visiting
from tests.support.waiting import until

from gatelodge.core.tree import Quarantine
from gatelodge.errors import NginxRefused
from gatelodge.issuers import selfsigned
from gatelodge.model import (
    Balance,
    Listener,
    ListenSettings,
    Name,
    Pool,
    Server,
    Spread,
    Stream,
    Upstream,
    UpstreamTls,
    file_name,
)
from gatelodge.nginx import process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """
    Hold a UDP port, as a program does that shares it with whoever wants to.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", port))
        yield


async def serve(home: House) -> None:
    """
    Bring what is asked for to be served, by new workers alone: old ones accept for a moment beside them.
    """
    await home.serve()
    nginx = home.managed()

    def alone() -> bool:
        master = nginx._master.find()
        return master is not None and len(process.workers(master)) - process.draining(master) == os.cpu_count()

    await until(alone)


def add(home: House, name: str = "service", *, hosts: tuple[str, ...] = (), **more: Any) -> Stream:
    """
    Add a stream, with a certificate for its hosts when there are any.
    """
    certificates = ()
    if hosts:
        home.certify(*hosts)
        certificates = (file_name(hosts[0]),)
    more.setdefault("port", home.spare[0])
    made = stream(name, hosts=tuple(map(Name, hosts)), certificates=certificates, **more)
    home.streams = [each for each in home.streams if each.name != name] + [made]
    return made


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, str]:
    """
    Return who shows a certificate for these names, and the file of that certificate, which is its own root.
    """
    issued = selfsigned.make([Name(each) for each in names])
    chain, key = folder / f"{names[0]}.pem", folder / f"{names[0]}.key"
    chain.write_text(issued.chain)
    key.write_text(issued.private_key.reveal())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context, str(chain)


async def test_bytes_are_passed_on_as_they_come(home: House) -> None:
    """
    Both ways, also when they are none that nginx knows.
    """
    async with echoing() as service:
        add(home, to=f"127.0.0.1:{service.port}")
        await serve(home)
        assert await say(home.spare[0], b"\x00\xffhello\r\n\r\n") == b"\x00\xffhello\r\n\r\n"


async def test_a_service_is_reached_by_its_socket(home: House) -> None:
    """
    Whatever its path is called.
    """
    path = home.state / "public" / "a service.sock"
    async with echoing(b"socket ", path=path):
        add(home, to=f"unix:{path}")
        await serve(home)
        assert await say(home.spare[0], b"hello") == b"socket hello"


async def test_datagrams_are_passed_on_and_each_visitor_is_one(home: House) -> None:
    """
    Over all of nginx's workers a visitor has one session, so that the service sees one peer.
    """
    async with echoing_datagrams() as service, contextlib.AsyncExitStack() as stack:
        add(home, to=f"127.0.0.1:{service.port}", udp=True, timeout=dt.timedelta(seconds=30))
        await serve(home)
        visitors = [await stack.enter_async_context(visiting(home.spare[0])) for _ in range(12)]
        for number in range(5):
            for visitor in visitors:
                assert await visitor.ask(b"%d" % number) == b"%d" % number
        assert len(service.peers) == len(visitors)


async def test_a_udp_port_is_kept_over_reloads(home: House) -> None:
    """
    The running nginx has it, which is no reason to call it taken; a visitor is heard after each.
    """
    async with echoing_datagrams() as service, visiting(home.spare[0]) as visitor:
        add(home, to=f"127.0.0.1:{service.port}", udp=True)
        await serve(home)
        for seconds in (10, 20, 30):
            add(home, to=f"127.0.0.1:{service.port}", udp=True, timeout=dt.timedelta(seconds=seconds))
            await serve(home)
            assert await visitor.ask(b"again") == b"again"


async def test_a_udp_session_ends_with_the_last_answer(home: House) -> None:
    """
    With `udp_responses` nothing is held for a visitor who has what he wanted: the next question is another session.
    """
    async with echoing_datagrams() as service, visiting(home.spare[0]) as visitor:
        add(home, to=f"127.0.0.1:{service.port}", udp=True, responses=1)
        await serve(home)
        for _ in range(3):
            assert await visitor.ask(b"name?") == b"name?"
            await asyncio.sleep(0.1)
        assert len(service.peers) == 3


async def test_workers_without_a_master_give_up_their_udp_ports(home: House) -> None:
    """
    After kill -9 they go on serving, and hold what the next master needs.
    """
    async with echoing_datagrams() as service, visiting(home.spare[0]) as visitor:
        add(home, to=f"127.0.0.1:{service.port}", udp=True)
        await serve(home)
        nginx = home.managed()
        master = nginx._master.find()
        assert master is not None
        master.send(signal.SIGKILL)
        await until(lambda: nginx._master.find() is None)
        assert await visitor.ask(b"still") == b"still"
        await nginx.start()
        assert await visitor.ask(b"again") == b"again"


async def test_tcp_and_udp_share_a_number(home: House) -> None:
    """
    As a name server's do.
    """
    async with echoing(b"tcp ") as tcp, echoing_datagrams() as udp, visiting(home.spare[0]) as visitor:
        add(home, "tcp", to=f"127.0.0.1:{tcp.port}")
        add(home, "udp", to=f"127.0.0.1:{udp.port}", udp=True)
        await serve(home)
        assert await say(home.spare[0], b"?") == b"tcp ?"
        assert await visitor.ask(b"?") == b"?"


async def test_tls_is_taken_off_with_the_certificate_that_is_held(home: House) -> None:
    """
    It is read back before a tree is proven, and the next version is shown after a renewal.
    """
    async with echoing() as service:
        add(home, to=f"127.0.0.1:{service.port}", hosts=("mqtt.example.com",))
        for _ in range(2):
            held = home.certify("mqtt.example.com")
            rendered = home.render()
            assert [each.fingerprint for each in rendered.served if each.listener.port == home.spare[0]] == [
                held.fingerprint
            ]
            assert (held.name, held.version) in rendered.references
            await home.managed().apply(rendered)
            assert await home.fingerprint("mqtt.example.com", port=home.spare[0]) == held.fingerprint
            assert await say(home.spare[0], b"hello", tls=trusting(), name="mqtt.example.com") == b"hello"
        assert service.heard == [b"hello", b"hello"]


async def test_tls_is_passed_on_by_the_name_that_is_asked_for(home: House, tmp_path: Path) -> None:
    """
    Each visitor sees the certificate of the service itself; who asks for another name, or none, goes where the others go.
    """
    names = ("vpn.example.com", "*.lab.example.com", "else.example.com")
    contexts = [certificate(tmp_path, name)[0] for name in names]
    async with contextlib.AsyncExitStack() as stack:
        vpn, lab, other = [
            await stack.enter_async_context(echoing(name.encode(), tls=context))
            for name, context in zip(names, contexts, strict=True)
        ]
        by_name = (
            (Name("vpn.example.com"), pool(f"127.0.0.1:{vpn.port}")),
            (Name("*.lab.example.com"), pool(f"127.0.0.1:{lab.port}", "127.0.0.1:9")),
        )
        add(home, to=f"127.0.0.1:{other.port}", by_name=by_name)
        await serve(home)
        for name, answer in (
            ("vpn.example.com", names[0]),
            ("VPN.example.com", names[0]),
            ("a.lab.example.com", names[1]),
            ("b.a.lab.example.com", names[1]),
            ("lab.example.com", names[2]),
            ("other.example.com", names[2]),
            (None, names[2]),
        ):
            assert await say(home.spare[0], b"!", tls=trusting(), name=name) == answer.encode() + b"!", name
        add(home, to=None, by_name=by_name)
        await serve(home)
        assert await say(home.spare[0], b"!", tls=trusting(), name="vpn.example.com") == b"vpn.example.com!"
        for stranger in ("other.example.com", None):
            assert await say(home.spare[0], b"!", tls=trusting(), name=stranger) == b""


async def test_the_service_is_told_who_the_visitor_is(home: House) -> None:
    """
    By a PROXY header, which is the first that it hears.
    """
    async with echoing() as service:
        add(home, to=f"127.0.0.1:{service.port}", proxy_protocol=True)
        await serve(home)
        await say(home.spare[0], b"hello", source="127.0.0.7")
        await until(lambda: b"hello" in b"".join(service.heard))
        header, _, rest = b"".join(service.heard).partition(b"\r\n")
        assert header.startswith(b"PROXY TCP4 127.0.0.7 127.0.0.1 ")
        assert header.endswith(b" %d" % home.spare[0])
        assert rest == b"hello"


async def test_who_stands_before_is_believed_and_nobody_else(home: House) -> None:
    """
    A PROXY header that is let in goes on to the service, and decides who may come; of a stranger it is read, and not believed.
    """
    port = home.spare[0]
    settings = ListenSettings(proxy_protocol=("127.0.0.5",))
    home.settings = dataclasses.replace(home.settings, listen=((Listener(port=port), settings),))
    said = b"PROXY TCP4 198.51.100.7 192.0.2.1 1000 443\r\nhello"
    async with echoing() as service:
        add(home, to=f"127.0.0.1:{service.port}", proxy_protocol=True)
        await serve(home)
        for number, source in enumerate(("127.0.0.5", "127.0.0.6"), 1):
            await say(port, said, source=source)
            await until(lambda number=number: b"".join(service.heard).count(b"hello") == number)
        first, second = (each.split(b" ")[2] for each in b"".join(service.heard).split(b"hello")[:2])
        assert (first, second) == (b"198.51.100.7", b"127.0.0.6")
        add(home, to=f"127.0.0.1:{service.port}", deny=("198.51.100.0/24",))
        await serve(home)
        assert await say(port, said, source="127.0.0.5") == b""
        assert await say(port, said, source="127.0.0.6") == b"hello"


async def test_a_certificate_is_read_back_through_a_proxy_header(home: House) -> None:
    """
    The daemon says that it speaks for itself.
    """
    port = home.spare[0]
    settings = ListenSettings(proxy_protocol=("127.0.0.5",))
    home.settings = dataclasses.replace(home.settings, listen=((Listener(port=port), settings),))
    async with echoing() as service:
        add(home, to=f"127.0.0.1:{service.port}", hosts=("a.example.com",))
        await serve(home)
        assert [each.proxy_protocol for each in home.render().served] == [True]


async def test_a_gate_by_name_stands_before_our_own_sites(home: House, tmp_path: Path) -> None:
    """
    Sites are told who the visitor is; a service that knows no PROXY header has it taken off by a stream between.
    """
    gate, between = home.spare[:2]
    believed = ListenSettings(proxy_protocol=("127.0.0.1",))
    within = Listener(port=between, address="127.0.0.1")
    home.settings = dataclasses.replace(
        home.settings, listen=((Listener(port=home.settings.https_port), believed), (within, believed))
    )
    context = certificate(tmp_path, "vpn.example.com")[0]
    async with upstream.running() as up, echoing(tls=context) as vpn:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        add(home, "vpn", to=f"127.0.0.1:{vpn.port}", listeners=(within,))
        add(
            home,
            "gate",
            port=gate,
            to=f"127.0.0.1:{home.settings.https_port}",
            by_name=((Name("vpn.example.com"), pool(f"127.0.0.1:{between}")),),
            proxy_protocol=True,
        )
        await serve(home)
        request = b"GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n"
        answer = await say(gate, request, source="127.0.0.7", tls=trusting(), name="a.example.com")
        assert answer.startswith(b"HTTP/1.1 200")
        assert up.seen[-1].headers["x-forwarded-for"] == "127.0.0.7"
        assert await say(gate, b"hello", tls=trusting(), name="vpn.example.com") == b"hello"
        assert vpn.heard == [b"hello"]


async def test_only_those_may_come_who_are_let(home: House) -> None:
    """
    The daemon is not among them, and does not look; TLS or not.
    """
    async with echoing() as service:
        for hosts in ((), ("a.example.com",)):
            add(home, to=f"127.0.0.1:{service.port}", hosts=hosts, allow=("127.0.0.8/31",), deny=("127.0.0.9",))
            assert home.render().served == ()
            await serve(home)
            tls = trusting() if hosts else None
            assert await say(home.spare[0], b"hello", source="127.0.0.8", tls=tls) == b"hello"
            for source in ("127.0.0.9", "127.0.0.1"):
                assert await say(home.spare[0], b"hello", source=source, tls=tls) == b""
        add(home, to=f"127.0.0.1:{service.port}", hosts=("a.example.com",), deny=("127.0.0.9",))
        assert len(home.render().served) == 1
        await serve(home)


async def test_one_address_holds_so_many_connections(home: House) -> None:
    """
    Another address has its own.
    """
    async with echoing() as service:
        add(home, to=f"127.0.0.1:{service.port}", connections=1)
        await serve(home)
        port = home.spare[0]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.3", 0))
        writer.write(b"first")
        assert await reader.read(100) == b"first"
        assert await say(port, b"second", source="127.0.0.3") == b""
        assert await say(port, b"other", source="127.0.0.4") == b"other"
        writer.close()
        await writer.wait_closed()

        async def again() -> bool:
            return await say(port, b"third", source="127.0.0.3") == b"third"

        await until(again)


async def test_a_dead_service_is_dead_alone(home: House) -> None:
    """
    Its visitors are let go at once, and another server takes them where there is one.
    """
    async with echoing() as service:
        add(home, "dead", to="127.0.0.1:9", port=home.spare[1])
        spare = Server(upstream=Upstream(scheme="tcp", host="127.0.0.1", port=service.port), backup=True)
        first = Server(upstream=Upstream(scheme="tcp", host="127.0.0.1", port=9))
        add(home, to=Pool(servers=(first, spare)))
        await serve(home)
        assert await say(home.spare[1], b"hello") == b""
        for _ in range(3):
            assert await say(home.spare[0], b"hello") == b"hello"


async def test_a_visitor_keeps_his_server(home: House) -> None:
    """
    `hash:address` chooses by him alone.
    """
    async with contextlib.AsyncExitStack() as stack:
        services = [await stack.enter_async_context(echoing()) for _ in range(4)]
        balance = Balance(spread=Spread.HASH, by="address")
        add(home, to=pool(*(f"127.0.0.1:{each.port}" for each in services), balance=balance))
        await serve(home)
        for source in range(1, 20):
            for _ in range(3):
                await say(home.spare[0], b"%d." % source, source=f"127.0.0.{source}")
        seen = [{*b"".join(each.heard).split(b".")} - {b""} for each in services]
        assert sum(map(len, seen)) == 19
        assert all(seen)


async def test_a_service_is_spoken_to_over_tls_and_checked(home: House, tmp_path: Path) -> None:
    """
    By its name, against the roots that are given; what does not fit is not spoken to.
    """
    context, chain = certificate(tmp_path, "db.example.com")
    async with echoing(tls=context) as service:
        for name, told in (("db.example.com", b"hello"), ("other.example.com", b"")):
            tls = UpstreamTls(name=name, ca=chain)
            add(home, to=pool(f"127.0.0.1:{service.port}", scheme="tls", tls=tls))
            await serve(home)
            assert await say(home.spare[0], b"hello") == told
        add(home, to=pool(f"127.0.0.1:{service.port}", scheme="tls", tls=UpstreamTls(verify=False)))
        await serve(home)
        assert await say(home.spare[0], b"hello") == b"hello"


async def test_a_service_asks_who_we_are(home: House, tmp_path: Path) -> None:
    """
    And is shown the certificate that is given for it.
    """
    ca = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    ca.issue_cert("db.example.com").configure_cert(context)
    roots, ours, key = (str(tmp_path / name) for name in ("ca.pem", "ours.pem", "ours.key"))
    ca.cert_pem.write_to_path(roots)
    shown = ca.issue_cert("gate.example.com")
    shown.cert_chain_pems[0].write_to_path(ours)
    shown.private_key_pem.write_to_path(key)
    tls = UpstreamTls(name="db.example.com", ca=roots, certificate=ours, key=key)
    async with echoing(tls=context) as service:
        add(home, to=pool(f"127.0.0.1:{service.port}", scheme="tls", tls=tls))
        await serve(home)
        assert await say(home.spare[0], b"hello") == b"hello"


@pytest.mark.parametrize("by_name", [False, True], ids=["all", "by_name"])
async def test_a_service_is_found_again_at_another_address(
    home: House,
    tmp_path: Path,
    by_name: bool,  # noqa: FBT001 - which
) -> None:
    """
    As a container that was made anew; the daemon need not be there. Nothing is looked up when nginx starts.
    """
    home.settings = dataclasses.replace(home.settings, resolver_valid=dt.timedelta(seconds=1))
    context = certificate(tmp_path, "a.example.com")[0] if by_name else None
    visitor = trusting() if by_name else None
    async with naming() as names, echoing(b"old ", tls=context) as old:
        home.resolver = (f"127.0.0.1:{names.port}",)
        where = f"broker_1:{old.port}"
        more = {"to": None, "by_name": ((Name("a.example.com"), pool(where)),)} if by_name else {"to": where}
        add(home, **more)
        await serve(home)
        assert await say(home.spare[0], b"hello", tls=visitor, name="a.example.com") == b""
        names.addresses["broker_1"] = "127.0.0.1"

        async def served(answer: bytes) -> bool:
            return await say(home.spare[0], b"hello", tls=visitor, name="a.example.com") == answer

        await until(lambda: served(b"old hello"))
        async with echoing(b"new ", tls=context, at="127.0.0.2", port=old.port):
            names.addresses["broker_1"] = "127.0.0.2"
            await until(lambda: served(b"new hello"))


async def test_a_connection_goes_on_over_renewals(home: House) -> None:
    """
    The old worker finishes it, with TLS or without.
    """
    home.settings = dataclasses.replace(home.settings, drain=dt.timedelta(seconds=60))
    async with echoing() as service:
        add(home, "plain", to=f"127.0.0.1:{service.port}", port=home.spare[0])
        add(home, "tls", to=f"127.0.0.1:{service.port}", port=home.spare[1], hosts=("a.example.com",))
        await serve(home)
        open_now = [
            await home.connect(home.spare[0]),
            await home.connect(home.spare[1], "a.example.com"),
        ]
        for _ in range(3):
            home.certify("a.example.com")
            await serve(home)
            for reader, writer in open_now:
                writer.write(b"still here")
                assert await asyncio.wait_for(reader.read(100), 5) == b"still here"
        for _, writer in open_now:
            writer.close()


def quarantined(home: House, part: str, *, kept: str | None = None) -> None:
    """
    Keep a stream back as it is asked for now.
    """
    fresh = home.render().fresh[part]
    home.quarantines[part] = Quarantine(site=part, digest=fresh, error="no", since=NOW, retry_at=NOW, kept=kept)


async def test_a_stream_that_nginx_refuses_is_left_out_alone(home: House) -> None:
    """
    It is blamed by name, what nginx said leads to its key, and everybody else is served.
    """
    async with upstream.running() as up, echoing() as service:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        add(home, "good", to=f"127.0.0.1:{service.port}", port=home.spare[0])
        add(home, "bad", to=f"127.0.0.1:{service.port}", port=home.spare[1], snippet="nonsense on;\n")
        with pytest.raises(NginxRefused) as refused:
            await serve(home)
        assert refused.value.guilty == {"stream:bad"}
        assert "made by streams.bad.snippet" in refused.value.reason("stream:bad")
        quarantined(home, "stream:bad")
        await serve(home)
        assert (await home.get("a.example.com")).status == 200
        assert await say(home.spare[0], b"hello") == b"hello"
        assert await say(home.spare[1], b"hello") == b""


async def test_a_stream_that_was_proven_stays_as_it_was(home: House) -> None:
    """
    Until it is mended, its last proven text is served; unless another has its port by then.
    """
    async with echoing(b"one ") as one, echoing(b"two ") as two:
        add(home, to=f"127.0.0.1:{one.port}")
        await serve(home)
        kept = await home.managed().site_text("stream:service")
        assert kept
        add(home, to=f"127.0.0.1:{two.port}", port=home.spare[1], snippet="nonsense on;\n")
        with pytest.raises(NginxRefused):
            await serve(home)
        quarantined(home, "stream:service", kept=kept)
        await serve(home)
        assert await say(home.spare[0], b"hello") == b"one hello"
        add(home, "other", to=f"127.0.0.1:{two.port}", port=home.spare[0])
        await serve(home)
        assert await say(home.spare[0], b"hello") == b"two hello"


async def test_a_port_that_is_taken_is_one_streams_trouble(home: House) -> None:
    """
    TCP or UDP, and also where the other program would share it.
    """
    async with echoing() as service, upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        add(home, "tcp", to=f"127.0.0.1:{service.port}", port=service.port)
        add(home, "udp", to=f"127.0.0.1:{service.port}", port=home.spare[0], udp=True)
        with taken(home.spare[0]), pytest.raises(NginxRefused) as refused:
            await serve(home)
        assert refused.value.guilty == {"stream:tcp", "stream:udp"}
        assert f"port {home.spare[0]}/udp is held by" in refused.value.output
        home.streams = home.streams[1:]
        await serve(home)


async def test_the_tls_port_can_be_a_streams_and_its_trouble(home: House) -> None:
    """
    Where no site listens on it; then it is not the whole house's.
    """
    async with echoing() as service:
        home.settings = dataclasses.replace(home.settings, https_port=service.port)
        add(home, to=f"127.0.0.1:{service.port}", port=service.port)
        with pytest.raises(NginxRefused) as refused:
            await serve(home)
        assert refused.value.guilty == {"stream:service"}


async def test_a_port_may_change_its_protocol_and_owner(home: House) -> None:
    """
    From a site to a stream and back, in one reload each, after which the old workers answer for a moment.
    """

    async def answers(first: bytes) -> bool:
        return (await say(home.spare[0], b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")).startswith(first)

    async with echoing() as service, upstream.running() as up:
        for _ in range(2):
            home.streams = []
            home.add(
                "a.example.com", to=f"http://127.0.0.1:{up.port}", tls=False, listen=(Listener(port=home.spare[0]),)
            )
            await serve(home)
            await until(lambda: answers(b"HTTP/1.1 200"))
            home.sites = []
            add(home, to=f"127.0.0.1:{service.port}")
            await serve(home)
            await until(lambda: answers(b"GET / HTTP/1.1"))


async def test_an_nginx_without_the_module_serves_everybody_else(home: House) -> None:
    """
    It is not asked for what it cannot do, and the stream says what is missing.
    """
    async with upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        add(home, to="127.0.0.1:9")
        found = home.capabilities()
        poor = dataclasses.replace(found, modules=found.modules - {"stream"}, dynamic={})
        rendered = home.render(poor)
        assert "libnginx-mod-stream" in rendered.unwritten["stream:service"]
        await home.managed().apply(rendered)
        assert (await home.get("a.example.com")).status == 200


async def test_a_module_that_does_not_fit_is_the_streams_trouble_alone(home: House) -> None:
    """
    As after half of an upgrade.
    """
    home.add("a.example.com", to="http://127.0.0.1:9")
    add(home, "one", to="127.0.0.1:9", port=home.spare[0])
    add(home, "two", to="127.0.0.1:9", port=home.spare[1])
    broken = home.state / "ngx_stream_module.so"
    broken.write_text("no module")
    found = home.capabilities()
    found = dataclasses.replace(found, modules=found.modules - {"stream"}, dynamic={"stream": str(broken)})
    with pytest.raises(NginxRefused) as refused:
        await home.managed().apply(home.render(found))
    assert refused.value.guilty == {"stream:one", "stream:two"}
    for part in ("stream:one", "stream:two"):
        quarantined(home, part)
    await home.managed().apply(home.render(found))


async def test_the_users_own_text_for_streams_is_left_out_alone(home: House) -> None:
    """
    It stands inside `stream {}`; when nginx refuses it, the streams go on without it.
    """
    home.settings = dataclasses.replace(
        home.settings, stream_snippet=f'server {{\n    listen 127.0.0.1:{home.spare[1]};\n    return "own";\n}}\n'
    )
    async with echoing() as service:
        add(home, to=f"127.0.0.1:{service.port}")
        await serve(home)
        assert await say(home.spare[1], b"") == b"own"
        home.settings = dataclasses.replace(home.settings, stream_snippet="nonsense;\n")
        with pytest.raises(NginxRefused) as refused:
            await serve(home)
        assert refused.value.guilty == {"stream:.snippet"}
        assert "made by nginx.stream_snippet" in refused.value.output
        quarantined(home, "stream:.snippet")
        await serve(home)
        assert await say(home.spare[0], b"hello") == b"hello"


async def test_a_stream_whose_certificate_is_not_shown_is_left_out_alone(home: House) -> None:
    """
    Everybody else's renewals do not wait for it.
    """
    async with echoing() as service:
        home.add("a.example.com", to="http://127.0.0.1:9")
        add(home, to=f"127.0.0.1:{service.port}", hosts=("b.example.com",))
        rendered = home.render()
        wrong = tuple(
            dataclasses.replace(each, fingerprint="0" * 64) if each.certificate == "b.example.com" else each
            for each in rendered.served
        )
        with pytest.raises(NginxRefused, match=r"b\.example\.com on \d+: another certificate") as refused:
            await home.managed().apply(dataclasses.replace(rendered, served=wrong))
        assert refused.value.guilty == {"stream:service"}
