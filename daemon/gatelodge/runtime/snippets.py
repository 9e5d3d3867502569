"""
Reads the files in which snippets of the user's own stand, so that a tree holds their text and depends on no file outside of it.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.config.values import snippets

if TYPE_CHECKING:
    from gatelodge.config.shape import Config

#: More is refused by its length, and need not be read for that.
_MOST_BYTES = 1_000_000


def filled(config: Config) -> Config:
    """
    Return a configuration with the text of its snippets' files in their places.

    Raises:
        ConfigError: some cannot be read, or would leave their blocks.
    """
    return snippets.filled(config, _content) if config.snippet_files else config


def _content(path: str) -> str:
    file = Path(path)
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "it is no regular file")  # a pipe would be waited for
    with file.open("rb") as stream:
        return stream.read(_MOST_BYTES).decode()
