"""
A real daemon, with pebble and nginx, that tells people and programs what happens: a hook, a server that takes messages, a renewal that
fails, a daemon that is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.house import House, opened
from tests.support.notifier import Inbox, inbox
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI = "wiki.example.test"

TARGETS = """
[[notify]]
name = "phone"
url = {{ file = "{folder}/url" }}

[[hook]]
name = "copy"
events = ["certificate.*"]
command = ["{folder}/hook"]
"""


class Told:
    """
    A gate, and what its hook and its phone were told.
    """

    def __init__(self, house: House, phone: Inbox) -> None:
        self.house = house
        self.phone = phone
        house.write(WIKI, more=TARGETS.format(folder=house.folder))
        hook = house.folder / "hook"
        hook.write_text(f"#!/bin/sh\ncat >>{house.folder}/heard\n")
        hook.chmod(0o755)
        (house.folder / "url").write_text(phone.url)

    def heard(self) -> list[dict[str, Any]]:
        """
        What the hook got on its standard input.
        """
        path = self.house.folder / "heard"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def titles(self) -> list[str]:
        """
        What the phone shows, without the host's name.
        """
        return [each["title"].partition(": ")[2] for each in self.phone.got]


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    """
    A gate whose daemon does not run yet.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as house, inbox() as phone:
            yield Told(house, phone)


async def test_a_hook_gets_every_event_that_it_is_for(told: Told) -> None:
    """
    As the log has it, in order, each once: also when the daemon is killed, and those of `once` before it ends.
    """
    house = told.house
    code, out, err = await house.gatelodge("once")
    assert code == 0, (out, err)
    assert [entry["event"] for entry in told.heard()] == ["certificate.issued"]

    await house.start()
    await house.serving(WIKI)
    for _ in range(2):
        code, out, err = await house.gatelodge("renew", WIKI, "--force")
        assert code == 0, (out, err)
        await house.kill(signal.SIGKILL)
        await house.start()
        await house.serving(WIKI)
    certificates = [entry for entry in house.events() if entry["event"].startswith("certificate.")]
    await until(lambda: len(told.heard()) >= len(certificates))

    assert told.heard() == certificates
    assert [entry["event"] for entry in certificates] == ["certificate.issued", "certificate.renewed", "certificate.renewed"]  # fmt: skip
    assert told.phone.asked == 0


@pytest.mark.timeout(240)
async def test_one_message_about_what_fails_and_one_when_it_works(told: Told) -> None:
    """
    A CA that is not there is asked several times, and the daemon is killed in between; the phone shows one message a cause. When the CA is there
    again, it shows one more. Nothing of the phone's URL is anywhere.
    """
    house = told.house
    right = house.directory
    house.directory = "https://127.0.0.1:1/dir"
    house.write(WIKI, more=TARGETS.format(folder=house.folder))
    await house.start()
    await house.saw("certificate.failed")
    await house.kill(signal.SIGKILL)
    await house.start()
    await house.saw("daemon.started", times=2)
    await until(lambda: _answers(house))
    for number in range(2, 4):
        await house.gatelodge("renew", WIKI)
        await house.saw("certificate.failed", times=number)
    await until(told.titles, seconds=100)
    assert told.titles() == [f"no new certificate for {WIKI}"]
    assert "Nothing is to be done: it is tried again until the CA answers." in told.phone.got[0]["message"]

    house.directory = right
    house.write(WIKI, more=TARGETS.format(folder=house.folder))
    house.reload()
    await house.saw("config.loaded")
    code, out, err = await house.gatelodge("renew", WIKI)
    assert code == 0, (out, err)
    await house.serving(WIKI)
    await until(lambda: len(told.titles()) > 1, seconds=100)
    assert told.titles() == [f"no new certificate for {WIKI}", f"{WIKI} has a new certificate again"]

    secrets = ("hunter2", "8f3a9c")
    assert not any(secret in house.said() for secret in secrets)
    for path in house.state.rglob("*"):
        if path.is_file():
            text = await asyncio.to_thread(path.read_bytes)
            assert not any(secret.encode() in text for secret in secrets), path


async def test_a_hook_that_hangs_holds_nobody_up(told: Told) -> None:
    """
    Certificates are issued and served meanwhile; a daemon that is stopped takes it along, with its children.
    """
    house = told.house
    (house.folder / "hook").write_text(f"#!/bin/sh\nsleep 600 &\necho $! >{house.folder}/pid\nwait\n")
    await house.start()
    await house.serving(WIKI)
    await until(lambda: (house.folder / "pid").exists() and (house.folder / "pid").read_text().strip())
    code, out, err = await house.gatelodge("renew", WIKI, "--force")
    assert code == 0, (out, err)
    await house.saw("nginx.reloaded", times=2)

    assert await house.kill(signal.SIGTERM) == 0
    pid = (house.folder / "pid").read_text().strip()
    await until(lambda: not _lives(pid))


async def _answers(house: House) -> bool:
    """
    Tell whether the daemon can be asked.
    """
    return bool((await house.status())["daemon"])


def _lives(pid: str) -> bool:
    """
    Tell whether a process runs, as against one that nobody has waited for.
    """
    try:
        os.kill(int(pid), 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
