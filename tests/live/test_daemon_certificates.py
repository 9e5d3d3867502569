"""
The daemon and whose certificates it serves: files of the user's, two kinds of key, a local CA with a name; and a gate that is reached through
PROXY headers alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.support.house import House, opened, serial_number
from tests.support.nginx_house import RealClock
from tests.support.pems import DAY, Bought, buy
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI, NAS = "wiki.example.test", "nas.example.test"

BROUGHT = """
[sites."{host}"]
upstream = "http://127.0.0.1:{upstream}"
tls = {{ certificate = "{folder}/nas.crt", key = "{folder}/nas.key" }}
"""


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


def fresh(*names: str) -> Bought:
    """
    A certificate that is good today.
    """
    now = RealClock().now()
    return buy(*(names or (NAS,)), begins=now - DAY, ends=now + 365 * DAY)


def write(house: House, *more: str) -> None:
    """
    Write a configuration in which one site is served with files.
    """
    house.write(WIKI, more=BROUGHT.format(host=NAS, upstream=house.upstream, folder=house.folder) + "\n".join(more))


async def shown(house: House, bought: Bought) -> None:
    """
    Wait until visitors are shown a certificate.
    """

    def look() -> bool:
        try:
            return leaf(house.https, NAS, rsa_only=False).serial_number == bought.leaf.serial_number
        except OSError:
            return False

    await until(lambda: asyncio.to_thread(look), seconds=20)


async def test_files_of_the_users_are_served_and_followed(house: House) -> None:
    """
    At once, and within seconds when they change, one after the other as people copy; nobody else's certificate is touched.
    """
    first, second = fresh(), fresh(NAS, "*.example.test")
    first.lay(house.folder, "nas")
    write(house)
    await house.start()
    await house.serving(WIKI)
    await shown(house, first)
    serial = house.serial(WIKI)

    (house.folder / "nas.crt").write_text(second.chain)
    await asyncio.sleep(1)
    (house.folder / "nas.key").write_text(second.key_pem)
    await shown(house, second)

    assert house.events("certificate.failed") == []
    assert [entry["certificate"] for entry in house.events("certificate.taken")] == [NAS, NAS]
    assert house.serial(WIKI) == serial
    assert house.orders() == 1

    entry = next(each for each in (await house.status())["certificates"] if each["certificate"] == NAS)

    assert (entry["state"], entry["ca"], entry["renew_at"], entry["version"]) == ("valid", "files", None, 2)
    code, _, err = await house.gatelodge("renew", NAS)
    assert code == 1
    assert f"{house.folder}/nas.crt" in err


async def test_a_broken_file_stops_nobody(house: House) -> None:
    """
    The old one goes on, over a restart too; the event, `status` and `check` say what is wrong and what to do; mended, it is taken.
    """
    first, second = fresh(), fresh()
    _, key = first.lay(house.folder, "nas")
    write(house)
    await house.start()
    await shown(house, first)
    key.write_text(first.locked())
    failed = await house.saw("certificate.failed")

    assert failed["error.type"] == "files"
    assert f"openssl pkey -in {key}" in failed["error.detail"]
    assert house.serial(NAS) == first.leaf.serial_number

    code, out, _ = await house.gatelodge("check", "--json")

    assert code == 2
    assert [each["key"] for each in json.loads(out)["mistakes"] if each["level"] == "error"] == [f'sites."{NAS}".tls']
    assert "is encrypted" in (await house.gatelodge("status"))[1]

    house.reload()
    await house.saw("config.loaded")
    assert await house.kill(signal.SIGTERM) == 0
    await house.start()
    await house.saw("nginx.started", times=2)
    await shown(house, first)
    second.lay(house.folder, "nas")
    await shown(house, second)
    await until(lambda: house.events("certificate.taken")[-1]["serial"] == f"{second.leaf.serial_number:x}")
    assert (await house.gatelodge("check"))[0] == 0


async def test_files_that_come_later_are_waited_for(house: House) -> None:
    """
    With a placeholder; the daemon starts, and the others are served.
    """
    write(house)
    await house.start()
    await house.serving(WIKI)
    assert "is not there" in (await house.saw("certificate.failed"))["error.detail"]
    bought = fresh()
    bought.lay(house.folder, "nas")
    await shown(house, bought)


def leaf(port: int, host: str, *, rsa_only: bool) -> x509.Certificate:
    """
    Return what a visitor is shown who takes everything, or RSA alone.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if rsa_only:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aRSA")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")


async def test_visitors_get_the_kind_of_key_that_they_take(house: House) -> None:
    """
    From the CA and from the local one, each two certificates of their own; one is renewed without the other.
    """
    house.write(WIKI, more=f'[sites."nas.lan"]\nupstream = "http://127.0.0.1:{house.upstream}"\ntls = "local"\n'
                'key = ["ecdsa-p256", "rsa-2048"]\n[ca]\norganization = "Our house"\n')  # fmt: skip
    text = house.config.read_text().replace("agree_tos = true", 'agree_tos = true\nkey = ["rsa-2048", "ecdsa-p384"]')
    house.config.write_text(text)
    await house.start()
    await house.serving(WIKI)
    status = await house.status()
    await until(lambda: len(house.events("certificate.issued")) == 4, seconds=40)

    def kinds(host: str) -> list[type]:
        keys = [leaf(house.https, host, rsa_only=only).public_key() for only in (False, True)]
        wanted = (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)
        return [kind for key in keys for kind in wanted if isinstance(key, kind)]

    for host in (WIKI, "nas.lan"):
        await until(
            lambda host=host: asyncio.to_thread(lambda: kinds(host) == [ec.EllipticCurvePublicKey, rsa.RSAPublicKey])
        )  # type: ignore[misc]
    status = await house.status()
    assert [entry["certificate"] for entry in status["certificates"] if entry["state"] == "valid"] == [
        WIKI, f"{WIKI}.rsa", "nas.lan", "nas.lan.rsa",
    ]  # fmt: skip
    assert leaf(house.https, "nas.lan", rsa_only=True).issuer.rfc4514_string().endswith("O=Our house")

    before = [leaf(house.https, WIKI, rsa_only=only).serial_number for only in (False, True)]
    code, out, err = await house.gatelodge("renew", f"{WIKI}.rsa", "--force")

    assert code == 0, (out, err)
    await until(lambda: asyncio.to_thread(lambda: leaf(house.https, WIKI, rsa_only=True).serial_number != before[1]))
    assert leaf(house.https, WIKI, rsa_only=False).serial_number == before[0]

    house.config.write_text(text.replace('["rsa-2048", "ecdsa-p384"]', '"ecdsa-p384"'))
    house.reload()
    await house.saw("config.loaded")
    await until(lambda: asyncio.to_thread(_refused, house.https))
    code, out, err = await house.gatelodge("forget", f"{WIKI}.rsa")
    assert code == 0, (out, err)
    assert leaf(house.https, WIKI, rsa_only=False).serial_number == before[0]


def _refused(port: int) -> bool:
    try:
        leaf(port, WIKI, rsa_only=True)
    except ssl.SSLError:
        return True
    return False


@contextlib.asynccontextmanager
async def front(port: int, to: int) -> AsyncIterator[None]:
    """
    Stand before a port of nginx's as a load balancer does, which says who comes in a PROXY header.
    """
    writers: list[asyncio.StreamWriter] = []
    ended: list[asyncio.Task[object]] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        ended.append(task)
        inside, out = await asyncio.open_connection("127.0.0.1", to)
        writers.extend((out, writer))
        out.write(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, out))
            group.create_task(pump(inside, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield
    for each in writers:
        each.close()
    if ended:
        await asyncio.wait(ended, timeout=5)


async def test_a_gate_behind_a_proxy_that_says_who_comes(house: House) -> None:
    """
    Every listener wants a PROXY header: the token is seen, the CA comes through the proxy, the tree is proven, visitors are served.
    """
    outside = house.http, house.https
    house.http, house.https = free_ports(2)
    tables = "".join(f'[listen.{port}]\nproxy_protocol = ["127.0.0.1/32"]\n' for port in (house.http, house.https))
    house.write(WIKI, more=tables)
    async with front(outside[0], house.http), front(outside[1], house.https):
        await house.start()
        issued = await house.saw("certificate.issued")
        await house.saw("nginx.reloaded")
        visitor = house.visitor
        status, _ = await asyncio.to_thread(type(visitor)(port=outside[1], root=visitor.root).get, WIKI)
        assert status == 200
        shown = await asyncio.to_thread(type(visitor)(port=outside[1]).certificate, WIKI)
        assert f"{serial_number(shown):x}" == issued["serial"]
        assert (await house.status())["nginx"]["proven"]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(visitor.certificate, WIKI)
