"""
Keeps what CAs suggested about renewals (RFC 9773): one document for each certificate, and a copy in memory.

A moment that was chosen survives restarts, so that a crash loop does not choose until it gets an early one. Decides nothing: which
moment, and when to ask again, stands in `core.ari`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core import ari, due
from gatelodge.errors import StateError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from gatelodge.core.ari import Choice
    from gatelodge.core.observed import Held
    from gatelodge.model import RenewalInfo
    from gatelodge.ports import Clock, Documents, Events

RENEWALS = "journal/renewals"


class Renewals:
    """
    The suggestions for the certificates of one state directory. `choices` are by NAME.
    """

    def __init__(self, *, documents: Documents, clock: Clock, spread: Callable[[], float], events: Events) -> None:
        """
        Args:
            spread: returns a random number from 0 up to 1.
        """
        self.choices: dict[str, Choice] = {}
        self._documents = documents
        self._clock = clock
        self._spread = spread
        self._events = events

    async def load(self) -> None:
        """
        Read everything from disk.

        Raises:
            StateError: it cannot be read.
        """
        found = {name: ari.from_document(each) for name, each in (await self._documents.list(RENEWALS)).items()}
        self.choices = {name: choice for name, choice in found.items() if choice is not None}

    async def learn(self, held: Held, info: RenewalInfo | None, *, retry_after: dt.timedelta | None = None) -> None:
        """
        Remember what a CA said of a certificate; None when it said nothing. Tells when it wants it replaced at once.

        Args:
            retry_after: when it said nothing: how long it wants to be left alone.
        """
        before, now = self.choices.get(held.name), self._clock.now()
        known = due.identifier(held) or ""
        if info is None:
            choice = ari.missed(before, certificate=known, now=now, retry_after=retry_after)
        else:
            choice = ari.learn(
                before, info, not_before=held.not_before, not_after=held.not_after, now=now, spread=self._spread()
            )
        # Kept in memory before anything else, so that a disk that cannot be written is no reason to ask again and again.
        self.choices[held.name] = choice
        if ari.hurried(before, choice, now=now) and choice.window is not None:
            self._events.emit(
                "certificate.renewal.moved",
                level="warning",
                certificate=held.name,
                ca=held.issuer,
                serial=held.serial,
                not_after=held.not_after.isoformat(),
                window_end=choice.window.end.isoformat(),
                explanation=choice.explanation,
            )
        await self._write(held.name, choice)

    def nothing_said(self, held: Held) -> None:
        """
        Remember of a certificate that its CA tells nobody about renewals, so that it is asked again as late as may be: in memory alone,
        since its directory says so again after a restart, and to write it down for each of a thousand new certificates would take its
        time for nothing.
        """
        self.choices[held.name] = ari.missed(
            self.choices.get(held.name),
            certificate=due.identifier(held) or "",
            now=self._clock.now(),
            retry_after=ari.LATEST,
        )

    async def forget(self, certificate: str) -> None:
        """
        Forget what was said of a certificate that is not held any more.
        """
        if self.choices.pop(certificate, None) is not None:
            try:
                await self._documents.delete(RENEWALS, certificate)
            except StateError as error:
                self._events.emit("state.failed", level="error", error__detail=str(error))

    async def _write(self, certificate: str, choice: Choice) -> None:
        try:
            await self._documents.put(RENEWALS, certificate, choice.document())
        except StateError as error:
            self._events.emit("state.failed", level="error", error__detail=str(error))
