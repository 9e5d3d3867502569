"""
Measures a command as a whole: wall time until it ends, and the processor time of everything it started, daemons included.

It makes itself the reaper of orphans (prctl(2), PR_SET_CHILD_SUBREAPER), so that an nginx which became a daemon is counted when
it ends too. Run as a program of its own, so that nobody else's children are mixed in:

    python -m benchmarks.measure LOG SECONDS FILES COUNT COMMAND…

A command that goes on by itself, as a server does, is over once so many files match a pattern, and is stopped then.
"""

from __future__ import annotations

import ctypes
import dataclasses
import glob
import json
import os
import resource
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PR_SET_CHILD_SUBREAPER = 36

#: A command that takes longer hangs, or waits for a server that does.
_LONGEST_SECONDS = 90.0

#: Between two looks at the files that end a command.
_POLL_SECONDS = 0.02

#: As timeout(1) says it.
_TIMED_OUT = 124

#: How long it may take to stop when it is told to.
_STOP_SECONDS = 30.0


class Failed(Exception):
    """
    A command did not do its work; what it said last is in the text.
    """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    What one run took, in seconds: `cpu` is user and system time of the command and all that it started.
    """

    wall: float
    cpu: float


def run(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    until: tuple[str, int] = ("", 0),
    longest: float = _LONGEST_SECONDS,
) -> Run:
    """
    Run a command to its end and say what it took.

    Args:
        log: a file for what it says.
        until: a pattern of files (glob) and their number: the command is over once they are there.
        longest: seconds after which it hangs.

    Raises:
        Failed: it ended with an error, or did not end.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", str(log), str(longest), until[0], str(until[1]), *command],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
        check=True,
    )
    told = json.loads(done.stdout)
    if told["code"] != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        raise Failed(f"{' '.join(command)} ended with {told['code']}:\n{last}")
    return Run(wall=told["wall"], cpu=told["cpu"])


def median(runs: Sequence[Run]) -> Run:
    """
    Return the medians of several runs.
    """
    return Run(wall=statistics.median(each.wall for each in runs), cpu=statistics.median(each.cpu for each in runs))


def _wait(process: subprocess.Popen[bytes], longest: float, files: str, count: int) -> tuple[int, float]:
    """
    Return a process's exit code, and when it was over. It is stopped when it takes too long, or when the files are there that it was for.
    """
    deadline = time.perf_counter() + longest
    code: int | None = None
    over = deadline
    ended = os.pidfd_open(process.pid)
    while code is None and (left := deadline - time.perf_counter()) > 0:
        # Not `process.wait`, which looks only every 50 ms when it has a timeout.
        if select.select([ended], [], [], min(left, _POLL_SECONDS) if files else left)[0]:
            over = time.perf_counter()
            code = process.wait()
        elif files and len(glob.glob(files, recursive=True)) >= count:  # noqa: PTH207 - the pattern is absolute
            over = time.perf_counter()
            code = 0
    os.close(ended)
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return (_TIMED_OUT if code is None else code), over


def _main() -> None:
    log, longest, files, count, *command = sys.argv[1:]
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    with Path(log).open("wb") as output:
        began = time.perf_counter()
        code, over = _wait(subprocess.Popen(command, stdout=output, stderr=output), float(longest), files, int(count))
        wall = over - began
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stdout.write(json.dumps({"code": code, "wall": wall, "cpu": used.ru_utime + used.ru_stime}))


if __name__ == "__main__":
    _main()
