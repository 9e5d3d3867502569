"""
Speaks to a running daemon through its admin socket. Blocking and small: the command line's own start-up time is a feature.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import TYPE_CHECKING, Any

from gatelodge.errors import GatelodgeError, StateLocked

if TYPE_CHECKING:
    from collections.abc import Callable

#: A daemon that has just begun holds the state directory a moment before it answers; one that stops, a moment after. Seconds.
_IN_BETWEEN = 5.0
_POLL = 0.1

#: A pass with many slow names takes its time. Seconds.
_PATIENCE = 3600.0


class NotRunning(GatelodgeError):
    """
    No daemon answers on the admin socket.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        super().__init__(paths)
        self.paths = paths

    def __str__(self) -> str:
        return f"no daemon answers at {' or '.join(self.paths)}; start it with `gatelodge run`"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("gatelodge", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def call(
    paths: tuple[str, ...], method: str, path: str, body: dict[str, Any] | None = None, *, timeout: float = 600
) -> tuple[int, dict[str, Any]]:
    """
    Ask the daemon, and return the status code and the JSON object of its answer.

    Args:
        paths: where its socket may be, tried in order.
        timeout: seconds without an answer.

    Raises:
        NotRunning: nobody listens at any of the paths, or the answer broke off.
        PermissionError: the socket is somebody else's.
    """
    content = None if body is None else json.dumps(body)
    for socket_path in paths:
        connection = _Connection(socket_path, timeout)
        try:
            connection.request(method, path, body=content, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except PermissionError:
            raise
        except (OSError, http.client.HTTPException, ValueError):
            continue
        finally:
            connection.close()
    raise NotRunning(paths)


def call_or(
    alone: Callable[[], dict[str, Any]], paths: tuple[str, ...], path: str, body: dict[str, Any]
) -> dict[str, Any]:
    """
    Ask the daemon to do something, or do it alone when none runs.

    Args:
        alone: does it, holding the state directory's lock.

    Raises:
        StateLocked: another process holds the state directory and does not answer.
    """
    deadline = time.monotonic() + _IN_BETWEEN
    while True:
        try:
            return call(paths, "POST", path, body, timeout=_PATIENCE)[1]
        except NotRunning:
            try:
                return alone()
            except StateLocked:
                if time.monotonic() > deadline:
                    raise
        time.sleep(_POLL)
