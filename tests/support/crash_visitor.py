"""
Visitors who ask a gate's sites all the while something crashes, over connections that are kept for a few requests, and look at the
certificate of each connection.

A handshake is proof that the certificate and the key belong together: the server signs it. A request is sent again once, on another
connection, where RFC 9110 §9.2.2 lets any client do so: GET is idempotent, and the connection that was closed had answered before.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from typing import TYPE_CHECKING

from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

_SECONDS = 10.0
_EVERY_SECONDS = 0.05
_REQUESTS_EACH = 10

#: What pebble calls those who sign its certificates.
_CA = "Pebble Intermediate"


@dataclasses.dataclass(slots=True)
class Tally:
    """
    What the visitors met. `down` says that nginx itself was killed and has not been started again: who is refused then is counted apart.
    `failures` are the others, in words.
    """

    requests: int = 0
    repeated: int = 0
    refused: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    down: bool = False


class Wrong(Exception):
    """
    An answer that must not be.
    """


class _Line:
    """
    A connection to one site.
    """

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host, self._reader, self._writer = host, reader, writer
        self.answered = 0

    async def ask(self) -> None:
        self._writer.write(f"GET / HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await self._reader.readexactly(int(fields["content-length"]))
        if (status := head.split(" ", 2)[1]) != "200":
            raise Wrong(f"status {status}")
        self.answered += 1

    def close(self) -> None:
        self._writer.close()
        # Python before 3.11.3 stumbles over a connection that is lost already.
        with contextlib.suppress(AttributeError):
            self._writer.transport.abort()


async def visit(port: int, host: str) -> None:
    """
    Ask a site once.

    Raises:
        OSError, EOFError, TimeoutError: no answer came.
        Wrong: it was not the right one, or the certificate is not the CA's.
    """
    async with asyncio.timeout(_SECONDS):
        line = await _open(port, host)
        try:
            await line.ask()
        finally:
            line.close()


async def _open(port: int, host: str) -> _Line:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    line = _Line(host, reader, writer)
    leaf = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    if host not in names or _CA not in leaf.issuer.rfc4514_string():
        line.close()
        raise Wrong(f"a certificate for {', '.join(names)} by {leaf.issuer.rfc4514_string()}")
    return line


class _Visitor:
    """
    Keeps a connection to one site, and asks over it.
    """

    def __init__(self, port: int, host: str, tally: Tally) -> None:
        self._port, self._host, self._tally = port, host, tally
        self._line: _Line | None = None

    async def keep_asking(self) -> None:
        try:
            while True:
                await asyncio.sleep(_EVERY_SECONDS)
                await self._ask()
                if self._line is not None and self._line.answered >= _REQUESTS_EACH:
                    self._hang_up()
        finally:
            self._hang_up()

    async def _ask(self) -> None:
        tally, down = self._tally, self._tally.down
        tally.requests += 1
        for again in (False, True):
            answered = self._line.answered if self._line else 0
            try:
                async with asyncio.timeout(_SECONDS):
                    self._line = self._line or await _open(self._port, self._host)
                    await self._line.ask()
                    return
            except (OSError, EOFError, TimeoutError, Wrong) as error:
                self._hang_up()
                if answered and not again and not isinstance(error, Wrong | TimeoutError):
                    tally.repeated += 1
                    continue
                if (down or tally.down) and not isinstance(error, Wrong):
                    tally.refused += 1
                else:
                    tally.failures.append(f"{self._host}: {error!r}")
                return

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


@contextlib.asynccontextmanager
async def visiting(port: int, hosts: Sequence[str]) -> AsyncIterator[Tally]:
    """
    Have sites visited inside the context.
    """
    tally = Tally()
    async with asyncio.TaskGroup() as group:
        visitors = [group.create_task(_Visitor(port, host, tally).keep_asking()) for host in hosts]
        try:
            yield tally
        finally:
            for each in visitors:
                each.cancel()
