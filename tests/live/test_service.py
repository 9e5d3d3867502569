"""
The daemon under a service manager: what it says to one, with a real nginx and a real CA; and how it lives without root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import House, opened
from tests.support.waiting import until
from tests.systemd.machine import NoMachineError, own_mounts

from gatelodge.demo.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.live

REPOSITORY = Path(__file__).parents[2]
WIKI, CLOUD = "wiki.example.test", "cloud.example.test"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


class Manager:
    """
    A service manager that hears what is said to it.
    """

    def __init__(self, address: Path) -> None:
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._line.bind(str(address))
        self._line.setblocking(False)
        self.messages: list[dict[str, str]] = []

    def heard(self) -> list[dict[str, str]]:
        """
        Return everything that was said so far, in order.
        """
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._line.recv(4096).decode().split("\n")
                self.messages.append(dict(line.split("=", 1) for line in lines))
        return self.messages

    @property
    def states(self) -> list[str]:
        """
        What was said of the daemon's state, in order.
        """
        words = ("READY", "RELOADING", "STOPPING")
        return [key for message in self.heard() for key in message if key in words]

    @property
    def status(self) -> str:
        """
        The line for people that was said last.
        """
        return [message["STATUS"] for message in self.heard() if "STATUS" in message][-1]

    def count(self, word: str) -> int:
        """
        Count how often a word was said.
        """
        return sum(word in message for message in self.heard())

    def close(self) -> None:
        """
        Listen no more.
        """
        self._line.close()


@pytest.fixture
def manager(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """
    The manager of every daemon that the house starts.
    """
    found = Manager(house.folder / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(house.folder / "notify"))
    yield found
    found.close()


async def test_it_says_what_it_does_from_the_beginning_to_the_end(house: House, manager: Manager) -> None:
    """
    READY when it can be asked and nginx runs; RELOADING and READY for each SIGHUP, the refused one too; STOPPING. In between a line
    for people.
    """
    house.write(WIKI)
    await house.start()
    await until(lambda: manager.states == ["READY"])

    assert house.nginx_pid()
    assert (await house.status())["daemon"] is True

    await house.serving(WIKI)
    await until(lambda: manager.status.startswith(f"1 site, 1 certificate; next renewal {WIKI} in "))
    house.config.write_text(house.config.read_text() + "nonsense = 1\n")
    house.reload()
    await until(lambda: manager.states == ["READY", "RELOADING", "READY"])

    assert manager.status.startswith("a changed configuration was refused, see the log; the one before goes on; 1 site")

    house.write(WIKI, CLOUD)
    house.reload()
    await until(lambda: manager.states == ["READY", "RELOADING", "READY", "RELOADING", "READY"])
    await until(lambda: manager.status.startswith("2 sites, 2 certificates; next renewal "))

    assert await house.kill(signal.SIGTERM) == 0
    assert manager.states[-1] == "STOPPING"
    assert len(manager.states) == 6
    assert manager.count("WATCHDOG") == 0


async def test_it_gives_signs_of_life_as_often_as_it_was_asked(
    house: House, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Five times a second here, also while it works; a process that stands still gives none.
    """
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    house.write(WIKI)
    daemon = await house.start()
    await until(lambda: manager.count("WATCHDOG") >= 10)
    await house.serving(WIKI)
    daemon.send_signal(signal.SIGSTOP)
    await until(lambda: _state(daemon.pid) == "T")
    before = manager.count("WATCHDOG")
    visits = [await house.get(WIKI) for _ in range(50)]

    assert visits == [200] * 50
    assert manager.count("WATCHDOG") == before

    daemon.send_signal(signal.SIGCONT)
    await until(lambda: manager.count("WATCHDOG") > before)


async def test_a_dead_ca_keeps_nobody_waiting(house: House, manager: Manager) -> None:
    """
    READY comes all the same, and the line for people says what is wrong.
    """
    os.kill(house.ca.pid, signal.SIGSTOP)
    try:
        house.write(WIKI)
        await house.start()
        await until(lambda: manager.states == ["READY"])

        assert house.nginx_pid()
        assert "1 site, 0 certificates" in manager.status
    finally:
        os.kill(house.ca.pid, signal.SIGCONT)


async def test_nginx_and_programs_of_the_user_are_not_asked_to_speak(house: House, manager: Manager) -> None:
    """
    The manager's address is in nobody else's environment.
    """
    house.write(WIKI)
    await house.start()
    await until(lambda: manager.states == ["READY"])

    assert "NOTIFY_SOCKET" not in _proc(house.nginx_pid(), "environ")


async def test_usr1_ends_the_daemon_and_leaves_nginx(house: House) -> None:
    """
    Also when SIGTERM comes right after it, as from a service manager.
    """
    house.write(WIKI)
    daemon = await house.start()
    await house.saw("nginx.reloaded")
    pid = house.nginx_pid()
    daemon.send_signal(signal.SIGUSR1)

    assert await house.kill(signal.SIGTERM) == 0
    assert (await house.saw("daemon.stopped"))["nginx"] == "left running"
    assert await house.get(WIKI) == 200

    await house.start()
    await house.saw("daemon.started", times=2)
    await until((house.folder / "admin.sock").exists)

    assert (await house.status())["nginx"]["pid"] == pid


async def test_an_nginx_that_was_stopped_on_purpose_is_not_held_back(house: House) -> None:
    """
    Stopped and started several times in a row, as a person does who tries things out: nginx serves at once, each time.
    """
    house.write(WIKI)
    for times in range(1, 5):
        await house.start()
        await house.saw("nginx.started", times=times)
        await house.serving(WIKI)

        assert await house.kill(signal.SIGTERM) == 0
    assert house.events("nginx.exited") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process another user and one capability")
async def test_it_works_without_root_and_with_one_capability(house: House) -> None:
    """
    As the unit runs it: a user of its own, and CAP_NET_BIND_SERVICE for ports below 1024.
    """
    try:
        own_mounts()
    except NoMachineError as error:
        pytest.skip(str(error))
    http, house.https = _low_ports()
    house.config.write_text(
        f'state_directory = "{house.state}"\n[admin]\nsocket = "{house.folder}/admin.sock"\n'
        f"[nginx]\nhttp_port = {http}\nhttps_port = {house.https}\nreload_interval = '1s'\n"
        f'[sites]\n"nas.lan" = {{ upstream = "http://127.0.0.1:{house.upstream}", tls = "local" }}\n'
    )
    shutil.chown(house.folder, "nobody", "nogroup")
    daemon = await _start_as_nobody(house)
    await house.saw("nginx.reloaded")
    for pid in (daemon.pid, house.nginx_pid()):
        rows = _proc(pid, "status").splitlines()

        assert "CapEff:\t0000000000000400" in rows
        assert "Uid:\t65534\t65534\t65534\t65534" in rows
    _, root, _ = await house.gatelodge("ca", "export")
    answer, _ = await asyncio.to_thread(Visitor(port=house.https).trusting(root).get, "nas.lan")

    assert answer == 200
    assert [entry for entry in house.events() if entry["level"] != "info"] == []
    assert await house.kill(signal.SIGTERM) == 0


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def _state(pid: int) -> str:
    return _proc(pid, "stat").rpartition(")")[2].split()[0]


def _low_ports() -> tuple[int, int]:
    """
    Return two ports that only the capability gives.
    """
    free = []
    for port in (80, 443, *range(1000, 1024)):
        with contextlib.suppress(OSError), socket.socket() as trial:
            trial.bind(("0.0.0.0", port))
            free.append(port)
    return free[0], free[1]


async def _start_as_nobody(house: House) -> asyncio.subprocess.Process:
    """
    Start the daemon as the unit does, from a checkout and a Python that may lie in root's home: nobody may pass there in this one
    process's view of the files.
    """
    script = """
    set -eu
    if [ -d /root ]; then
      mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work
      mount -t overlay -o lowerdir=/root,upperdir=/mnt/upper,workdir=/mnt/work overlay /root && chmod 755 /root
    fi
    exec setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs --bounding-set=-all,+net_bind_service \\
      --inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service "$@"
    """
    packages = f"{REPOSITORY / 'daemon'}:{sysconfig.get_path('purelib')}"
    with (house.folder / "daemon.log").open("ab") as log:
        house.daemon = await asyncio.create_subprocess_exec(
            *own_mounts(), "sh", "-c", script, "sh",
            sys.executable, "-m", "gatelodge", "run", "-c", str(house.config),
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": packages},
        )  # fmt: skip
    return house.daemon
