"""
Draws figures as horizontal bars, in SVG that can be read by day and by night: a bar for each row, groups below one another, ours in
a colour of its own. Plain text is written; no library draws.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDTH = 910
_LEFT = 230
_LONGEST = 380
_LINE = 22
_BAR = 14
_GAP = 8
_TITLE = 34
_HEADING = 30
_NOTE = 18
_NOTE_LETTERS = 140

#: Pixels for what stands beside the longest bar, and before all bars.
ROOM_FOR_TEXT = _WIDTH - _LEFT - _LONGEST - _GAP
ROOM_FOR_LABELS = _LEFT - _GAP

_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 17px; font-weight: 600 }
.heading { font-weight: 600 }
.note { font-size: 11px; fill: #57606a }
.label { text-anchor: end }
.ours { fill: #1a7f37 }
.others { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note { fill: #9198a1 }
  .ours { fill: #3fb950 }
  .others { fill: #6e7681 }
}
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """
    One figure. `text` is what stands beside its bar.
    """

    label: str
    value: float
    text: str
    ours: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """
    Figures that are compared with one another. Its longest bar takes all the room.
    """

    heading: str
    bars: tuple[Bar, ...]


def draw(title: str, groups: Sequence[Group], *, note: str) -> str:
    """
    Return the picture as an SVG document.
    """
    body: list[str] = []
    y = _TITLE
    body.append(_text(title, 16, y - 10, "title"))
    for group in groups:
        y += _HEADING
        body.append(_text(group.heading, 16, y - 8, "heading"))
        largest = max((bar.value for bar in group.bars), default=0.0) or 1.0
        for bar in group.bars:
            body += _bar(bar, y, bar.value / largest)
            y += _LINE
    y += _NOTE
    for line in _folded(note):
        body.append(_text(line, 16, y, "note"))
        y += _NOTE
    size = f'width="{_WIDTH}" height="{y}" viewBox="0 0 {_WIDTH} {y}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", f"<style>\n{_STYLE}</style>", *body, "</svg>\n"])


def _bar(bar: Bar, y: int, share: float) -> Iterable[str]:
    width = max(1.0, share * _LONGEST)
    kind = "ours" if bar.ours else "others"
    yield _text(bar.label, _LEFT - _GAP, y + _BAR - 2, "label")
    yield f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
    yield _text(bar.text, _LEFT + width + _GAP, y + _BAR - 2, "value")


def _text(text: str, x: float, y: float, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'


def _folded(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= _NOTE_LETTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
