"""
What is asked of nginx before a tree counts as served, by an nginx that does each of it: two certificates on one name, a listener
that speaks TLS 1.3 alone, PROXY headers.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.support.nginx_house import DEBIAN, WHEEL, state_directory
from tests.support.pems import Bought, buy, rsa_key
from tests.support.waiting import until

from gatelodge.core.tree import Served
from gatelodge.demo.ports import free_ports
from gatelodge.model import INTERNAL_HOST, Listener, Name
from gatelodge.nginx.proof import ask_generation, find_unserved
from gatelodge.nginx.writing.prelude import GENERATION_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI = Name("wiki.example.com")

CONFIGURATION = """\
pid {folder}/nginx.pid;
error_log {folder}/error.log;
daemon on;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/ec.crt;
    ssl_certificate_key {folder}/ec.key;
    ssl_certificate {folder}/rsa.crt;
    ssl_certificate_key {folder}/rsa.key;
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{plain_proxied} proxy_protocol;
        listen 127.0.0.1:{tls} ssl;
        listen 127.0.0.1:{tls_proxied} ssl proxy_protocol;
        server_name {internal} wiki.example.com;
        location = {path} {{ return 200 "7"; }}
    }}
    server {{
        listen 127.0.0.1:{modern} ssl;
        server_name wiki.example.com;
        ssl_protocols TLSv1.3;
    }}
    server {{
        listen 127.0.0.1:{single} ssl;
        server_name wiki.example.com;
        ssl_certificate {folder}/ec.crt;
        ssl_certificate_key {folder}/ec.key;
    }}
}}
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """
    An nginx that runs, its ports, and what it has.
    """

    ports: dict[str, int]
    ec: Bought
    rsa: Bought

    def ask(self, where: str, bought: Bought, *, rsa: bool = False, proxy_protocol: bool = False) -> str | None:
        """
        Return what is wrong with a certificate on one of the listeners.
        """
        served = Served(
            listener=Listener(port=self.ports[where], address="127.0.0.1"), server_name=WIKI, certificate=WIKI,
            fingerprint=bought.fingerprint, rsa=rsa, proxy_protocol=proxy_protocol,
        )  # fmt: skip
        return find_unserved([served], address="127.0.0.1").get(served)


async def run(*command: str) -> int:
    """
    Run a program and return its exit status.
    """
    return await (await asyncio.create_subprocess_exec(*command)).wait()


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[Home]:
    """
    An nginx with two certificates, once each.
    """
    names = ("plain", "plain_proxied", "tls", "tls_proxied", "modern", "single")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    found = Home(ports=ports, ec=buy(WIKI), rsa=buy(WIKI, key=rsa_key()))
    with state_directory(None) as folder:
        found.ec.lay(folder, "ec")
        found.rsa.lay(folder, "rsa")
        text = CONFIGURATION.format(folder=folder, internal=INTERNAL_HOST, path=GENERATION_PATH, **ports)
        (folder / "nginx.conf").write_text(text)
        command = [request.param, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        assert await run(*command) == 0
        try:
            yield found
        finally:
            await run(*command, "-s", "quit")
            await until(lambda: not (folder / "nginx.pid").exists())


def test_both_kinds_of_visitor_are_shown_their_certificate(home: Home) -> None:
    """
    Who takes RSA alone is shown the second one, and it is noticed when he is not.
    """
    assert home.ask("tls", home.ec) is None
    assert home.ask("tls", home.rsa, rsa=True) is None
    assert "another certificate" in str(home.ask("tls", home.ec, rsa=True))
    assert "no TLS connection" in str(home.ask("single", home.rsa, rsa=True))


def test_where_nobody_comes_who_takes_rsa_alone_nobody_asks(home: Home) -> None:
    """
    TLS 1.3 alone: every visitor takes both kinds.
    """
    assert home.ask("modern", home.ec) is None
    assert home.ask("modern", home.rsa, rsa=True) is None


def test_a_proxy_header_is_sent_where_one_is_waited_for(home: Home) -> None:
    """
    In front of plain requests and of TLS; without it there is no answer, as with it elsewhere.
    """
    assert home.ask("tls_proxied", home.ec, proxy_protocol=True) is None
    assert home.ask("tls_proxied", home.rsa, rsa=True, proxy_protocol=True) is None
    assert "no TLS connection" in str(home.ask("tls_proxied", home.ec))
    assert "no TLS connection" in str(home.ask("tls", home.ec, proxy_protocol=True))
    for scheme, listener in (("http", "plain"), ("https", "tls")):
        origin, proxied = (f"{scheme}://127.0.0.1:{home.ports[name]}" for name in (listener, f"{listener}_proxied"))
        assert (ask_generation(origin), ask_generation(proxied, proxied=True)) == (7, 7)
        assert (ask_generation(origin, proxied=True), ask_generation(proxied)) == (None, None)
