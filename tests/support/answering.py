"""
A daemon that answers as a test says, on an admin socket.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import socketserver
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Answering:
    """
    What it answers: `report` to `GET /v1/status`, `jobs` to `GET /v1/jobs`; whatever is posted is answered with `done` once
    `finish` was called.
    """

    def __init__(self, report: dict[str, Any]) -> None:
        self.report = report
        self.jobs: dict[str, Any] = {"time": report["time"], "jobs": []}
        self.done: dict[str, Any] = {"ok": True, "message": "it is done"}
        self.posted: list[str] = []
        self._finished = threading.Event()

    def finish(self) -> None:
        """
        Answer what was posted.
        """
        self._finished.set()

    def answer(self, path: str) -> dict[str, Any]:
        """
        Return the answer to a request.
        """
        return {"/v1/status": self.report, "/v1/jobs": self.jobs}[path]

    def post(self, path: str) -> dict[str, Any]:
        """
        Return the answer to what was posted, when it is time.
        """
        self.posted.append(path)
        self._finished.wait(timeout=60)
        return self.done


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    answering: Answering


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._send(self.server.answering.answer(self.path))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(self.server.answering.post(self.path))

    def address_string(self) -> str:
        return "a socket has none"

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        with contextlib.suppress(BrokenPipeError):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


@contextlib.contextmanager
def answering(path: Path, what: Answering) -> Iterator[None]:
    """
    Answer at a socket inside the context. It is gone afterwards.
    """
    with _Server(str(path), _Handler) as server:
        server.answering = what
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            what.finish()
            server.shutdown()
            thread.join()
            path.unlink()
