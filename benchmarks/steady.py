"""
Watches how much memory and how many descriptors processes hold over time, and says whether that grows.

A line is laid through the samples by least squares; how much it rises over their span is the growth. The first quarter is left out: caches
fill, and what is imported late is imported.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WARM_UP = 0.25

#: What may be grown by without anybody's being to blame: allocators and caches breathe. MB, descriptors, and a share of what was held.
MEGABYTES = 3.0
DESCRIPTORS = 6.0
SHARE = 0.05

#: The master keeps both ends of a socket pair for each worker (ngx_spawn_process).
_CHANNEL = 2


@dataclasses.dataclass(kw_only=True)
class Series:
    """
    What something held, at moments in seconds. `slack` is what it may grow by at least.
    """

    name: str
    slack: float
    read: Callable[[], float]
    samples: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def take(self, moment: float) -> None:
        """
        Take a sample.
        """
        self.samples.append((moment, self.read()))

    def row(self) -> dict[str, Any]:
        """
        Say what came of it.
        """
        kept = self.samples[int(len(self.samples) * _WARM_UP) :]
        moments, values = zip(*kept, strict=True)
        slope, _ = statistics.linear_regression(moments, values)
        growth = slope * (moments[-1] - moments[0])
        bound = max(self.slack, SHARE * statistics.mean(values))
        return {
            "what": self.name,
            "samples": len(kept),
            "first": round(values[0], 1),
            "last": round(values[-1], 1),
            "least": round(min(values), 1),
            "most": round(max(values), 1),
            "an hour": round(slope * 3600, 1),
            "growth": round(growth, 2),
            "bound": round(bound, 1),
            "flat": "yes" if growth <= bound else "NO",
        }


def pss(pids: Iterable[int]) -> float:
    """
    Return the memory of processes in MB, what they share counted once. Those that ended meanwhile hold none.
    """
    return sum(_of(pid, lambda pid: memory.sizes([pid])["Pss"]) for pid in pids)


def descriptors(pids: Iterable[int]) -> float:
    """
    Count the files and sockets that processes have open.
    """
    return sum(_of(pid, lambda pid: len(os.listdir(f"/proc/{pid}/fd"))) for pid in pids)  # noqa: PTH208 - only counted


def own_descriptors(master: int) -> float:
    """
    Count the files and sockets that nginx's master has open, but for those that tie it to its workers, who may be many while old ones finish.
    """
    workers = len(memory.descendants(master)) - 1
    return descriptors([master]) - _CHANNEL * workers


def _of(pid: int, read: Callable[[int], float]) -> float:
    try:
        return read(pid)
    except (OSError, KeyError):
        return 0.0


def serving(master: int) -> list[int]:
    """
    Return nginx's master and those of its workers that take visitors; not those that finish old connections.
    """
    return [pid for pid in memory.descendants(master) if "shutting down" not in _title(pid)]


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return "shutting down"
