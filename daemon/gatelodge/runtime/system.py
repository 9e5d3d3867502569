"""
The real clock and the real HTTP client.

They decide nothing. aiohttp's exceptions end here: what comes out is `HttpUnreachable` or `HttpDisconnected`, with a text that
names the host and, where it helps, the remedy.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import time
from typing import TYPE_CHECKING

import gatelodge
from gatelodge.errors import ConfigError, HttpDisconnected, HttpUnreachable
from gatelodge.model import Mistake
from gatelodge.ports import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    import aiohttp

#: RFC 8555 §6.1 asks clients to say who they are.
USER_AGENT = f"gatelodge/{gatelodge.__version__}"

_MAX_BODY = 10 * 1024 * 1024


class SystemClock:
    """
    The machine's clock.
    """

    def now(self) -> dt.datetime:
        """
        Return the wall clock's time in UTC.
        """
        return dt.datetime.now(dt.UTC)  # noqa: TID251 - this is the Clock port

    def monotonic(self) -> float:
        """
        Return seconds that never go back, those asleep too (CLOCK_BOOTTIME, clock_gettime(2)): a machine that wakes was not set.
        """
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """
        Return after so many seconds.
        """
        await asyncio.sleep(seconds)


class Web:
    """
    An HTTP client on aiohttp: connections are kept, redirects are answers, certificates are verified.
    """

    def __init__(self, *, root: str | None = None, proxy: str | None = None) -> None:
        """
        Args:
            root: a PEM file of roots to trust instead of the machine's.
            proxy: the URL of an HTTP proxy that leads to all servers.

        Raises:
            ConfigError: the file cannot be used.
        """
        # The machine's roots take a while to read, and much memory: only once somebody is asked.
        self._tls = None if root is None else _context(root)
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """
        Close all connections. A later request opens new ones.
        """
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp  # noqa: PLC0415 - heavy, and of no use to who asks nothing

        if self._session is None:
            self._tls = self._tls or _context(None)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=100),
                headers={"User-Agent": USER_AGENT},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

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
        import aiohttp  # noqa: PLC0415 - as above
        from yarl import URL  # noqa: PLC0415 - comes with it

        host = URL(url).host or url
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 10))
        try:
            async with self._opened().request(
                method, url, headers=headers, data=body, timeout=limits, allow_redirects=False, proxy=self._proxy
            ) as answer:
                content = await answer.content.read(_MAX_BODY + 1)
                while len(content) <= _MAX_BODY and (more := await answer.content.read(_MAX_BODY + 1)):
                    content += more
                if len(content) > _MAX_BODY:
                    raise HttpDisconnected(f"{host} sent an answer of more than 10 MiB")
                found: dict[str, tuple[str, ...]] = {}
                for name, value in answer.headers.items():
                    found[name.lower()] = (*found.get(name.lower(), ()), value)
                return HttpResponse(status=answer.status, headers=found, body=content)
        except aiohttp.ClientConnectorCertificateError as error:
            raise HttpUnreachable(
                f"the TLS certificate of {host} is not trusted ({error.certificate_error}); a private CA needs `root`"
            ) from error
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
            raise HttpUnreachable(
                f"{host} cannot be reached through the proxy {self._proxy}: {_words(error)}"
            ) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise HttpUnreachable(f"{host} cannot be reached: {_words(error)}") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError) as error:
            raise HttpUnreachable(f"{url!r} is no address that can be asked") from error
        except TimeoutError as error:
            raise HttpDisconnected(f"{host} did not answer within {timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise HttpDisconnected(f"{host} ended the connection: {_words(error)}") from error


def _context(root: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=root)
    except OSError as error:
        mistake = Mistake(
            path="acme.cas",
            problem=f"the root {root} cannot be used: {error.strerror or error}",
            remedy="name a PEM file with the CA's TLS root, readable by the daemon",
        )
        raise ConfigError((mistake,)) from error


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
