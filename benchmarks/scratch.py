"""
Folders for measurements, gone afterwards. nginx's workers are not root and serve tokens from below, so all may pass.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """
    Make a folder for the time of the context.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-bench-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@contextlib.contextmanager
def folders() -> Iterator[Callable[[], Path]]:
    """
    Yield what makes a folder for each of several measurements. All stay until the end of the context: who makes files on ext4 just after others
    were deleted by the thousand takes a fifth longer, which says nothing of him.
    """
    numbers = itertools.count()

    def make(above: Path) -> Path:
        path = above / str(next(numbers))
        path.mkdir()
        path.chmod(0o755)
        return path

    with folder() as above:
        yield lambda: make(above)
