"""
The picture is an SVG that any browser reads, and its bars are as long as what they stand for.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from benchmarks import picture
from benchmarks.picture import Bar, Group

_SVG = "{http://www.w3.org/2000/svg}"

GROUPS = [
    Group(
        heading="1 < 2 & more",
        bars=(Bar(label="gatelodge", value=2, text="2 s", ours=True), Bar(label="<Caddy>", value=8, text="8 s")),
    ),
    Group(heading="nothing failed", bars=(Bar(label="x", value=0, text="0"), Bar(label="y", value=0, text="0"))),
]


@pytest.fixture
def drawn() -> ET.Element:
    """
    The picture of `GROUPS`, read back.
    """
    return ET.fromstring(picture.draw("A & B", GROUPS, note="word " * 60))  # noqa: S314 - our own


def test_it_says_everything(drawn: ET.Element) -> None:
    """
    Whatever is in the words.
    """
    texts = [each.text for each in drawn.iter(f"{_SVG}text")]

    assert texts[:6] == ["A & B", "1 < 2 & more", "gatelodge", "2 s", "<Caddy>", "8 s"]
    assert drawn.findtext(f"{_SVG}title") == "A & B"


def test_bars_are_in_proportion_within_their_group(drawn: ET.Element) -> None:
    """
    Ours has a colour of its own; what is nothing can be seen.
    """
    bars = list(drawn.iter(f"{_SVG}rect"))
    ours, caddys, *nothing = (float(each.attrib["width"]) for each in bars)

    assert ours == pytest.approx(caddys / 4)
    assert nothing == [1.0, 1.0]
    assert [each.attrib["class"] for each in bars] == ["ours", "others", "others", "others"]


def test_everything_is_within_the_frame(drawn: ET.Element) -> None:
    """
    Nothing is lower than the picture is high, and nothing stands on something else.
    """
    height = float(drawn.attrib["height"])
    lines = [(float(each.attrib["y"]), each.attrib["class"]) for each in drawn.iter(f"{_SVG}text")]
    ends = [float(each.attrib["x"]) + float(each.attrib["width"]) for each in drawn.iter(f"{_SVG}rect")]

    assert max(y for y, _ in lines) < height
    assert max(ends) < float(drawn.attrib["width"])
    labels = [y for y, kind in lines if kind in {"label", "heading", "note", "title"}]
    assert labels == sorted(set(labels))


def test_a_long_note_is_folded(drawn: ET.Element) -> None:
    """
    Between words, and nothing of it is lost.
    """
    notes = [each.text or "" for each in drawn.iter(f"{_SVG}text") if each.attrib["class"] == "note"]

    assert len(notes) == 3
    assert " ".join(notes).split() == ["word"] * 60
