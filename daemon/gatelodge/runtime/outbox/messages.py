"""
Tells one service what is news: reads the log, remembers what was said and what is still to be said, and sends it in time.

What to say and when is decided in `core.news` and `core.delivery`. News is written down together with the place in the log, before it is sent: after a
crash it is still there, and nothing is said again but the one message that was being sent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

from gatelodge.core import delivery
from gatelodge.core.delivery import Box
from gatelodge.core.news import News, decide
from gatelodge.errors import NotSent, StateError
from gatelodge.model.log import Level
from gatelodge.runtime.events.files import Reader
from gatelodge.runtime.events.text import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatelodge.model import JsonObject, Notify
    from gatelodge.ports import Clock, Documents, Events, Notifier

BOXES = "journal/messages"


class MessageFollower:
    """
    Implements `followers.Follower` for one service.
    """

    def __init__(
        self,
        *,
        target: Notify,
        notifier: Notifier,
        directory: str,
        documents: Documents,
        clock: Clock,
        events: Events,
        spread: Callable[[], float],
        host: str,
    ) -> None:
        self._target = target
        self._notifier = notifier
        self._directory = directory
        self._documents = documents
        self._clock = clock
        self._events = events
        self._spread = spread
        self._host = host
        self._box = Box(after=0)
        self._reader = Reader(directory)

    async def begin(self, after: int) -> None:
        """
        Take up the place in the log, as `Follower` says.
        """
        document = await self._documents.get(BOXES, self._target.name)
        box = read(document) if document else None
        if box is None:
            box = Box(after=after)
            await self._documents.put(BOXES, self._target.name, written(box))
        self._box = box
        self._reader = Reader(self._directory, after=box.after)

    async def step(self, *, last: bool) -> None:
        """
        Look at what is new, and send what is to be sent now.
        """
        await self._look()
        now = self._clock.now()
        at = delivery.send_at(self._box, now)
        if at is not None and (at <= now or (last and self._box.retry_at is None)):
            await self._send(now)

    async def _look(self) -> None:
        box, said, news = self._box, self._box.said, []
        after = box.after
        for entry in self._reader.new():
            told, said = decide(entry, said, self._target, words)
            after = entry["id"]
            if told is not None:
                news.append(told)
        if after != box.after:
            self._box = delivery.add(dataclasses.replace(box, said=said, after=after), news)
            await self._keep()

    async def _send(self, now: dt.datetime) -> None:
        message, number = delivery.message(self._box, now, host=self._host), len(self._box.waiting) + self._box.more
        try:
            await self._notifier.send(message)
        except NotSent as error:
            before = self._box
            self._box = delivery.failed(before, self._clock.now(), spread=self._spread())
            await self._keep()
            given_up = self._box.retry_at is None
            if given_up or before.retry_at is None:
                self._events.emit(
                    "notify.failed",
                    level="error" if given_up else "warning",
                    target=self._target.name,
                    messages=number,
                    error__detail=str(error),
                    failures=before.failures + 1,
                    retry_at=self._box.retry_at.isoformat() if self._box.retry_at else None,
                )
        else:
            self._box = delivery.sent(self._box, self._clock.now())
            await self._keep()

    async def _keep(self) -> None:
        """
        Write the box down. Where that cannot be, it is still in memory: a full disk costs no message.
        """
        with contextlib.suppress(StateError):
            await self._documents.put(BOXES, self._target.name, written(self._box))


def written(box: Box) -> JsonObject:
    """
    Return a box as a document.
    """
    document = dataclasses.asdict(box)
    moments = {key: box_time.isoformat() for key in ("failing", "retry_at") if (box_time := document[key]) is not None}
    return {**document, **moments, "sent": [each.isoformat() for each in box.sent]}


def read(document: Mapping[str, Any]) -> Box | None:
    """
    Return the box of a document, None when it makes no sense.
    """
    try:
        moments = {
            key: dt.datetime.fromisoformat(document[key]) if document[key] is not None else None
            for key in ("failing", "retry_at")
        }
        return Box(
            after=int(document["after"]),
            said={subject: tuple(tags) for subject, tags in document["said"].items()},
            waiting=tuple(News(**{**each, "level": Level(each["level"])}) for each in document["waiting"]),
            more=int(document["more"]),
            sent=tuple(map(dt.datetime.fromisoformat, document["sent"])),
            failures=int(document["failures"]),
            **moments,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
