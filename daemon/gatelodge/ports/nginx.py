"""
The nginx behind which everything happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gatelodge.core.observed import Nginx as NginxObserved
    from gatelodge.core.tree import Rendered


class Nginx(Protocol):
    """
    The nginx behind which everything happens, and the trees it is given.

    Never two calls that change it at once: the caller keeps to one job for nginx.
    """

    async def observe(self) -> NginxObserved:
        """
        Return what is there and what runs. Never raises for a missing or dead nginx: that is something observed.
        """
        ...

    async def apply(self, rendered: Rendered, *, progress: Callable[[str], None] = lambda _: None) -> int:
        """
        Make nginx serve a tree: stage it under a new number, test, swap, start or reload, prove. Returns the number.

        Durable and all or nothing: on any failure, cancellation included, what was proven before is current again and served.

        Args:
            progress: told what it is at, for people.

        Raises:
            NginxMissing: there is no nginx.
            NginxRefused: nginx said no; the staged tree is gone.
            NginxUnproven: it did not come to serve the tree in time; the one before is back.
            StateError: the tree could not be written.
        """
        ...

    async def roll_back(self) -> None:
        """
        Make the last proven tree current, and reload a running nginx with it; without a proven one, nothing is current.

        Raises: as `apply`.
        """
        ...

    async def start(self) -> None:
        """
        Start nginx on the current tree. Returns once it listens. Nothing happens when it runs.

        Raises:
            NginxMissing: there is no nginx.
            NginxRefused: it did not start.
        """
        ...

    async def stop(self, *, grace: float) -> None:
        """
        Stop nginx gracefully (QUIT), after `grace` seconds at once (TERM). Nothing happens when it does not run.
        """
        ...

    async def exited(self) -> None:
        """
        Return when a running nginx has ended. Waits while none runs.
        """
        ...

    async def prune(self, generations: Iterable[int]) -> None:
        """
        Delete trees. The current and the last proven one are never deleted by this.
        """
        ...

    async def site_text(self, site: str) -> str | None:
        """
        Return a site's text (by its file name) in the last proven tree, or None.
        """
        ...
