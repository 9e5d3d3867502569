"""
What the service manager is told, on a real datagram socket: when, in which order, and when nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import FakeClock
from tests.world import HOUR, MINUTE, SECOND, World, inhabited

from gatelodge.errors import StateError
from gatelodge.runtime.supervisor import LONGEST_PASS, PROBE_SECONDS, READY_SECONDS, Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

A, B = "a.example.com", "b.example.com"


class Manager:
    """
    A service manager's end of the line.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._line.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._line.setblocking(False)

    def heard(self) -> list[dict[str, str]]:
        """
        Return what was said since the last time, in order.
        """
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._line.recv(4096).decode().split("\n")
                messages.append(dict(line.split("=", 1) for line in lines))
        return messages

    def close(self) -> None:
        """
        Listen no more.
        """
        self._line.close()

    def crowd(self) -> None:
        """
        Let others talk until nobody is heard any more.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.sendto(b"X=1", self.address)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """
    A manager that listens.
    """
    found = Manager(str(tmp_path / "notify"))
    yield found
    found.close()


class Loop:
    """
    A reconciler's loop, as far as it is watched: it answers a call by another look, or does not.
    """

    def __init__(self) -> None:
        self.latest: object = None
        self.trouble: StateError | None = None
        self.answers = True
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1
        if self.answers:
            # A pass over a state directory that cannot be read is one too.
            self.trouble = StateError("/state", "it cannot be read", "mend it")


def states(messages: list[dict[str, str]]) -> list[str]:
    """
    Return what the manager was told of the daemon's state, in order.
    """
    return [key for message in messages for key in message if key in ("READY", "RELOADING", "STOPPING")]


def alive(messages: list[dict[str, str]]) -> int:
    """
    Count the signs of life.
    """
    return sum("WATCHDOG" in message for message in messages)


@contextlib.asynccontextmanager
async def attending(supervisor: Supervisor, loop: object) -> AsyncIterator[None]:
    """
    Have it attend to a loop inside the context.
    """
    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervisor.attend(loop))  # type: ignore[arg-type]
        try:
            await asyncio.sleep(0)
            yield
        finally:
            task.cancel()


@contextlib.asynccontextmanager
async def attended(
    manager: Manager, *hosts: str, watchdog: float | None = None
) -> AsyncIterator[tuple[World, Supervisor]]:
    """
    A world whose daemon has a manager.
    """
    async with inhabited(*hosts) as world:
        supervisor = Supervisor(address=manager.address, watchdog=watchdog, clock=world.clock)
        supervisor.begin()
        async with attending(supervisor, world.reconciler):
            yield world, supervisor


async def test_it_is_ready_once_nginx_serves(manager: Manager) -> None:
    """
    Not before; whether the CA answers does not matter. It asks for time, and says that it begins.
    """
    async with attended(manager, A, B) as (world, _):
        world.ca.down = True

        assert manager.heard()[0] == {
            "EXTEND_TIMEOUT_USEC": f"{(READY_SECONDS + 30) * 1e6:.0f}", "STATUS": "starting",
        }  # fmt: skip
        assert world.nginx.serving is None

        await world.live(3 * SECOND)
        heard = manager.heard()

        assert states(heard) == ["READY"]
        assert world.nginx.serving is not None
        assert heard[-1]["STATUS"].endswith("2 sites, 0 certificates")


async def test_it_is_ready_at_once_where_there_is_no_nginx(manager: Manager) -> None:
    """
    A missing nginx is no reason to fail the start: the daemon can be asked, and goes on when there is one.
    """
    async with attended(manager, A) as (world, _):
        world.nginx.missing = "there is none"
        await world.live(3 * SECOND)
        heard = manager.heard()

        assert states(heard) == ["READY"]
        assert heard[-1]["STATUS"].startswith("there is no nginx to run; ")


async def test_it_waits_for_an_nginx_that_fails_but_not_long(manager: Manager) -> None:
    """
    An nginx that does not start now may in a moment, and is waited for; then the daemon counts as started without it.
    """
    async with attended(manager, A) as (world, _):
        world.nginx.closed = "port 443 is in use"
        await world.live(4 * SECOND)

        assert states(manager.heard()) == []

        await world.live(READY_SECONDS * SECOND)
        heard = manager.heard()

        assert states(heard) == ["READY"]
        assert "nginx does not run: nginxRefused; next try " in heard[-1]["STATUS"]
        assert "port 443" not in heard[-1]["STATUS"]


async def test_a_loop_that_hangs_at_the_start_is_ready_in_the_end(manager: Manager) -> None:
    """
    Whatever happens, the manager is not left waiting.
    """
    clock = FakeClock()
    supervisor = Supervisor(address=manager.address, clock=clock)
    supervisor.begin()
    async with attending(supervisor, Loop()):
        await clock.advance(READY_SECONDS - 1)

        assert states(manager.heard()) == []

        await clock.advance(2)

        assert states(manager.heard()) == ["READY"]


async def test_a_reload_is_told_from_its_beginning_to_its_end(manager: Manager) -> None:
    """
    RELOADING with the time at which it began, then READY; with what people must know when the configuration was refused.
    """
    async with attended(manager, A) as (world, supervisor):
        await world.live(MINUTE)
        manager.heard()
        supervisor.reload(lambda: True)
        begun, done = manager.heard()

        assert begun["RELOADING"] == "1"
        assert int(begun["MONOTONIC_USEC"]) == int(world.clock.monotonic() * 1e6)
        assert done == {"READY": "1", "STATUS": "1 site, 1 certificate; next renewal a.example.com in 59 days"}

        supervisor.reload(lambda: False)
        begun, done = manager.heard()

        assert states([begun, done]) == ["RELOADING", "READY"]
        assert done["STATUS"].startswith(
            "a changed configuration was refused, see the log; the one before goes on; 1 site"
        )

        await world.live(HOUR)
        supervisor.reload(lambda: True)

        assert "refused" not in manager.heard()[-1]["STATUS"]


async def test_a_reload_that_breaks_off_ends_too(manager: Manager) -> None:
    """
    Nobody waits for its end for ever.
    """

    def broken() -> bool:
        raise RuntimeError("a bug")

    async with attended(manager, A) as (world, supervisor):
        await world.live(MINUTE)
        manager.heard()
        with pytest.raises(RuntimeError):
            supervisor.reload(broken)

        assert states(manager.heard()) == ["RELOADING", "READY"]


async def test_a_reload_during_the_start_ends_no_start(manager: Manager) -> None:
    """
    READY of a reload would be taken for the start's; and after STOPPING nothing is taken back.
    """
    async with attended(manager, A) as (world, supervisor):
        supervisor.reload(lambda: True)

        assert states(manager.heard()) == []

        await world.live(MINUTE)
        supervisor.stopping()
        supervisor.reload(lambda: True)
        await world.live(HOUR)

        assert states(manager.heard()) == ["READY", "STOPPING"]


async def test_signs_of_life_come_in_time_through_a_quiet_day(manager: Manager) -> None:
    """
    Nothing happens, the loop sleeps: it is asked for a pass now and then, and never more than the manager's time goes by.
    """
    async with attended(manager, A, watchdog=120) as (world, _):
        await world.live(MINUTE)
        manager.heard()
        for _ in range(100):
            await world.live(120 * SECOND)

            assert alive(manager.heard()) >= 1
        assert world.good(A)


@pytest.mark.parametrize("watchdog", [0.2, 1, 2, 3, 10, 600])
async def test_signs_of_life_are_as_frequent_as_asked(manager: Manager, watchdog: float) -> None:
    """
    At least one in each of the manager's periods, about two as sd_watchdog_enabled(3) advises, and not many more.
    """
    clock, loop = FakeClock(), Loop()
    async with attending(Supervisor(address=manager.address, watchdog=watchdog, clock=clock), loop):
        for _ in range(20):
            await clock.advance(watchdog)

            assert 1 <= alive(manager.heard()) <= 3


async def test_a_loop_that_hangs_gives_no_sign_of_life(manager: Manager) -> None:
    """
    The event loop turns, the reconciler does not: after a time in which a long pass may end, the manager is told no more. When it
    ends after all, life goes on.
    """
    clock, loop = FakeClock(), Loop()
    async with attending(Supervisor(address=manager.address, watchdog=60, clock=clock), loop):
        loop.answers = False
        await clock.advance(LONGEST_PASS - 5)

        assert alive(manager.heard()) >= 4

        await clock.advance(10)
        manager.heard()
        await clock.advance(600)

        assert alive(manager.heard()) == 0

        loop.answers = True
        await clock.advance(60)

        assert alive(manager.heard()) >= 1


async def test_a_real_loop_that_waits_for_a_dead_disk_gives_no_sign_of_life(manager: Manager) -> None:
    """
    As above, with the loop itself, stuck where it reads the state directory.
    """
    async with attended(manager, A, watchdog=60) as (world, _):
        for _ in range(10):
            await world.live(MINUTE)

            assert alive(manager.heard()) >= 1

        world.store.index = asyncio.Event().wait  # type: ignore[method-assign,assignment]
        await world.live((PROBE_SECONDS + LONGEST_PASS + 60) * SECOND)
        manager.heard()
        await world.live(10 * MINUTE)

        assert manager.heard() == []


async def test_a_blocked_event_loop_gives_no_sign_of_life(manager: Manager) -> None:
    """
    The sign comes from the loop itself and not from a thread beside it.
    """
    clock, loop = FakeClock(), Loop()
    async with attending(Supervisor(address=manager.address, watchdog=1, clock=clock), loop):
        await clock.advance(5)
        manager.heard()
        clock.elapsed += 100  # time goes by, and nothing else gets a turn

        assert manager.heard() == []

        await clock.advance(1)

        assert alive(manager.heard()) >= 1


async def test_a_busy_manager_is_told_later_and_in_order(manager: Manager) -> None:
    """
    Its queue is full: nothing blocks and nothing is lost.
    """
    clock = FakeClock()
    supervisor = Supervisor(address=manager.address, clock=clock)
    async with attending(supervisor, Loop()):
        manager.crowd()
        supervisor.begin()
        await clock.advance(READY_SECONDS + 1)
        supervisor.reload(lambda: True)

        assert states(manager.heard()) == []

        await clock.advance(1)

        assert states(manager.heard()) == ["READY", "RELOADING", "READY"]


async def test_a_manager_that_is_away_is_told_when_it_is_back(tmp_path: Path) -> None:
    """
    Nobody listens for a while, as when systemd executes itself anew.
    """
    clock = FakeClock()
    supervisor = Supervisor(address=str(tmp_path / "notify"), clock=clock)
    supervisor.begin()
    async with attending(supervisor, Loop()):
        await clock.advance(READY_SECONDS + 1)
        manager = Manager(str(tmp_path / "notify"))
        try:
            await clock.advance(1)

            assert states(manager.heard()) == ["READY"]
        finally:
            manager.close()


async def test_an_abstract_address_is_spoken_to() -> None:
    """
    `@name` is a name without a file (unix(7)).
    """
    manager = Manager(f"@gatelodge-{uuid.uuid4()}")
    try:
        Supervisor(address=manager.address, clock=FakeClock()).stopping()

        assert states(manager.heard()) == ["STOPPING"]
    finally:
        manager.close()


@pytest.mark.parametrize("address", ["", "/", "notify", "vsock:2:1234", "@"])
async def test_without_a_manager_nothing_happens(address: str) -> None:
    """
    No address, or one of a kind that is not known: every word goes nowhere, and nobody waits for anything.
    """
    supervisor = Supervisor.of({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"}, clock=FakeClock())
    loop, read = Loop(), []
    supervisor.begin()
    async with asyncio.timeout(5):
        await supervisor.attend(loop)  # type: ignore[arg-type]
    supervisor.reload(lambda: not read.append("read"))
    supervisor.stopping()

    assert read == ["read"]
    assert loop.woken == 0


@pytest.mark.parametrize(
    ("environment", "watched"),
    [
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}, True),
        ({"WATCHDOG_USEC": "2000000"}, True),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid() + 1)}, False),
        ({"WATCHDOG_USEC": "0"}, False),
        ({"WATCHDOG_USEC": "-5"}, False),
        ({"WATCHDOG_USEC": "soon"}, False),
        ({}, False),
    ],
)
async def test_the_environment_says_who_is_watched(
    manager: Manager, environment: dict[str, str], *, watched: bool
) -> None:
    """
    Signs of life are given to who asked this process for them; and what stands there is taken out, since nginx and the person's
    own programs are not meant.
    """
    given = {"NOTIFY_SOCKET": manager.address, "PATH": "/bin", **environment}
    clock = FakeClock()
    async with attending(Supervisor.of(given, clock=clock), Loop()):
        await clock.advance(4)

        assert (alive(manager.heard()) > 0) is watched
    assert given == {"PATH": "/bin"}


async def test_the_line_for_people_is_one_line_and_says_only_news(manager: Manager) -> None:
    """
    Whatever a message holds, it can neither be taken for another word of the protocol nor be too long; the same line is not said
    twice.
    """
    clock, loop = FakeClock(), Loop()
    async with attending(Supervisor(address=manager.address, clock=clock), loop):
        loop.trouble = StateError("/state", f"bad\nMAINPID=1\x00\x1b[31m{'ä' * 3000}", "mend it")
        await clock.advance(2)
        lines = [message for message in manager.heard() if "bad" in message["STATUS"]]

        assert [list(message) for message in lines] == [["STATUS"]]
        assert "bad MAINPID=1 [31mää" in lines[0]["STATUS"]
        assert len(lines[0]["STATUS"].encode()) < 2000

        await clock.advance(10)

        assert manager.heard() == []
