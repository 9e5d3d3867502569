"""
Counts what goes through a port, and passes it on as it is: events, and requests to a CA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.acme.resources import Resources
from gatelodge.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.ports import Clock, Events, Http, HttpResponse
    from gatelodge.runtime.standing.measures import Measures


class MeasuredEvents:
    """
    Implements `ports.Events`, through another.
    """

    def __init__(self, events: Events, measures: Measures) -> None:
        self._events = events
        self._measures = measures

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        """
        Count an event, and write it down as `ports.Events` says.
        """
        self._measures.event(event, level, fields)
        self._events.emit(event, level=level, **fields)


class MeasuredHttp:
    """
    Implements `ports.Http`, through another, for one CA.
    """

    def __init__(self, http: Http, *, ca: str, directory: str, measures: Measures, clock: Clock) -> None:
        """
        Args:
            directory: the CA's address.
        """
        self._http = http
        self._ca = ca
        self._measures = measures
        self._clock = clock
        self._resources = Resources(directory)

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
        Send a request as `ports.Http` says, and count it. One that was broken off by us is not counted.
        """
        began, resource = self._clock.monotonic(), self._resources.of(url)
        try:
            response = await self._http.request(method, url, headers=headers, body=body, timeout=timeout)
        except TransientError:
            self._measures.request(self._ca, resource, None, self._clock.monotonic() - began)
            raise
        self._measures.request(self._ca, resource, response.status, self._clock.monotonic() - began)
        self._resources.learn(url, response)
        return response
