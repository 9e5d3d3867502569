"""
Finds and watches nginx's processes by what the kernel says of them: the master that runs our configuration, masters that were
told to leave, their workers, and those that a killed master left behind.

A pid file alone proves nothing, since numbers are used again: the process must call itself nginx's master and name our file. Nor
does a missing one: a master that leaves deletes the file of the one that took its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gatelodge import durable

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable, Iterator

#: An address, a port, and whether that is UDP's.
Socket: TypeAlias = tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int, bool]

PROC = Path("/proc")

#: What is said of a process that we may not see.
UNSEEN = "another program (look with: ss -ltunp)"

#: Tables of sockets, whether they are of UDP, and the state there of one that listens, or that UDP has not connected: TCP_LISTEN and
#: TCP_CLOSE (proc_net(5), include/net/tcp_states.h).
_TABLES = (("tcp", False, "0A"), ("tcp6", False, "0A"), ("udp", True, "07"), ("udp6", True, "07"))

_MASTER = "nginx: master process"
_WORKER = "nginx: worker process"
_DRAINING = "nginx: worker process is shutting down"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """
    A process: its number and when the kernel started it, in ticks since boot. Together they are never used again.
    """

    pid: int
    started: int

    def alive(self) -> bool:
        """
        Tell whether it still runs.
        """
        return _started(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        """
        Send it a signal. Nothing happens when it has ended.
        """
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def find_master(named: Iterable[int], entry: Path) -> Process | None:
    """
    Return the master that runs `entry` and was not told to leave, or None when there is none.

    Args:
        named: the numbers that it may have, by what was written down.
    """
    written = _masters(named, entry)
    if written:
        return written[0]
    # One that leaves has closed its listening sockets, or is about to.
    listening = [master for master in masters(entry) if sockets(master)]
    return max(listening, key=lambda master: master.started, default=None)


def read_pid(pid_file: Path) -> int:
    """
    Return the number in a pid file, 0 when there is none.
    """
    try:
        return int(durable.read(pid_file))
    except (OSError, ValueError):
        return 0


def masters(entry: Path) -> tuple[Process, ...]:
    """
    Return all masters that run `entry`: the one that serves, and those that finish old connections.
    """
    return _masters((int(each.name) for each in PROC.iterdir() if each.name.isdecimal()), entry)


def _masters(pids: Iterable[int], entry: Path) -> tuple[Process, ...]:
    titles = ((pid, _title(pid)) for pid in pids)
    return _processes(pid for pid, title in titles if title.startswith(_MASTER) and f" -c {entry} " in f"{title} ")


def workers(master: Process) -> tuple[Process, ...]:
    """
    Return a master's workers, those included that finish old connections.
    """
    try:
        children = (PROC / f"{master.pid}/task/{master.pid}/children").read_text().split()
    except OSError:
        return ()
    return _processes(map(int, children))


def program(one: Process) -> tuple[int, int] | None:
    """
    Return the inode of a process's program, and when that was changed, in nanoseconds; None when we may not know.
    """
    try:
        found = (PROC / f"{one.pid}/exe").stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def draining(master: Process) -> int:
    """
    Count the workers that finish old connections.
    """
    return sum(_title(worker.pid).startswith(_DRAINING) for worker in workers(master))


def find_started(pid: int) -> list[float]:
    """
    Return when each worker of a master was started that finishes old connections, in seconds since boot (CLOCK_BOOTTIME).
    """
    started = _started(pid)
    if started is None:
        return []
    ticks = os.sysconf("SC_CLK_TCK")
    return [
        worker.started / ticks
        for worker in workers(Process(pid=pid, started=started))
        if _title(worker.pid).startswith(_DRAINING)
    ]


def accepts(worker: Process) -> bool:
    """
    Tell whether a worker takes new connections. One that leaves says so, and closes what it listens on a moment later; ports of UDP
    stay open for those who are connected.
    """
    if not worker.alive():
        return False
    return not _title(worker.pid).startswith(_DRAINING) or any(not udp for _, _, udp in sockets(worker))


def orphans(log: Path) -> tuple[Process, ...]:
    """
    Return workers that write to `log`. After kill -9 of their master they go on serving, and hold its ports.
    """
    found = [int(each.name) for each in PROC.iterdir() if each.name.isdecimal() and _is_worker(each)]
    return _processes(pid for pid in found if str(log) in _open_files(pid))


def _is_worker(folder: Path) -> bool:
    return _title(int(folder.name)).startswith(_WORKER)


def _open_files(pid: int) -> set[str]:
    files = set()
    with contextlib.suppress(OSError):
        for each in (PROC / f"{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                files.add(str(each.readlink()))
    return files


def _processes(pids: Iterable[int]) -> tuple[Process, ...]:
    known = ((pid, _started(pid)) for pid in pids)
    return tuple(Process(pid=pid, started=started) for pid, started in known if started is not None)


async def ended(process: Process) -> None:
    """
    Return when a process has ended. It need not be a child of ours; if it is, it is reaped.
    """
    over = asyncio.Event()
    with watching(process, over):
        await over.wait()
    reap(process)


@contextlib.contextmanager
def watching(process: Process, over: asyncio.Event) -> Iterator[None]:
    """
    Set `over` when a process ends, or has ended.
    """
    try:
        watched = os.pidfd_open(process.pid)
    except ProcessLookupError:
        over.set()
        yield
        return
    loop = asyncio.get_running_loop()
    try:
        if process.alive():
            loop.add_reader(watched, over.set)
        else:
            over.set()
        yield
    finally:
        loop.remove_reader(watched)
        os.close(watched)


def reap(process: Process) -> None:
    """
    Take a dead child's exit status, so that it does not stay behind as a zombie. Nothing happens for others' children.
    """
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


def holder(port: int, *, address: str = "", udp: bool = False, besides: Process | None = None) -> str | None:
    """
    Say which process listens on a port, as far as we may see: `nginx (pid 812)`.

    Args:
        address: where it is in the way of somebody who listens there; empty for all addresses.
        besides: one whose sockets do not count.
    """
    wanted = _parsed(address)
    found = {name for name, (at, *place) in _listening().items() if place == [port, udp] and _in_the_way(at, wanted)}
    if besides:
        found -= _open_files(besides.pid)
    if not found:
        return None
    for folder in PROC.iterdir():
        if folder.name.isdecimal() and found & _open_files(int(folder.name)):
            with contextlib.suppress(OSError):
                return f"{(folder / 'comm').read_text().strip()} (pid {folder.name})"
    return UNSEEN


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """
    Return an address; None for all of them, and for what is none.
    """
    try:
        found = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return None
    return None if found.is_unspecified else found


def _in_the_way(
    at: ipaddress.IPv4Address | ipaddress.IPv6Address, wanted: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> bool:
    # One that listens on all addresses of IPv6 may listen on those of IPv4 as well (ipv6(7), IPV6_V6ONLY).
    return wanted is None or at == wanted or (at.is_unspecified and at.version in {wanted.version, 6})


def sockets(process: Process) -> frozenset[Socket]:
    """
    Return the sockets on which a process listens.
    """
    listening, files = _listening(), _open_files(process.pid)
    return frozenset(socket for name, socket in listening.items() if name in files)


def _listening() -> dict[str, Socket]:
    """
    Return the sockets that listen, by their names in /proc/PID/fd.
    """
    found = {}
    for table, udp, state in _TABLES:
        with contextlib.suppress(OSError):
            for row in (PROC / "net" / table).read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == state:
                    address, _, port = fields[1].rpartition(":")
                    found[f"socket:[{fields[9]}]"] = (_address(address), int(port, 16), udp)
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """
    Read an address as the kernel writes it there: words of four bytes, in the machine's order.
    """
    words = [int(text[place : place + 8], 16).to_bytes(4, sys.byteorder) for place in range(0, len(text), 8)]
    return ipaddress.ip_address(b"".join(words))


def _title(pid: int) -> str:
    """
    Return what a process calls itself.
    """
    try:
        return (PROC / f"{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """
    Return when a process was started, None when it has ended (proc_pid_stat(5): field 22; Z and X are ends).
    """
    try:
        fields = (PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
