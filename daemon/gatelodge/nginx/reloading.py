"""
How somebody else's nginx is given a tree: the port between the adapter that knows trees and the ways to reach that nginx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gatelodge.core.tree import Capabilities


class Reloading(Protocol):
    """
    A way to reach an nginx that others run. Of all that write `current`, there is only one at a time.
    """

    def find(self) -> Capabilities:
        """
        Say what that nginx can do, and where it is. Blocks for a moment, never for long.

        Raises:
            NginxMissing: it cannot be asked.
        """
        ...

    def current(self) -> int | None:
        """
        Return the number of the tree that is current, None when none is.
        """
        ...

    def entry(self) -> str:
        """
        Return what his configuration must include, as it stands in an `include`.
        """
        ...

    async def load(self, number: int | None) -> str:
        """
        Make a tree current, or none, and have nginx test its whole configuration and reload. Returns what the test said.

        Raises:
            NginxRefused: it said no; what was current before is again.
            NginxMissing: it could not be asked. What was current may be or not: the caller looks.
        """
        ...
