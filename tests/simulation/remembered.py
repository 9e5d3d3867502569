"""
What comes out the same each time is worked out once: in the place of what the daemon does over and over stand copies with a memory.

A version's files and a chain are understood from what is in them alone, and over years they are read thousands of times. The store looks at
all of its files in each pass; while nothing moved on the disk, it would find what it found before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import weakref
from typing import TYPE_CHECKING

from gatelodge.stores import contents
from gatelodge.stores.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gatelodge.core.observed import Held
    from gatelodge.ports import Index, Issued

#: So many results are kept of each.
_KEPT = 2000


@contextlib.contextmanager
def remembered(moves: Callable[[], int]) -> Iterator[None]:
    """
    Have them remember inside the context.

    Args:
        moves: counts what may have changed something about the versions on the disk: no file of a version changes but with its folder.
    """
    before = contents.understand, DirectoryStore._index, DirectoryStore._read
    understand, index, read = before
    memories: weakref.WeakKeyDictionary[DirectoryStore, _Memory] = weakref.WeakKeyDictionary()

    @functools.lru_cache(maxsize=_KEPT)
    def understood(
        files: tuple[tuple[str, bytes], ...], name: str, version: int, directory: str
    ) -> tuple[Held, Issued]:
        return understand(dict(files), name=name, version=version, directory=directory)

    def quickly(files: Mapping[str, bytes], *, name: str, version: int, directory: str) -> tuple[Held, Issued]:
        return understood(tuple(files.items()), name, version, directory)

    def memory(store: DirectoryStore) -> _Memory:
        found = memories.get(store)
        if found is None or found.moves != moves():
            found = memories[store] = _Memory(moves=moves())
        return found

    def indexed(store: DirectoryStore) -> Index:
        known = memory(store)
        # What the store was told to doubt is not among what it knows.
        if known.index is None or known.names != len(store._known):
            found = index(store)
            if found.closed:
                return found
            known = memory(store)
            known.index, known.names = found, len(store._known)
        return known.index

    def read_once(store: DirectoryStore, name: str, version: int) -> Issued:
        known = memory(store)
        if (name, version) not in known.read:
            known.read[name, version] = read(store, name, version)
        return known.read[name, version]

    contents.understand, DirectoryStore._index, DirectoryStore._read = quickly, indexed, read_once  # type: ignore[method-assign]
    try:
        yield
    finally:
        contents.understand, DirectoryStore._index, DirectoryStore._read = before  # type: ignore[method-assign]


@dataclasses.dataclass(slots=True)
class _Memory:
    """
    What a store found on the disk as it is since so many moves.
    """

    moves: int
    index: Index | None = None
    names: int = 0
    read: dict[tuple[str, int], Issued] = dataclasses.field(default_factory=dict)
