"""
Who the visitor is when somebody stands before the gate, a CDN or a balancer: on the oldest nginx at hand and on the newest.

Whoever is not trusted says nothing that counts. Connections come from 127.0.0.1, or from 127.0.0.2 where nobody is trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
import socket
import ssl
import struct
from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.nginx_house import DEBIAN, WHEEL, Answer, house, parse

from gatelodge.model import INTERNAL_HOST, Listener, ListenSettings, NginxSettings, TrustedProxies
from gatelodge.nginx.writing.prelude import GENERATION_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live

TRUSTED, STRANGER = "127.0.0.1", "127.0.0.2"
VISITOR = "203.0.113.7"


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


@pytest.fixture
async def up() -> AsyncIterator[upstream.Upstream]:
    """
    Yield a running upstream.
    """
    async with upstream.running() as made:
        yield made


async def serve(home: House, **changes: object) -> None:
    """
    Bring what the house asks for to be served, with other settings of nginx.
    """
    home.settings = dataclasses.replace(home.settings, **changes)  # type: ignore[arg-type]
    await home.managed().apply(home.render())


def version1(source: str) -> bytes:
    """
    Return a PROXY header for people (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt §2.1).
    """
    family, here = ("TCP6", "2001:db8::1") if ":" in source else ("TCP4", "192.0.2.1")
    return f"PROXY {family} {source} {here} 40000 443\r\n".encode()


def version2(source: str) -> bytes:
    """
    Return a PROXY header for machines (§2.2).
    """
    here = ipaddress.ip_address("2001:db8::1" if ":" in source else "192.0.2.1")
    addresses = ipaddress.ip_address(source).packed + here.packed + struct.pack("!HH", 40000, 443)
    family = 0x21 if ":" in source else 0x11
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, family, len(addresses)) + addresses


async def ask(
    place: tuple[str, int],
    *,
    first: bytes = b"",
    name: str | None = "a.example.com",
    tls: bool = True,
    sender: str = TRUSTED,
    target: str = "/",
    host: str = "a.example.com",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """
    Send a request from an address of this machine, with something before it; nothing at all is the status 0.
    """
    said = "".join(f"{key}: {value}\r\n" for key, value in (headers or {}).items())
    request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{said}Connection: close\r\n\r\n"

    def talk() -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(
                socket.create_connection(place, timeout=10, source_address=None if ":" in place[0] else (sender, 0))
            )
            connection.sendall(first)
            if tls:
                connection = stack.enter_context(context.wrap_socket(connection, server_hostname=name))
            connection.sendall(request.encode())
            whole = b""
            while part := connection.recv(65536):
                whole += part
            return whole

    try:
        return parse(await asyncio.to_thread(talk))
    except OSError:
        return Answer(status=0, headers={}, body=b"")


def told(up: upstream.Upstream) -> str:
    """
    Return who the upstream thinks that the last visitor was.
    """
    headers = up.seen[-1].headers
    assert headers["x-real-ip"] == headers["x-forwarded-for"], "one address, and no chain of claims"
    return headers["x-real-ip"]


async def test_a_trusted_proxy_says_who_the_visitor_is(home: House, up: upstream.Upstream) -> None:
    """
    The last address of X-Forwarded-For that is not itself a trusted proxy's: what stands left of it the visitor may have made up.
    From anybody else the header says nothing, and without it nothing changes. The plain listener is no different.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    home.add("plain.example.com", to=f"http://127.0.0.1:{up.port}", tls=False)
    networks = (f"{TRUSTED}/32", "198.51.100.0/24", "2001:db8:f::/48")
    await serve(home, trusted_proxies=TrustedProxies(networks=networks))
    https, http = (("127.0.0.1", port) for port in (home.settings.https_port, home.settings.http_port))
    for said, believed in (
        (VISITOR, VISITOR),
        (f"192.0.2.66, {VISITOR}", VISITOR),
        (f"{TRUSTED}, {VISITOR}, 198.51.100.9, 2001:db8:f::2", VISITOR),
        ("2001:db8::7", "2001:db8::7"),
        (f"{VISITOR}:40000", VISITOR),
        ("unknown", TRUSTED),
        (f"{VISITOR}, evil", TRUSTED),
        (None, TRUSTED),
    ):
        headers = {"X-Forwarded-For": said} if said else {}
        assert (await ask(https, headers=headers)).status == 200
        assert (said, told(up)) == (said, believed)
        assert (await ask(http, tls=False, host="plain.example.com", headers=headers)).status == 200
        assert (said, told(up)) == (said, believed)
        assert (await ask(https, sender=STRANGER, headers=headers)).status == 200
        assert (said, told(up)) == (said, STRANGER)


async def test_a_cdn_says_it_in_a_header_of_its_own(home: House, up: upstream.Upstream) -> None:
    """
    Only that header counts then.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    cdn = TrustedProxies(networks=(TRUSTED,), header="CF-Connecting-IP")
    await serve(home, trusted_proxies=cdn)
    https = ("127.0.0.1", home.settings.https_port)
    headers = {"CF-Connecting-IP": VISITOR, "X-Forwarded-For": "192.0.2.66"}
    for sender, believed in ((TRUSTED, VISITOR), (STRANGER, STRANGER)):
        await ask(https, sender=sender, headers=headers)
        assert told(up) == believed
    await ask(https, headers={"X-Forwarded-For": "192.0.2.66"})
    assert told(up) == TRUSTED


async def test_the_log_of_visits_names_the_visitor(home: House, up: upstream.Upstream) -> None:
    """
    So that those who watch it shut out the right one.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    log = home.state / "log" / "visits.log"
    await serve(home, trusted_proxies=TrustedProxies(networks=(TRUSTED,)), access_log=str(log))
    await ask(("127.0.0.1", home.settings.https_port), headers={"X-Forwarded-For": VISITOR})
    await home.managed().stop(grace=10)
    assert log.read_text().startswith(f"{VISITOR} - ")


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_proxy_headers_on_every_listener(program: str, up: upstream.Upstream) -> None:
    """
    In plain and with TLS, versions 1 and 2, IPv4 and IPv6: believed from trusted networks alone. A connection without one gets no
    answer. The tree itself was proven through such headers, first by its plain listener, then by TLS alone.
    """
    async with house(program) as home:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        home.add("192.0.2.10", to=f"http://127.0.0.1:{up.port}")
        own = Listener(port=home.spare[0])
        home.add("plain.example.com", to=f"http://127.0.0.1:{up.port}", tls=False, listen=(own,))
        proxied = ListenSettings(proxy_protocol=(f"{TRUSTED}/32",))
        http, https = home.settings.http_port, home.settings.https_port
        every = tuple((Listener(port=port), proxied) for port in (http, https, own.port))
        await serve(home, listen=every, trusted_proxies=TrustedProxies(networks=(TRUSTED,)))
        token = home.webroot / ".well-known/acme-challenge/token"
        token.write_text("token.thumbprint")
        token.chmod(0o644)
        for header in (version1, version2):
            for source in (VISITOR, "2001:db8::7"):
                first = header(source)
                # X-Forwarded-For is not asked where the connection itself says it.
                forged = {"X-Forwarded-For": "192.0.2.66"}
                for sender, believed in ((TRUSTED, source), (STRANGER, STRANGER)):
                    at = ("127.0.0.1", https)
                    assert (await ask(at, first=first, sender=sender, headers=forged)).status == 200
                    assert told(up) == believed
                    assert (await ask(at, first=first, sender=sender, name=None, host="192.0.2.10")).status == 200
                    assert told(up) == believed
                    at = ("127.0.0.1", own.port)
                    answer = await ask(at, first=first, sender=sender, tls=False, host="plain.example.com:81")
                    assert (answer.status, told(up)) == (200, believed)
                    assert up.seen[-1].headers["host"] == "plain.example.com:81"
                at = ("127.0.0.1", http)
                path = "/.well-known/acme-challenge/token"
                for host in ("a.example.com", "unknown.example.com"):
                    assert (await ask(at, first=first, tls=False, target=path, host=host)).body == b"token.thumbprint"
                redirect = await ask(at, first=first, tls=False)
                assert redirect.headers["location"] == f"https://a.example.com:{https}/"
                strangers = (("127.0.0.1", https), "unknown.example.com")
                assert (await ask(strangers[0], first=first, name=strangers[1])).status == 0
        before = len(up.seen)
        for port, tls in ((https, True), (own.port, False), (http, False)):
            assert (await ask(("127.0.0.1", port), tls=tls)).status in {0, 400}
        assert len(up.seen) == before
        curl = await asyncio.create_subprocess_exec(
            *("curl", "-sk", "--noproxy", "*", "--http2", "--haproxy-protocol", "-o", "/dev/null"),
            *("-w", "%{http_version} %{http_code}", "--resolve", f"a.example.com:{https}:127.0.0.1"),
            f"https://a.example.com:{https}/",
            stdout=asyncio.subprocess.PIPE,
        )
        assert (await curl.communicate())[0] == b"2 200"
        for first, told_to in ((version1(VISITOR), b""), (version2(VISITOR), b""), (b"PROXY UNKNOWN\r\n", b"1")):
            answer = await ask(("127.0.0.1", http), first=first, tls=False, host=INTERNAL_HOST, target=GENERATION_PATH)
            assert answer.body == told_to, "this machine is told, and no visitor whose address a trusted proxy brought"
    async with house(program, http_port=0) as home:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        https = home.settings.https_port
        proxied = ListenSettings(proxy_protocol=())
        await serve(home, listen=((Listener(port=https), proxied),))
        assert (await ask(("127.0.0.1", https), first=version1(VISITOR))).status == 200
        assert told(up) == TRUSTED, "with nobody to trust, the header is read and not believed"
        assert (await ask(("127.0.0.1", https))).status == 0


async def test_one_address_of_a_port_may_speak_it_and_the_others_not(home: House, up: upstream.Upstream) -> None:
    """
    A balancer comes to one address, visitors from the LAN to the others: each is met as its listener says, at every site.
    """
    https = home.settings.https_port
    narrow = Listener(port=https, address="127.0.0.3")
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    home.add("b.example.com", to=f"http://127.0.0.1:{up.port}", listen=(narrow,))
    await serve(home, listen=((narrow, ListenSettings(proxy_protocol=(f"{TRUSTED}/32",))),))
    for host, at, first, believed in (
        ("a.example.com", "127.0.0.1", b"", TRUSTED),
        ("a.example.com", "127.0.0.3", version1(VISITOR), VISITOR),
        ("b.example.com", "127.0.0.3", version2(VISITOR), VISITOR),
    ):
        assert (await ask((at, https), first=first, name=host, host=host)).status == 200
        assert (host, at, told(up)) == (host, at, believed)
    assert (await ask(("127.0.0.3", https), first=version1(VISITOR), sender=STRANGER)).status == 200
    assert told(up) == STRANGER
    for at, first in (("127.0.0.1", version1(VISITOR)), ("127.0.0.3", b"")):
        assert (await ask((at, https), first=first)).status in {0, 400}


def test_nothing_of_it_is_said_unless_it_is_asked_for() -> None:
    """
    A machine that meets its visitors itself believes none of them.
    """
    assert NginxSettings().trusted_proxies is None
    assert ListenSettings().proxy_protocol is None
