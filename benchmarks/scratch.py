"""
A folder for one measurement, gone afterwards. nginx's workers are not root and serve tokens from below, so all may pass.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """
    Make a folder for the time of the context.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-bench-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
