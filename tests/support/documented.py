"""
Whether an event that is emitted stands in the table of events. In tests an event that does not is a failure; the daemon itself never looks.
"""

from __future__ import annotations

from gatelodge.model.events import COMMON, EVENTS, LOG_ERROR


def undocumented(name: str, level: str, fields: set[str]) -> str | None:
    """
    Say what of an event is not in the table; None when all of it is.
    """
    if name not in EVENTS:
        return f"{name} is not in model/events.py"
    event = EVENTS[name]
    if level not in event.levels:
        return f"{name} is {', '.join(event.levels)} in model/events.py, and is told as {level}"
    unknown = fields - {*event.fields, *COMMON, LOG_ERROR}
    return f"{name} has no {', '.join(sorted(unknown))} in model/events.py" if unknown else None
