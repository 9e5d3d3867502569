"""
Finds and watches nginx's processes by what the kernel says of them: the master that runs our configuration, its workers, and
those that a killed master left behind.

A pid file alone proves nothing, since numbers are used again: the process must call itself nginx's master and name our file.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable

PROC = Path("/proc")

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


def find_master(pid_file: Path, entry: Path) -> Process | None:
    """
    Return the master that runs `entry`, or None when none does.
    """
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return None
    title = _title(pid)
    started = _started(pid)
    if started is None or not title.startswith(_MASTER) or f" -c {entry} " not in f"{title} ":
        return None
    return Process(pid=pid, started=started)


def workers(master: Process) -> tuple[Process, ...]:
    """
    Return a master's workers, those included that finish old connections.
    """
    try:
        children = (PROC / f"{master.pid}/task/{master.pid}/children").read_text().split()
    except OSError:
        return ()
    return _processes(map(int, children))


def draining(master: Process) -> int:
    """
    Count the workers that finish old connections.
    """
    return sum(_title(worker.pid).startswith(_DRAINING) for worker in workers(master))


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
    try:
        watched = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    try:
        if process.alive():
            loop.add_reader(watched, over.set)
            await over.wait()
    finally:
        loop.remove_reader(watched)
        os.close(watched)
    reap(process)


def reap(process: Process) -> None:
    """
    Take a dead child's exit status, so that it does not stay behind as a zombie. Nothing happens for others' children.
    """
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


def holder(port: int) -> str | None:
    """
    Say which process listens on a TCP port, as far as we may see: `nginx (pid 812)`.
    """
    sockets = _listening(port)
    for folder in PROC.iterdir():
        if folder.name.isdecimal() and sockets & _open_files(int(folder.name)):
            with contextlib.suppress(OSError):
                return f"{(folder / 'comm').read_text().strip()} (pid {folder.name})"
    return None


def _listening(port: int) -> set[str]:
    """
    Return the sockets that listen on a port, as /proc/PID/fd names them (proc_pid_net(5): state 0A is LISTEN).
    """
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for row in (PROC / "net" / table).read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found


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
