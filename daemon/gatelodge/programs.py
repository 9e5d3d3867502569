"""
Runs a program of the user's: without a shell, with few variables, for a limited time, in a process group of its own. When it
ends, what it started ends too.

It decides nothing about what a failure means, and it never waits for a pipe: whoever holds one open holds nobody up.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: What is kept of the daemon's environment. Everything else, secrets too, is the daemon's own.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: What is kept of a program's output, however much it prints. Bytes.
MOST_HEARD = 8192

#: How often it is looked whether a program has ended, where the kernel does not tell. Seconds.
_LOOK_EVERY = 0.05

#: What to do about a program that cannot be started (execve(2)), where it is not the usual.
_REMEDIES: Mapping[int | None, str] = {
    errno.ENOEXEC: "a script begins with the program that reads it, such as #!/bin/sh",
    errno.ENOENT: "give its absolute path; of a script, the program after #! in its first line must be here too",
}

#: Characters of it that are shown.
_MOST_SHOWN = 500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """
    How a program ended: its exit status, negative for a signal; and what it printed, as much as was to be kept.
    """

    status: int
    out: bytes
    err: bytes


def few_variables(more: Mapping[str, str]) -> dict[str, str]:
    """
    Return the environment of a program: what every program needs, and `more`.
    """
    return {"PATH": _PATH, **{name: os.environ[name] for name in _KEPT if name in os.environ}, **more}


async def run(
    command: Sequence[str],
    *,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    given: bytes = b"",
    most: int = MOST_HEARD,
    beginning: bool = False,
) -> Ran:
    """
    Run a program to its end.

    Args:
        seconds: after so long it is killed, with all that it started.
        environment: its variables; None for those of this process.
        given: what it reads on its standard input.
        most: bytes of each output that are kept: the last, or with `beginning` the first.

    Raises:
        OSError, ValueError: it cannot be started.
        TimeoutError: it did not end in time and was killed.
    """
    with (
        _speaking(given) as said,
        _hearing(most, beginning=beginning) as (out, printed),
        _hearing(most) as (err, complained),
    ):
        status = await _ended(_started(command, (said, out, err), environment), seconds)
        return Ran(status=status, out=printed(), err=complained())


def why(ran: Ran) -> str:
    """
    Say how a program that failed ended, and the last that it said on stderr.
    """
    ended = f"ended with {ran.status}" if ran.status > 0 else f"was ended by signal {-ran.status}"
    return f"{ended}: {shown(ran.err) or 'it said nothing on stderr'}"


def unstarted(error: OSError | ValueError) -> tuple[str, str]:
    """
    Say why a program could not be started, and what to do.
    """
    number = error.errno if isinstance(error, OSError) else None
    what = f"cannot be run: {getattr(error, 'strerror', None) or error}"
    return what, _REMEDIES.get(number, "give its absolute path, and make it executable")


def shown(output: bytes) -> str:
    """
    Return the last that a program printed in a form that is safe to show.
    """
    text = " ".join(output.decode(errors="replace").split())
    return "".join(each if each.isprintable() else "?" for each in text)[-_MOST_SHOWN:]


def _started(
    command: Sequence[str], streams: tuple[int, int, int], environment: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    """
    Start a program. Not by asyncio: a cancellation in the middle of that loses the program, before anybody knows whom to end.
    """
    said, out, err = streams
    return subprocess.Popen(  # noqa: S603 - the user's
        list(command), stdin=said, stdout=out, stderr=err, env=environment, cwd="/", start_new_session=True
    )


async def _ended(process: subprocess.Popen[bytes], seconds: float) -> int:
    """
    Wait for a program. Whatever ends the wait ends it and all that it started.
    """
    try:
        async with asyncio.timeout(seconds):
            await _gone(process)
    finally:
        # Before anybody has asked for its status: until then its number is nobody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await _gone(process)
        status = process.wait()
    return status


async def _gone(process: subprocess.Popen[bytes]) -> None:
    """
    Return once a program has ended. No thread waits for it: a few programs that hang would leave none for anything else.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:  # the kernel has none (before Linux 5.3), or it is over
        while process.poll() is None:  # noqa: ASYNC110 - nothing would set an event
            await asyncio.sleep(_LOOK_EVERY)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


@contextlib.contextmanager
def _speaking(given: bytes) -> Iterator[int]:
    """
    Yield what a program reads `given` from: memory, not a pipe that it might leave full.
    """
    descriptor = os.memfd_create("given", os.MFD_CLOEXEC) if given else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if given:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(given)
            os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _hearing(most: int, *, beginning: bool = False) -> Iterator[tuple[int, Callable[[], bytes]]]:
    """
    Listen to a pipe inside the context. Yields the end to write into, and what returns the last, or the first, that was written.

    asyncio's own pipes keep whoever waits for a process waiting for all that hold its pipes; this one does not.
    """
    loop = asyncio.get_running_loop()
    read, write = os.pipe()
    os.set_blocking(read, False)
    heard = b""

    def hear() -> bytes:
        nonlocal heard
        with contextlib.suppress(BlockingIOError):
            more = heard + os.read(read, 65536)
            heard = more[:most] if beginning else more[-most:]
        return heard

    loop.add_reader(read, hear)
    try:
        yield write, hear
    finally:
        loop.remove_reader(read)
        os.close(read)
        os.close(write)
