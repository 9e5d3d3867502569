"""
Tells of the parts of a tree, sites and streams, that are kept back and let go again. It decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core.parts import called

if TYPE_CHECKING:
    import datetime as dt

    from gatelodge.ports import Events


def tell_kept_back(
    events: Events, part: str, *, why: str, last_good: bool = False, retry_at: dt.datetime | None = None
) -> None:
    """
    Say that a part is not served as it is asked for, and what visitors get instead.
    """
    kind, name = called(part)
    more = {"retry_at": retry_at.isoformat()} if retry_at else {}
    if kind == "site":
        serving = "its last good configuration" if last_good else "503"
        events.emit("site.quarantined", level="error", site=name, error__detail=why, serving=serving, **more)
    else:
        serving = "its last good configuration" if last_good else "nothing"
        events.emit("stream.quarantined", level="error", stream=name, error__detail=why, serving=serving, **more)


def tell_released(events: Events, part: str) -> None:
    """
    Say that a part is served as it is asked for again.
    """
    kind, name = called(part)
    if kind == "site":
        events.emit("site.released", site=name)
    else:
        events.emit("stream.released", stream=name)
