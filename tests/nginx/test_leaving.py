"""
How long nginx's old workers are waited for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gatelodge.nginx import process
from gatelodge.nginx.master import Master
from gatelodge.nginx.process import Process

if TYPE_CHECKING:
    from pathlib import Path


class _StandingStill:
    """
    The clock of a machine that stands still for a minute whenever somebody waits.
    """

    def __init__(self) -> None:
        self.time = 0.0

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += 60 + seconds
        await asyncio.sleep(0)


@pytest.mark.parametrize(("takes", "looks"), [(0, 1), (5, 6), (1000, 25)])
async def test_a_machine_that_stood_still_has_not_used_up_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: int, looks: int
) -> None:
    """
    They are looked at again, since they stood still too; but not for ever.
    """
    seen = 0

    def accepts(_: Process) -> bool:
        nonlocal seen
        seen += 1
        return seen <= takes

    monkeypatch.setattr(process, "accepts", accepts)
    master = Master(folder=tmp_path, entry=tmp_path / "nginx.conf", log=tmp_path / "error.log", clock=_StandingStill())  # type: ignore[arg-type]
    await master.left([Process(pid=1, started=1)])

    assert seen == looks
