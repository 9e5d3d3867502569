"""
The scanner finds the line of every key that tomllib finds, and never raises.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatelodge.config.lines import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOCUMENTS = [
    "",
    "# only = 1\n\n",
    'a = "L1"',
    '\n\na.b . "c.d"=\t"L3" # e = 1\n',
    '[a]\nb = "L2"\n[a.c]\nd = "L4"\n[e."f.g"]\nh = "L6"',
    "[ a . 'b\\n' ]\nc = \"L2\"",
    '"a\\"]\\u00e9" = "L1"\n"" = "L2"',
    'a = """\nb = "x"\n[c]\n\\""""""\nd = "L5"',
    "a = '''\nb = 1\n'''''\nd = \"L4\"",
    'a = ["L1", # b = 1\n "L2",\n ["L3", {c = "L3"}],\n]\nd = "L5"',
    'a = { b = "L1", c.d = "L1", e = ["L1"] }\nf = { }\ng = []\nh = "L4"',
    '[[a]]\nb = "L2"\n[a.c]\nd = "L4"\n[[a]]\nb = "L6"\n[a.c]\nd = "L8"\n[[a.e]]\nf = "L10"\n[[a.e]]\nf = "L12"',
    'a = 1979-05-27 07:32:00Z\nb = -1.5e3\nc = "L3"\nd = inf\ne = 0xf\nf = "L6"',
    'a = "#"\nb = \'#\'\nc = "\\\\"\nd = "L4"',
    '[a]\r\nb = "L2"\r\nc = """x\r\ny"""\r\nd = "L5"\r\n',
    'sites."a.example" = { upstream = "L1" }\n[sites."b.example".routes."/x/"]\nupstream = "L3"\n[sites."b.example"]\ntls = "L5"',
    '[x.y]\na = "L2"\n[x]\nb = "L4"',
]


def _leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """
    Yield every key path with its value, as tomllib understood it.
    """
    if path:
        yield path, value
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _leaves(inner, (*path, key))


def _agrees(text: str) -> None:
    """
    Assert that the scanner knows the very key paths of tomllib, and the line of each value that names its own.
    """
    expected = dict(_leaves(tomllib.loads(text)))
    lines = lines_of(text)
    assert set(lines) == set(expected)
    for path, value in expected.items():
        if isinstance(value, str) and value.startswith("L"):
            assert lines[path] == int(value[1:]), path


@pytest.mark.parametrize("text", _DOCUMENTS)
def test_tricky_documents_are_followed(text: str) -> None:
    """
    Dotted and quoted keys, inline tables, arrays of tables, and strings that look like keys.
    """
    _agrees(text)


_KEYS = st.one_of(
    st.sampled_from(["a", "b-1", "3", "sites"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)
_NOISE = (" ", "\t", "  # [x] y = 1\n", "\n", "\r\n", "")


_TREES = st.dictionaries(
    _KEYS,
    st.recursive(
        st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


class _Writer:
    """
    Writes a tree of keys as TOML in random styles; each text value says `L` and the number of its line.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.text = ""
        self._draw = draw

    def table(self, node: dict[str, object], path: tuple[str, ...] = ()) -> None:
        """
        Write a table's pairs, then the tables in it under headers of their own.
        """
        later = []
        for name, inner in node.items():
            if isinstance(inner, dict) and self._draw(st.booleans()):
                later.append((name, inner))
                continue
            self._one_of("", "  ", "# c = 1\n")
            self.text += self._key(name)
            self._one_of("=", " = ", "\t= ")
            self._value(inner)
            self._one_of("\n", " # d = 2\n", "\r\n")
        for name, inner in later:
            header = (*path, name)
            self.text += "[" + self._draw(st.sampled_from([".", " . "])).join(map(self._key, header)) + "]\n"
            self.table(inner, header)

    def _one_of(self, *choices: str) -> None:
        self.text += self._draw(st.sampled_from(choices))

    def _key(self, name: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9_-]+", name) and self._draw(st.booleans()):
            return name
        if name.isprintable() and "'" not in name and self._draw(st.booleans()):
            return f"'{name}'"
        return '"' + "".join(f"\\U{ord(character):08x}" for character in name) + '"'

    def _value(self, node: object) -> None:
        if isinstance(node, list):
            self.text += "["
            for inner in node:
                self._one_of(*_NOISE)
                self._value(inner)
                self._one_of(*_NOISE)
                self.text += ","
            self._one_of(*_NOISE)
            self.text += "]"
        elif isinstance(node, dict):
            self.text += "{"
            for position, (name, inner) in enumerate(node.items()):
                self.text += f"{', ' if position else ' '}{self._key(name)} = "
                self._value(inner)
            self.text += "}"
        else:
            line = self.text.count("\n") + 1
            quotes = ('"', "'", '"""', "'''")
            self._one_of(*(f"{quote}L{line}{quote}" for quote in quotes), "1", '"""\n[a]\nb = "1""""', "true")


@st.composite
def _documents(draw: st.DrawFn) -> str:
    writer = _Writer(draw)
    writer.table(draw(_TREES))
    return writer.text


@given(_documents())
def test_random_documents_are_followed(text: str) -> None:
    """
    Whatever way a document is written, the scanner and tomllib see the same keys.
    """
    _agrees(text)


@given(st.text(st.sampled_from("ab.=[]{}\"'\\\n# ,1")))
@example('"\\1" = 1')
def test_no_text_makes_the_scanner_raise(text: str) -> None:
    """
    Text that is no TOML has no lines, or some; it is tomllib that refuses it.
    """
    assert all(1 <= line <= text.count("\n") + 1 for line in lines_of(text).values())


def test_a_key_of_many_parts_takes_no_memory() -> None:
    """
    A key with thousands of dots is not remembered in all its parts.
    """
    assert max(map(len, lines_of(".".join("a" * 3000) + " = 1"))) < 20
