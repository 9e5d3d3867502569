"""
When a running master cannot take a tree by a reload: another program was found, or a port changes its shape. Another master takes
its place, visitors' open connections go on, and a failure brings back what was served before.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.nginx_house import DEBIAN, NOW, WHEEL, house, parse
from tests.support.waiting import until

from gatelodge.core.tree import Quarantine
from gatelodge.errors import NginxRefused, NginxUnproven
from gatelodge.model import INTERNAL_HOST, Listener
from gatelodge.nginx.tree import Trees
from gatelodge.nginx.writing.prelude import GENERATION_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.nginx_house import House

    from gatelodge.nginx.managed import Managed

pytestmark = pytest.mark.live

BOTH_WAYS = pytest.mark.parametrize(("old", "new"), [(DEBIAN, WHEEL), (WHEEL, DEBIAN)], ids=["newer", "older"])


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


@pytest.fixture
def nginx(home: House) -> Managed:
    """
    Return what manages the house's nginx.
    """
    return home.managed()


def change_program(home: House, program: str) -> Managed:
    """
    Let the configuration name another nginx, and return what manages that.
    """
    home.settings = dataclasses.replace(home.settings, binary=program)
    return home.managed()


async def served(home: House) -> int:
    """
    Return the generation that nginx itself says it serves.
    """
    return int((await home.get(INTERNAL_HOST, GENERATION_PATH, tls=False)).body)


async def pid_of(nginx: Managed) -> int:
    """
    Return the running master's number.
    """
    pid = (await nginx.observe()).pid
    assert pid is not None
    return pid


def gone(pid: int) -> Callable[[], bool]:
    """
    Return what tells whether a process has ended.
    """
    return lambda: not Path(f"/proc/{pid}").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text()


def shapes(home: House) -> tuple[tuple[Listener, ...], tuple[Listener, ...]]:
    """
    Return a port of everywhere, and of one address.
    """
    return (Listener(port=home.spare[0]),), (Listener(port=home.spare[0], address="127.0.0.1"),)


@contextlib.asynccontextmanager
async def visitor(home: House, port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """
    Yield a websocket to a.example.com that is open.
    """
    reader, writer = await home.connect(port, "a.example.com")
    writer.write(b"GET / HTTP/1.1\r\nHost: a.example.com\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    assert parse(await reader.readuntil(b"\r\n\r\n")).status == 101
    try:
        yield reader, writer
    finally:
        writer.close()


async def assert_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Fail unless bytes still come back.
    """
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"


@BOTH_WAYS
async def test_a_program_replaced_on_disk_is_started_with_the_next_tree(old: str, new: str, tmp_path: Path) -> None:
    """
    What runs until then is told as what it is. The new master is found though the old one deletes its pid file at its end, and
    the next tree is a reload again.
    """
    program = tmp_path / "nginx"
    shutil.copy(old, program)
    async with house(str(program)) as home:
        home.add("a.example.com")
        nginx = home.managed()
        await nginx.apply(home.render())
        before = await nginx.observe()
        assert before.capabilities is not None
        assert before.version == before.capabilities.version
        shutil.copy(new, tmp_path / "next")
        (tmp_path / "next").replace(program)
        between = await nginx.observe()
        assert between.capabilities is not None
        assert between.capabilities.version != between.version == before.version
        assert between.pid == before.pid
        renewed = home.certify("a.example.com")
        number = await nginx.apply(home.render())
        seen = await nginx.observe()
        assert (seen.running, seen.version) == (number, between.capabilities.version)
        assert seen.pid != before.pid
        assert seen.reloaded_at is not None
        assert await home.fingerprint("a.example.com") == renewed.fingerprint
        assert before.pid is not None
        await until(gone(before.pid))
        assert await pid_of(home.managed()) == seen.pid
        assert await nginx.apply(home.render()) == number + 1
        assert await pid_of(nginx) == seen.pid


@BOTH_WAYS
async def test_another_program_in_the_configuration_takes_over_and_drops_nobody(old: str, new: str) -> None:
    """
    An open websocket is finished by the old workers, which are counted, and nobody takes their master for the running one, not even
    when the new one is killed.
    """
    async with house(old) as home, upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        nginx = home.managed()
        await nginx.apply(home.render())
        leaving = await pid_of(nginx)
        async with visitor(home, home.settings.https_port) as websocket:
            nginx = change_program(home, new)
            number = await nginx.apply(home.render())
            seen = await nginx.observe()
            assert (seen.running, seen.draining) == (number, 1)
            await assert_open(*websocket)
            assert (await home.get("a.example.com")).status == 200
            assert seen.pid is not None
            os.kill(seen.pid, signal.SIGKILL)
            await until(gone(seen.pid))
            assert (await nginx.observe()).running is None
            await nginx.start()
            await assert_open(*websocket)
            assert (await nginx.observe()).running == number
        await until(gone(leaving))
        assert (await nginx.observe()).running == number


@BOTH_WAYS
async def test_another_program_that_is_not_proven_gives_way_to_the_one_before(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    With its tree, in the only syntax that it may know.
    """
    monkeypatch.setattr("gatelodge.nginx.witness._SECONDS", 0.5)
    async with house(old) as home:
        shown = home.certify("a.example.com")
        home.add("a.example.com")
        nginx = home.managed()
        first = await nginx.apply(home.render())
        version = (await nginx.observe()).version
        nginx = change_program(home, new)
        home.held["a.example.com"] = dataclasses.replace(shown, fingerprint="00" * 32)
        with pytest.raises(NginxUnproven, match="another certificate"):
            await nginx.apply(home.render())
        seen = await nginx.observe()
        assert (seen.running, seen.version) == (first, version)
        assert [generation.number for generation in seen.generations] == [first]
        assert await home.fingerprint("a.example.com") == shown.fingerprint
        home.held["a.example.com"] = shown
        assert await nginx.apply(home.render()) == 3
        assert (await nginx.observe()).version != version


async def test_a_script_that_starts_nginx_is_no_other_program(tmp_path: Path) -> None:
    """
    What runs is not what was found then, and yet a reload is a reload.
    """
    script = tmp_path / "nginx"
    script.write_text(f'#!/bin/sh\nexec {DEBIAN} "$@"\n')
    script.chmod(0o755)
    async with house(str(script)) as home:
        home.add("a.example.com")
        nginx = home.managed()
        await nginx.apply(home.render())
        pid = await pid_of(nginx)
        await nginx.apply(home.render())
        assert await pid_of(nginx) == pid


@pytest.mark.parametrize("back", [False, True], ids=["to one address", "to all"])
async def test_a_port_changes_between_all_addresses_and_one(home: House, nginx: Managed, back: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """
    No other program holds it: nobody is refused, what is open stays open, and the door is shut for a moment only.
    """
    before, after = reversed(shapes(home)) if back else shapes(home)
    async with upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}", listen=before)
        home.add("b.example.com", to=f"http://127.0.0.1:{up.port}")
        await nginx.apply(home.render())
        pid = await pid_of(nginx)
        loop = asyncio.get_running_loop()
        shut: list[float] = []
        over = asyncio.Event()

        async def knock() -> None:
            while not over.is_set():
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", home.settings.http_port)
                except OSError:
                    shut.append(loop.time())
                else:
                    writer.close()
                await asyncio.sleep(0.005)

        async with visitor(home, home.spare[0]) as websocket, asyncio.TaskGroup() as group:
            group.create_task(knock())
            home.add("a.example.com", to=f"http://127.0.0.1:{up.port}", listen=after)
            number = await nginx.apply(home.render())
            over.set()
            await assert_open(*websocket)
            assert await served(home) == number
            assert await pid_of(nginx) != pid
            assert await home.fingerprint("a.example.com", port=home.spare[0]) == home.held["a.example.com"].fingerprint
        assert not shut or shut[-1] - shut[0] < 2


async def test_a_port_that_changes_its_shape_may_still_be_somebody_elses(home: House, nginx: Managed) -> None:
    """
    Who holds another of its addresses is named, the site that wants them all is blamed, and nothing that runs is touched.
    """
    wide, narrow = shapes(home)
    home.add("a.example.com", listen=narrow)
    await nginx.apply(home.render())
    pid = await pid_of(nginx)
    with socket.create_server(("127.0.0.2", home.spare[0])):
        home.add("a.example.com", listen=wide)
        home.add("b.example.com")
        with pytest.raises(NginxRefused, match=rf"is held by .* \(pid {os.getpid()}\)") as refused:
            await nginx.apply(home.render())
    assert refused.value.guilty == {"a.example.com"}
    assert await pid_of(nginx) == pid
    await nginx.apply(home.render())
    assert await pid_of(nginx) != pid


async def test_a_shape_that_is_not_proven_goes_back(
    home: House, nginx: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    By yet another master, on the tree before.
    """
    monkeypatch.setattr("gatelodge.nginx.witness._SECONDS", 0.5)
    wide, narrow = shapes(home)
    home.add("a.example.com", listen=wide)
    shown = home.held["a.example.com"]
    first = await nginx.apply(home.render())
    home.add("a.example.com", listen=narrow)
    home.held["a.example.com"] = dataclasses.replace(shown, fingerprint="00" * 32)
    with pytest.raises(NginxUnproven):
        await nginx.apply(home.render())
    seen = await nginx.observe()
    assert seen.running == first
    assert await served(home) == first
    with socket.create_connection(("127.0.0.2", home.spare[0])):
        pass


async def test_a_shape_that_a_dead_daemon_left_unproven_goes_back(home: House, nginx: Managed) -> None:
    """
    As after a crash between the start of the new master and its proof.
    """
    wide, narrow = shapes(home)
    home.add("a.example.com", listen=wide)
    first = await nginx.apply(home.render())
    home.add("a.example.com", listen=narrow)
    await nginx.apply(home.render())
    trees = Trees(home.state / "nginx")
    (trees.folder(2) / "proven").unlink()
    heir = home.managed()
    await heir.roll_back()
    seen = await heir.observe()
    assert seen.current is not None
    assert seen.running == seen.current.number == first
    assert await served(home) == first


@pytest.mark.parametrize("after", [0.05, 0.1, 0.15, 0.2, 0.3])
async def test_a_replacement_that_is_cut_short_leaves_the_tree_before_served(
    home: House, nginx: Managed, after: float
) -> None:
    """
    Wherever it is cut, until the new one is proven: then that one stays, though old workers are waited for still.
    """
    wide, narrow = shapes(home)
    home.add("a.example.com", listen=wide)
    first = await nginx.apply(home.render())
    home.add("a.example.com", listen=narrow)
    done = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(after):
            done = await nginx.apply(home.render())
    proven = (home.state / "nginx" / "generations" / "2" / "proven").exists()
    expected = 2 if proven else first
    assert done in {None, expected}
    assert (await nginx.observe()).running == expected

    async def is_served() -> bool:
        return await served(home) == expected

    await until(is_served)
    # Cut before it began to be written, it took no number.
    highest = int((home.state / "nginx" / "highest").read_text())
    assert await nginx.apply(home.render()) == highest + 1


async def test_a_replaced_master_is_watched_no_longer(home: House, nginx: Managed) -> None:
    """
    Though it still runs: `exited` tells of the one that took its place.
    """
    wide, narrow = shapes(home)
    async with upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}", listen=wide)
        await nginx.apply(home.render())
        async with visitor(home, home.spare[0]):
            told = 0

            async def watch() -> None:
                nonlocal told
                while True:
                    await nginx.exited()
                    told += 1

            async with asyncio.TaskGroup() as group:
                watching = group.create_task(watch())
                home.add("a.example.com", to=f"http://127.0.0.1:{up.port}", listen=narrow)
                await nginx.apply(home.render())
                before = told
                os.kill(await pid_of(nginx), signal.SIGKILL)
                await until(lambda: told > before)
                watching.cancel()


async def test_stop_ends_those_that_leave_too(home: House, nginx: Managed) -> None:
    """
    Nothing of ours is left.
    """
    wide, narrow = shapes(home)
    async with upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}", listen=wide)
        await nginx.apply(home.render())
        leaving = await pid_of(nginx)
        async with visitor(home, home.spare[0]) as (reader, _):
            home.add("a.example.com", to=f"http://127.0.0.1:{up.port}", listen=narrow)
            await nginx.apply(home.render())
            assert not gone(leaving)()
            await nginx.stop(grace=0.2)
            assert gone(leaving)()
            with contextlib.suppress(OSError):
                assert await reader.read() == b""
    assert (await nginx.observe()).pid is None


async def test_a_master_that_hears_no_signal_is_stopped_within_three_seconds_after_its_grace(
    home: House, nginx: Managed
) -> None:
    """
    So that with a grace of seven all is over before a container's ten.
    """
    home.add("a.example.com")
    await nginx.apply(home.render())
    pid = await pid_of(nginx)
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(3.5):
        await nginx.stop(grace=0.2)
    await until(gone(pid))


async def test_a_daemon_that_dies_while_it_stops_nginx_leaves_none_that_counts_as_running(
    home: House, nginx: Managed
) -> None:
    """
    A master that only finishes old connections serves nobody: the next daemon starts another.
    """
    async with upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        number = await nginx.apply(home.render())
        async with visitor(home, home.settings.https_port) as websocket:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await nginx.stop(grace=60)
            heir = home.managed()
            assert (await heir.observe()).running is None
            await heir.start()
            assert (await heir.observe()).running == number
            assert await served(home) == number
            await assert_open(*websocket)


async def test_a_master_whose_pid_file_was_deleted_is_still_ours(home: House, nginx: Managed) -> None:
    """
    Also when nothing is remembered of it: it says which configuration it runs, and it listens.
    """
    home.add("a.example.com")
    await nginx.apply(home.render())
    pid = await pid_of(nginx)
    (home.state / "nginx" / "nginx.pid").unlink()
    assert await pid_of(home.managed()) == pid
    (home.state / "nginx" / "running").unlink()
    assert await pid_of(home.managed()) == pid


async def test_a_text_kept_back_under_an_older_nginx_is_served_by_a_newer_one(home: House, nginx: Managed) -> None:
    """
    The newer one warns of `listen … http2`, and blames the neighbours that say it in its own way; all of them are served.
    """
    async with house(DEBIAN) as old:
        old.settings = dataclasses.replace(home.settings, binary=DEBIAN)
        old.add("b.example.com", certify=False)
        old.held = {**home.held, "b.example.com": home.certify("b.example.com")}
        kept = old.render().sites["b.example.com"]
        assert "ssl http2;" in kept
    for host in ("a.example.com", "b.example.com", "c.example.com"):
        home.add(host)
    fresh = home.render().fresh["b.example.com"]
    home.quarantines["b.example.com"] = Quarantine(
        site="b.example.com", digest=fresh, error="[emerg] no", since=NOW, retry_at=NOW, kept=kept
    )
    number = await nginx.apply(home.render())
    assert await served(home) == number
    for host in ("a.example.com", "b.example.com", "c.example.com"):
        assert await home.fingerprint(host) == home.held[host].fingerprint


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_an_access_log_that_cannot_be_opened_is_called_by_its_key(program: str) -> None:
    """
    The file is all that nginx names; what to do is said too, and nobody's site is blamed.
    """
    async with house(program, access_log="/nonexistent/folder/access.log") as home:
        home.add("a.example.com")
        with pytest.raises(
            NginxRefused, match=r"No such file.*\[nginx\] access_log: make /nonexistent/folder"
        ) as refused:
            await home.managed().apply(home.render())
        assert refused.value.guilty == frozenset()
        assert str(refused.value).startswith("[emerg] open()")
