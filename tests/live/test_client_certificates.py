"""
Visitors who show a certificate of their own, on the oldest nginx at hand and on the newest: who is let in, what the upstream is told,
and that no session or name of another site takes the place of one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.live.test_basic_auth import basic, users
from tests.support import upstream
from tests.support.nginx_house import DEBIAN, WHEEL, house, parse, trusting, url

from gatelodge.model import BasicAuth, ClientCertificates, Guard, Listener, Pool, Respond, Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.nginx_house import Answer, House

pytestmark = pytest.mark.live

SITE, OPEN = "a.example.com", "b.example.com"


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


@pytest.fixture
def authority(home: House) -> tuple[trustme.CA, Path]:
    """
    Return a CA for visitors, and the file in which nginx finds it.
    """
    made = trustme.CA()
    file = home.state / "public" / "people $1 {ca};.pem"
    made.cert_pem.write_to_path(str(file))
    return made, file


def showing(issued: trustme.LeafCert | None, *, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """
    Return how a visitor speaks TLS who has a certificate.
    """
    context = trusting()
    if version:
        context.minimum_version = context.maximum_version = version
    if issued:
        issued.configure_cert(context)
    return context


async def test_a_certificate_is_asked_for_and_told_of(
    home: House, up: upstream.Upstream, authority: tuple[trustme.CA, Path]
) -> None:
    """
    Only who shows one of that CA comes in. The upstream hears whose it is, and nothing that the visitor says of it himself. Port 80
    and other sites ask for none.
    """
    ca, file = authority
    token = home.webroot / ".well-known/acme-challenge/token"
    token.write_text("token.thumbprint")
    token.chmod(0o644)
    home.add(SITE, to=f"http://127.0.0.1:{up.port}", client_certificates=ClientCertificates(ca=str(file)))
    home.add(OPEN, to=f"http://127.0.0.1:{up.port}")
    await home.serve()
    ann = ca.issue_cert("ann@example.com", common_name='Ann "A", ü')
    forged = {"X-Client-Verify": "SUCCESS", "X-Client-DN": "CN=root", "X-Client-Fingerprint": "00"}
    for context in (showing(None), showing(trustme.CA().issue_cert("ann@example.com"))):
        answer = await home.get(SITE, headers=forged, context=context)
        assert (answer.status, b"certificate" in answer.body) == (400, True)
    assert up.seen == []
    assert (await home.get(SITE, headers=forged, context=showing(ann))).status == 200
    told = up.seen[-1].headers
    leaf = x509.load_pem_x509_certificate(ann.cert_chain_pems[0].bytes())
    assert told["x-client-verify"] == "SUCCESS"
    assert told["x-client-dn"].startswith('CN=Ann \\"A\\"\\, ')
    assert told["x-client-fingerprint"] == leaf.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - nginx's own choice
    assert (await home.get(OPEN, headers=forged)).status == 200
    assert (await home.get(SITE, "/.well-known/acme-challenge/token", tls=False)).body == b"token.thumbprint"
    assert (await home.get(SITE, tls=False)).status == 301


async def test_an_optional_certificate_is_only_told_of(
    home: House, up: upstream.Upstream, authority: tuple[trustme.CA, Path]
) -> None:
    """
    Who shows none comes in too, as nobody; who shows somebody else's does not.
    """
    ca, file = authority
    asked = ClientCertificates(ca=str(file), optional=True)
    home.add(SITE, to=f"http://127.0.0.1:{up.port}", client_certificates=asked)
    await home.serve()
    forged = {"X-Client-Verify": "SUCCESS", "X-Client-DN": "CN=root", "X-Client-Fingerprint": "00"}
    assert (await home.get(SITE, headers=forged)).status == 200
    told = up.seen[-1].headers
    assert (told["x-client-verify"], told.get("x-client-dn"), told.get("x-client-fingerprint")) == ("NONE", None, None)
    other = trustme.CA().issue_cert("ann@example.com")
    assert (await home.get(SITE, context=showing(other))).status == 400
    assert (await home.get(SITE, context=showing(ca.issue_cert("ann@example.com")))).status == 200
    assert up.seen[-1].headers["x-client-verify"] == "SUCCESS"


async def test_a_chain_may_be_as_long_as_is_said(
    home: House, up: upstream.Upstream, authority: tuple[trustme.CA, Path]
) -> None:
    """
    One CA between, and no more, unless asked for.
    """
    ca, file = authority
    home.add(SITE, to=f"http://127.0.0.1:{up.port}", client_certificates=ClientCertificates(ca=str(file)))
    deeper = ClientCertificates(ca=str(file), depth=2)
    home.add("deep.example.com", to=f"http://127.0.0.1:{up.port}", client_certificates=deeper)
    await home.serve()
    between = ca.create_child_ca()
    one, two = between.issue_cert("ann@example.com"), between.create_child_ca().issue_cert("ann@example.com")
    for host, issued, status in ((SITE, one, 200), (SITE, two, 400), ("deep.example.com", two, 200)):
        assert (host, (await home.get(host, context=showing(issued))).status) == (host, status)


async def test_every_route_asks_and_a_password_may_be_asked_for_too(
    home: House, up: upstream.Upstream, authority: tuple[trustme.CA, Path]
) -> None:
    """
    One that is open to all who come by is open to those with a certificate.
    """
    ca, file = authority
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    pool = Pool.of(url(f"http://127.0.0.1:{up.port}"))
    routes = (
        Route(path="/", action=pool, guard=Guard(auth="people")),
        Route(path="/share/", action=pool),
        Route(path="/say", action=Respond(body="said")),
    )
    home.add(SITE, routes=routes, client_certificates=ClientCertificates(ca=str(file)))
    await home.serve()
    shown = showing(ca.issue_cert("ann@example.com"))
    for target in ("/", "/share/", "/say"):
        assert (await home.get(SITE, target, headers=basic("ann"))).status == 400
        assert (await home.get(SITE, target, headers=basic("ann"), context=shown)).status == 200
    assert (await home.get(SITE, "/", context=shown)).status == 401
    assert (await home.get(SITE, "/share/", context=shown)).status == 200


class Session:
    """
    A visitor who keeps his TLS session, and takes it elsewhere.
    """

    def __init__(self, home: House, context: ssl.SSLContext) -> None:
        self._home = home
        self._context = context
        self.kept: ssl.SSLSession | None = None

    async def visit(self, host: str, *, port: int | None = None) -> tuple[Answer, bool]:
        """
        Ask for the first page of a host with the session of the visit before, and return also whether nginx took it up.
        """
        return await asyncio.to_thread(self._visit, host, port or self._home.settings.https_port)

    def _visit(self, host: str, port: int) -> tuple[Answer, bool]:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            self._context.wrap_socket(plain, server_hostname=host, session=self.kept) as secured,
        ):
            secured.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            said = b"".join(iter(lambda: secured.recv(4096), b""))
            # That of TLS 1.3 comes after the handshake.
            self.kept = secured.session or self.kept
            return parse(said), bool(secured.session_reused)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_no_session_of_another_site_lets_anybody_in(
    home: House, up: upstream.Upstream, authority: tuple[trustme.CA, Path], version: ssl.TLSVersion
) -> None:
    """
    Neither one that was made without a certificate, nor one with that of another CA, nor one's own after it (CVE-2025-23419). On a
    listener where nobody is asked, sessions are taken up as ever.
    """
    ca, file = authority
    others = trustme.CA()
    elsewhere = home.state / "public" / "others.pem"
    others.cert_pem.write_to_path(str(elsewhere))
    to = f"http://127.0.0.1:{up.port}"
    home.add(SITE, to=to, client_certificates=ClientCertificates(ca=str(file)))
    home.add("c.example.com", to=to, client_certificates=ClientCertificates(ca=str(elsewhere)))
    home.add(OPEN, to=to)
    free = Listener(port=home.spare[0])
    home.add("free.example.com", to=to, listen=(free,))
    await home.serve()
    stranger = Session(home, showing(None, version=version))
    for host, status in ((OPEN, 200), (OPEN, 200), (SITE, 400), ("c.example.com", 400), (SITE, 400)):
        answer, resumed = await stranger.visit(host)
        assert (host, answer.status, resumed) == (host, status, False)
    other = Session(home, showing(others.issue_cert("eve@example.com"), version=version))
    for host, status in (("c.example.com", 200), (SITE, 400), ("c.example.com", 200), (OPEN, 200), (SITE, 400)):
        answer, resumed = await other.visit(host)
        assert (host, answer.status, resumed) == (host, status, False)
    mine = Session(home, showing(ca.issue_cert("ann@example.com"), version=version))
    for host, status in ((SITE, 200), ("c.example.com", 400), (SITE, 200)):
        answer, resumed = await mine.visit(host)
        assert (host, answer.status, resumed) == (host, status, False)
    usual = Session(home, showing(None, version=version))
    for resumed in (False, True):
        assert (await usual.visit("free.example.com", port=free.port))[1] is resumed
    answer, resumed = await usual.visit(SITE)
    assert (answer.status, resumed) == (400, False)


async def test_a_name_other_than_the_one_that_was_agreed_on_is_refused(
    home: House, up: upstream.Upstream, authority: tuple[trustme.CA, Path]
) -> None:
    """
    Who says one name in the handshake, or none, and asks for another then, was not asked for a certificate. It is so over HTTP/2, and
    where an optional one is told of.
    """
    ca, file = authority
    to = f"http://127.0.0.1:{up.port}"
    home.add(SITE, to=to, client_certificates=ClientCertificates(ca=str(file)))
    home.add("o.example.com", to=to, client_certificates=ClientCertificates(ca=str(file), optional=True))
    home.add(OPEN, "192.0.2.10", to=to)
    await home.serve()
    ann = showing(ca.issue_cert("ann@example.com"))
    for host in (SITE, "o.example.com"):
        for context in (None, ann):
            answer = await home.get(host, name=OPEN, context=context)
            assert (host, answer.status) == (host, 421)
    assert (await home.get(SITE, name="o.example.com")).status == 421
    assert (await home.get(SITE, name=None)).status == 400
    assert up.seen == []
    port = home.settings.https_port
    curl = await asyncio.create_subprocess_exec(
        *("curl", "-sk", "--noproxy", "*", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"),
        *("--resolve", f"{OPEN}:{port}:127.0.0.1", "-H", f"Host: {SITE}", f"https://{OPEN}:{port}/"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await curl.communicate()
    assert said == b"2 421"
    assert up.seen == []
