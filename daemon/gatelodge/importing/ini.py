"""
Reads the files of certbot and its plugins: the dialect of ConfigObj, as far as they use it.

What cannot be understood is left out; nothing is evaluated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Sections by their names from the outermost inwards; `()` is what stands before any.
Sections: TypeAlias = "Mapping[tuple[str, ...], Mapping[str, str]]"

_SECTION = re.compile(r"(?P<open>\[+)\s*(?P<name>[^\[\]]+?)\s*(?P<close>\]+)\s*(?:#.*)?")
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<text>.*?)(?P=quote)""")
_COMMENT = re.compile(r"(?:(?<=\s)|\A)[#;].*\Z", re.DOTALL)

#: No line that certbot writes is longer; what is, could only waste time here.
_LONGEST = 4096


def sections(text: str) -> Sections:
    """
    Return the values of each section. Of a key that is there twice, the last counts, as in certbot's own reading it would be an error.
    """
    here: tuple[str, ...] = ()
    found: dict[tuple[str, ...], dict[str, str]] = {(): {}}
    for line in re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")):
        stripped = line.strip(" \t")
        if not stripped or stripped[0] in "#;" or len(stripped) > _LONGEST:
            continue
        head = _SECTION.fullmatch(stripped)
        if head is not None:
            depth = len(head["open"])
            if len(head["close"]) == depth <= len(here) + 1:
                here = (*here[: depth - 1], _unquoted(head["name"]))
                found.setdefault(here, {})
            continue
        name, equals, value = stripped.partition("=")
        if equals:
            found[here][_unquoted(name.strip())] = _value(value.strip())
    return found


def flat(text: str) -> Mapping[str, str]:
    """
    Return the values of a file of credentials, which has no sections, with `-` in keys as `_` and the plugin's old prefix gone.
    """
    every = sections(text)
    return {
        name.rpartition(":")[2].replace("-", "_").lower(): value
        for values in every.values()
        for name, value in values.items()
    }


def items(value: str) -> tuple[str, ...]:
    """
    Return the elements of a list: `a, b,`.
    """
    return tuple(part for each in value.split(",") if (part := _unquoted(each.strip())))


def _value(text: str) -> str:
    quoted = _QUOTED.match(text)
    if quoted is not None and re.fullmatch(r"\s*(?:[#;].*)?", text[quoted.end() :]):
        return quoted["text"]
    return _COMMENT.sub("", text).strip()


def _unquoted(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    return quoted["text"] if quoted else text
