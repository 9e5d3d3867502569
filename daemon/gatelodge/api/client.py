"""
Speaks to a running daemon through its admin socket. Blocking and small: the command line's own start-up time is a feature.
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from gatelodge.errors import GatelodgeError


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
