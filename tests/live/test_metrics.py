"""
What Prometheus is told by a real daemon, with a real CA and nginx: after a renewal that failed, and after it was healed.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.house import House, opened
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports
from gatelodge.nginx.writing.prelude import GENERATION_PATH, STATUS_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI = "wiki.example.test"
TOKEN = "a-token-that-nobody-is-shown"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet, with a CA that proves names each time anew.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name), environment={"PEBBLE_AUTHZREUSE": "0"}) as found:
            yield found


def listen(house: House) -> int:
    """
    Write a configuration with one site, and an address for Prometheus; return its port.
    """
    (port,) = free_ports(1)
    house.write(WIKI)
    (house.folder / "token").write_text(f"{TOKEN}\n")
    lines = f'[admin]\nlisten = "127.0.0.1:{port}"\ntoken = {{ file = "{house.folder}/token" }}\n'
    house.config.write_text(house.config.read_text().replace("[admin]\n", lines, 1))
    return port


class Scraper:
    """
    Asks as Prometheus does.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.text = ""

    async def scrape(self) -> None:
        """
        Ask now.
        """
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
        )

        def ask() -> str:
            with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - as above
                text: str = answer.read().decode()
                return text

        self.text = await asyncio.to_thread(ask)
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """
        Return what one series was then; -1 when it was not there.
        """
        return self._samples.get((f"gatelodge_{name}", frozenset(labels.items())), -1.0)

    def of_wiki(self, name: str, **labels: str) -> float:
        """
        Return what one series of the site's certificate was then.
        """
        return self.value(f"certificate_{name}", certificate=WIKI, **labels)


async def look_up(house: House, *, fails: bool) -> None:
    """
    Have the CA find no way to the site, or find it again.
    """
    path = "set-servfail" if fails else "clear-servfail"
    asked = urllib.request.Request(  # noqa: S310 - our own
        f"{house.ca.dns}/{path}", data=json.dumps({"host": f"{WIKI}."}).encode()
    )
    await asyncio.to_thread(lambda: urllib.request.urlopen(asked, timeout=10).close())  # noqa: S310 - as above


def told_by_nginx(
    house: House, path: str = STATUS_PATH, *headers: str, address: str = "127.0.0.1", before: str = ""
) -> bytes:
    """
    Ask nginx what it tells the daemon.

    Args:
        before: what is sent before the request.
    """
    with socket.create_connection((address, house.http), timeout=5) as plain:
        head = "".join(f"{header}\r\n" for header in headers)
        plain.sendall(f"{before}GET {path} HTTP/1.0\r\nHost: gatelodge.invalid\r\n{head}\r\n".encode())
        answer = b""
        while part := plain.recv(4096):
            answer += part
        return answer


@pytest.mark.timeout(180)
async def test_a_renewal_that_failed_and_was_healed(house: House) -> None:
    """
    Who stood in the way is counted, the failures in a row and the next try are told until it works again, and the renewal after that.
    """
    scraper = Scraper(listen(house))
    await house.start()
    await house.serving(WIKI)
    await until(lambda: house.events("admin.listening"))
    await scraper.scrape()

    assert scraper.value("ready") == scraper.value("nginx_proven") == 1
    assert scraper.of_wiki("attempts_total", result="succeeded") == 1
    assert scraper.of_wiki("attempts_total", result="failed") == 0
    assert scraper.of_wiki("state", state="valid") == 1
    assert scraper.value("acme_requests_total", ca="pebble", resource="new_order", status="2xx") >= 1
    assert scraper.value("acme_requests_total", ca="pebble", resource="finalization", status="2xx") >= 1
    assert scraper.value("acme_request_duration_seconds_count", ca="pebble", resource="certificate") >= 1
    assert scraper.value("nginx_requests_total") >= 1
    assert scraper.value("nginx_connections", state="active") >= 1

    await look_up(house, fails=True)
    code, _, said = await house.gatelodge("renew", WIKI, "--force")
    await scraper.scrape()
    (event,) = house.events("certificate.failed")

    assert code == 1, said
    assert event["failure"] == "reachability"
    assert scraper.of_wiki("failures_total", **{"class": "reachability"}) == 1
    assert scraper.of_wiki("attempts_total", result="failed") == 1
    assert scraper.of_wiki("failures_in_a_row") == 1
    assert scraper.of_wiki("retry_timestamp_seconds") > 0
    assert scraper.of_wiki("state", state="valid") == 1
    assert scraper.value("events_total", level="error") == 1
    assert scraper.value("ready") == 1

    before = scraper.of_wiki("not_after_timestamp_seconds")
    await look_up(house, fails=False)
    code, _, said = await house.gatelodge("renew", WIKI)
    await scraper.scrape()

    assert code == 0, said
    assert scraper.of_wiki("attempts_total", result="succeeded") == 2
    assert scraper.of_wiki("failures_total", **{"class": "reachability"}) == 1
    assert scraper.of_wiki("failures_in_a_row") == 0
    assert scraper.of_wiki("retry_timestamp_seconds") == -1
    assert scraper.of_wiki("not_after_timestamp_seconds") >= before
    assert before > scraper.of_wiki("renewal_timestamp_seconds") > scraper.of_wiki("not_before_timestamp_seconds")
    assert scraper.value("nginx_reloads_total") >= 2


async def test_how_many_visitors_there_are_is_the_daemons_business(house: House) -> None:
    """
    It is told to who asks from this machine; not to who comes from elsewhere, nor through a proxy on this machine.
    """
    listen(house)
    await house.start()
    await house.serving(WIKI)
    own = await asyncio.to_thread(told_by_nginx, house)
    through = await asyncio.to_thread(told_by_nginx, house, STATUS_PATH, "X-Forwarded-For: 192.0.2.1")
    site = await asyncio.to_thread(house.visitor.get, WIKI, STATUS_PATH)

    assert b"Active connections: " in own
    assert through == b""
    assert b"Active connections" not in str(site).encode()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address = probe.getsockname()[0]
    assert await asyncio.to_thread(told_by_nginx, house, address=address) == b""


@pytest.mark.parametrize("path", [STATUS_PATH, GENERATION_PATH])
async def test_through_a_trusted_proxy_the_visitor_counts(house: House, path: str) -> None:
    """
    Though the proxy is on this machine: where it says that somebody came from elsewhere, he is told nothing.
    """
    house.nginx = 'trusted_proxies = "127.0.0.1"\nreal_ip_header = "CF-Connecting-IP"'
    scraper = Scraper(listen(house))
    await house.start()
    await house.serving(WIKI)
    await scraper.scrape()

    assert scraper.value("nginx_requests_total") > 0
    assert b"200 OK" in await asyncio.to_thread(told_by_nginx, house, path)
    assert await asyncio.to_thread(told_by_nginx, house, path, "CF-Connecting-IP: 192.0.2.1") == b""


@pytest.mark.parametrize("path", [STATUS_PATH, GENERATION_PATH])
async def test_behind_proxy_headers_the_visitor_counts(house: House, path: str) -> None:
    """
    The daemon comes without one that names anybody, and is told.
    """
    scraper = Scraper(listen(house))
    more = f"[listen.{house.http}]\nproxy_protocol = ['127.0.0.1']\n[resolver]\n"
    house.config.write_text(house.config.read_text() + more)
    await house.start()
    await until(lambda: house.events("nginx.started"))
    await until(lambda: house.events("admin.listening"))
    await scraper.scrape()
    came = "PROXY TCP4 {} 127.0.0.1 4711 80\r\n"

    assert scraper.value("nginx_requests_total") > 0
    assert b"200 OK" in await asyncio.to_thread(told_by_nginx, house, path, before=came.format("127.0.0.1"))
    assert await asyncio.to_thread(told_by_nginx, house, path, before=came.format("192.0.2.1")) == b""
