"""
Time, the web, and the log of what happened.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping


class Clock(Protocol):
    """
    Time. Everything that waits, waits through this.
    """

    def now(self) -> dt.datetime:
        """
        Return the wall clock's time, aware, in UTC.
        """
        ...

    def monotonic(self) -> float:
        """
        Return seconds that never go back, and go on while the machine is suspended; for deadlines.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """
        Return after so many seconds.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """
    An answer. Header names are lower case; of several with one name all are kept, in order.
    """

    status: int
    headers: Mapping[str, tuple[str, ...]]
    body: bytes

    def header(self, name: str) -> str | None:
        """
        Return the first header of that name (given in lower case).
        """
        values = self.headers.get(name)
        return values[0] if values else None


class Http(Protocol):
    """
    An HTTP client with one idea of whom to trust: the machine's roots, or the private root it was made with.
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
        Send a request and read the whole answer. Redirects are answers. Bodies over 10 MiB are refused.

        Args:
            timeout: seconds for everything together.

        Raises:
            HttpUnreachable: nothing was sent.
            HttpDisconnected: something was sent, but no whole answer came.
        """
        ...


class Events(Protocol):
    """
    What happened, for people and programs: names and fields are an interface, listed in `model.events`.
    """

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        """
        Write an event down. Never raises: a log that cannot be written must not stop a renewal.

        Args:
            event: a constant name, `certificate.renewed`.
            level: `info`, `warning` or `error`.
            fields: JSON values under fixed names; a dot in a name is written `__` here (`error__type`).
        """
        ...
