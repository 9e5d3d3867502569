"""
The kinds of value by which it is said whom events are told.
"""

import re
from typing import Annotated, TypeAlias

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.suggest import nearest
from gatelodge.config.values.leaf import choice, text
from gatelodge.model.events import EVENTS
from gatelodge.model.log import Level
from gatelodge.model.outbox import matches

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _event(given: str) -> str:
    """
    Read the name of an event, or a pattern that some event has.
    """
    if any(matches(event, (given,)) for event in EVENTS):
        return given
    meant = nearest(given, list(EVENTS))
    raise Unreadable(
        f"{quoted(given)} is no event",
        f"did you mean {quoted(meant)}?"
        if meant
        else 'docs/events.md lists them; write "certificate.*" for all of a kind',
    )


def _name(given: str) -> str:
    if not _NAME.fullmatch(given):
        raise Unreadable(f"{quoted(given)} cannot be a name", 'use letters, digits, ".", "-" and "_"')
    return given


EventName: TypeAlias = Annotated[
    str, text(_event, "the name of an event", examples=["certificate.renewed", "certificate.*"])
]
TargetName: TypeAlias = Annotated[str, text(_name, "a name", examples=["phone"])]
LevelWord: TypeAlias = Annotated[Level, choice(Level)]
