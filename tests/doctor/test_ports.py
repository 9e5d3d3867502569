"""
Ports, from inside and from outside, with real listeners.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from tests.support import upstream
from tests.support.patient import Case

from gatelodge.demo.ports import free_ports
from gatelodge.doctor import ports
from gatelodge.nginx.writing.prelude import GENERATION_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

WIKI = "wiki.example.com"


def toml(http: int, https: int, more: str = "") -> str:
    """
    Return a gate on these ports.
    """
    return f'[nginx]\nhttp_port = {http}\nhttps_port = {https}\n{more}\n[sites]\n"{WIKI}" = "http://127.0.0.1:1"\n'


@contextlib.asynccontextmanager
async def answering(number: int | None) -> AsyncIterator[int]:
    """
    Run a server that says that it serves a tree; with None, another one.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            ours = GENERATION_PATH.encode() in head and number is not None
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n%d" % (number or 0) if ours else b"HTTP/1.1 404 Not Found\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_ports_that_are_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A tree of Gatelodge's is told by nginx, which holds the other port too.
    """
    monkeypatch.setattr(ports.process, "holder", lambda _, **__: "nginx (pid 812)")
    async with answering(7) as http, answering(None) as https:
        seen = await Case(folder=tmp_path, toml=toml(http, https)).look(ports.look)

    assert "with tree 7" in seen.of("ok", f"port {http}")
    assert "nginx (pid 812) listens" in seen.of("ok", f"port {https}")


async def test_ports_on_which_nobody_listens(tmp_path: Path) -> None:
    """
    No visitor gets in.
    """
    http, https = free_ports(2)
    seen = await Case(folder=tmp_path, toml=toml(http, https)).look(ports.look)

    assert "Connection refused" in seen.of("broken", f"port {http}")
    assert "Connection refused" in seen.of("broken", f"port {https}")


async def test_a_port_that_another_program_holds(tmp_path: Path) -> None:
    """
    This very process does, and is named with its number and the key by which to give way.
    """
    async with answering(None) as http:
        (https,) = free_ports(1)
        seen = await Case(folder=tmp_path, toml=toml(http, https)).look(ports.look)

    assert "holds it, and nginx should" in seen.of("broken", f"port {http}")
    assert "(pid " in seen.of("broken", f"port {http}")
    assert any("[nginx] http_port" in each.do for each in seen.all)


async def test_an_nginx_with_another_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever answers is not the one that Gatelodge writes for.
    """
    monkeypatch.setattr(ports.process, "holder", lambda _, **__: "nginx (pid 812)")
    async with answering(None) as http, answering(None) as https:
        seen = await Case(folder=tmp_path, toml=toml(http, https)).look(ports.look)

    assert "not the nginx that Gatelodge writes for" in seen.of("broken", f"port {http}")


PLAIN = """\
[nginx]
http_port = {http}
public_http_port = {public}
[sites."wiki.example.com"]
upstream = "http://127.0.0.1:1"
tls = "off"
"""


async def outside(folder: Path, http: int, public: int, address: str = "127.0.0.1") -> Any:
    """
    Come from outside, to an address.
    """
    case = Case(folder=folder, toml=PLAIN.format(http=http, public=public), public={4: address} if address else {})
    return await case.look(ports.look_from_outside)


async def test_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The public address leads here; or nobody answers there, which may be a missing hairpin NAT alone unless the address is this machine's
    own; or somebody else does.
    """
    monkeypatch.setattr(ports, "own_addresses", frozenset)
    (closed,) = free_ports(1)
    async with upstream.running() as service, answering(None) as other:
        seen = await outside(tmp_path, service.port, service.port)

        assert "leads to this nginx" in seen.of("ok")

        seen = await outside(tmp_path, service.port, closed)

        assert "nobody answers (Connection refused)" in seen.of("note")
        assert "phone on mobile data" in seen.all[0].do
        assert "split DNS" in next(each.do for each in seen.all if each.subject == "hairpin NAT")

        seen = await outside(tmp_path, service.port, other)

        assert "something else answers" in seen.of("note")

        monkeypatch.setattr(ports, "own_addresses", lambda: frozenset({"127.0.0.1"}))
        seen = await outside(tmp_path, service.port, closed)

        assert "is this machine's own" in seen.of("broken")

        seen = await outside(tmp_path, service.port, closed, "")

        assert "not known" in seen.of("note")
        assert f"http://{WIKI}:{closed}/" in seen.all[0].do
