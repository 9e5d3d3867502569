"""
What listeners really speak, on the oldest nginx at hand and on the newest: protocols, ciphers, curves, sessions, and which of two
certificates is shown.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.support import upstream
from tests.support.certificates import QuickKeys
from tests.support.nginx_house import DEBIAN, NOW, WHEEL, RealClock, house, trusting

from gatelodge.core.observed import Held
from gatelodge.issuers.local import Local
from gatelodge.model import (
    CertificateSpec,
    ClientCertificates,
    KeyKind,
    Listener,
    ListenSettings,
    LocalIssuer,
    Name,
    TlsProfile,
    name_beside,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live

#: Where `scripts/setup test` puts the programs that look at what we serve.
SSLYZE = Path(__file__).parents[2] / ".venv" / "scan" / "bin" / "sslyze"

CIPHERS = {
    *("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    *("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    *("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
}
SUITES = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}

A, B = "a.example.com", "b.example.com"


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


async def serve(home: House, *listen: tuple[Listener, ListenSettings]) -> None:
    """
    Bring what the house asks for to be served, on these terms.
    """
    home.settings = dataclasses.replace(home.settings, listen=listen)
    await home.managed().apply(home.render())


async def keep(home: House, *hosts: str, key: KeyKind = KeyKind.ECDSA_P256) -> Held:
    """
    Store a certificate of the local CA for these hosts, where the site's second one stands when it is RSA.
    """
    name = name_beside(hosts[0]) if key.is_rsa else hosts[0]
    spec = CertificateSpec(name=name, names=tuple(map(Name, hosts)), issuer=LocalIssuer(), key=key)
    folder = home.state / "certificates" / name / "versions" / "9"
    folder.mkdir(parents=True)
    async with authority(home).issue(spec, progress=print) as issued:
        (folder / "fullchain.pem").write_text(issued.chain)
        (folder / "privkey.pem").write_text(issued.private_key.reveal())
    leaf = x509.load_pem_x509_certificate(issued.chain.encode())
    home.held[name] = Held(
        name=name,
        version=9,
        names=spec.names,
        issuer="local",
        key=key,
        profile=None,
        serial=f"{leaf.serial_number:x}",
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        stored_at=NOW,
        directory=str(folder),
    )
    return home.held[name]


def authority(home: House) -> Local:
    """
    Return the local CA of a house.
    """
    return Local(directory=str(home.state / "ca"), clock=RealClock(), keys=QuickKeys())


async def pair(home: House, up: upstream.Upstream, *listeners: Listener) -> None:
    """
    Add a site with an elliptic and an RSA certificate.
    """
    both = [(await keep(home, A, key=key)).name for key in (KeyKind.ECDSA_P256, KeyKind.RSA_2048)]
    site = home.add(A, to=f"http://127.0.0.1:{up.port}", listen=listeners, certify=False)
    home.sites[-1] = dataclasses.replace(site, certificates=tuple(both))


async def said(*arguments: str) -> str:
    """
    Return what openssl's client says of a handshake.
    """
    client = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-brief", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    return (await client.communicate())[0].decode(errors="replace")


def at(listener: Listener, name: str | None = A) -> tuple[str, ...]:
    """
    Return where openssl's client goes, and what it says that it looks for.
    """
    place = ("-connect", f"{listener.address or '127.0.0.1'}:{listener.port}")
    return (*place, *(("-servername", name) if name else ("-noservername",)))


OLD = ("-cipher", "ALL:@SECLEVEL=0")


@pytest.mark.parametrize("profile", TlsProfile)
async def test_sslyze_finds_mozillas_profile(home: House, up: upstream.Upstream, profile: TlsProfile) -> None:
    """
    Nothing beside it is offered, DHE neither; with both kinds of certificates where the profile knows both.
    """
    listener = Listener(port=home.spare[0])
    await pair(home, up, listener)
    await serve(home, (listener, ListenSettings(tls_profile=profile)))
    roots, found = home.state / "roots.pem", home.state / "found.json"
    roots.write_text(await authority(home).root_pem())
    scan = await asyncio.create_subprocess_exec(
        *(str(SSLYZE), "--mozilla_config", profile.value, "--certinfo_ca_file", str(roots), "--json_out", str(found)),
        *("--resum", "--sni", A, f"127.0.0.1:{listener.port}"),
        stdout=asyncio.subprocess.PIPE,
    )
    told = (await scan.communicate())[0].decode()
    assert scan.returncode == 0, told
    [result] = json.loads(found.read_text())["server_scan_results"]
    accepted = {
        protocol: {each["cipher_suite"]["name"] for each in value["result"]["accepted_cipher_suites"]}
        for protocol, value in result["scan_result"].items()
        if protocol.endswith("_cipher_suites")
    }
    both = profile is TlsProfile.INTERMEDIATE
    assert {protocol: names for protocol, names in accepted.items() if names} == {
        "tls_1_3_cipher_suites": SUITES,
        **({"tls_1_2_cipher_suites": CIPHERS} if both else {}),
    }
    curves = {each["name"] for each in result["scan_result"]["elliptic_curves"]["result"]["supported_curves"] or ()}
    assert curves == ({"X25519", "secp256r1", "secp384r1"} if both else curves)
    if both:
        again = result["scan_result"]["session_resumption"]["result"]
        assert (again["session_id_resumption_result"], again["tls_ticket_resumption_result"]) == (
            "FULLY_SUPPORTED",
            "NOT_SUPPORTED",
        )


async def test_a_client_that_takes_only_rsa_gets_the_rsa_certificate(home: House, up: upstream.Upstream) -> None:
    """
    And everybody else the elliptic one, whose handshake costs a tenth; in TLS 1.2 and 1.3.
    """
    listener = Listener(port=home.settings.https_port)
    modern = Listener(port=home.spare[0])
    await pair(home, up, listener, modern)
    await serve(home, (modern, ListenSettings(tls_profile=TlsProfile.MODERN)))
    for place, arguments, kind in (
        (listener, ("-tls1_2",), "ECDSA"),
        (listener, ("-tls1_2", "-cipher", "aRSA"), "RSA-PSS"),
        (listener, ("-tls1_3",), "ECDSA"),
        (listener, ("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"), "RSA-PSS"),
        (modern, (), "ECDSA"),
        (modern, ("-sigalgs", "rsa_pss_rsae_sha256"), "RSA-PSS"),
    ):
        told = await said(*at(place), *arguments)
        assert (place, arguments, f"Signature type: {kind}\n" in told) == (place, arguments, True), told


async def test_narrow_and_wide_listeners_keep_their_terms(home: House, up: upstream.Upstream) -> None:
    """
    Of one port, one address is modern and the rest intermediate, and the other way round: whatever site is met there, by its name,
    by an unknown one or by none.
    """
    for number, (inside, outside) in enumerate(
        ((TlsProfile.MODERN, TlsProfile.INTERMEDIATE), (TlsProfile.INTERMEDIATE, TlsProfile.MODERN))
    ):
        wide = Listener(port=home.spare[number])
        narrow, elsewhere = (dataclasses.replace(wide, address=each) for each in ("127.0.0.3", "127.0.0.1"))
        home.add(A, to=f"http://127.0.0.1:{up.port}", listen=(wide,))
        home.add(B, to=f"http://127.0.0.1:{up.port}", listen=(narrow,))
        home.add("192.0.2.10", to=f"http://127.0.0.1:{up.port}", listen=(wide,))
        await serve(home, (wide, ListenSettings(tls_profile=outside)), (narrow, ListenSettings(tls_profile=inside)))
        for place, profile, names in ((narrow, inside, (A, B, None)), (elsewhere, outside, (A, None))):
            for name in names:
                older, newer = [await said(*at(place, name), each) for each in ("-tls1_2", "-tls1_3")]
                assert "Protocol version: TLSv1.3" in newer, newer
                spoken = "Protocol version: TLSv1.2" in older
                assert (place, name, spoken) == (place, name, profile is TlsProfile.INTERMEDIATE), older
            for version in ("-tls1", "-tls1_1"):
                assert "Protocol version" not in await said(*at(place), version, *OLD)
            assert "Protocol version" not in await said(*at(place, "unknown.example.com"))


async def test_who_sends_no_name_or_an_unknown_one_is_refused_by_an_alert(home: House, up: upstream.Upstream) -> None:
    """
    On each kind of listener, and no certificate is shown. A site of an IP address is met without a name, by TLS 1.3 alone too.
    """
    modern, usual, met = (
        Listener(port=home.spare[0]),
        Listener(port=home.settings.https_port),
        Listener(port=home.spare[1]),
    )
    home.add(A, to=f"http://127.0.0.1:{up.port}", listen=(modern, usual, met))
    home.add("192.0.2.10", to=f"http://127.0.0.1:{up.port}", listen=(met,))
    settings = ListenSettings(tls_profile=TlsProfile.MODERN)
    await serve(home, (modern, settings), (met, settings))
    for place in (modern, usual):
        for name in (None, "unknown.example.com"):
            told = await said(*at(place, name))
            assert "tlsv1 unrecognized name" in told, told
            assert "Peer certificate" not in told
    assert "Protocol version: TLSv1.3" in await said(*at(met, None))
    assert "tlsv1 unrecognized name" in await said(*at(met, "unknown.example.com"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_sessions_are_taken_up_again_where_no_certificate_is_asked_for(
    home: House, up: upstream.Upstream, version: ssl.TLSVersion
) -> None:
    """
    By whatever worker, after a reload too, and by identifiers: a ticket's key would lie in memory for years. Nowhere on a listener
    where some site asks for a certificate, whoever is visited there, nor with a session brought there from elsewhere
    (CVE-2025-23419).
    """
    (home.state / "clients.pem").write_text(await authority(home).root_pem())
    locked, usual = Listener(port=home.spare[0]), Listener(port=home.settings.https_port)
    home.add(A, to=f"http://127.0.0.1:{up.port}", listen=(usual, locked))
    home.add(B, to=f"http://127.0.0.1:{up.port}", listen=(locked,))
    asking = ClientCertificates(ca=str(home.state / "clients.pem"), optional=True)
    home.sites[-1] = dataclasses.replace(home.sites[-1], client_certificates=asking)
    await serve(home)
    context = trusting()
    context.minimum_version = context.maximum_version = version

    def visit(place: Listener, name: str, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession | None]:
        with (
            socket.create_connection(("127.0.0.1", place.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=name, session=session) as secured,
        ):
            secured.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while part := secured.recv(65536):
                answer += part
            assert answer.startswith(b"HTTP/1.1 200")
            return bool(secured.session_reused), secured.session

    def several(place: Listener, name: str, session: ssl.SSLSession | None, count: int) -> set[bool]:
        reused = set()
        for _ in range(count):
            again, kept = visit(place, name, session)
            reused.add(again)
            session = kept or session
        return reused

    first, session = await asyncio.to_thread(visit, usual, A)
    assert not first
    assert session is not None
    assert await asyncio.to_thread(several, usual, A, session, 8) == {True}
    if version is ssl.TLSVersion.TLSv1_2:
        assert not session.has_ticket
        assert session.id
    _, session = await asyncio.to_thread(visit, usual, A)
    await serve(home)
    again, _ = await asyncio.to_thread(visit, usual, A, session)
    assert again, "the cache outlives a reload"
    _, session = await asyncio.to_thread(visit, usual, A)
    for name in (A, B):
        assert await asyncio.to_thread(several, locked, name, session, 4) == {False}
        assert await asyncio.to_thread(several, locked, name, None, 4) == {False}


async def test_curves_are_the_guidelines(home: House, up: upstream.Upstream) -> None:
    """
    Larger ones cost a server much and gain nobody anything.
    """
    usual = Listener(port=home.settings.https_port)
    await pair(home, up, usual)
    await serve(home)
    for curve, spoken in (("X25519", True), ("P-256", True), ("P-384", True), ("P-521", False), ("X448", False)):
        # In TLS 1.2 an elliptic certificate's own curve must be among them.
        for version in (("-tls1_2", "-cipher", "aRSA"), ("-tls1_3",)):
            told = await said(*at(usual), *version, "-curves", curve)
            assert (curve, version, "Protocol version" in told) == (curve, version, spoken), told
