"""
How long it takes from when a certificate is stored until a visitor is shown it: ours from the moment on that the store's link points at it,
the others' from when a link of the same kind does. What getting it takes is not in here.

A visitor connects again and again, a few milliseconds after the last answer; what is counted is the first connection that shows it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Failed
from benchmarks.reloadings import LONGEST_SECONDS
from benchmarks.tables import ratio
from benchmarks.visitors import tls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.reloadings import Reloading

_REST_SECONDS = 0.002


def take(reloading: Reloading, rest: float) -> float:
    """
    Have a gate's certificate replaced, and return the seconds from stored to served.

    Args:
        rest: seconds to wait before, since the last reload.

    Raises:
        Failed: it was not served.
    """
    time.sleep(rest)
    before = _shown(reloading.gate.port)
    deadline = time.monotonic() + LONGEST_SECONDS
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(reloading.renew)
        while _shown(reloading.gate.port) in {before, None}:
            if time.monotonic() > deadline:
                asked.result()
                raise Failed(f"{reloading.gate.name} does not serve a certificate that is stored")
            time.sleep(_REST_SECONDS)
        served = time.clock_gettime(time.CLOCK_REALTIME)
        asked.result()
    # By the clock of file systems, which may be a tick (4 ms) behind.
    return max(0.0, served - reloading.link.lstat().st_ctime)


def rows(found: Mapping[str, Sequence[float]], base: str) -> list[dict[str, Any]]:
    """
    Return a table's rows: medians, beside that of one of the gates.
    """
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    return [
        {
            "gate": name,
            "renewals": len(found[name]),
            "median": round(median, 3),
            "most": round(max(found[name]), 3),
            f"times {base}": ratio(median, medians[base]),
        }
        for name, median in medians.items()
    ]


def _shown(port: int) -> bytes | None:
    """
    Return the certificate that a new connection is shown, None where there is no answer.
    """
    with (
        contextlib.suppress(OSError, ssl.SSLError),
        socket.create_connection(("127.0.0.1", port), timeout=1) as plain,
        tls("http/1.1").wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.getpeercert(binary_form=True)
    return None
