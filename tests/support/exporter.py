"""
Copies of certificates that are kept in memory, with programs that may fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core.observed import Exported
from gatelodge.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatelodge.core.observed import Held
    from gatelodge.model import Export
    from gatelodge.ports import Issued


class FakeExporter:
    """
    Implements `ports.Exporter`. `written` holds what lies in each place, `told` the places whose program ran; while something is `broken`, nothing works.
    """

    def __init__(self) -> None:
        self.broken = False
        self.written: dict[str, str] = {}
        self.told: list[str] = []
        self._made: dict[str, tuple[Exported, str]] = {}

    async def look(self, exports: Iterable[Export]) -> Mapping[str, Exported]:
        return {
            export.mark: self._made[export.mark][0]
            for export in exports
            if export.mark in self._made and self.written.get(export.place) == self._made[export.mark][1]
        }

    async def export(self, held: Held, issued: Issued, export: Export) -> None:
        self._made.pop(export.mark, None)
        if self.broken:
            raise ExportError(export.place, "it is broken", "mend it")
        self.written[export.place] = issued.chain
        if export.command:
            if export.command[0].endswith("false"):
                raise ExportError(export.place, "its program failed", "run it by hand")
            self.told.append(export.place)
        self._made[export.mark] = (Exported(content=held.content, digest=export.digest), issued.chain)
