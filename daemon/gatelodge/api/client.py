"""
Speaks to a running daemon through its admin socket. Blocking and small: the command line's own start-up time is a feature.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import socket
import time
from typing import TYPE_CHECKING, Any

from gatelodge.errors import GatelodgeError, StateLocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Says which daemon is meant, by its state directory.
STATE_HEADER = "Gatelodge-State-Directory"

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
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("gatelodge", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class NotAllowed(GatelodgeError):
    """
    The admin socket is not this user's to open.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} is open to root and its group only; use sudo, or join the group"


class Refused(GatelodgeError):
    """
    The daemon answered, and does not do what it was asked.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the daemon does not do that: {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """
    Where a daemon may be asked: its state directory, and its socket's possible paths, tried in order.
    """

    state_directory: str
    paths: tuple[str, ...]


def call(
    door: Door, method: str, path: str, body: dict[str, Any] | None = None, *, timeout: float = 600
) -> tuple[int, dict[str, Any]]:
    """
    Ask the daemon, and return the status code and the JSON object of its answer.

    Args:
        timeout: seconds without an answer.

    Raises:
        NotRunning: nobody listens at any of the paths, or the answer broke off.
        NotAllowed: the socket is somebody else's.
    """
    with _asked(door, method, path, body, timeout=timeout) as answer:
        try:
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotRunning(door.paths) from error


def stream(door: Door, path: str) -> Iterator[dict[str, Any]]:
    """
    Ask the daemon for something that comes line by line, and yield the JSON objects as they come.

    Raises:
        NotRunning: nobody listens at any of the paths, or the answer broke off.
        NotAllowed: the socket is somebody else's.
        Refused: the daemon does not give it.
    """
    with _asked(door, "GET", path, None, timeout=None) as answer:
        lines = iter(answer)
        while True:
            try:
                line = next(lines, b"")
                entry = json.loads(line) if line else None
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise NotRunning(door.paths) from error
            if answer.status != http.HTTPStatus.OK:
                raise Refused(str((entry or {}).get("error", answer.reason)))
            if entry is None:
                return
            yield entry


@contextlib.contextmanager
def _asked(
    door: Door, method: str, path: str, body: dict[str, Any] | None, *, timeout: float | None
) -> Iterator[http.client.HTTPResponse]:
    content = None if body is None else json.dumps(body)
    headers = {"Content-Type": "application/json", STATE_HEADER: door.state_directory}
    for socket_path in door.paths:
        connection = _Connection(socket_path, timeout)
        with contextlib.closing(connection):
            try:
                connection.request(method, path, body=content, headers=headers)
                answer = connection.getresponse()
            except PermissionError as error:
                raise NotAllowed(socket_path) from error
            except (OSError, http.client.HTTPException):
                continue
            if answer.status != http.HTTPStatus.MISDIRECTED_REQUEST:
                yield answer
                return
    raise NotRunning(door.paths)


def call_or(alone: Callable[[], dict[str, Any]], door: Door, path: str, body: dict[str, Any]) -> dict[str, Any]:
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
            return call(door, "POST", path, body, timeout=_PATIENCE)[1]
        except NotRunning:
            try:
                return alone()
            except StateLocked:
                if time.monotonic() > deadline:
                    raise
        time.sleep(_POLL)
