"""
The state directory, as it is found on disk.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import FakeClock
from tests.support.patient import Case

from gatelodge.doctor import state
from gatelodge.stores.lock import Lock
from gatelodge.stores.state import prepare

if TYPE_CHECKING:
    from pathlib import Path

SITE = '[sites]\n"a.example.com" = "http://127.0.0.1:1"\n'


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """
    A state directory as a daemon leaves it, on a kernel that knows of no mounts and no locks.
    """
    (tmp_path / "state").mkdir(mode=0o711)
    prepare(str(tmp_path / "state"))
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "locks").write_text("")
    return Case(folder=tmp_path, toml=SITE)


async def test_one_that_is_well(case: Case) -> None:
    """
    Room, modes and owners are as they should be; that nobody works on it is worth a note.
    """
    seen = await case.look(state.look)

    assert seen.none("broken", "warning")
    assert seen.of("note") == "no daemon works on it now"


async def test_one_that_is_not_there(case: Case) -> None:
    """
    Before the first start that is no fault. The room on its disk-to-be is told.
    """
    case.folder.joinpath("state").rename(case.folder / "moved")
    seen = await case.look(state.look)

    assert seen.of("note") == "it is not there yet"
    assert "MB" in seen.of("ok")


async def test_who_works_on_it(case: Case) -> None:
    """
    The holder of the lock is told in his own words, and the lock is not touched.
    """
    lock = case.folder / "state" / "lock"
    with Lock(directory=str(case.folder / "state"), clock=FakeClock(), command="gatelodge run"):
        row = f"1: FLOCK  ADVISORY  WRITE {os.getpid()} 08:01:{lock.stat().st_ino} 0 EOF\n"
        (case.folder / "proc" / "locks").write_text(row)
        seen = await case.look(state.look)

        assert any(f"in use by process {os.getpid()}" in each.seen for each in seen.all)
        assert seen.none("note")


async def test_folders_that_others_may_look_into(case: Case) -> None:
    """
    Each is named, with its mode.
    """
    (case.folder / "state" / "accounts").chmod(0o755)
    (case.folder / "state").chmod(0o777)
    seen = await case.look(state.look)

    assert "0755" in seen.of("warning", f"{case.folder}/state/accounts")
    assert "may write" in next(
        each.seen for each in seen.all if each.subject == f"{case.folder}/state" and each.level == "warning"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_files_of_another_user(case: Case) -> None:
    """
    What `sudo` left in a service's directory is found: the daemon could not read it.
    """
    folder = case.folder / "state" / "certificates" / "a.example.com"
    folder.mkdir()
    for path in (case.folder / "state", *(case.folder / "state").rglob("*")):
        os.chown(path, 12345, 12345)
    (folder / "key").write_text("x")
    seen = await case.look(state.look)

    assert "1 files belong to root, and" in seen.of("broken", str(folder / "key"))
    assert "user 12345" in seen.of("broken")


async def test_a_newer_format(case: Case) -> None:
    """
    The daemon would not start on it, and the way out is told.
    """
    (case.folder / "state" / "format").write_text("99\n")
    seen = await case.look(state.look)

    assert "format 99" in seen.of("broken")


async def test_a_disk_without_room(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Little is a warning, nothing is broken; files count as bytes do.
    """
    found = os.statvfs(case.folder)

    def disk(megabytes: int, files: int) -> None:
        values = list(found)
        values[1], values[4], values[7] = 1024**2, megabytes, files  # f_frsize, f_bavail, f_favail
        monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))

    disk(50, 10**6)

    assert "50 MB" in (await case.look(state.look)).of("warning")

    disk(1, 10**6)

    assert "1 MB" in (await case.look(state.look)).of("broken")

    disk(9999, 10)

    assert "10 files" in (await case.look(state.look)).of("broken")


async def test_one_in_memory(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nothing is ordered from a production CA there, which is broken; without such a CA, or when it is meant, it is a warning.
    """
    monkeypatch.setattr(state, "passing", lambda _: "tmpfs at /state, in memory")

    assert "gone at the next start" in (await case.look(state.look)).of("broken")

    case.toml = '[sites."a.home.arpa"]\nupstream = "http://127.0.0.1:1"\ntls = "local"\n'

    assert "gone at the next start" in (await case.look(state.look)).of("warning")
