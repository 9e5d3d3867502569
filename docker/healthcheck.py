#!/usr/bin/python3 -IS
"""
Tells a container engine whether the daemon answers and nginx runs, by the exit status and a line of words.

It asks the daemon's admin socket and imports nothing of Gatelodge, so that it costs little and a configuration that is being edited
does not matter: the daemon goes on with the one before, and is healthy. Nor does a dead CA: what is served goes on.
"""

import contextlib
import http.client
import json
import os
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any

#: Less than HEALTHCHECK waits, so that it is said what is wrong.
_SECONDS = 10

#: Where a daemon may be, when the configuration says nothing else or cannot be read.
_STATE = "/var/lib/gatelodge"
_SOCKET = "/run/gatelodge/admin.sock"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("gatelodge", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        """
        Connect to the socket.
        """
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _sockets() -> tuple[str, ...]:
    """
    Return where the daemon's socket may be: where the configuration says, and in the state directory.
    """
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        found = tomllib.loads(Path(os.environ.get("GATELODGE_CONFIG", "/config/gatelodge.toml")).read_text("utf-8"))
    admin, state = found.get("admin"), found.get("state_directory", _STATE)
    named = admin.get("socket", _SOCKET) if isinstance(admin, dict) else _SOCKET
    return (str(named), f"{state}/admin.sock", _SOCKET, f"{_STATE}/admin.sock")


def _status() -> dict[str, Any] | str:
    """
    Return what the daemon says of itself, or why it says nothing.
    """
    trouble = ""
    for path in dict.fromkeys(_sockets()):
        connection = _Connection(path)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/v1/status")
                answer = connection.getresponse()
                document = json.loads(answer.read())
            except (OSError, ValueError, http.client.HTTPException) as error:
                trouble = trouble or f"{path}: {error}"
                continue
        if answer.status == http.HTTPStatus.OK:
            return dict(document)
        trouble = f"{path}: {document.get('error')}"
    return trouble


def main() -> int:
    """
    Say how it is; 0 is healthy, 1 is not.
    """
    status = _status()
    if isinstance(status, str):
        print(f"no daemon answers: {status}")  # noqa: T201 - what the engine keeps of a health check
        return 1
    nginx = status["nginx"]
    if not nginx["running"]:
        failure = nginx["failure"] or {}
        print(f"nginx does not run: {nginx['missing'] or failure.get('error.detail') or 'it starts'}")  # noqa: T201
        return 1
    print(f"nginx {nginx['version']} serves tree {nginx['generation']}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
