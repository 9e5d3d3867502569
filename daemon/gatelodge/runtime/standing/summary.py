"""
Says in one line of plain words how things stand, for whoever looks at the service. Pure.

What is wrong comes first, with the kind of the problem and when it is tried again; the details are in the events. It decides
nothing, and says nothing that is secret: names, kinds and times only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core import asking
from gatelodge.core.due import due
from gatelodge.core.renewal import alarm
from gatelodge.model import INTERNAL_HOST

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from gatelodge.core.observed import Attempt
    from gatelodge.runtime.look import Look

_HOUR = 3600
_DAY = 24 * _HOUR


def summary(look: Look, now: dt.datetime) -> str:
    """
    Say how things stand, in local time.
    """
    return "; ".join([*_nginx(look, now), *_certificates(look, now), *_sites(look), _counts(look), *_next(look, now)])


def _nginx(look: Look, now: dt.datetime) -> Iterator[str]:
    nginx = look.observed.nginx
    failed = [attempt for tries, attempt in look.observed.attempts.items() if tries.startswith("nginx/")]
    if nginx.missing is not None:
        yield "there is no nginx to run"
    elif failed:
        state = "nginx does not run" if nginx.running is None else "nginx goes on as it was"
        yield f"{state}: {_failure(failed[-1], now)}"


def _certificates(look: Look, now: dt.datetime) -> Iterator[str]:
    """
    Name the certificate whose next try comes first, and count the others.
    """
    if look.observed.doubt is not None:
        yield look.observed.doubt.reason
    attempts = look.observed.attempts
    failed = [
        (attempt, name)
        for name in look.gate.desired.certificates
        if name != INTERNAL_HOST and (attempt := asking.latest(attempts, name)) is not None
    ]
    if failed:
        attempt, name = min(failed, key=lambda each: each[0].retry_at)
        others = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        yield f"{name} failed: {_failure(attempt, now)}{others}"
    yield from _ending(look, now)


def _ending(look: Look, now: dt.datetime) -> Iterator[str]:
    """
    Name the certificate of the user's own that ends first, once it is time to bring another.
    """
    held = [each for name, each in look.observed.held.items() if name in look.gate.desired.brought and each.brought]
    first = min(held, key=lambda each: each.not_after, default=None)
    if first and alarm(not_before=first.not_before, not_after=first.not_after, now=now, brought=True):
        ended = first.not_after <= now
        yield f"{first.name}, which you bring, {'has ended' if ended else f'ends {_in(first.not_after - now)}'}"


def _sites(look: Look) -> Iterator[str]:
    desired = look.gate.desired
    quarantined = [
        *sorted(site.name for site in desired.sites if site.file_name in look.kept_back),
        *sorted(f"the stream {stream.name}" for stream in desired.streams if stream.part in look.kept_back),
    ]
    if quarantined:
        yield f"nginx refused {', '.join(quarantined)}"


def _counts(look: Look) -> str:
    held = look.observed.held
    real = [
        name
        for name in look.gate.desired.certificates
        if name != INTERNAL_HOST and name in held and not held[name].placeholder
    ]
    desired = look.gate.desired
    streams = [_many(len(desired.streams), "stream")] if desired.streams else []
    return ", ".join([_many(len(desired.sites), "site"), *streams, _many(len(real), "certificate")])


def _next(look: Look, now: dt.datetime) -> Iterator[str]:
    coming = [
        (due(held, look.observed.renewals)[0], name)
        for name, held in look.observed.held.items()
        if name in look.gate.desired.certificates and not (held.placeholder or held.brought) and name != INTERNAL_HOST
    ]
    if coming:
        at, name = min(coming)
        yield f"next renewal {name} {_in(at - now)}"


def _failure(attempt: Attempt, now: dt.datetime) -> str:
    """
    Name the kind of problem; its text can be long, and stands in the events.
    """
    at = attempt.retry_at.astimezone()
    day = "" if at.date() == now.astimezone().date() else f"{at:%Y-%m-%d} "
    return f"{attempt.problem.type}; next try {day}{at:%H:%M}"


def _in(left: dt.timedelta) -> str:
    """
    Say how far off something is, so coarsely that it changes rarely.
    """
    seconds = left.total_seconds()
    if seconds >= 2 * _DAY:
        return f"in {int(seconds / _DAY)} days"
    return f"in {_many(int(seconds / _HOUR), 'hour')}" if seconds >= _HOUR else "within the hour"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
