"""
Decides when what is to be told is sent, and as which message: news is gathered for a minute, of one kind told together, and there are few messages
an hour, so that a CA that is down is one message and not a thousand. What is not taken is tried again for hours, then given up.

A `Box` is all that is remembered for a target. Everything here is pure.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.core import backoff
from gatelodge.core.news import News, moment
from gatelodge.model.log import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: News that comes within this time of the first is told with it.
GATHER = dt.timedelta(minutes=1)

#: So many messages a target gets in an hour at most; what comes meanwhile is told together.
MOST_AN_HOUR = 6
_HOUR = dt.timedelta(hours=1)

#: After so long a target that takes no message is left alone until there is something new.
GIVE_UP = dt.timedelta(hours=12)

#: News that is older when it could be told at last is only counted.
OLD = dt.timedelta(days=1)

#: What is kept of news that waits; more is counted.
_MOST_WAITING = 2000

#: A title fits into the subject of a mail and the head of a notification; a text into the least of what services take, Telegram's
#: 4096 characters (https://core.telegram.org/bots/api#sendmessage).
LONGEST_TITLE = 80
LONGEST_TEXT = 3500

_NAMES_SHOWN = 10
_RANKS = {level: level.rank for level in Level}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    What a service is given. It holds no links and no secrets.
    """

    title: str
    text: str
    level: Level


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """
    What a target was told and is to be told. `after` is the id of the last event that was looked at; `said` is as in `core.news`; `more` counts waiting
    news that is not kept; `sent` are the times of the last messages. While messages fail, `failing` is since when.
    """

    after: int
    said: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    waiting: tuple[News, ...] = ()
    more: int = 0
    sent: tuple[dt.datetime, ...] = ()
    failures: int = 0
    failing: dt.datetime | None = None
    retry_at: dt.datetime | None = None


def add(box: Box, news: Iterable[News]) -> Box:
    """
    Put news into a box.
    """
    waiting = (*box.waiting, *news)
    return dataclasses.replace(
        box, waiting=waiting[:_MOST_WAITING], more=box.more + max(len(waiting) - _MOST_WAITING, 0)
    )


def send_at(box: Box, now: dt.datetime) -> dt.datetime | None:
    """
    Return when the next message is sent; None when there is nothing to say.
    """
    if not box.waiting:
        return None
    if box.retry_at is not None and box.failing is not None and box.failing <= now:
        return box.retry_at
    # A time that lies ahead was written by a clock that was wrong.
    moments = [min(_time(news, now), now) for news in box.waiting]
    lately = [each for each in box.sent if now - _HOUR < each <= now]
    ready = min(moments) + GATHER
    return max(ready, lately[-MOST_AN_HOUR] + _HOUR) if len(lately) >= MOST_AN_HOUR else ready


def sent(box: Box, now: dt.datetime) -> Box:
    """
    Return a box after its message was taken.
    """
    return Box(after=box.after, said=box.said, sent=(*box.sent, now)[-MOST_AN_HOUR:])


def failed(box: Box, now: dt.datetime, *, spread: float) -> Box:
    """
    Return a box after its message was not taken: with the time of the next try, or empty when it was tried for long enough.
    """
    since = box.failing if box.failing is not None and box.failing <= now else now
    if now - since >= GIVE_UP:
        return Box(after=box.after, said=box.said, sent=box.sent)
    failures = box.failures + 1
    wait = backoff.wait(backoff.TRANSIENT, failures, spread=spread)
    return dataclasses.replace(box, failures=failures, failing=since, retry_at=now + wait)


def message(box: Box, now: dt.datetime, *, host: str) -> Message:
    """
    Return what a target is told now.

    Args:
        host: this machine's name.
    """
    old = [news for news in box.waiting if now - _time(news, now) > OLD]
    groups = _groups(news for news in box.waiting if news not in old)
    blocks = [_block(group) for group in groups]
    if old:
        blocks.append(_summary(old))
    if box.more:
        blocks.append(f"And {box.more} more; `gatelodge events` shows them all.")
    heads = [_head(group) for group in groups] or [f"{len(old)} older messages"]
    others = f" (and {len(heads) - 1} more)" if len(heads) > 1 else ""
    level = max((news.level for news in box.waiting), key=lambda each: each.rank)
    return Message(
        title=_cut(
            f"{host}: {_cut(heads[0], LONGEST_TITLE - len(others) - min(len(host), 30) - 2)}{others}", LONGEST_TITLE
        ),
        text=_cut("\n\n".join(blocks), LONGEST_TEXT),
        level=level,
    )


def _groups(news: Iterable[News]) -> list[list[News]]:
    """
    Put news of one kind together, the gravest first.
    """
    found: dict[str, list[News]] = {}
    for each in news:
        found.setdefault(each.kind, []).append(each)
    return sorted(found.values(), key=lambda group: -_RANKS[group[0].level])


def _head(group: list[News]) -> str:
    subjects = dict.fromkeys(each.subject for each in group)
    return group[-1].title if len(subjects) == 1 else group[0].many.format(count=len(subjects))


def _block(group: list[News]) -> str:
    """
    Write news of one kind: what, which, why, what to do.
    """
    last = group[-1]
    names = [name for name in dict.fromkeys(each.subject for each in group) if name]
    lines = [f"{_head(group)[:1].upper()}{_head(group)[1:]}."]
    if len(names) > 1:
        left = len(names) - _NAMES_SHOWN
        lines.append(f"{', '.join(names[:_NAMES_SHOWN])}{f' and {left} more' if left > 0 else ''}.")
    lines += [line for line in (last.why, last.todo) if line]
    return "\n".join(lines)


def _summary(old: list[News]) -> str:
    counted: dict[str, int] = {}
    for news in old:
        counted[news.title] = counted.get(news.title, 0) + 1
    shown = [f"{title}{f' ({number} times)' if number > 1 else ''}" for title, number in counted.items()]
    left = len(shown) - _NAMES_SHOWN
    return (
        f"Not told before, since {moment(min(news.at for news in old))}: {'; '.join(shown[:_NAMES_SHOWN])}"
        f"{f'; and {left} more' if left > 0 else ''}."
    )


def _time(news: News, now: dt.datetime) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(news.at).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return now


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: max(longest - 1, 0)]}…"
