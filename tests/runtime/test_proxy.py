"""
CAs that are asked through a proxy.
"""

from __future__ import annotations

import asyncio

import pytest

from gatelodge.errors import HttpUnreachable
from gatelodge.runtime.system import Web


class Proxy:
    """
    A proxy that answers every request itself, and notes what it was asked first.
    """

    def __init__(self, answer: bytes) -> None:
        self.asked: list[str] = []
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Answer one connection.
        """
        self.asked.append((await reader.readline()).decode().strip())
        while (await reader.readline()).strip():
            pass
        writer.write(self._answer)
        await writer.drain()
        writer.close()


async def asked(proxy: Proxy, url: str) -> int:
    """
    Ask for a URL through a proxy, and return the status.
    """
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Web(proxy=f"http://127.0.0.1:{port}") as http:
        return (await http.request("GET", url)).status


async def test_a_proxy_is_asked_for_everything() -> None:
    """
    In plain http by the whole URL; nobody but the proxy looks the name up.
    """
    proxy = Proxy(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    assert await asked(proxy, "http://ca.invalid/directory") == 204
    assert proxy.asked == ["GET http://ca.invalid/directory HTTP/1.1"]


async def test_a_proxy_leads_to_servers_that_speak_tls() -> None:
    """
    It is asked for a tunnel; when it gives none, nothing was sent to the server, and the proxy is named.
    """
    proxy = Proxy(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with pytest.raises(HttpUnreachable, match=r"through the proxy http://127\.0\.0\.1"):
        await asked(proxy, "https://ca.invalid/directory")
    assert proxy.asked == ["CONNECT ca.invalid:443 HTTP/1.1"]


async def test_a_proxy_that_is_not_there() -> None:
    """
    Nothing was sent.
    """
    async with Web(proxy="http://127.0.0.1:1") as http:
        with pytest.raises(HttpUnreachable, match="through the proxy"):
            await http.request("GET", "https://ca.invalid/directory")
