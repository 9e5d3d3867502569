"""
What a crash, a failing or full disk, or a cancellation leaves of certificates on a disk.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from tests.support.certificates import issued
from tests.support.stores import WIKI, everything, leftovers, opened

from gatelodge.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Where the store lies; not there yet.
    """
    return tmp_path / "certificates"


def snapshots_during(work: Coroutine[None, None, T], folder: Path, kept: Path) -> tuple[T, list[Path]]:
    """
    Run work, and keep a copy of the store at every fsync and rename: what a process that dies there leaves behind.
    """
    copies: list[Path] = []
    copying = []

    def copy() -> None:
        if folder.exists() and not copying:
            copying.append(True)
            copies.append(kept / f"{len(copies)}")
            shutil.copytree(folder, copies[-1], symlinks=True)
            copying.clear()

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "rename", "replace", "mkdir", "symlink"):
            real = getattr(os, name)

            def step(*arguments: object, real: Callable[..., object] = real, **more: object) -> object:
                copy()
                done = real(*arguments, **more)
                copy()
                return done

            patch.setattr(os, name, step)
        return asyncio.run(work), copies


def test_death_at_every_step(tmp_path: Path, folder: Path) -> None:
    """
    Wherever a put is cut short, the next start finds the store whole: the old version or the new one, `current` leading to it,
    nothing damaged, no leftovers, and the next number free.
    """
    old = asyncio.run(opened(folder).put(WIKI, issued(WIKI)))
    new, copies = snapshots_during(opened(folder).put(WIKI, issued(WIKI)), folder, tmp_path / "copies")
    assert len(copies) > 20
    seen = set()
    for copy in copies:
        store = opened(copy)
        index = asyncio.run(store.index())
        held = index.held[WIKI.name]
        seen.add(held.version)
        assert held.fingerprint == (old if held.version == 1 else new).fingerprint
        assert index.damaged == {}
        current = copy / WIKI.name / "current"
        assert current.resolve() == Path(held.directory).resolve()
        assert leftovers(copy) == []
        assert asyncio.run(store.put(WIKI, issued(WIKI))).version == held.version + 1
    assert seen == {1, 2}


def test_death_at_every_step_of_the_first(tmp_path: Path, folder: Path) -> None:
    """
    Wherever the very first put is cut short, the next start finds nothing or a whole certificate.
    """
    _, copies = snapshots_during(opened(folder).put(WIKI, issued(WIKI)), folder, tmp_path / "copies")
    assert copies
    for copy in copies:
        store = opened(copy)
        index = asyncio.run(store.index())
        assert index.damaged == {}
        assert index.versions in ({}, {WIKI.name: (1,)})
        assert asyncio.run(store.put(WIKI, issued(WIKI))).version == len(index.held) + 1


def test_death_while_deleting(tmp_path: Path, folder: Path) -> None:
    """
    Wherever pruning and deleting are cut short, versions are there or gone, never damaged, and no number comes back.
    """

    async def shrink() -> None:
        store = opened(folder)
        await store.prune([(WIKI.name, 1)])
        await store.delete(WIKI.name)

    for _ in range(2):
        asyncio.run(opened(folder).put(WIKI, issued(WIKI)))
    _, copies = snapshots_during(shrink(), folder, tmp_path / "copies")
    seen = set()
    for copy in copies:
        store = opened(copy)
        index = asyncio.run(store.index())
        seen.add(index.versions.get(WIKI.name, ()))
        assert index.damaged == {}
        assert asyncio.run(store.put(WIKI, issued(WIKI))).version == 3
    assert seen == {(1, 2), (2,), ()}


@pytest.mark.parametrize("step", range(1, 9))
async def test_disk_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """
    Whichever fsync fails (five files, three folders), the put says so, and the store is as before.
    """
    store = opened(folder)
    await store.put(WIKI, issued(WIKI))
    before = await store.index()
    real, calls = os.fsync, iter(range(1, 1000))

    def fsync(descriptor: int) -> None:
        if next(calls) == step:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(StateError, match="the disk reports an error"):
            await store.put(WIKI, issued(WIKI))
    assert await store.index() == before
    assert await opened(folder).index() == before
    assert str((folder / WIKI.name / "current").readlink()) == "versions/1"
    assert leftovers(folder) == []


@pytest.mark.parametrize("size", [0, 100])
async def test_disk_that_is_full(folder: Path, size: int) -> None:
    """
    When a file cannot be written whole, the put says so, and the store is as before.
    """
    store = opened(folder)
    before = await store.put(WIKI, issued(WIKI))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(StateError, match="larger than is allowed"):
            await store.put(WIKI, issued(WIKI))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (await store.index()).held == {WIKI.name: before}
    assert leftovers(folder) == []
    assert (await store.put(WIKI, issued(WIKI))).version == 2


_PUTTER = """
import asyncio, sys
from gatelodge.stores.directory import DirectoryStore
from tests.support.certificates import issued, spec
from tests.support.clock import FakeClock

async def main():
    store = DirectoryStore(directory=sys.argv[1], clock=FakeClock())
    while True:
        held = await store.put(spec(), issued(spec()))
        print(held.version, held.fingerprint, flush=True)
        await store.prune([(held.name, held.version - 3)])

asyncio.run(main())
"""


@pytest.mark.live
@pytest.mark.parametrize("after", [1, 2, 5, 9])
def test_kill_9(folder: Path, after: int) -> None:
    """
    A process that is killed while it puts and prunes loses nothing that it had reported, and leaves the store whole.
    """
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _PUTTER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'daemon'}:{root}"},
    ) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    number, fingerprint = next(line.split() for line in reversed(lines) if line.endswith("\n"))
    index = asyncio.run(opened(folder).index())
    held = index.held["wiki.example.com"]
    assert index.damaged == {}
    assert held.version in {int(number), int(number) + 1}
    assert held.version > int(number) or held.fingerprint == fingerprint
    assert (folder / "wiki.example.com" / "current").resolve() == Path(held.directory)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_cancelled(folder: Path, turns: int) -> None:
    """
    A put that is cancelled has stored nothing or all of it when it ends, and works no more after that.
    """
    store = opened(folder)
    before = await store.put(WIKI, issued(WIKI))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(store.put(WIKI, issued(WIKI)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        task.cancel()
    state = everything(folder)
    assert task.cancelled()
    index = await store.index()
    assert index.held[WIKI.name].version == len(index.versions[WIKI.name])
    assert index.held[WIKI.name] == before or index.held[WIKI.name].version == 2
    assert leftovers(folder) == []
    assert everything(folder) == state


async def test_cancelled_before_the_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A put that is cancelled while its files are written stores nothing; the cancellation waits for that.
    """
    store = opened(folder)
    before = await store.put(WIKI, issued(WIKI))
    loop, real = asyncio.get_running_loop(), os.fsync
    holder: list[asyncio.Task[object]] = []

    def fsync(descriptor: int) -> None:
        cancelled = asyncio.run_coroutine_threadsafe(_cancel(holder[0]), loop)
        cancelled.result(timeout=10)
        monkeypatch.setattr(os, "fsync", real)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    async with asyncio.TaskGroup() as group:
        holder.append(group.create_task(store.put(WIKI, issued(WIKI))))
    assert holder[0].cancelled()
    index = await store.index()
    assert index.held == {WIKI.name: before}
    assert leftovers(folder) == []
    assert (await store.put(WIKI, issued(WIKI))).version == 2


async def _cancel(task: asyncio.Task[object]) -> None:
    task.cancel()
    await asyncio.sleep(0)


async def test_leftovers_are_swept(folder: Path) -> None:
    """
    What a crash left behind is removed by the next look of the store's owner.
    """
    await opened(folder).put(WIKI, issued(WIKI))
    left = [
        folder / WIKI.name / "versions" / ".new",
        folder / WIKI.name / "versions" / ".gone-7",
        folder / WIKI.name / ".gone",
    ]
    for each in left:
        each.mkdir()
        (each / "privkey.pem").write_text("old")
    (folder / WIKI.name / ".current").symlink_to("versions/9")
    await opened(folder).index()
    assert leftovers(folder) == []
