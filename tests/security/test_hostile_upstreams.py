"""
Services behind the gate that were made to harm it: nginx answers for them or cuts them off, stays up, and serves the others.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.hostile_servers import HOSTILE, served
from tests.support.nginx_house import DEBIAN, WHEEL, house

from gatelodge.nginx import process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live

#: How long a visitor waits for what never ends. Seconds.
SHORT = 1.0


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


async def test_services_that_were_made_to_harm(home: House) -> None:
    """
    All asked at once, by two visitors each: no worker dies, and another site answers all the while.
    """
    async with contextlib.AsyncExitStack() as stack:
        good = await stack.enter_async_context(upstream.running())
        home.add("good.example.com", to=f"http://127.0.0.1:{good.port}")
        for number, what in enumerate(HOSTILE):
            url, _ = await stack.enter_async_context(served(HOSTILE[what]))
            home.add(f"h{number}.example.com", to=url.rstrip("/"))
        await home.serve()
        master = process.read_pid(home.state / "nginx" / "nginx.pid")
        entry = home.state / "nginx" / "current" / "nginx.conf"
        (before,) = process.masters(entry)
        workers = {each.pid for each in process.workers(before)}
        async with asyncio.TaskGroup() as visitors:
            for number in range(len(HOSTILE)):
                for _ in range(2):
                    visitors.create_task(_visit(home, f"h{number}.example.com"))
            for _ in range(10):
                assert (await home.get("good.example.com")).status == 200
        assert before.pid == master
        assert process.masters(entry) == (before,)
        assert {each.pid for each in process.workers(before)} == workers
        said = (home.state / "log" / "error.log").read_text(errors="replace")
        assert "exited on signal" not in said
        assert "[alert]" not in said


async def _visit(home: House, host: str) -> None:
    """
    Ask for as long as a visitor would who has better things to do.
    """
    with contextlib.suppress(TimeoutError, OSError, EOFError, ValueError, IndexError, KeyError):
        async with asyncio.timeout(SHORT):
            await home.get(host)
