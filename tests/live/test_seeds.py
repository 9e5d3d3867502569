"""
Set-ups that people have today, written as one TOML each (`tests/seeds`) and run as they stand: what each test replaces is what this
machine needs, and it says so. Then they are looked at from where their visitors are.
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support import dns_house, house
from tests.support.seeds import FOLDER, outside, seed, serving, settled
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports
from gatelodge.demo.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.house import House

pytestmark = pytest.mark.live

#: What every set-up needs here: a folder of its own, and the daemon's door in it.
HERE = {"state_directory", "admin.socket"}

#: A CA that is on this machine.
OWN_CA = {"acme.ca", "acme.cas.pebble.directory", "acme.cas.pebble.root"}

#: Free ports, to which 80 and 443 lead: those are what visitors type.
PORTS = {"nginx.http_port", "nginx.https_port", "nginx.public_http_port", "nginx.public_https_port"}

UPLOAD = 9 * 1024 * 1024


@pytest.fixture
async def gate() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet, and a CA that looks for tokens at its plain port.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with house.opened(Path(name)) as found:
            yield found


def names(certificate: x509.Certificate) -> set[str]:
    """
    Return the DNS names of a certificate.
    """
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value.get_values_for_type(x509.DNSName))


def shown(gate: House, host: str, *, port: int | None = None) -> x509.Certificate:
    """
    Return the certificate that a visitor of a host is shown. Of an address he sends no name (RFC 6066 §3).
    """
    return x509.load_der_x509_certificate(Visitor(port=port or gate.https).certificate(host))


def rendered(gate: House, site: str) -> str:
    """
    Return what nginx was told about a site.
    """
    return (gate.state / "nginx" / "current" / "sites" / f"{site}.conf").read_text()


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.toml")), ids=lambda file: file.stem)
async def test_a_set_up_is_good_as_it_stands(file: Path) -> None:
    """
    The file on disk, before anything of it is replaced, has no mistake and no warning.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gatelodge", "check", "-c", str(file),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()

    assert (process.returncode, said.decode()) == (0, f"{file}: good\n")


async def test_swag_with_aliyun_behind_a_router() -> None:
    """
    Proven by DNS alone: the CA finds nobody at port 80. Visitors come by 8088 and 2443, and every address that they and the
    services see says so; a websocket passes, an upload may be large, and no record is left.
    """
    async with dns_house.opened() as home, serving("rocketchat", "nextcloud") as (chat, cloud):
        gate = home.gate
        before = await home.published()
        plain = next(port for port in free_ports(2) if port != gate.http)  # the CA would look at that one
        setup = seed("swag-aliyun")
        setup.live_in(gate)
        setup.be_certified_by(gate)
        setup.put(plain, "nginx", "http_port")
        setup.put(gate.https, "nginx", "https_port")
        setup.put(str(home.ini), "dns", "home", "credentials_file")
        setup.put(home.aliyun.url, "dns", "home", "endpoint")
        setup.put([home.bind.server], "resolver", "servers")
        setup.put(home.bind.port, "resolver", "port")
        setup.put([], "resolver", "doh")
        setup.put(chat.at(), "sites", "chat.example.org", "upstream")
        setup.put(cloud.at(), "sites", "cloud.example.org", "upstream")

        assert setup.replaced == HERE | OWN_CA | {
            "nginx.http_port", "nginx.https_port", "dns.home.credentials_file", "dns.home.endpoint",
            "resolver.servers", "resolver.port", "resolver.doh",
            'sites."chat.example.org".upstream', 'sites."cloud.example.org".upstream',
        }  # fmt: skip

        setup.save(gate.config)
        await gate.start()
        await settled(gate, certificates=1)

        assert names(shown(gate, "chat.example.org")) == {f"{each}.example.org" for each in ("chat", "cloud", "www")}
        assert {entry["record"] for entry in gate.events("dns.record.added")} == {
            f"_acme-challenge.{each}.example.org" for each in ("chat", "cloud", "www")
        }
        assert gate.orders() == 1
        assert home.aliyun.records == {}
        assert await home.published() == before

        ways = {8088: plain, 2443: gate.https}
        async with outside(trusting=gate.visitor.root or "", ports=ways) as visitor:
            moved = await visitor.ask("http://chat.example.org:8088/channel/general?msg=1")

            assert moved.status == 301
            assert moved.location == "https://chat.example.org:2443/channel/general?msg=1"
            assert (await visitor.ask(moved.location)).text == "rocketchat"
            assert await visitor.say("wss://chat.example.org:2443/websocket", "hello") == "rocketchat: hello hello"

            opened = chat.seen[-1]

            assert opened.target == "/websocket"
            assert opened.headers["Origin"] == f"https://{opened.headers['Host']}" == "https://chat.example.org:2443"

            sent = await visitor.ask(
                "https://cloud.example.org:2443/remote.php/dav/files/me/film.mkv",
                method="PUT",
                data=io.BytesIO(bytes(UPLOAD)),
            )

            assert (sent.status, sent.text) == (200, "nextcloud")

            stored = cloud.seen[-1]

            assert (stored.method, stored.size) == ("PUT", UPLOAD)
            assert stored.headers["Host"] == "cloud.example.org:2443"
            assert stored.headers["X-Forwarded-Host"] == "cloud.example.org:2443"
            assert stored.headers["X-Forwarded-Port"] == "2443"
            assert stored.headers["X-Forwarded-Proto"] == "https"
            assert "client_max_body_size 0;" in rendered(gate, "cloud.example.org")


async def test_certbot_with_a_webroot_and_a_chat(gate: House) -> None:
    """
    Proven by tokens in the webroot, with the key that certbot was asked for, and no dummy certificate made by hand. A page over
    https, its websocket below a path that the service does not know, and a day of silence on it.
    """
    async with serving("html", "chatting") as (page, chat):
        setup = seed("certbot-webroot-chat")
        webroot, visits = gate.folder / "certbot", gate.folder / "access.log"
        setup.live_in(gate)
        setup.be_certified_by(gate)
        setup.stand_at(gate)
        setup.put(str(webroot), "acme", "webroot")
        setup.put(str(visits), "nginx", "access_log")
        setup.put(page.at("/"), "sites", "chatting.example.com", "upstream")
        setup.put(chat.at("/"), "sites", "chatting.example.com", "routes", "/websocket/", "upstream")

        assert setup.replaced == HERE | OWN_CA | PORTS | {
            "acme.webroot", "nginx.access_log",
            'sites."chatting.example.com".upstream', 'sites."chatting.example.com".routes."/websocket/".upstream',
        }  # fmt: skip

        setup.save(gate.config)
        await gate.start()
        await settled(gate, certificates=1)
        key = shown(gate, "chatting.example.com").public_key()

        assert isinstance(key, rsa.RSAPublicKey)
        assert key.key_size == 4096

        tokens = webroot / ".well-known" / "acme-challenge"

        assert list(tokens.iterdir()) == []

        (tokens / "by-hand").write_text("by hand")
        async with outside(trusting=gate.visitor.root or "", ports={80: gate.http, 443: gate.https}) as visitor:
            token = await visitor.ask("http://chatting.example.com/.well-known/acme-challenge/by-hand")

            assert (token.status, token.text) == (200, "by hand")

            moved = await visitor.ask("http://chatting.example.com/room/1?as=guest")

            assert (moved.status, moved.location) == (301, "https://chatting.example.com/room/1?as=guest")
            assert (await visitor.ask(moved.location)).text == "html"
            assert page.seen[-1].target == "/room/1?as=guest"
            assert await visitor.say("wss://chatting.example.com/websocket/", "안녕") == "chatting: 안녕 안녕"
            assert await visitor.say("wss://chatting.example.com/websocket/room/1", "hi") == "chatting: hi hi"
            assert [each.target for each in chat.seen] == ["/", "/room/1"]
        text = rendered(gate, "chatting.example.com")
        for directive in ("proxy_read_timeout", "proxy_send_timeout", "proxy_connect_timeout"):
            assert text.count(f"{directive} 86400s;") == 2

        await until(lambda: '"GET /room/1?as=guest HTTP/1.1" 301' in visits.read_text())


async def test_many_services_on_one_address(gate: House) -> None:
    """
    The name decides which service answers, over https and on the same port; the bare address is a site of the house, in plain
    http. A name that is nobody's gets no answer and no certificate.
    """
    async with serving("web", "cloud", "html", "chatting") as (web, cloud, page, chat):
        setup = seed("many-services-one-ip")
        setup.live_in(gate)
        setup.be_certified_by(gate)
        setup.stand_at(gate)
        setup.put(web.at(), "sites", "example.com", "upstream")
        setup.put(cloud.at(), "sites", "cloud.example.com", "upstream")
        setup.put(page.at(), "sites", "chatting.example.com", "upstream")
        setup.put(chat.at("/"), "sites", "chatting.example.com", "routes", "/websocket/", "upstream")
        setup.put(web.at(), "sites", "192.168.88.244", "upstream")

        assert setup.replaced == HERE | OWN_CA | PORTS | {
            'sites."example.com".upstream', 'sites."cloud.example.com".upstream',
            'sites."chatting.example.com".upstream', 'sites."chatting.example.com".routes."/websocket/".upstream',
            'sites."192.168.88.244".upstream',
        }  # fmt: skip

        setup.save(gate.config)
        await gate.start()
        await settled(gate, certificates=3)

        assert names(shown(gate, "www.example.com")) == {"example.com", "www.example.com"}
        assert names(shown(gate, "cloud.example.com")) == {"cloud.example.com"}

        async with outside(trusting=gate.visitor.root or "", ports={80: gate.http, 443: gate.https}) as visitor:
            answers = {
                host: (await visitor.ask(f"https://{host}/")).text
                for host in ("example.com", "www.example.com", "cloud.example.com", "chatting.example.com")
            }

            assert list(answers.values()) == ["web", "web", "cloud", "html"]
            assert await visitor.say("wss://chatting.example.com/websocket/", "hello") == "chatting: hello hello"
            assert "proxy_read_timeout 86400s;" in rendered(gate, "chatting.example.com")

            moved = await visitor.ask("http://cloud.example.com/login")

            assert (moved.status, moved.location) == (301, "https://cloud.example.com/login")

            near = await visitor.ask("http://192.168.88.244/app?page=2")
            asked = web.seen[-1]

            assert (near.status, near.text) == (200, "web")
            assert asked.target == "/app?page=2"
            assert asked.headers["Host"] == "192.168.88.244"
            assert asked.headers["X-Real-IP"] == asked.headers["X-Forwarded-For"] == "127.0.0.1"
            for url in ("http://nobody.example.com/", "https://nobody.example.com/"):
                with pytest.raises(aiohttp.ClientError):
                    await visitor.ask(url)


async def test_wss_by_address(gate: House, tmp_path: Path) -> None:
    """
    TLS before a plain websocket, at an address and a port of its own: whoever imported the exported root trusts it for that
    address, though he sends no name; whoever did not is told. No CA is asked.
    """
    async with serving("plain") as (plain,):
        (port,) = free_ports(1)
        setup = seed("wss-by-address")
        setup.live_in(gate)
        setup.put(gate.http, "nginx", "http_port")
        setup.put(str(gate.folder / "access.log"), "nginx", "access_log")
        setup.put([port], "sites", "192.10.10.133", "listen")
        setup.put(plain.at(), "sites", "192.10.10.133", "upstream")

        assert setup.replaced == HERE | {
            "nginx.http_port", "nginx.access_log", 'sites."192.10.10.133".listen', 'sites."192.10.10.133".upstream',
        }  # fmt: skip

        setup.save(gate.config)
        await gate.start()
        await settled(gate, certificates=1)
        root = tmp_path / "root.pem"
        code, out, err = await gate.gatelodge("ca", "export", "-o", str(root))

        assert code == 0, (out, err)
        assert gate.events("certificate.issued")[0]["names"] == ["192.10.10.133"]

        url = "wss://192.10.10.133:5555/"
        async with outside(trusting=root.read_text(), ports={80: gate.http, 5555: port}) as visitor:
            assert await visitor.say(url, "hello") == "plain: hello hello"

            opened = plain.seen[-1]

            assert opened.headers["Host"] == "192.10.10.133:5555"
            assert opened.headers["X-Real-IP"] == "127.0.0.1"

            moved = await visitor.ask("http://192.10.10.133/")

            # Here the port is another, and what visitors type is always a listener's own port when it is not https_port.
            assert moved.location == f"https://192.10.10.133:{port}/"

            # No browser's handshake: what the service must hear is said to it in any case.
            await visitor.ask("https://192.10.10.133:5555/")
            forced = plain.seen[-1]

            assert forced.headers["Upgrade"] == "websocket"
            assert forced.headers["Connection"] == "upgrade"
            assert forced.headers["Sec-WebSocket-Version"] == "13"

        async with outside(trusting=gate.visitor.root or "", ports={5555: port}) as stranger:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await stranger.say(url, "hello")

        assert isinstance(shown(gate, "192.10.10.133", port=port).public_key(), rsa.RSAPublicKey)
        assert gate.orders() == 0
        assert list((gate.state / "accounts").iterdir()) == []
