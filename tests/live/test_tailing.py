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

from gatelodge.runtime.events import files as event_files

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
async def tailing(house: House, *words: str, asking: bool = False) -> AsyncIterator[Path]:
    """
    Run a verb that follows the log inside the context; what it prints goes to a file.

    Args:
        asking: as somebody who may not read the log, and is told by the daemon.
    """
    said = house.folder / f"tail-{'asked' if asking else ''}{'-'.join(words)}"
    program = ("-c", MAY_ONLY_ASK) if asking else ("-m", "gatelodge")
    with said.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *program, *words, "-c", str(house.config), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        yield said
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


def put_aside(house: House) -> None:
    """
    End the file of events as the daemon does when its day is over, which stands still meanwhile.
    """
    assert house.daemon is not None
    log = str(house.state)
    house.daemon.send_signal(signal.SIGSTOP)
    try:
        if (house.state / event_files.FILE).exists():
            event_files.end(log, last=event_files.last_id(log), day="2026-01-01")
    finally:
        house.daemon.send_signal(signal.SIGCONT)


#: What a person runs who may ask the daemon, but not read its log.
MAY_ONLY_ASK = """
import sys
from gatelodge.cli import main
from gatelodge.runtime.events.files import Reader

def refused(self):
    raise PermissionError(13, "Permission denied")

Reader.new = refused
sys.argv[0] = "gatelodge"
main()
"""


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
    async with (
        tailing(house, "events", "-f", "--json", "--since", "1d") as followed,
        tailing(house, "events", "-f") as read,
    ):
        await until(lambda: "certificate.issued" in followed.read_text() and "certificate.issued" in read.read_text())
        put_aside(house)
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


async def test_a_tail_outlives_daemons_and_files(house: House) -> None:
    """
    The daemon is killed (-9) and started again, files end meanwhile: who follows the log, or has the daemon tell him, misses no
    event and sees none twice.
    """
    house.write(WIKI)
    await house.start()
    await house.saw("nginx.started")
    words = ("events", "-f", "--json", "--since", "1d")
    async with tailing(house, *words) as reading, tailing(house, *words, asking=True) as asking:
        await until(lambda: all('"nginx.started"' in path.read_text() for path in (reading, asking)))
        for round_ in range(2, 5):
            put_aside(house)
            await house.kill()
            await house.start()
            await house.saw("daemon.started", times=round_)
            put_aside(house)
            code, out, err = await house.gatelodge("renew", WIKI, "--force")
            assert code == 0, (out, err)
        await house.saw("certificate.renewed")
        await house.kill(signal.SIGTERM)
        await house.saw("daemon.stopped")
        kept = [entry["id"] for entry in house.events()]
        await until(lambda: '"daemon.stopped"' in reading.read_text())
        # The last words of a daemon are told by the next.
        await house.start()
        await until(lambda: asking.read_text().count('"daemon.started"') >= 5)
        read, told = ([entry["id"] for entry in lines(path.read_text())] for path in (reading, asking))

    assert kept == list(range(1, kept[-1] + 1))
    assert len(list(house.state.glob("events-*.jsonl"))) >= 6
    assert read[: len(kept)] == kept
    assert told[: len(kept)] == kept
    assert told == list(range(1, told[-1] + 1))
    assert read == list(range(1, read[-1] + 1))


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
        assert b" until 20" in issued
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
