"""
Those who look at a state directory, or write a document there, while another holds it.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import FakeClock

from gatelodge.stores.documents import DirectoryDocuments
from gatelodge.stores.lock import Lock, held_by
from gatelodge.stores.state import find_open_folders, prepare

if TYPE_CHECKING:
    from pathlib import Path


def test_the_holder_is_told_and_not_disturbed(tmp_path: Path) -> None:
    """
    By the kernel's own list: nobody holds it before and after, and in between the next one can be told who does.
    """
    assert held_by(str(tmp_path)) is None

    lock = Lock(directory=str(tmp_path), clock=FakeClock(), command="gatelodge run")
    with lock:
        assert f"process {os.getpid()}" in (held_by(str(tmp_path)) or "")

    assert held_by(str(tmp_path)) is None


def test_open_folders_are_found_and_left(tmp_path: Path) -> None:
    """
    Nothing is corrected by looking.
    """
    top = tmp_path / "state"
    prepare(str(top))

    assert list(find_open_folders(top)) == []

    (top / "journal").chmod(0o755)

    assert [path.name for path, _ in find_open_folders(top)] == ["journal"]
    assert (top / "journal").stat().st_mode & 0o777 == 0o755


def test_a_guest_leaves_unfinished_documents_of_the_holder(tmp_path: Path) -> None:
    """
    They are on their way to the disk. The next holder sweeps what either of them left.
    """
    folder = tmp_path / "journal" / "dns"
    folder.mkdir(parents=True)
    (folder / ".new-0").write_text("half")
    guest = DirectoryDocuments(directory=str(tmp_path), guest=True)
    asyncio.run(guest.put("journal/dns", "a", {"x": 1}))

    assert (folder / ".new-0").exists()
    assert asyncio.run(DirectoryDocuments(directory=str(tmp_path)).get("journal/dns", "a")) == {"x": 1}

    asyncio.run(DirectoryDocuments(directory=str(tmp_path)).put("journal/dns", "b", {"x": 2}))

    assert not (folder / ".new-0").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_writes_as_a_guest_is_the_owners(tmp_path: Path) -> None:
    """
    The daemon must be able to read it, and to take it away.
    """
    os.chown(tmp_path, 12345, 12345)
    asyncio.run(DirectoryDocuments(directory=str(tmp_path), guest=True).put("journal/dns", "a", {"x": 1}))
    (file,) = (tmp_path / "journal" / "dns").iterdir()

    assert (file.stat().st_uid, file.parent.stat().st_uid) == (12345, 12345)
