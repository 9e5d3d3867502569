"""
What can be seen from here of what a CA looks for: never a reason not to ask it, and worth telling beside what it says.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gatelodge.ports.issuing import Challenge


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    What was seen, in words. `explains`: it is reason enough for a CA not to find what it looked for, so that somebody has to mend
    something before it can.
    """

    text: str
    explains: bool


class Adviser(Protocol):
    """
    Looks at what a CA looks at.
    """

    async def look(self, challenge: Challenge) -> Finding | None:
        """
        Say what is seen of an answer that is visible now; None when nothing could be found out in a few seconds. Never raises.
        """
        ...
