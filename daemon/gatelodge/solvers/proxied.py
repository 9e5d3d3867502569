"""
Asks a plain listener that speaks the PROXY protocol: it answers nobody who does not begin with its header, our own look included
(https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt §2.1).

It knows just what the look for a token needs: GET, in plain, one answer a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatelodge.errors import HttpDisconnected, HttpUnreachable
from gatelodge.ports import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

#: It says nothing of who comes, so that he counts as who he is to the socket: this machine.
_HEADER = b"PROXY UNKNOWN\r\n"

_MOST_BYTES = 1024 * 1024
_USUAL_PORT = 80


class Proxied:
    """
    Implements `ports.Http` for plain GETs.
    """

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        """
        Send a request and read the whole answer, as `ports.Http` says.
        """
        where = urlsplit(url)
        host, port = where.hostname or "", where.port or _USUAL_PORT
        if (method, where.scheme, body) != ("GET", "http", None):
            raise AssertionError("whoever wants more asks another client")
        # HTTP/1.0, whose answers are not in chunks (RFC 9112 §7.1).
        lines = [f"GET {where.path} HTTP/1.0", *(f"{name}: {value}" for name, value in (headers or {}).items()), "", ""]
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(_HEADER + "\r\n".join(lines).encode())
                answer = b""
                while len(answer) <= _MOST_BYTES and (part := await reader.read(_MOST_BYTES)):
                    answer += part
        except (OSError, TimeoutError) as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise (HttpUnreachable if writer is None else HttpDisconnected)(f"{host}:{port}: {why}") from error
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        return _understood(answer, f"{host}:{port}")


def _understood(answer: bytes, place: str) -> HttpResponse:
    head, end, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, status = first.partition(" ")
    if not end or not version.startswith("HTTP/") or not status[:3].isdecimal() or len(answer) > _MOST_BYTES:
        raise HttpDisconnected(f"{place} did not answer a connection that begins with a PROXY header")
    found: dict[str, tuple[str, ...]] = {}
    for each in lines:
        name, _, value = each.partition(":")
        found[name.lower()] = (*found.get(name.lower(), ()), value.strip())
    return HttpResponse(status=int(status[:3]), headers=found, body=body)
