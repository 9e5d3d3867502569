"""
What the doctor says: one thing that was seen, how bad it is, why it matters and what to do. Field names are an interface.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatelodge.model import JsonObject


#: Characters of what was seen that are told: others wrote a part of it.
_LONGEST = 600


class Level(enum.StrEnum):
    """
    How bad it is, the worst first: visitors or renewals suffer (`broken`), or will (`warning`); worth knowing, or not to be seen from
    here (`note`); as it should be (`ok`).
    """

    BROKEN = "broken"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    `subject` is the name, file or provider that it is about. `why` and `do` are empty where all is well.
    """

    check: str
    level: Level
    subject: str
    seen: str
    why: str = ""
    do: str = ""

    def document(self) -> JsonObject:
        """
        Return it as a JSON object.
        """
        return {
            "check": self.check, "level": str(self.level), "subject": self.subject,
            "seen": self.seen, "why": self.why, "do": self.do,
        }  # fmt: skip


class Findings:
    """
    Takes down what one check finds, as it finds it: what was seen stays when the check runs out of time.
    """

    def __init__(self, check: str) -> None:
        self.check = check
        self.all: list[Finding] = []

    def ok(self, subject: str, seen: str) -> None:
        """
        Say that something is as it should be.
        """
        self._add(Level.OK, subject, seen, "", "")

    def note(self, subject: str, seen: str, *, why: str = "", do: str = "") -> None:
        """
        Say what is worth knowing.
        """
        self._add(Level.NOTE, subject, seen, why, do)

    def warn(self, subject: str, seen: str, *, why: str, do: str) -> None:
        """
        Say what will go wrong.
        """
        self._add(Level.WARNING, subject, seen, why, do)

    def broken(self, subject: str, seen: str, *, why: str, do: str) -> None:
        """
        Say what is wrong.
        """
        self._add(Level.BROKEN, subject, seen, why, do)

    def unseen(self, subject: str, seen: str, *, do: str = "") -> None:
        """
        Say what could not be looked at from here, which is no fault by itself.
        """
        self._add(Level.NOTE, subject, seen, "so nothing can be said of it from here", do)

    def _add(self, level: Level, subject: str, seen: str, why: str, do: str) -> None:
        if len(seen) > _LONGEST:
            seen = f"{seen[:_LONGEST].rsplit(' ', 1)[0]} …"
        self.all.append(Finding(check=self.check, level=level, subject=subject, seen=seen, why=why, do=do))
