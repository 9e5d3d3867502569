"""
What a well-known app needs of the site before it: one TOML file for each, named as `preset` names it.

A preset is a part of a site, in the very keys of the configuration, and a note on what is to be set in the app itself. Everything
in it is stated in the app's own documentation, which `sources` names. It says how an app is served, never where it is or who may
come: the user's own keys win over it, and no preset opens a path behind a login that the app does not guard by itself or show to
everybody on purpose. This package reads its own files and nothing else, and imports nothing of the daemon.
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
import types
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

_SUFFIX = ".toml"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """
    An app as its file states it.

    `upstream` is an example of what users write, with the app's usual port. In `note`, `{host}` stands for the site's host,
    `{authority}` for it with the visitor's port when that is not 443, and `{url}` for https:// and the authority. They are to be
    replaced as they stand, by `str.replace`: other braces in a note are the app's own. `site` is what `tomllib` made of the
    table: it belongs to all who loaded it, and is not to be changed.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    upstream: str
    note: str
    site: Mapping[str, object]


@functools.cache
def load() -> Mapping[str, Preset]:
    """
    Return every preset by its name, in the order of names. The files are read once.
    """
    files = sorted((each for each in resources.files(__name__).iterdir() if each.name.endswith(_SUFFIX)), key=_name)
    return types.MappingProxyType({_name(each): _read(each) for each in files})


def filled(note: str, *, host: str, authority: str) -> str:
    """
    Return a note for a site, as `Preset` says.
    """
    for word, value in {"{host}": host, "{authority}": authority, "{url}": f"https://{authority}"}.items():
        note = note.replace(word, value)
    return note.strip("\n")


def _name(file: Traversable) -> str:
    return file.name.removesuffix(_SUFFIX)


def _read(file: Traversable) -> Preset:
    table: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    return Preset(**{"site": {}, **table, "name": _name(file), "sources": tuple(table["sources"])})
