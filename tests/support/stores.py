"""
A store of certificates on disk, as tests open it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.certificates import spec
from tests.support.clock import FakeClock

from gatelodge.stores.directory import DirectoryStore

if TYPE_CHECKING:
    from pathlib import Path

WIKI = spec("wiki.example.com")


def opened(folder: Path, **more: object) -> DirectoryStore:
    """
    A store that knows nothing yet, as after a start.
    """
    return DirectoryStore(directory=str(folder), clock=FakeClock(), **more)


def leftovers(folder: Path) -> list[Path]:
    """
    What unfinished work left behind.
    """
    return list(folder.rglob(".*"))


def everything(folder: Path) -> list[str]:
    """
    All paths below a folder.
    """
    return sorted(str(each) for each in folder.rglob("*"))
