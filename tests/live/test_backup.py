"""
Backups that are made while certificates are renewed: each of them, restored, serves what it holds and asks no CA for it again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import House, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

HOSTS = tuple(f"{name}.example.test" for name in ("wiki", "cloud", "chat"))
COPIES = 4

#: What docs/backup.md tells to do. GNU tar ends with 1 when something changed meanwhile.
TAR = "cd {state} && tar -cf - --exclude=./tmp --exclude=./log . | tar -xf - -C {copy}"
CP = "cp -a {state}/. {copy}/ 2>/dev/null || true"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


async def renewed(house: House, enough: asyncio.Event) -> None:
    """
    Renew one site after the other, as fast as it goes, until it is enough.
    """
    while not enough.is_set():
        for host in HOSTS:
            await house.gatelodge("renew", host, "--force")


def copied(house: House, how: str, to: Path) -> Path:
    """
    Make a backup of the state directory.
    """
    to.mkdir()
    subprocess.run(["sh", "-c", how.format(state=house.state, copy=to)], check=False, capture_output=True)
    return to


def orders_under_way(state: Path) -> int:
    """
    Count the orders that a state directory has begun.
    """
    return len(list((state / "journal" / "orders").glob("*.json")))


async def test_a_backup_made_during_renewals_is_whole(house: House) -> None:
    """
    By tar and by cp, again and again: whatever moment was caught, all sites are served with certificates of the CA, none is damaged, and
    no order is made but for what was being ordered in that moment.
    """
    house.write(*HOSTS)
    await house.start()
    await house.serving(*HOSTS)
    copies, enough = [], asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(renewed(house, enough))
        for number in range(COPIES):
            await house.saw("certificate.renewed", times=len(house.events("certificate.renewed")) + 1)
            copies.append(await asyncio.to_thread(copied, house, (TAR, CP)[number % 2], house.folder / f"copy{number}"))
        enough.set()
    assert await house.kill(signal.SIGTERM) == 0

    for copy in copies:
        begun, made = orders_under_way(copy), house.orders()
        await asyncio.to_thread(shutil.rmtree, house.state)
        copy.rename(house.state)
        since = len(house.events())
        await house.start()
        await house.serving(*HOSTS)
        status = await house.status()
        failed = [
            entry for entry in house.events()[since:] if entry["level"] == "error" and entry["event"] != "nginx.exited"
        ]

        assert {entry["state"] for entry in status["certificates"]} == {"valid"}, house.said()
        assert not failed, "\n".join(map(json.dumps, failed))
        assert house.orders() - made <= begun
        assert await house.kill(signal.SIGTERM) == 0


async def test_an_old_backup_orders_nothing_that_it_holds(house: House) -> None:
    """
    On the same machine, after renewals that it knows nothing of; what came later is ordered, and only that.
    """
    house.write(*HOSTS[:2])
    await house.start()
    await house.serving(*HOSTS[:2])
    old = house.serial(HOSTS[0])
    copy = await asyncio.to_thread(copied, house, TAR, house.folder / "old")
    assert (await house.gatelodge("renew", HOSTS[0], "--force"))[0] == 0
    house.write(*HOSTS)
    await house.serving(HOSTS[2])

    assert house.serial(HOSTS[0]) != old
    assert await house.kill(signal.SIGTERM) == 0

    made = house.orders()
    await asyncio.to_thread(shutil.rmtree, house.state)
    copy.rename(house.state)
    await house.start()
    await house.serving(*HOSTS)

    assert house.serial(HOSTS[0]) == old
    assert house.orders() == made + 1
    assert [entry["certificate"] for entry in house.events("certificate.issued")][2:] == [HOSTS[2]]


async def test_another_machine_with_another_folder_goes_on(house: House) -> None:
    """
    A backup that is extracted elsewhere, where the state directory has another path: served, nothing ordered, the account is the same.
    """
    house.write(*HOSTS)
    await house.start()
    await house.serving(*HOSTS)
    serials = [house.serial(host) for host in HOSTS]
    copy = await asyncio.to_thread(copied, house, TAR, house.folder / "copy")
    assert await house.kill(signal.SIGTERM) == 0

    made = house.orders()
    account = json.loads((house.state / "accounts" / "pebble.json").read_text())
    folder = house.folder / "other"
    folder.mkdir()
    copy.rename(folder / "state")
    await asyncio.to_thread(shutil.rmtree, house.state)
    other = dataclasses.replace(house, folder=folder, daemon=None)
    shutil.copy(house.folder / "pebble.log", folder)
    try:
        other.write(*HOSTS)
        await other.start()
        await other.serving(*HOSTS)

        assert [other.serial(host) for host in HOSTS] == serials
        assert house.orders() == made
        assert json.loads((other.state / "accounts" / "pebble.json").read_text()) == account
        assert (await other.gatelodge("renew", HOSTS[0], "--force"))[0] == 0
        assert str(house.state) not in (other.state / "nginx" / "current" / "nginx.conf").read_text()
    finally:
        if other.daemon is not None and other.daemon.returncode is None:
            await other.kill(signal.SIGTERM)


async def test_a_newer_state_is_refused_and_nothing_in_it_changes(house: House) -> None:
    """
    After a downgrade: a sentence with the remedy, exit status 1, and not a byte is different.
    """
    house.write(HOSTS[0])
    await house.start()
    await house.serving(HOSTS[0])
    assert await house.kill(signal.SIGTERM) == 0
    (house.state / "format").write_text("2\n")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in house.state.rglob("*") if path.is_file()}
    code, _, err = await house.gatelodge("run")
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in house.state.rglob("*") if path.is_file()}

    assert code == 1
    assert "the state directory is of format 2, this Gatelodge knows 1" in err
    assert "nothing was changed" in err
    changed = {path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed <= {"lock"}


async def test_a_key_of_a_newer_version_is_named_and_systemd_lets_it_be(house: House) -> None:
    """
    After a downgrade: exit status 2, which the unit does not try again, and the nearest key.
    """
    house.write(HOSTS[0])
    house.config.write_text("quantum_proof = true\n" + house.config.read_text())
    code, _, err = await house.gatelodge("run")
    unit = (Path(__file__).parents[2] / "systemd" / "gatelodge.service").read_text(encoding="utf-8")

    assert code == 2
    assert "gatelodge.toml:1: quantum_proof" in err
    assert "RestartPreventExitStatus=2" in unit
    assert not house.state.exists()


async def test_a_backup_with_an_older_account_key_goes_on(house: House) -> None:
    """
    The account was given another key since: the CA refuses the old one, and another account is made with it.
    """
    house.write(HOSTS[0])
    await house.start()
    await house.serving(HOSTS[0])
    copy = await asyncio.to_thread(copied, house, TAR, house.folder / "old")
    assert (await house.gatelodge("account", "rollover"))[0] == 0
    assert await house.kill(signal.SIGTERM) == 0
    await asyncio.to_thread(shutil.rmtree, house.state)
    copy.rename(house.state)
    await house.start()
    await house.serving(HOSTS[0])
    code, out, err = await house.gatelodge("renew", HOSTS[0], "--force")

    assert code == 0, out + err
    assert "is renewed" in out
    assert len(house.events("account.registered")) == 2
