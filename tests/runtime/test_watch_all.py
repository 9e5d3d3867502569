"""
Files that others keep: that one of them changed is noticed at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support.clock import FakeClock
from tests.support.waiting import until

from gatelodge.runtime.watch import watch_all

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_change_of_any_of_them_is_told_once(tmp_path: Path) -> None:
    """
    Contents, mode, an appearing and a vanishing one; not one that is named only now, nor one that is named no more.
    """
    clock, told = FakeClock(), [0]
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    wanted = [str(one)]

    def count() -> None:
        told[0] += 1

    async def look() -> int:
        await clock.advance(1)
        await until(lambda: clock.sleeping == 1)
        return told[0]

    async with asyncio.TaskGroup() as group:
        watcher = group.create_task(watch_all(lambda: wanted, clock=clock, changed=count))
        await until(lambda: clock.sleeping == 1)
        assert await look() == 0
        one.write_text("another")
        assert await look() == 1
        assert await look() == 1
        one.chmod(0o640)
        assert await look() == 2
        wanted.append(str(two))
        assert await look() == 2, "it is new to us, and is looked at by whoever named it"
        two.write_text("2")
        assert await look() == 3
        one.unlink()
        assert await look() == 4
        wanted.remove(str(one))
        one.write_text("3")
        assert await look() == 4
        watcher.cancel()
