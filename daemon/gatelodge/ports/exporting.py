"""
Copies of certificates for other programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatelodge.core.observed import Exported, Held
    from gatelodge.model import Export
    from gatelodge.ports.stores import Issued


class Exporter(Protocol):
    """
    Writes copies, and knows which are whole.
    """

    async def look(self, exports: Iterable[Export]) -> Mapping[str, Exported]:
        """
        Return the copies that are there as they were written, by mark. Cheap when nothing has changed.

        Raises:
            StateError: what was written cannot be known.
        """
        ...

    async def export(self, held: Held, issued: Issued, export: Export) -> None:
        """
        Write a copy, then run its program. When this returns, both are done; done again, nothing is lost.

        Raises:
            ExportError: it could not be written, and what was there may be a part of the new one; or its program failed.
            StateError: it is done, and that cannot be remembered.
        """
        ...
