"""
A visitor of the gate: looks at certificates, asks for pages, keeps on asking while something changes.

He resolves nothing: every name is at 127.0.0.1. He repeats a request on a new connection only where RFC 9110 §9.2.2 lets any
client do so (an idempotent method on a connection that was closed), and counts it.
"""

from __future__ import annotations

import dataclasses
import http.client
import socket
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading

_SECONDS = 5.0


@dataclasses.dataclass(slots=True)
class Tally:
    """
    What a visitor who kept on asking met.
    """

    requests: int = 0
    retried: int = 0
    failed: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)


class _Connection(http.client.HTTPSConnection):
    """
    HTTPS to 127.0.0.1 under another host's name.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=_SECONDS)
        self._tls = tls

    def connect(self) -> None:
        """
        Connect to the loopback address, and name the host by SNI.
        """
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """
    Visits the gate's HTTPS port. `root` is the PEM text of the root he trusts.
    """

    port: int
    root: str | None = None

    def trusting(self, root: str) -> Visitor:
        """
        Return the same visitor with a root to trust.
        """
        return dataclasses.replace(self, root=root)

    def certificate(self, host: str) -> bytes:
        """
        Return the leaf, in DER, that is shown for a host, trusted or not.

        Raises:
            OSError: no TLS connection came about.
        """
        tls = ssl.create_default_context()
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS) as plain,
            tls.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            return wrapped.getpeercert(binary_form=True) or b""

    def get(self, host: str, path: str = "/") -> tuple[int, bytes]:
        """
        Ask for a page, with the certificate verified, and return status and body.

        Raises:
            OSError: no answer came, or the certificate is not trusted.
        """
        connection = _Connection(host, self.port, self.tls())
        try:
            return _ask(connection, path)
        finally:
            connection.close()

    def keep_asking(self, host: str, stop: threading.Event) -> Tally:
        """
        Ask for `/` over kept connections until told to stop, and count.
        """
        tally, tls = Tally(), self.tls()
        connection = _Connection(host, self.port, tls)
        while not stop.is_set():
            tally.requests += 1
            reused = connection.sock is not None
            try:
                status, _ = _ask(connection, "/")
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = _Connection(host, self.port, tls)
                if not reused:
                    _count(tally, repr(error))
                    continue
                tally.retried += 1
                try:
                    status, _ = _ask(connection, "/")
                except (OSError, http.client.HTTPException) as again:
                    _count(tally, repr(again))
                    continue
            if status != http.HTTPStatus.OK:
                _count(tally, f"status {status}")
        connection.close()
        return tally

    def tls(self) -> ssl.SSLContext:
        """
        Return a context that trusts the root and nothing else.
        """
        return ssl.create_default_context(cadata=self.root)


def _count(tally: Tally, failure: str) -> None:
    tally.failed += 1
    tally.failures.append(failure)


def _ask(connection: http.client.HTTPSConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path, headers=_HEADERS)
    answer = connection.getresponse()
    return answer.status, answer.read()


_HEADERS: dict[str, Any] = {"User-Agent": "gatelodge-demo"}
