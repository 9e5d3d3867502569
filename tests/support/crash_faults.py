"""
What else can befall a daemon, each with a real one: nginx without it, a full disk, a read-only one, SIGSTOP, a clock that is wrong.

A disk is a small tmpfs or a read-only bind mount, which only root can have; a wrong clock is libfaketime's. Where one cannot be had, the
fault is skipped, and it is said why.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import crash_invariants
from tests.support.crash_house import BASE, opened
from tests.support.crash_rounds import Rounds, Row, Work, seeded
from tests.support.crash_visitor import visit
from tests.support.waiting import until

from gatelodge.nginx import process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from tests.support.crash_visitor import Tally

#: How large the disk is that fills up, and in what pieces that is done.
_DISK = "16m"
_PIECE = 64 * 1024

#: How long something goes wrong before it is mended. Seconds.
_WRONG_SECONDS = 8.0

#: A clock is compared with the CA's again after a minute at the latest, and then some. Seconds.
_CLOCK_SECONDS = 100.0

#: libfaketime 0.9.10 fails where Python sleeps until a moment of the monotonic clock, when it is told to leave that clock alone.
_SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n"

_CLOCKS: Mapping[str, str] = {"clock forwards": "+400d", "clock back": "-400d", "clock at 1970": "@1970-01-01 00:00:10"}


async def _without_daemon(player: Rounds, tally: Tally, given: _Given) -> None:
    """
    The daemon and nginx die; nginx is started by hand, and serves what is stored. The daemon that comes then takes it as it is.
    """
    del given
    house = player.house
    tally.down = True
    await house.kill_daemon()
    house.kill_nginx()
    player.story.append("the daemon and nginx killed, nginx started by hand")
    house.start_nginx()
    await until(lambda: len(process.masters(house.entry)) == 1)
    for name in house.names:
        await visit(house.gate.https, name)
    tally.down = False
    player.breach(*crash_invariants.on_disk(house))
    (before,) = process.masters(house.entry)
    await house.start_daemon()
    await player.settled()
    if process.masters(house.entry) != (before,):
        player.breach("the daemon did not take up the nginx that it found")


async def _full(player: Rounds, tally: Tally, given: _Given) -> None:
    """
    No byte can be written any more, while a site is added and another renewed. What is served goes on, and all comes to pass afterwards.
    """
    del tally, given
    house = player.house
    ballast = house.gate.state / "ballast"
    await player.begin(Work.ISSUANCE)
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(_PIECE))
    player.story.append("the disk is full")
    await player.begin(Work.RENEWAL)
    await asyncio.sleep(_WRONG_SECONDS)
    await _alive(player)
    ballast.unlink()
    player.story.append("there is room again")
    await _as_if_later(player)


async def _read_only(player: Rounds, tally: Tally, given: _Given) -> None:
    """
    The state directory becomes read-only, and writable again.
    """
    del tally, given
    house = player.house
    state = str(house.gate.state)
    await player.begin(Work.ISSUANCE)
    _run("mount", "--bind", state, state)
    try:
        _run("mount", "-o", "remount,ro,bind", state)
        player.story.append("the state directory is read-only")
        await player.begin(Work.RENEWAL)
        await asyncio.sleep(_WRONG_SECONDS)
        await _alive(player)
    finally:
        _run("umount", "--lazy", state)
    player.story.append("it is writable again")
    await _as_if_later(player)


async def _stopped(player: Rounds, tally: Tally, given: _Given) -> None:
    """
    The daemon stands still for a while, as in a debugger or a frozen container.
    """
    del tally
    house = player.house
    await player.begin(Work.ISSUANCE)
    await asyncio.sleep(player.random.uniform(0, 1))
    assert house.gate.daemon is not None
    house.gate.daemon.send_signal(signal.SIGSTOP)
    player.story.append(f"the daemon stopped for {given.stop:g} s")
    await asyncio.sleep(given.stop)
    house.gate.daemon.send_signal(signal.SIGCONT)


async def _wrong_clock(player: Rounds, tally: Tally, given: _Given) -> None:
    """
    The daemon's clock is set wrong while it runs, it is started anew with it, and the clock is mended.
    """
    del tally
    house = player.house
    orders = house.orders()
    given.clock.write_text(f"{_CLOCKS[given.name]}\n")
    player.story.append(given.name)
    doubted = len(house.gate.events("clock.doubted"))
    await player.begin(Work.ISSUANCE)
    if player.random.random() < 1 / 2 or given.name == "clock at 1970":
        player.story.append("the daemon killed and started again")
        await house.kill_daemon()
        await house.start_daemon()
    await _told(player, "clock.doubted", doubted)
    await asyncio.sleep(2)
    if house.orders() != orders:
        player.breach("an order was made while the clock was wrong")
    given.clock.write_text("+0\n")
    player.story.append("the clock mended")
    trusted = len(house.gate.events("clock.trusted"))
    await _told(player, "clock.trusted", trusted)


async def _told(player: Rounds, event: str, before: int) -> None:
    try:
        await until(
            lambda: len(player.house.gate.events(event)) > before, seconds=_CLOCK_SECONDS * player.house.stretch
        )
    except TimeoutError:
        raise AssertionError(f"{event} was not told") from None


async def _alive(player: Rounds) -> None:
    """
    What is held is served, and the daemon runs.
    """
    for name in BASE:
        await visit(player.house.gate.https, name)
    daemon = player.house.gate.daemon
    if daemon is None or daemon.returncode is not None:
        player.breach("the daemon ended")


async def _as_if_later(player: Rounds) -> None:
    """
    What the daemon would try by itself after a while, it is asked for now.
    """
    await player.house.call("POST", "/v1/once")


class _Given:
    """
    What a fault is played with.
    """

    def __init__(self, name: str, *, stop: float, clock: Path) -> None:
        self.name, self.stop, self.clock = name, stop, clock


#: Each fault, and how often it is played in one gate.
FAULTS: Mapping[str, tuple[Callable[[Rounds, Tally, _Given], Awaitable[None]], int]] = {
    "no daemon": (_without_daemon, 5),
    "disk full": (_full, 3),
    "read-only": (_read_only, 3),
    "SIGSTOP": (_stopped, 1),
    **dict.fromkeys(_CLOCKS, (_wrong_clock, 2)),
}


async def fault(
    folder: Path,
    name: str,
    *,
    seed: int,
    stretch: float,
    stop: float,
    tell: Callable[[str], None],
    turns: int | None = None,
) -> Row | str:
    """
    Play one fault, several times in one gate. Returns why it cannot be played here, where that is so.

    Args:
        stop: for how many seconds the daemon stands still.
        turns: how often it is played, where that is not what the table says.
    """
    play, usual = FAULTS[name]
    clock = folder / "clock"
    clock.write_text("+0\n")
    try:
        environment = _faked(clock) if name in _CLOCKS else {}
        with _disk(folder / "state", _DISK) if name in {"disk full", "read-only"} else contextlib.nullcontext():
            async with opened(folder, stretch=stretch) as house, asyncio.TaskGroup() as group:
                house.environment = environment
                player = Rounds(house, name, seeded(f"{seed} {name}"), group, tell)
                async with player.living() as tally:
                    for _ in range(turns or usual):
                        if player.row.breaches:
                            break
                        async with player.watched(tally):
                            player.row.crashes += 1
                            await play(player, tally, _Given(name, stop=stop, clock=clock))
            return player.row
    except _Impossible as why:
        return str(why)


class _Impossible(Exception):
    """
    A fault cannot be played on this machine, for a reason.
    """


@contextlib.contextmanager
def _disk(place: Path, size: str) -> Iterator[None]:
    """
    Have a small disk of one's own inside the context.
    """
    if os.geteuid() != 0:
        raise _Impossible("only root may mount a small disk")
    place.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", str(place))
    except subprocess.CalledProcessError as error:
        raise _Impossible(f"no small disk can be mounted here: {error.stderr.decode().strip()}") from None
    try:
        yield
    finally:
        _run("umount", "--lazy", str(place))


def _faked(clock: Path) -> dict[str, str]:
    """
    Return the environment of a daemon whose wall clock follows a file.
    """
    found = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    if not found:
        raise _Impossible("libfaketime is not installed (Debian: apt install faketime)")
    patch = clock.with_name("patch")
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(_SLEEP)
    return {
        "PYTHONPATH": f"{patch}:{os.environ.get('PYTHONPATH', '')}",
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
