"""
Puts a gate under load with h2load, nghttp2's load generator, and reads what it says.

h2load connects once: a connection that a gate closes after so many requests (nginx by default after 1 000) is lost to it. So it is
run in batches, one after another until the time is over. A batch of kept connections asks 900 times over each; a batch of new ones
once, with four times as many connections, all at once. The time that h2load counts is what is counted, not its start.

To h2load the gate is at port 443, as it is to visitors: where it connects is told apart.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import time

from benchmarks.measure import Failed

#: Both of this machine's processors; more would only take turns.
_THREADS = "2"

_REQUESTS_EACH = 900
_NEW_AT_ONCE = 4

#: A batch that takes longer hangs.
_LONGEST_SECONDS = 120.0

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_FINISHED = re.compile(r"finished in ([0-9.]+)(us|ms|s|m),")
_REQUESTS = re.compile(r"requests: .* (\d+) succeeded, (\d+) failed")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """
    What a load met: requests answered with a status of 2xx or 3xx, and the others, as h2load counts them.
    """

    seconds: float
    succeeded: int
    failed: int

    def __add__(self, other: Answers) -> Answers:
        return Answers(
            seconds=self.seconds + other.seconds,
            succeeded=self.succeeded + other.succeeded,
            failed=self.failed + other.failed,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """
    A way of asking: the protocol, the streams at once on each connection, and whether connections are kept.
    """

    http2: bool
    kept: bool
    streams: int = 1

    def put(self, port: int, *, clients: int, seconds: float) -> Answers:
        """
        Put the gate on a port under load for at least so many seconds.

        Args:
            clients: connections at once, of those that are kept.

        Raises:
            Failed: h2load did not do its work.
        """
        connections = clients if self.kept else clients * _NEW_AT_ONCE
        requests = clients * _REQUESTS_EACH if self.kept else connections
        protocol = ["-m", str(self.streams)] if self.http2 else ["--h1"]
        words = [*protocol, "-c", str(connections), "-n", str(requests)]
        deadline = time.monotonic() + seconds
        found = run(port, words, longest=_LONGEST_SECONDS)
        while time.monotonic() < deadline:
            found += run(port, words, longest=_LONGEST_SECONDS)
        return found


#: By the names that tables show.
WORKLOADS = {
    "h1": Workload(http2=False, kept=True),
    "h2": Workload(http2=True, kept=True),
    "h2-x10": Workload(http2=True, kept=True, streams=10),
    "h1-new": Workload(http2=False, kept=False),
    "h2-new": Workload(http2=True, kept=False),
}


def required() -> None:
    """
    Return when h2load is there.

    Raises:
        Failed: it is not.
    """
    if shutil.which("h2load") is None:
        raise Failed("h2load is not installed (Debian: apt install nghttp2-client)")


def run(port: int, words: list[str], *, longest: float) -> Answers:
    """
    Run h2load against a gate.

    Args:
        words: its options.
        longest: seconds that it may take.

    Raises:
        Failed: it did not do its work.
    """
    command = ["h2load", "-t", _THREADS, *words, "--connect-to", f"127.0.0.1:{port}", "https://localhost/"]
    try:
        said = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, text=True, timeout=longest
        ).stdout
    except subprocess.SubprocessError as error:
        raise Failed(f"h2load did not end well: {error}") from error
    finished, requests = _FINISHED.search(said), _REQUESTS.search(said)
    if finished is None or requests is None:
        raise Failed(f"h2load said:\n{said}")
    succeeded, failed = map(int, requests.groups())
    return Answers(seconds=float(finished[1]) * _UNITS[finished[2]], succeeded=succeeded, failed=failed)
