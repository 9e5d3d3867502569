"""
Remembers across restarts of the daemon from which program the running nginx was started, which tree it was last given, and when.

What it remembers is of one process only: for any other, nothing is known.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from gatelodge import durable
from gatelodge.core import moments
from gatelodge.errors import StateError
from gatelodge.nginx.binary import Program

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from gatelodge.nginx.process import Process

FORMAT = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """
    A master, its program (None when an older Gatelodge wrote this), the generation it was given, and when it was reloaded, if it
    ever was.
    """

    pid: int = 0
    started: int = 0
    generation: int = 0
    program: Program | None = None
    reloaded_at: dt.datetime | None = None

    def of(self, master: Process | None) -> Remembered:
        """
        Return what is known of a master, which is nothing when another one is remembered.
        """
        return self if master and (self.pid, self.started) == (master.pid, master.started) else Remembered()


class Memory:
    """
    The file at `path`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self) -> Remembered:
        """
        Return what is remembered.

        Raises:
            StateError: a newer Gatelodge wrote it.
        """
        try:
            document = json.loads(durable.read(self._path))
            if document["format"] > FORMAT:
                raise StateError(str(self._path), "it was written by a newer Gatelodge", "install that version again")
            reloaded_at = document["reloaded_at"]
            return Remembered(
                pid=document["pid"],
                started=document["started"],
                generation=document["generation"],
                program=_program(document.get("program")),
                reloaded_at=moments.read(reloaded_at) if reloaded_at is not None else None,
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return Remembered()

    def write(self, remembered: Remembered) -> None:
        """
        Write down what nginx was given.

        Raises:
            StateError: it cannot be written.
        """
        document = {
            "format": FORMAT,
            "pid": remembered.pid,
            "started": remembered.started,
            "generation": remembered.generation,
            "program": dataclasses.asdict(remembered.program) if remembered.program else None,
            "reloaded_at": remembered.reloaded_at.isoformat() if remembered.reloaded_at else None,
        }
        with durable.translated(self._path):
            durable.replace(self._path, json.dumps(document).encode(), beside=self._path.with_name(".running"))


def _program(document: dict[str, Any] | None) -> Program | None:
    if document is None:
        return None
    major, minor, patch = document["version"]
    return Program(
        path=document["path"],
        inode=document["inode"],
        changed=document["changed"],
        version=(major, minor, patch),
    )
