"""
Runs `gatelodge run` for a benchmark and waits until it has nothing more to do.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Failed

from gatelodge.api import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEADLINE = 300.0
_POLL = 0.1


@contextlib.contextmanager
def running(folder: Path, config: Path) -> Iterator[int]:
    """
    Run the daemon inside the context, once it is settled. Yields its pid.

    Args:
        folder: holds its state directory, `state`, and its admin socket, `admin.sock`.

    Raises:
        Failed: it ended, or did not settle in time.
    """
    log = folder / "daemon.log"
    door = client.Door(state_directory=f"{folder}/state", paths=(f"{folder}/admin.sock",))
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "gatelodge", "run", "-c", str(config)], stderr=output)
    try:
        deadline = time.monotonic() + _DEADLINE
        while not _settled(door):
            if process.poll() is not None or time.monotonic() > deadline:
                last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
                raise Failed(f"the daemon did not settle:\n{last}")
            time.sleep(_POLL)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _settled(door: client.Door) -> bool:
    status = _status(door)
    return (
        status is not None
        and bool(status["settled"] and status["nginx"]["proven"])
        and all(each["state"] == "serving" for each in status["sites"])
    )


def _status(door: client.Door) -> dict[str, Any] | None:
    with contextlib.suppress(client.NotRunning):
        code, document = client.call(door, "GET", "/v1/status", timeout=30)
        return document if code == 200 else None
    return None
