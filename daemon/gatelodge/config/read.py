"""
Decides what the text of a configuration file means: TOML, then `parse`, with the line of each mistake.

It is given text and reads no file.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from gatelodge.config.catalog import BUILT_IN
from gatelodge.config.lines import lines_of
from gatelodge.config.parse import parse
from gatelodge.errors import ConfigError
from gatelodge.model import Mistake

if TYPE_CHECKING:
    from gatelodge.config.catalog import Catalog
    from gatelodge.config.shape import Config

_PLACE = re.compile(r" \(at (?:line (?P<line>[0-9]+), column (?P<column>[0-9]+)|end of document)\)\Z")

#: What helps, by what tomllib says.
_REMEDIES = (
    (
        "Invalid value",
        'put text in quotes: key = "text"; true, false and numbers stand without; close every list with ]',
    ),
    (
        "Expected '=' after a key",
        'a key with other characters than letters, digits, "-", "_" stands in quotes: "/path/" = …',
    ),
    (
        "Invalid initial character for a key",
        'names with "*", "/" and the like stand in quotes: "*.example.com", "/path/"',
    ),
    ("Invalid statement", 'begin a line with a key, a [table] or a #; put names with "*" or "/" in quotes'),
    ("Cannot overwrite a value", "this key or table is there already; keep one of the two"),
    ("Cannot declare", "this table is there already; put its keys together under one header"),
    ("Cannot mutate immutable", "this table was closed by its }; put all of its keys between the braces"),
    ("Duplicate inline table key", "this key is there already; keep one of the two"),
    ("Unclosed array", "close the list with ]"),
    ("Unescaped '\\'", "in double quotes a backslash is written \\\\; in single quotes it stands for itself"),
    ("Illegal character", "close the quotes on the same line, and leave control characters out"),
    ("Unterminated string", "close the quotes"),
    ("Expected newline or end of document", "write one key a line, and nothing after its value but a # comment"),
    ("Expected ']'", "close the table header with ]; put names with other characters in quotes"),
)


def read(text: str, file: str | None = None, catalog: Catalog = BUILT_IN) -> Config:
    """
    Return the configuration that TOML text holds.

    Args:
        text: the contents of the file.
        file: its name, for the mistakes.
        catalog: what may be named without being defined.

    Raises:
        ConfigError: it is not TOML, or holds mistakes; they are all in it, with their lines.
    """
    text = text.removeprefix("\ufeff")
    try:
        mapping = tomllib.loads(text)
    except ValueError as error:
        raise ConfigError((_not_toml(str(error)),), file) from None
    except RecursionError:
        raise ConfigError((_not_toml("lists or tables lie too deep within one another"),), file) from None
    try:
        return parse(mapping, catalog, lines=lines_of(text))
    except ConfigError as error:
        raise ConfigError(error.mistakes, file) from None


def _not_toml(said: str) -> Mistake:
    """
    Write what tomllib said as a mistake.
    """
    place = _PLACE.search(said)
    what = said[: place.start()] if place else said
    column = f", column {place['column']}" if place and place["column"] else ""
    return Mistake(
        path="",
        problem=f"not TOML{column}: {what}",
        remedy=next(
            (remedy for sign, remedy in _REMEDIES if sign in said), "see https://toml.io for how it is written"
        ),
        line=int(place["line"]) if place and place["line"] else None,
    )
