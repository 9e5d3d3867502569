"""
The daemon with two real ACME servers: the second is asked while the first is away, and the first again when it is back; certificates
are revoked, and accounts looked at and changed, by what a person types.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import ssl
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support import caddy, dns_house
from tests.support.house import House, opened
from tests.support.waiting import until

from gatelodge.demo import pebble
from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

SITE = "wiki.example.com"

#: Two CAs, and keys that are kept.
TWO = """
[acme.cas.spare]
directory = "{directory}"
root = "{root}"
"""

#: A site whose name is proven by DNS, and Caddy as a CA.
CADDY = """
[sites."{site}"]
upstream = "http://127.0.0.1:{port}"
challenge = "dns:lab"
[acme.cas.caddy]
directory = "{caddy.directory}"
root = "{caddy.root}"
"""


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet. Its folder is one that nginx's workers can pass through, unlike pytest's own.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


def write(house: House, spare: pebble.Pebble) -> None:
    """
    Write a configuration with both.
    """
    house.write(SITE, more=TWO.format(directory=spare.directory, root=spare.root))
    text = house.config.read_text()
    house.config.write_text(text.replace('ca = "pebble"', 'ca = ["pebble", "spare"]\nreuse_key = true'))


async def entry(house: House) -> dict[str, Any]:
    """
    What status says of the certificate.
    """
    (found,) = [each for each in (await house.status())["certificates"] if each["certificate"] == SITE]
    return found  # type: ignore[no-any-return]


def public_key(house: House) -> bytes:
    """
    The key of what is held.
    """
    pem = (house.state / "certificates" / SITE / "current" / "cert.pem").read_bytes()
    key = x509.load_pem_x509_certificate(pem).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Door:
    """
    A port through which a CA is reached while the door is open. TLS passes as it is, and the CA names itself by the port it was asked at.
    """

    def __init__(self, directory: str) -> None:
        (self.port,) = free_ports(1)
        self._behind = int(directory.rpartition(":")[2].partition("/")[0])
        self.directory = directory.replace(f":{self._behind}/", f":{self.port}/")
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """
        Let everybody through.
        """
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def close(self) -> None:
        """
        Let nobody through any more.
        """
        if self._server is not None:
            self._server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._behind)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pour(reader, back))
            group.create_task(_pour(there, writer))


async def _pour(source: asyncio.StreamReader, into: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while read := await source.read(65536):
            into.write(read)
            await into.drain()
        into.close()


async def test_one_dies_and_the_other_is_asked(house: House, tmp_path: Path) -> None:
    """
    The first CA is dead at the start, so the second one's certificate is served; when the first is back, a renewal goes back to it. Each has an
    account of its own, and the private key is kept over both.
    """
    async with pebble.running(tmp_path, http_port=house.http) as spare:
        door = Door(house.ca.directory)
        house.directory = door.directory
        write(house, spare)
        await house.start()
        issued = await house.saw("certificate.issued")
        assert issued["ca"] == "acme:spare"
        (moved,) = house.events("certificate.elsewhere")
        assert (moved["ca"], moved["left"], moved["error.type"]) == ("acme:spare", "acme:pebble", "unreachable")
        found = await entry(house)
        assert (found["ca"], found["cas"]) == ("acme:spare", ["acme:pebble", "acme:spare"])
        kept = public_key(house)

        await door.open()
        code, out, err = await house.gatelodge("renew", SITE, "--force")
        assert code == 0, err
        assert (await house.saw("certificate.renewed"))["ca"] == "acme:pebble"
        assert "is renewed" in out
        assert public_key(house) == kept
        assert {event["ca"] for event in house.events("account.registered")} == {"pebble", "spare"}
        assert (await entry(house))["ca"] == "acme:pebble"
        await house.kill(signal.SIGTERM)
        await door.close()


@pytest.mark.skipif(not caddy.PROGRAM.exists(), reason="Caddy is not in .venv/scan: scripts/setup test installs it")
async def test_an_acme_server_by_others_is_the_second() -> None:
    """
    While the first CA is away, Caddy is asked, whose certificates live for twelve hours: nginx shows one of them, and status and events say
    whose it is and why. It changes no account's key, and its certificates are renewed all the same. When the first is back, a renewal goes
    back to it.
    """
    async with dns_house.opened() as home, caddy.running(home.gate.folder, name_server=home.bind.server) as second:
        gate, site = home.gate, f"wiki.{dns_house.OTHER}"
        before = await home.published()
        door = Door(gate.ca.directory)
        gate.directory = door.directory
        gate.write(more=CADDY.format(site=site, port=gate.upstream, caddy=second) + home.lab() + home.resolver)
        gate.config.write_text(gate.config.read_text().replace('ca = "pebble"', 'ca = ["pebble", "caddy"]'))
        await gate.start()
        assert (await gate.saw("certificate.issued"))["ca"] == "acme:caddy"
        (moved,) = gate.events("certificate.elsewhere")
        assert (moved["ca"], moved["left"], moved["error.type"]) == ("acme:caddy", "acme:pebble", "unreachable")
        await gate.serving(site, root=second.root_pem())
        issuer = x509.load_der_x509_certificate(gate.visitor.certificate(site)).issuer.rfc4514_string()
        assert issuer.startswith("CN=Caddy Local Authority")
        (found,) = (await gate.status())["certificates"]
        assert (found["ca"], found["cas"]) == ("acme:caddy", ["acme:pebble", "acme:caddy"])
        assert int(found["serial"], 16) == gate.serial(site)

        code, _, err = await gate.gatelodge("account", "rollover", "--ca", "caddy")
        assert (code, "does not change accounts' keys" in err) == (1, True)
        code, _, err = await gate.gatelodge("renew", site, "--force")
        assert code == 0, err
        assert (await gate.saw("certificate.renewed"))["ca"] == "acme:caddy"
        assert await home.published() == before

        await door.open()
        code, _, err = await gate.gatelodge("renew", site, "--force")
        assert code == 0, err
        assert (await gate.saw("certificate.renewed", times=2))["ca"] == "acme:pebble"
        await gate.serving(site)
        (found,) = (await gate.status())["certificates"]
        assert (found["ca"], int(found["serial"], 16)) == ("acme:pebble", gate.serial(site))
        await gate.kill(signal.SIGTERM)
        await door.close()


async def test_what_a_person_does_with_certificates_and_accounts(house: House) -> None:
    """
    Revoked by the daemon, and another one with another key is there; the account is shown, changed, given another key and given up, by the
    daemon and alone.
    """
    house.write(SITE)
    await house.start()
    await house.serving(SITE)
    kept = public_key(house)
    serial = (await entry(house))["serial"]

    code, out, err = await house.gatelodge("revoke", SITE, "--reason", "superseded", "--json")
    assert code == 0, err
    assert json.loads(out)["serial"] == serial
    assert await asyncio.to_thread(_status, house, serial) == "Revoked"
    await until(lambda: house.events("certificate.renewed"), seconds=20)
    assert public_key(house) != kept
    assert (await entry(house))["revoked"] is False

    code, out, _ = await house.gatelodge("account", "show", "--json")
    account = json.loads(out)
    assert (code, account["ca"], account["status"]) == (0, "pebble", "valid")
    for words, said in (
        (("update", "--email", "you@example.com"), "you@example.com"),
        (("rollover",), "a new key"),
        (("show",), account["url"]),
    ):
        code, out, err = await house.gatelodge("account", *words)
        assert (code, err) == (0, "")
        assert said in out
    assert await house.kill(signal.SIGTERM) == 0

    code, _, err = await house.gatelodge("account", "show", "--ca", "nobody")
    assert code == 1
    assert "there are: pebble" in err
    code, out, err = await house.gatelodge("account", "deactivate")
    assert (code, "account.deactivated" in err) == (0, True)
    code, _, err = await house.gatelodge("account", "show")
    assert code == 1
    assert "account register" in err
    code, out, err = await house.gatelodge("account", "register")
    assert code == 0
    assert account["url"] not in out


def _status(house: House, serial: str) -> str:
    """
    Ask the CA what became of a certificate.
    """
    trusted = ssl.create_default_context(cafile=house.ca.root)
    url = f"{house.ca.management}/cert-status-by-serial/{serial}"
    with urllib.request.urlopen(url, context=trusted) as answer:  # noqa: S310 - our own
        found: str = json.loads(answer.read())["Status"]
        return found
