"""
Streams as their users meet them: in the TOML of a running daemon, with certificates of a real CA.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import House, opened, serial_number
from tests.support.plain import echoing, echoing_datagrams, say, visiting
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI, MQTT = "wiki.example.test", "mqtt.example.test"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


def trusting(house: House) -> ssl.SSLContext:
    """
    Return a visitor of streams who trusts the CA.
    """
    asked = ssl.create_default_context(cafile=house.ca.root)
    with urllib.request.urlopen(f"{house.ca.management}/roots/0", context=asked) as answer:  # noqa: S310 - our own
        return ssl.create_default_context(cadata=answer.read().decode())


async def test_streams_come_with_certificates_and_go_on_through_renewals(house: House) -> None:
    """
    A service over TLS by a CA's certificate, one by UDP; a visitor who stays is there through a renewal, and status, plan and events
    tell of all of it.
    """
    secured, datagrams = free_ports(2)
    async with echoing() as tcp, echoing_datagrams() as udp:
        streams = f"""
            [streams.mqtt]
            listen = [{secured}]
            upstream = "127.0.0.1:{tcp.port}"
            tls = "acme"
            hosts = ["{MQTT}"]
            [streams.game]
            listen = [{datagrams}]
            protocol = "udp"
            upstream = "127.0.0.1:{udp.port}"
            """
        house.write(WIKI, more=streams)
        await house.start()
        await house.serving(WIKI)
        trusted = await asyncio.to_thread(trusting, house)

        async def certified() -> bool:
            with contextlib.suppress(ssl.SSLError):
                return await say(secured, b"hello", tls=trusted, name=MQTT) == b"hello"
            return False

        await until(certified, seconds=40)
        async with visiting(datagrams) as visitor:
            assert await visitor.ask(b"hello") == b"hello"
        reader, writer = await asyncio.open_connection("127.0.0.1", secured, ssl=trusted, server_hostname=MQTT)
        before = serial_number(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        code, out, err = await house.gatelodge("renew", "--force", MQTT)
        assert code == 0, (out, err)

        async def renewed() -> bool:
            _, other = await asyncio.open_connection("127.0.0.1", secured, ssl=trusted, server_hostname=MQTT)
            shown = serial_number(other.get_extra_info("ssl_object").getpeercert(binary_form=True))
            other.close()
            return shown != before

        await until(renewed)
        writer.write(b"still here")
        assert await asyncio.wait_for(reader.read(100), 5) == b"still here"
        writer.close()
        status = {each["stream"]: each for each in (await house.status())["streams"]}
        assert (status["mqtt"]["state"], status["mqtt"]["certificate"]) == ("serving", MQTT)
        assert (status["game"]["state"], status["game"]["listen"]) == ("passing", [f"{datagrams}/udp"])
        _, out, _ = await house.gatelodge("status")
        assert "STREAM" in out

        house.write(WIKI, more=streams.replace("[streams.game]", 'snippet = "nonsense on;"\n[streams.game]'))
        _, out, _ = await house.gatelodge("plan")
        assert "+++ b/streams/mqtt.conf" in out
        assert "+nonsense on;" in out
        house.reload()
        told = await house.saw("stream.quarantined")
        assert (told["stream"], told["serving"]) == ("mqtt", "its last good configuration")
        assert "made by streams.mqtt.snippet" in told["error.detail"]
        assert await say(secured, b"hello", tls=trusted, name=MQTT) == b"hello"
        assert await house.get(WIKI) == 200
        house.write(WIKI, more=streams)
        house.reload()
        await house.saw("stream.released")
        loaded = house.events("config.loaded")
        assert loaded[-1]["removed"] == []
        house.write(WIKI)
        house.reload()
        await until(lambda: house.events("config.loaded")[-1]["removed"] == ["stream:game", "stream:mqtt"])


async def test_a_mail_server_shares_its_certificate_with_its_site(house: House) -> None:
    """
    One name, several ports, one order.
    """
    imaps, smtps = free_ports(2)
    async with echoing() as tcp:
        rows = "".join(
            f'{name} = {{ listen = [{port}], upstream = "127.0.0.1:{tcp.port}", tls = "acme", hosts = ["{WIKI}"] }}\n'
            for name, port in (("imaps", imaps), ("smtps", smtps))
        )
        house.write(WIKI, more=f"[streams]\n{rows}")
        await house.start()
        await house.serving(WIKI)
        trusted = await asyncio.to_thread(trusting, house)
        for port in (imaps, smtps):

            async def certified(port: int = port) -> bool:
                with contextlib.suppress(ssl.SSLError):
                    return await say(port, b"hello", tls=trusted, name=WIKI) == b"hello"
                return False

            await until(certified)
        assert [event["certificate"] for event in house.events("certificate.issued")] == [WIKI]
