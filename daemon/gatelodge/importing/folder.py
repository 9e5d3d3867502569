"""
Looks into the folder of another tool: texts, names, links. The only place in this room that touches the disk, and it reads only.

A file that is no regular one, is too large, is no text or may not be read counts as unreadable, and the reason is kept.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

#: Nobody's configuration is larger; what is, is something else.
_MOST_BYTES = 1024 * 1024
_MOST_NAMES = 5000


class Folder:
    """
    A folder, and what could not be read in it. Paths are relative to it, or absolute.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.path.abspath(root)  # noqa: PTH100 - resolve() would replace links, and with them the paths that people know
        self.trouble: dict[str, str] = {}
        self.forbidden = False

    def path(self, name: str) -> str:
        """
        Return the absolute path of something in it.
        """
        return os.path.join(self.root, name)  # noqa: PTH118 - pathlib would drop a final "/" and a "." that a person wrote

    def text(self, name: str) -> str | None:
        """
        Return the text of a file; None when it is not there, or cannot be read.
        """
        try:
            return self._bytes(Path(self.path(name))).decode()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            self.trouble[name] = "it is no text"
        except (OSError, ValueError) as error:
            self._note(name, error)
        return None

    def names(self, name: str) -> tuple[str, ...]:
        """
        Return the names in a folder, in order; none when it is not there, or cannot be read.
        """
        found: list[str] = []
        try:
            with os.scandir(self.path(name)) as entries:
                for entry in entries:
                    found.append(entry.name)
                    if len(found) > _MOST_NAMES:
                        self.trouble[name] = f"it holds more than {_MOST_NAMES} files"
                        return ()
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except (OSError, ValueError) as error:
            self._note(name, error)
        return tuple(sorted(found))

    def link(self, name: str) -> str | None:
        """
        Return where a symbolic link leads, as it is written; None for what is none.
        """
        try:
            return os.readlink(self.path(name))  # noqa: PTH115 - pathlib would normalise what is written there
        except (OSError, ValueError):
            return None

    def _bytes(self, path: Path) -> bytes:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        # Should it have become a pipe meanwhile, opening it does not wait.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as opened:  # noqa: PTH123 - it is open already
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
            content = opened.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise OSError(errno.EFBIG, f"it is larger than {_MOST_BYTES // 1024} KiB")
        return content

    def _note(self, name: str, error: OSError | ValueError) -> None:
        if isinstance(error, PermissionError):
            self.forbidden = True
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self.trouble[name] = reason if reason.startswith("it ") else f"it cannot be read ({reason})"
