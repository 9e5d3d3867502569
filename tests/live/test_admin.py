"""
The admin service of a real daemon over TCP: opened, moved and closed by its configuration while it runs, and what a port that is taken does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.house import House, opened
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI = "wiki.example.test"
TOKEN = "a-token-that-nobody-is-shown"
OTHER = "another-token-of-enough-length"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


def write(house: House, *lines: str) -> None:
    """
    Write a configuration with one site, and more about the admin service.
    """
    house.write(WIKI)
    more = "".join(f"{line}\n" for line in lines)
    house.config.write_text(house.config.read_text().replace("[admin]\n", f"[admin]\n{more}", 1))


async def ask(port: int, path: str, *, token: str = TOKEN, method: str = "GET") -> tuple[int, dict[str, Any]]:
    """
    Return what is answered; 0 where nobody listens, or whoever asked was cut off.
    """
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"}, method=method
    )

    def answer() -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(asked, timeout=30) as found:  # noqa: S310 - as above
                return found.status, json.load(found)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except (urllib.error.URLError, ConnectionError):
            return 0, {}

    return await asyncio.to_thread(answer)


@pytest.mark.timeout(180)
async def test_opened_moved_and_closed_while_it_runs(house: House) -> None:
    """
    Each when the configuration was read again; what it says of it is in the events, the tokens are nowhere.
    """
    first, second = free_ports(2)
    (house.folder / "token").write_text(TOKEN)
    token = f'token = {{ file = "{house.folder}/token" }}'
    write(house)
    await house.start()
    await house.serving(WIKI)

    assert (await ask(first, "/healthz"))[0] == 0

    write(house, f'listen = "127.0.0.1:{first}"', token)
    house.reload()
    await house.saw("admin.listening")

    assert (await ask(first, "/v1/status"))[0] == 200
    assert (await ask(first, "/readyz"))[1] == {"ok": True, "reasons": []}
    assert (await ask(first, f"/v1/certificates/{WIKI}/renew", method="POST"))[0] == 409

    (house.folder / "token").write_text(OTHER)
    house.reload()

    async def is_changed() -> bool:
        return (await ask(first, "/v1/plan", token=OTHER))[0] == 200

    await until(is_changed)

    assert (await ask(first, "/v1/plan"))[0] == 401

    write(house, f'listen = "127.0.0.1:{second}"', token)
    house.reload()
    await house.saw("admin.listening", times=2)

    assert (await ask(first, "/healthz"))[0] == 0
    assert (await ask(second, "/v1/status", token=OTHER))[0] == 200

    write(house, f'listen = "127.0.0.1:{second}"')
    house.reload()
    refused = await house.saw("config.refused")

    assert "there is no token" in str(refused["mistakes"])
    assert (await ask(second, "/v1/status", token=OTHER))[0] == 200

    write(house)
    house.reload()

    async def is_closed() -> bool:
        return (await ask(second, "/healthz"))[0] == 0

    await until(is_closed)
    told = house.said() + "".join(map(str, house.events()))

    assert TOKEN not in told
    assert OTHER not in told
    assert (await house.status())["daemon"] is True


async def test_a_port_that_is_taken_keeps_nobody_from_anything(house: House) -> None:
    """
    An event says so; sites are served, and the socket answers.
    """
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        write(house, f'listen = ["127.0.0.1:{port}"]', f'token = "{TOKEN}"')
        await house.start()
        told = await house.saw("admin.unavailable")
        await house.serving(WIKI)

        assert f"127.0.0.1:{port}: " in told["error.detail"]
        assert told["sockets"]
        assert (await house.status())["daemon"] is True
    assert TOKEN not in house.said()
