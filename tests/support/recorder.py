"""
Events, kept for looking at.
"""

from __future__ import annotations


class Recorder:
    """
    Implements `ports.Events`.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        self.events.append(
            (event, {"level": level, **{name.replace("__", "."): value for name, value in fields.items()}})
        )

    def names(self) -> list[str]:
        """
        Return the events' names, in order.
        """
        return [name for name, _ in self.events]

    def of(self, event: str) -> list[dict[str, object]]:
        """
        Return the fields of all events of one name.
        """
        return [fields for name, fields in self.events if name == event]
