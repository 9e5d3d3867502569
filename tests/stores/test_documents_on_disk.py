"""
What can happen to documents on a disk.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from gatelodge import durable
from gatelodge.errors import StateDamaged, StateError
from gatelodge.stores.documents import DirectoryDocuments

KIND = "journal/attempts"


class Heard:
    """
    Implements `ports.Events`: remembers.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        self.events.append((event, {"level": level, **fields}))


def names(folder: Path) -> list[str]:
    """
    The files of the kind.
    """
    return sorted(each.name for each in (folder / KIND).iterdir())


def mode(path: Path) -> int:
    """
    The mode of a path.
    """
    return stat.S_IMODE(path.stat().st_mode)


async def test_layout_and_modes(tmp_path: Path) -> None:
    """
    Documents lie under names that a person recognises, for the owner alone, whatever the umask.
    """
    before = os.umask(0o777)
    try:
        await DirectoryDocuments(directory=str(tmp_path)).put(KIND, "*.example.com", {"failures": 1})
    finally:
        os.umask(before)
    path = tmp_path / KIND / "%2A.example.com.json"
    assert json.loads(path.read_text()) == {"format": 1, "key": "*.example.com", "document": {"failures": 1}}
    assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)


async def test_released_format(tmp_path: Path) -> None:
    """
    A document of format 1 is read as it was written by the first release.
    """
    shutil.copytree(Path(__file__).parent / "documents-1", tmp_path / "state")
    documents = DirectoryDocuments(directory=str(tmp_path / "state"))
    assert await documents.list(KIND) == {"*.example.com": {"failures": 1, "problem": {"type": "dns"}}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"format": "1"}',
        '{"format": 1}',
        '{"format": 1, "key": "wiki", "document": []}',
        '{"format": 1, "key": "cloud", "document": {}}',
        '{"format": 1, "document": {}}',
        "\udcff",
    ],
)
async def test_damage(tmp_path: Path, text: str) -> None:
    """
    A document that makes no sense raises when asked for, and is left out of a listing; it is told once, stays where it is, and
    gives way to a new one.
    """
    heard = Heard()
    documents = DirectoryDocuments(directory=str(tmp_path), events=heard)
    await documents.put(KIND, "wiki", {"failures": 1})
    await documents.put(KIND, "other", {"failures": 2})
    path = tmp_path / KIND / "wiki.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(StateDamaged, match=r"wiki\.json: .*; restore it from a backup or move it away"):
        await documents.get(KIND, "wiki")
    for _ in range(2):
        assert await documents.list(KIND) == {"other": {"failures": 2}}
    assert [(event, fields["level"], fields["path"]) for event, fields in heard.events] == [
        ("state.damaged", "warning", str(path))
    ]
    assert names(tmp_path) == ["other.json", "wiki.json"]
    await documents.put(KIND, "wiki", {"failures": 3})
    assert await documents.get(KIND, "wiki") == {"failures": 3}


async def test_folder_in_place_of_a_document(tmp_path: Path) -> None:
    """
    A folder under a document's name is damage, not the end of the listing.
    """
    documents = DirectoryDocuments(directory=str(tmp_path))
    await documents.put(KIND, "other", {"failures": 2})
    (tmp_path / KIND / "wiki.json").mkdir()
    assert await documents.list(KIND) == {"other": {"failures": 2}}
    with pytest.raises(StateError, match="cannot be read"):
        await documents.get(KIND, "wiki")


async def test_newer_format(tmp_path: Path) -> None:
    """
    A document from the future stops reading and listing, and stays as it is.
    """
    documents = DirectoryDocuments(directory=str(tmp_path))
    await documents.put(KIND, "wiki", {"failures": 1})
    path = tmp_path / KIND / "wiki.json"
    path.write_text('{"format": 2}')
    with pytest.raises(StateError, match=r"newer Gatelodge \(format 2, this one knows 1\)"):
        await documents.get(KIND, "wiki")
    with pytest.raises(StateError, match="upgrade Gatelodge"):
        await documents.list(KIND)
    assert path.read_text() == '{"format": 2}'


async def test_leftovers(tmp_path: Path) -> None:
    """
    What a crash left beside is not listed, and swept by the first write into its folder.
    """
    (tmp_path / KIND).mkdir(parents=True)
    (tmp_path / KIND / ".new-0").write_text('{"format"')
    documents = DirectoryDocuments(directory=str(tmp_path))
    assert await documents.list(KIND) == {}
    assert names(tmp_path) == [".new-0"]
    await documents.put(KIND, "wiki", {})
    assert names(tmp_path) == ["wiki.json"]


async def test_only_our_leftovers_are_swept(tmp_path: Path) -> None:
    """
    Other hidden files and folders, and links, are somebody's; a name of ours that stands in the way is passed over.
    """
    folder = tmp_path / KIND
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("x")
    (folder / ".new-0").mkdir()
    (folder / ".new-1").symlink_to(folder / ".git" / "HEAD")
    (folder / ".new-2").write_text("x")
    (folder / ".new-3x").write_text("x")
    documents = DirectoryDocuments(directory=str(tmp_path))
    await documents.put(KIND, "wiki", {})
    await documents.put(KIND, "wiki", {"a": 1})
    assert await documents.get(KIND, "wiki") == {"a": 1}
    assert names(tmp_path) == [".git", ".new-0", ".new-1", ".new-3x", "wiki.json"]
    assert (folder / ".git" / "HEAD").read_text() == "x"


@pytest.mark.parametrize("linked", ["journal", KIND])
async def test_nothing_is_swept_behind_a_link(tmp_path: Path, linked: str) -> None:
    """
    A folder of ours that is a link leads to what may be anybody's; documents are written there all the same.
    """
    outside = tmp_path / "outside"
    (outside / "attempts").mkdir(parents=True)
    for each in (outside, outside / "attempts"):
        (each / ".new-0").write_text("x")
    link = tmp_path / "state" / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    documents = DirectoryDocuments(directory=str(tmp_path / "state"))
    await documents.put(KIND, "wiki", {"a": 1})
    assert await documents.get(KIND, "wiki") == {"a": 1}
    assert sorted(str(each.relative_to(outside)) for each in outside.rglob(".*")) == [".new-0", "attempts/.new-0"]


async def test_document_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is left out of a listing and told; asked for, it is no damage that could be written over.
    """
    heard = Heard()
    documents = DirectoryDocuments(directory=str(tmp_path), events=heard)
    await documents.put(KIND, "wiki", {})
    await documents.put(KIND, "other", {})
    real = durable.read

    def read(path: Path) -> bytes:
        if path.name == "wiki.json":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(durable, "read", read)
    assert await documents.list(KIND) == {"other": {}}
    assert [event for event, _ in heard.events] == ["state.damaged"]
    with pytest.raises(StateError, match="permission is denied") as raised:
        await documents.get(KIND, "wiki")
    assert not isinstance(raised.value, StateDamaged)


async def test_foreign_files(tmp_path: Path) -> None:
    """
    What people leave beside documents is not listed and not touched.
    """
    documents = DirectoryDocuments(directory=str(tmp_path))
    await documents.put(KIND, "wiki", {})
    for name in ("wiki.json.bak", "README"):
        (tmp_path / KIND / name).write_text("x")
    assert await documents.list(KIND) == {"wiki": {}}
    await documents.put(KIND, "wiki", {})
    assert names(tmp_path) == ["README", "wiki.json", "wiki.json.bak"]


@pytest.mark.parametrize("step", [1, 2])
async def test_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """
    A write whose fsync fails says so; what can be read is whole, the old document or the new one, and nothing is left beside.
    """
    documents = DirectoryDocuments(directory=str(tmp_path))
    await documents.put(KIND, "wiki", {"failures": 1})
    real, calls = os.fsync, iter(range(1, 100))

    def fsync(descriptor: int) -> None:
        if next(calls) == step:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(StateError, match="the disk is full; make room there"):
            await documents.put(KIND, "wiki", {"failures": 2})
    assert await documents.get(KIND, "wiki") == {"failures": step}
    assert names(tmp_path) == ["wiki.json"]


async def test_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """
    A file in the place of a kind's folder is named, with what to do.
    """
    (tmp_path / "journal").write_text("in the way")
    documents = DirectoryDocuments(directory=str(tmp_path))
    with pytest.raises(StateError, match="move") as raised:
        await documents.put(KIND, "wiki", {})
    assert raised.value.path.startswith(str(tmp_path / "journal"))


async def test_cancelled(tmp_path: Path) -> None:
    """
    A write that is cancelled has ended when the cancellation is over: the next one is not overtaken by it.
    """
    documents = DirectoryDocuments(directory=str(tmp_path))
    for number in range(10):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(documents.put(KIND, "wiki", {"old": number}))
            await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()
        await documents.put(KIND, "wiki", {"new": number})
        assert await documents.get(KIND, "wiki") == {"new": number}
    assert names(tmp_path) == ["wiki.json"]


@pytest.mark.parametrize("key", ["\x01", "\ud800"])
async def test_document_of_a_key_that_is_none(tmp_path: Path, key: str) -> None:
    """
    It is left out and told, as any that is damaged.
    """
    heard = Heard()
    documents = DirectoryDocuments(directory=str(tmp_path), events=heard)
    await documents.put(KIND, "wiki", {})
    path = tmp_path / KIND / "x.json"
    path.write_text(json.dumps({"format": 1, "key": key, "document": {}}))
    assert await documents.list(KIND) == {"wiki": {}}
    assert [event for event, _ in heard.events] == ["state.damaged"]
    assert path.exists()
