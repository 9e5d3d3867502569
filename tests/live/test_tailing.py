"""
Whoever tails the log sees the same: `events -f`, the daemon's stderr as journald and Docker keep it, a terminal. Each is followed
through a renewal, while the log is rotated; visits stay apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.house import House, opened
from tests.support.waiting import until

from gatelodge.runtime import event_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI = "wiki.example.test"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


@contextlib.asynccontextmanager
async def tailing(house: House, *words: str) -> AsyncIterator[Path]:
    """
    Run a verb that follows the log inside the context; what it prints goes to a file.
    """
    said = house.folder / f"tail-{'-'.join(words)}"
    with said.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gatelodge", *words, "-c", str(house.config), stdin=subprocess.DEVNULL, stdout=out,
            stderr=out,
        )  # fmt: skip
    try:
        yield said
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


def lines(text: str) -> list[dict[str, Any]]:
    """
    Return the events of a text, one JSON object a line.
    """
    return [json.loads(line) for line in text.splitlines()]


async def test_every_tail_shows_a_renewal(house: House) -> None:
    """
    The same events in the same order, none twice and none lost, though the file was rotated in between.
    """
    house.write(WIKI)
    await house.start()
    await house.serving(WIKI)
    async with tailing(house, "events", "-f", "--json") as followed, tailing(house, "events", "-f") as read:
        await until(lambda: "certificate.issued" in followed.read_text() and "certificate.issued" in read.read_text())
        log = str(house.state)
        event_files.end(log, last=event_files.last_id(log) + 1, day="2026-01-01")
        code, out, err = await house.gatelodge("renew", WIKI, "--force")
        assert code == 0, (out, err)
        await until(lambda: followed.read_text().count('"nginx.reloaded"') >= 2)
        await until(lambda: "certificate.renewed" in read.read_text())
        told = lines(followed.read_text())
        shown = read.read_text()
    kept = [entry for entry in lines(house.said()) if entry["id"] <= told[-1]["id"]]

    assert told == kept
    assert [entry["id"] for entry in told] == list(range(1, told[-1]["id"] + 1))
    names = [entry["event"] for entry in told]
    assert names.index("certificate.issued") < names.index("certificate.renewed")
    (line,) = [line for line in shown.splitlines() if "certificate.renewed" in line]
    assert WIKI in line
    assert "{" not in line


async def test_on_a_terminal_it_is_for_people(house: House) -> None:
    """
    Coloured lines instead of JSON.
    """
    house.write(WIKI)
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    said = b""

    def seen(word: bytes) -> bool:
        nonlocal said
        with contextlib.suppress(BlockingIOError, OSError):
            said += os.read(ours, 65536)
        return word in said

    try:
        house.daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gatelodge", "run", "-c", str(house.config), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        await until(lambda: seen(b"certificate.issued"), seconds=40)
        issued = next(line for line in said.split(b"\n") if b"certificate.issued" in line)
        assert b"\x1b[" in issued
        assert b'"event"' not in issued
        assert WIKI.encode() in issued
    finally:
        await house.kill(signal.SIGTERM)
        os.close(ours)
        os.close(theirs)


async def test_visits_are_on_stdout_and_nothing_else_is(house: House) -> None:
    """
    One line a visit, also after the file was put aside as the daemon does; events stay on stderr.
    """
    house.nginx = 'access_log = "stdout"'
    house.write(WIKI)
    stdout, log = house.folder / "stdout", house.state / "log" / "access.log"
    with stdout.open("wb") as out, (house.folder / "daemon.log").open("ab") as err:
        house.daemon = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gatelodge",
            "run",
            "-c",
            str(house.config),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    await house.serving(WIKI)
    before = stdout.read_text().count(" 200 ")
    assert await house.get(WIKI) == 200
    await until(lambda: stdout.read_text().count(" 200 ") > before)
    log.rename(log.with_name("access.log.1"))
    os.kill(house.nginx_pid(), signal.SIGUSR1)
    await until(log.exists)
    count = stdout.read_text().count(" 200 ")
    assert await house.get(WIKI) == 200
    await until(lambda: stdout.read_text().count(" 200 ") > count)

    assert not any(line.startswith("{") for line in stdout.read_text().splitlines())
    assert all(line.startswith("{") for line in house.said().splitlines())
