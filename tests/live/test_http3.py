"""
HTTP/3, on an nginx that speaks it: Debian's next, which `scripts/http3` lays beside this machine's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.support import upstream
from tests.support.nginx_house import Answer, house

from gatelodge.model import Hsts, Listener, ListenSettings, Name, NginxSettings, TlsProfile
from gatelodge.nginx import binary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aioquic.quic.events import QuicEvent
    from tests.support.nginx_house import House

PROGRAM = Path(__file__).parents[2] / ".venv" / "nginx-http3" / "nginx"

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not PROGRAM.exists(), reason="no nginx that speaks HTTP/3 was to be had"),
]

QUICK = ListenSettings(http3=True)
A, B = "a.example.com", "b.example.com"


@pytest.fixture
async def home() -> AsyncIterator[House]:
    """
    Yield a house, which visitors reach by another port than nginx's.
    """
    async with house(str(PROGRAM), public_https_port=2443) as made:
        yield made


@pytest.fixture
async def up() -> AsyncIterator[upstream.Upstream]:
    """
    Yield a running upstream.
    """
    async with upstream.running() as made:
        yield made


async def serve(home: House, *listen: tuple[Listener, ListenSettings]) -> None:
    """
    Bring what the house asks for to be served, on these terms.
    """
    home.settings = dataclasses.replace(home.settings, listen=listen)
    await home.managed().apply(home.render())


class Visit(QuicConnectionProtocol):
    """
    One connection, on which one request is made.
    """

    def __init__(self, *arguments: object, **more: object) -> None:
        super().__init__(*arguments, **more)  # type: ignore[arg-type]
        self.http = H3Connection(self._quic)
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._said: list[tuple[bytes, bytes]] = []
        self._body = b""

    def quic_event_received(self, event: QuicEvent) -> None:
        for each in self.http.handle_event(event):
            if isinstance(each, HeadersReceived):
                self._said += each.headers
            if isinstance(each, DataReceived):
                self._body += each.data
            if isinstance(each, (HeadersReceived, DataReceived)) and each.stream_ended and not self.answer.done():
                fields = {name.decode(): value.decode() for name, value in self._said}
                self.answer.set_result(Answer(status=int(fields.pop(":status")), headers=fields, body=self._body))

    async def ask(self, authority: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """
        Make the request.
        """
        stream = self._quic.get_next_available_stream_id()
        said = {":method": "POST" if body else "GET", ":scheme": "https", ":authority": authority, ":path": target}
        lines = [(name.encode(), value.encode()) for name, value in (said | dict(headers)).items()]
        self.http.send_headers(stream, lines, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        return await self.answer

    @property
    def fingerprint(self) -> str:
        """
        The certificate that was shown.
        """
        shown = self._quic.tls._peer_certificate
        assert isinstance(shown, x509.Certificate)
        return (
            x509.load_der_x509_certificate(shown.public_bytes(serialization.Encoding.DER))
            .fingerprint(hashes.SHA256())
            .hex()
        )


@contextlib.asynccontextmanager
async def visiting(name: str, port: int, *, at: str = "127.0.0.1") -> AsyncIterator[Visit]:
    """
    Connect by QUIC.

    Raises:
        ConnectionError: nginx would not.
    """
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, server_name=name, idle_timeout=2
    )
    async with connect(at, port, configuration=configuration, create_protocol=Visit) as visit:
        assert isinstance(visit, Visit)
        yield visit


async def ask(
    authority: str,
    port: int,
    target: str = "/",
    *,
    at: str = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """
    Make one request by HTTP/3.
    """
    async with visiting(authority.partition(":")[0], port, at=at) as visit:
        return await visit.ask(authority, target, headers or {}, body)


async def test_the_upstream_cannot_tell_it_from_http_1(home: House, up: upstream.Upstream) -> None:
    """
    The visitor's port is where it is otherwise, though a request by HTTP/3 has no Host header: in what the upstream is told, in
    redirects that are mended, and with the port that is not written. Bodies arrive.
    """
    home.add(A, to=f"http://127.0.0.1:{up.port}")
    own = Listener(port=home.spare[0])
    home.add(B, to=f"http://127.0.0.1:{up.port}", listen=(own,))
    port = home.settings.https_port
    await serve(home, (Listener(port=port), QUICK), (own, QUICK))
    for host, listening, public in ((A, port, "2443"), (B, own.port, str(own.port))):
        told = []
        for by_quic in (False, True):
            authority, headers = f"{host}:{public}", {"x-forwarded-port": "1", "cookie": "a=b"}
            answer = (
                await ask(authority, listening, "/x?y=%20z", headers=headers, body=b"b" * 100_000)
                if by_quic
                else await home.get(
                    authority, "/x?y=%20z", method="POST", port=listening, headers=headers, body=b"b" * 100_000
                )
            )
            assert answer.status == 200
            assert answer.headers["alt-svc"] == f'h3=":{public}"; ma=86400'
            told.append(up.seen[-1])
        assert told[1] == told[0]
        assert told[1].headers["host"] == f"{host}:{public}"
        assert told[1].headers["x-forwarded-port"] == public
        assert len(told[1].body) == 100_000
    up.location = f"http://{A}:2443/login"
    assert (await ask(f"{A}:2443", port)).headers["location"] == f"https://{A}:2443/login"


async def test_on_the_usual_port_no_port_is_written(up: upstream.Upstream) -> None:
    """
    As in every other Host header.
    """
    async with house(str(PROGRAM), public_https_port=443) as home:
        home.add(A, to=f"http://127.0.0.1:{up.port}")
        port = home.settings.https_port
        await serve(home, (Listener(port=port), QUICK))
        assert (await ask(A, port)).status == 200
        assert (up.seen[-1].headers["host"], up.seen[-1].headers["x-forwarded-port"]) == (A, "443")


async def test_names_are_refused_and_certificates_shown_as_over_tcp(home: House, up: upstream.Upstream) -> None:
    """
    On the port of all addresses and on one address of it, modern or not, after a reload, by whatever worker.
    """
    port = home.settings.https_port
    narrow = Listener(port=port, address="127.0.0.3")
    home.add(A, to=f"http://127.0.0.1:{up.port}")
    home.add(B, to=f"http://127.0.0.1:{up.port}", listen=(narrow,))
    home.add("192.0.2.10", to=f"http://127.0.0.1:{up.port}", listen=(Listener(port=home.spare[0]),))
    home.sites[0] = dataclasses.replace(home.sites[0], hsts=Hsts.ON)
    modern = dataclasses.replace(QUICK, tls_profile=TlsProfile.MODERN)
    terms = ((Listener(port=port), QUICK), (narrow, modern), (Listener(port=home.spare[0]), QUICK))
    for _ in range(2):
        await serve(home, *terms)
        for name, at, to in ((A, "127.0.0.1", port), (A, "127.0.0.3", port), (B, "127.0.0.3", port)):
            for _ in range(4):
                async with visiting(name, to, at=at) as visit:
                    assert visit.fingerprint == home.held[name].fingerprint
                    answer = await visit.ask(name, "/", {}, b"")
                    assert answer.status == 200
                    assert ("strict-transport-security" in answer.headers) is (name == A)
        home.certify(A)
        home.add("c.example.com", to=f"http://127.0.0.1:{up.port}")
    for name, at, to in (
        *(("unknown.example.com", at, port) for at in ("127.0.0.1", "127.0.0.3")),
        *((B, "127.0.0.1", port), ("unknown.example.com", "127.0.0.1", home.spare[0])),
    ):
        with pytest.raises(ConnectionError):
            await ask(name, to, at=at)


async def test_it_is_not_offered_where_it_is_not_asked_for(home: House, up: upstream.Upstream) -> None:
    """
    Neither on the port of UDP nor to visitors by TCP.
    """
    home.add(A, to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    assert "alt-svc" not in (await home.get(A)).headers
    with pytest.raises(ConnectionError):
        await ask(A, home.settings.https_port)


async def test_hosts_that_lead_elsewhere_lead_there(home: House) -> None:
    """
    With the visitor's port.
    """
    site = home.add(A)
    home.certify(A, "www.example.com")
    home.sites = [dataclasses.replace(site, redirect_hosts=(Name("www.example.com"),))]
    port = home.settings.https_port
    await serve(home, (Listener(port=port), QUICK))
    assert (await ask("www.example.com:2443", port, "/x?y")).headers["location"] == f"https://{A}:2443/x?y"


async def test_keys_are_agreed_upon_that_no_quantum_computer_breaks(home: House, up: upstream.Upstream) -> None:
    """
    Where OpenSSL can, on its first try: with ML-KEM beside X25519. Who cannot speaks X25519 alone.
    """
    home.add(A, to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    for offered, agreed in (((), "X25519MLKEM768"), (("-groups", "X25519"), "X25519")):
        client = await asyncio.create_subprocess_exec(
            *(str(PROGRAM.with_name("openssl")), "s_client", "-connect", f"127.0.0.1:{home.settings.https_port}"),
            *("-servername", A, *offered),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await client.communicate())[0].decode(errors="replace")
        assert (offered, agreed in said, "New, TLSv1.3" in said) == (offered, True, True), said


def test_this_nginx_has_it() -> None:
    """
    And what we ask of a program finds it out.
    """
    found = binary.capabilities(NginxSettings(binary=str(PROGRAM)))
    assert "http_v3_module" in found.modules
    assert found.openssl >= (3, 5), "so that the hybrid with ML-KEM is tried here too"
