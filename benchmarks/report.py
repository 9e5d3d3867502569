"""
What one run found, whole: its tables, where and when it was, and what could not be measured; as one JSON document, as Markdown and as a
picture, in a folder. It measures nothing.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from benchmarks import charts, picture, surroundings, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    The tables of a run. `missing` says by part why there is no table of it.
    """

    name: str
    surroundings: surroundings.Surroundings
    tables: Sequence[tables.Table]
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """
        Return everything as JSON has it.
        """
        return {
            "benchmark": self.name,
            "surroundings": dataclasses.asdict(self.surroundings),
            "tables": [{"title": each.title, "note": each.note, "rows": list(each.rows)} for each in self.tables],
            "missing": dict(self.missing),
        }

    def text(self) -> str:
        """
        Return the tables for a terminal, and what is missing.
        """
        missing = "".join(f"\n{part} is missing: {why}\n" for part, why in self.missing.items())
        return "\n".join(map(tables.text, self.tables)) + missing

    def markdown(self) -> str:
        """
        Return the tables and where they come from as a page.
        """
        missing = [f"{part} is missing: {why}\n" for part, why in self.missing.items()]
        head = [f"# {self.name}\n", f"{surroundings.words(self.surroundings)}.\n"]
        return "\n".join([*head, *map(tables.markdown, self.tables), *missing])

    def svg(self) -> str:
        """
        Return the picture; an empty text when there is nothing to draw.
        """
        drawn = [group for each in self.tables for group in charts.groups(each)]
        return picture.draw(self.name, drawn, note=surroundings.words(self.surroundings)) if drawn else ""

    def write(self, folder: Path) -> None:
        """
        Write NAME.json, NAME.md and, where there is something to draw, NAME.svg.
        """
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            "json": json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n",
            "md": self.markdown(),
            "svg": self.svg(),
        }
        for kind, content in files.items():
            if content:
                (folder / f"{self.name}.{kind}").write_text(content, encoding="utf-8")
