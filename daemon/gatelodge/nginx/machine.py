"""
Says how much of this machine an nginx may use: processors, memory, open files. A container or a service may be given less than the
machine has.

What is read are small files of the kernel's; what cannot be read limits nothing.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

#: Bounds of a worker's connections. 8 for each megabyte are 8192 on a Raspberry Pi with 1 GB, which cost 4 MB a worker.
_CONNECTIONS_PER_MEGABYTE = 8
_FEWEST = 64
_MOST = 16384
_SPARE_DESCRIPTORS = 64
_UNLIMITED = 1 << 20

#: Where control groups are seen (cgroups(7)), and which of them this process is in.
_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")

_MEGABYTE = 1024**2


def processors(*, groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """
    Return how many workers can run at once: on the processors that this process may use, for as long as it may use them.
    """
    found = [len(os.sched_getaffinity(0))]
    for folder in _folders("cpu", groups, own):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        quota, period = quota or _read(folder / "cpu.cfs_quota_us"), period or _read(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):
            found.append(-(-int(quota) // int(period)))
    return max(1, min(found))


def megabytes(*, groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """
    Return how much memory there is for everything in this container or on this machine.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for folder in _folders("memory", groups, own):
        limit = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
        found += [int(limit)] if limit.isdecimal() else []
    return min(found) // _MEGABYTE


def descriptors() -> int:
    """
    Return how many files a worker may open: as many as the limit may be raised to (getrlimit(2)).
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return _UNLIMITED if limit == resource.RLIM_INFINITY else limit


def affordable(megabytes: int, descriptors: int) -> int:
    """
    Return how many connections a worker may hold. nginx sets aside about 450 bytes for each, used or not, and one that is proxied
    takes two descriptors, of which some are left for files.
    """
    by_memory = megabytes * _CONNECTIONS_PER_MEGABYTE
    return max(_FEWEST, min(_MOST, by_memory, (descriptors - _SPARE_DESCRIPTORS) // 2))


def _folders(controller: str, groups: Path, own: Path) -> list[Path]:
    """
    Return where limits for this process can stand: its group's folder and those above it, of either version of control groups. Inside
    of a container the paths may be those of the machine outside, and the limits lie at the top.
    """
    folders = []
    rows = [row.split(":", 2) for row in _read(own).splitlines()]
    for _, names, path in (row for row in rows if len(row) == 3):  # noqa: PLR2004 - number, controllers, path
        top = groups if names == "" else groups / controller if controller in names.split(",") else None
        if top is not None:
            steps = Path(path.lstrip("/")).parts
            folders += [top.joinpath(*steps[:count]) for count in range(len(steps) + 1) if ".." not in steps[:count]]
    return folders


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return ""
