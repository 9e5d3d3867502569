"""
Our look for a token, at listeners that want to be told first who comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.support.quick_clock import QuickClock

from gatelodge.demo.ports import free_ports
from gatelodge.errors import HttpDisconnected, HttpUnreachable
from gatelodge.model import Listener, ListenSettings, Name, NginxSettings
from gatelodge.ports import Challenge
from gatelodge.solvers.http01 import Webroot
from gatelodge.solvers.proxied import Proxied

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ONE = Challenge(name=Name("a.example"), token="tok-en_1", key_authorization="tok-en_1.thumb")


class Front:
    """
    A listener that keeps what it was sent and answers with what it is told.
    """

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-One: 1\r\nx-one: 2\r\n\r\nhello"
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard = await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        writer.close()


@contextlib.asynccontextmanager
async def front() -> AsyncIterator[tuple[Front, str]]:
    """
    Run one, and yield it with its origin.
    """
    found = Front()
    async with await asyncio.start_server(found.serve, "127.0.0.1", 0) as server:
        yield found, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_the_header_comes_first_and_the_answer_is_read() -> None:
    """
    As any client's is.
    """
    async with front() as (there, origin):
        answer = await Proxied().request("GET", f"{origin}/.well-known/x", headers={"Host": "a.example"})
    assert there.heard == b"PROXY UNKNOWN\r\nGET /.well-known/x HTTP/1.0\r\nHost: a.example\r\n\r\n"
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["x-one"] == ("1", "2")
    assert answer.header("content-type") == "text/plain"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n", b"220 mail\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 << 20)]
)
async def test_what_is_no_answer_is_told(answer: bytes) -> None:
    """
    A listener that was not told to expect the header sends none.
    """
    async with front() as (there, origin):
        there.answer = answer
        with pytest.raises(HttpDisconnected):
            await Proxied().request("GET", f"{origin}/x")


async def test_nobody_there_and_nobody_who_answers_are_told_apart() -> None:
    """
    Nothing was sent to the first.
    """
    (port,) = free_ports(1)
    with pytest.raises(HttpUnreachable, match=rf"127\.0\.0\.1:{port}"):
        await Proxied().request("GET", f"http://127.0.0.1:{port}/x")

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        where = server.sockets[0].getsockname()[1]
        with pytest.raises(HttpDisconnected, match="no answer in time"):
            await Proxied().request("GET", f"http://127.0.0.1:{where}/x", timeout=0.1)


async def test_a_token_is_seen_through_it(tmp_path: Path) -> None:
    """
    By the solver, which is the same as ever.
    """
    async with front() as (there, origin):
        there.answer = b"HTTP/1.1 200 OK\r\n\r\ntok-en_1.thumb"
        solver = Webroot(directory=str(tmp_path), http=Proxied(), origin=origin, clock=QuickClock())
        async with solver.published([ONE]):
            assert b"GET /.well-known/acme-challenge/tok-en_1 HTTP/1.0\r\nHost: a.example\r\n" in there.heard


def test_what_is_said_of_a_listener_wins_over_what_is_said_of_its_port() -> None:
    """
    And nothing said is what is usual.
    """
    port, one = ListenSettings(proxy_protocol=("10.0.0.0/8",)), ListenSettings(http3=True)
    here = Listener(port=80, address="192.0.2.1")
    settings = NginxSettings(listen=((Listener(port=80), port), (here, one)))
    assert settings.terms(Listener(port=80)) == port
    assert settings.terms(Listener(port=80, address="192.0.2.2")) == port
    assert settings.terms(here) == one
    assert settings.terms(Listener(port=81)) == ListenSettings()
