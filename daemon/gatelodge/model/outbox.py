"""
Whom events are told: services that messages are sent to, and programs that are run.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.model.log import Level

if TYPE_CHECKING:
    from gatelodge.model.secret import SecretRef


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """
    `[[notify]]`: a service that messages are sent to. `events` are names or patterns, empty for what people usually want to know; of these, what is less
    than `level` is not told.
    """

    name: str
    url: SecretRef
    events: tuple[str, ...] = ()
    level: Level = Level.INFO


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """
    `[[hook]]`: a program that is run for each event of some names or patterns.
    """

    name: str
    events: tuple[str, ...]
    command: tuple[str, ...]
    timeout: dt.timedelta = dt.timedelta(minutes=1)


def matches(event: str, patterns: tuple[str, ...]) -> bool:
    """
    Tell whether an event is one of some names: in full, the beginning with `.*`, or `*` for all.
    """
    return any(
        pattern in ("*", event) or (pattern.endswith(".*") and event.startswith(pattern[:-1])) for pattern in patterns
    )
