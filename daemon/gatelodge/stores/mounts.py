"""
Says whether what is written into a directory is gone at the next start: by the mount that holds it (proc_pid_mountinfo(5)).

Memory is; so is the layer of its own that a container of Docker's kind has on top of its image, whatever it is kept in. A volume is
a mount of its own. Where it cannot be told, nothing is said.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_LAYERED = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})

#: What Docker and Podman put into each container. Machines that were made from an image of theirs have it too.
_MARKS = (".dockerenv", "run/.containerenv")

#: Where engines keep what running containers write, as overlay's `upperdir` shows, or the part of a file system that is mounted
#: (Docker, containerd, Podman, Buildah, CRI-O).
_OF_CONTAINERS = re.compile(r"/(docker|containerd|containers|buildkit|buildah|crio)/")

_ESCAPE = re.compile(r"\\([0-7]{3})")
_PART, _MOUNT_POINT, _AFTER_OPTIONAL = 3, 4, " - "

_CONTAINER = "the container's own layer"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Mount:
    point: str
    part: str
    kind: str
    options: str

    def holds(self, path: str) -> bool:
        return path == self.point or path.startswith(self.point.rstrip("/") + "/")


def passing(directory: str, *, root: Path = Path("/")) -> str | None:
    """
    Say in words what a directory lies on when that is gone at the next start; None when it is kept.

    Args:
        root: where the files of this machine are.
    """
    try:
        text = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    mounts = [found for line in text.splitlines() if (found := _read(line))]
    return _passing(os.path.realpath(directory), mounts, in_container=any((root / mark).exists() for mark in _MARKS))


def _passing(path: str, mounts: list[_Mount], *, in_container: bool) -> str | None:
    # Of mounts on one point the last is on top.
    held = [mount for mount in mounts if mount.holds(path)]
    if not held:
        return None
    mount = max(reversed(held), key=lambda each: len(each.point))
    if mount.kind in _IN_MEMORY:
        return f"{mount.kind} at {mount.point}, in memory"
    if mount.point == "/" and _OF_CONTAINERS.search(mount.part):
        return _CONTAINER
    if mount.kind in _LAYERED:
        upper = re.search(r"(?:^|,)upperdir=([^,]*)", mount.options)
        if in_container or (upper and _OF_CONTAINERS.search(upper[1])):
            return _CONTAINER
        # A live system's: its upper layer is a mount of this machine's.
        others = [each for each in mounts if each.kind not in _LAYERED]
        if upper and (under := _passing(_plain(upper[1]), others, in_container=False)):
            return f"{mount.kind} at {mount.point}, over {under}"
    return None


def _read(line: str) -> _Mount | None:
    before, separator, after = line.partition(_AFTER_OPTIONAL)
    fields, rest = before.split(" "), after.split(" ")
    if not separator or len(fields) <= _MOUNT_POINT:
        return None
    return _Mount(point=_plain(fields[_MOUNT_POINT]), part=fields[_PART], kind=rest[0], options=rest[-1])


def _plain(text: str) -> str:
    """
    Undo how the kernel writes spaces and the like.
    """
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
