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
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Part = TypeVar("_Part")


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


class _Presets(Mapping[str, Preset]):
    """
    Presets by their names, in order; each file is read when it is asked for, since a configuration names one or two of them.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {file.stem: file for file in sorted(folder.glob("*.toml"))}
        self._read: dict[str, Preset] = {}

    def __getitem__(self, name: str) -> Preset:
        if name not in self._read:
            self._read[name] = _read(self._files[name])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


class Told(Mapping[str, _Part]):
    """
    One thing of each preset, by the preset's name.
    """

    def __init__(self, presets: Mapping[str, Preset], tell: Callable[[Preset], _Part]) -> None:
        self._presets = presets
        self._tell = tell

    def __getitem__(self, name: str) -> _Part:
        return self._tell(self._presets[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._presets)

    def __len__(self) -> int:
        return len(self._presets)


@functools.cache
def load() -> Mapping[str, Preset]:
    """
    Return every preset by its name, in the order of names.
    """
    return _Presets(Path(__file__).parent)


def _read(file: Path) -> Preset:
    table: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    return Preset(**{"site": {}, **table, "name": file.stem, "sources": tuple(table["sources"])})


def filled(note: str, *, host: str, authority: str) -> str:
    """
    Return a note for a site, as `Preset` says.
    """
    for word, value in {"{host}": host, "{authority}": authority, "{url}": f"https://{authority}"}.items():
        note = note.replace(word, value)
    return note.strip("\n")
