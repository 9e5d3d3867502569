"""
Knocks at a service as nginx would: opens a connection, speaks TLS where that is asked for, sends one HTTP request, and reads the head of
the answer. It decides nothing about what it means.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

#: Seconds for a connection, and for the head of an answer: an app that has just been started may take some.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0

#: No head of an answer is longer; what is, is none.
_LONGEST = 64 * 1024

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r|$)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    Where a service is: an address and port, or the path of a unix socket.
    """

    address: str = ""
    port: int = 0
    socket: str | None = None

    def __str__(self) -> str:
        if self.socket is not None:
            return f"unix:{self.socket}"
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """
    The head of an answer. Header names are lower case; of several with one name the last is kept.
    """

    status: int
    headers: Mapping[str, str]


class NotHttp(Exception):
    """
    Something answered, and it was not HTTP. `said` are its first bytes.
    """

    def __init__(self, said: bytes) -> None:
        super().__init__(said)
        self.said = said


@contextlib.asynccontextmanager
async def connected(
    place: Place, *, tls: ssl.SSLContext | None = None, name: str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """
    Hold a connection inside the context.

    Args:
        name: the host that is asked for, and checked if the TLS context does.

    Raises:
        OSError: there is none, in time; ssl.SSLError among them.
    """
    options: dict[str, Any] = {"ssl": tls, "server_hostname": name or ""} if tls is not None else {}
    try:
        reader, writer = await _open(place, options)
    except TimeoutError as error:
        if tls is None:
            raise
        raise ssl.SSLError(0, f"no handshake within {CONNECT_SECONDS:g} s") from error
    try:
        yield reader, writer
    finally:
        # Python before 3.11.3 stumbles over a TLS connection that is lost already.
        with contextlib.suppress(AttributeError):
            writer.transport.abort()


async def _open(place: Place, options: Mapping[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(CONNECT_SECONDS):
        if place.socket is not None:
            return await asyncio.open_unix_connection(place.socket, **options)
        return await asyncio.open_connection(place.address, place.port, **options)


async def ask(
    place: Place, path: str, headers: Mapping[str, str], *, tls: ssl.SSLContext | None = None, name: str | None = None
) -> Head:
    """
    Send a GET request and return the head of the answer.

    Raises:
        OSError: it cannot be reached, or does not answer in time.
        NotHttp: what came was no HTTP.
    """
    lines = [f"GET {path} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items()), "", ""]
    async with connected(place, tls=tls, name=name) as (reader, writer):
        writer.write("\r\n".join(lines).encode())
        said = b""
        async with asyncio.timeout(ANSWER_SECONDS):
            while b"\r\n\r\n" not in said and len(said) < _LONGEST and (part := await reader.read(_LONGEST)):
                said += part
    return _read(said)


def words(error: BaseException) -> str:
    """
    Say in a few words why there is no connection or no answer.
    """
    if isinstance(error, TimeoutError):
        return "not in time"
    if isinstance(error, OSError) and error.errno:
        # asyncio writes the address into the text.
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _read(said: bytes) -> Head:
    found = _STATUS.match(said)
    if found is None:
        raise NotHttp(said[:64])
    rows = said.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    pairs = (row.partition(":") for row in rows)
    return Head(status=int(found[1]), headers={key.strip().lower(): value.strip() for key, _, value in pairs})
