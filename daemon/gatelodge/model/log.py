"""
How events are kept and shown: what `[log]` says.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum


class Level(enum.StrEnum):
    """
    How much an event concerns a person, the least first.
    """

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """
        The place among the levels, for comparing.
        """
        return list(Level).index(self)


class LogFormat(enum.StrEnum):
    """
    What stderr gets: text for people, JSON for programs, or text at a terminal and else JSON.
    """

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """
    `keep` and `max_size` (bytes) bound what is kept on disk; `format` and `level` (the least that is shown) are stderr's alone.
    """

    keep: dt.timedelta = dt.timedelta(days=90)
    max_size: int = 24 << 20
    format: LogFormat = LogFormat.AUTO
    level: Level = Level.INFO
