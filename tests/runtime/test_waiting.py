"""
Waiting for the first, jobs, and the watched file.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import FakeClock
from tests.support.waiting import until

from gatelodge.runtime.jobs import Jobs
from gatelodge.runtime.waiting import first
from gatelodge.runtime.watch import watch

if TYPE_CHECKING:
    from pathlib import Path


async def test_the_first_to_end_cancels_the_others() -> None:
    """
    Nothing that lost goes on in the background.
    """
    cancelled = []

    async def loser() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    await first(asyncio.sleep(0), loser(), loser())

    assert cancelled == [True, True]


async def test_a_failure_of_the_first_comes_out() -> None:
    """
    What goes wrong is not lost.
    """

    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ExceptionGroup) as caught:
        await first(fails(), asyncio.Event().wait())

    assert caught.group_contains(ValueError, match="no")


async def test_one_job_a_key_and_a_cancelled_one_leaves_the_others_alone() -> None:
    """
    A second start of a key does nothing; cancelling one job ends that one only, and each end is told.
    """
    ended: list[str] = []
    started: list[str] = []

    async def work(name: str) -> None:
        started.append(name)
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        jobs = Jobs(group=group, clock=FakeClock(), ended=lambda: ended.append("ended"))
        jobs.start("a", "1", lambda: work("a"))
        jobs.start("a", "2", lambda: work("a again"))
        jobs.start("b", "1", lambda: work("b"))
        await until(lambda: started == ["a", "b"])
        jobs.step("a", "waiting for the CA")

        assert {key: (job.digest, job.step) for key, job in jobs.running.items()} == {
            "a": ("1", "waiting for the CA"),
            "b": ("1", "starting"),
        }

        jobs.cancel("a")
        await until(lambda: ended == ["ended"])

        assert list(jobs.running) == ["b"]

        jobs.cancel_all()

    assert ended == ["ended", "ended"]


async def test_a_changed_file_is_told_once_it_stands_still(tmp_path: Path) -> None:
    """
    Half a file that is still being written is not read.
    """
    file, clock, told = tmp_path / "gatelodge.toml", FakeClock(), []
    file.write_text("a = 1\n")

    async def play() -> None:
        await clock.advance(5)
        assert told == []
        file.write_text("a = 1\nb = ")
        await clock.advance(1)
        file.write_text("a = 1\nb = 2 # done\n")
        await clock.advance(2)
        assert told == []
        await clock.advance(2)
        assert told == [True]
        file.unlink()
        await clock.advance(10)
        assert told == [True]
        file.write_text("a = 3\n")
        await clock.advance(3)
        assert told == [True, True]

    await first(watch(lambda: [str(file)], clock=clock, changed=lambda: told.append(True)), play())


async def test_of_several_files_each_is_told_and_a_new_one_is_not(tmp_path: Path) -> None:
    """
    Which are watched is asked each time; one that is watched from now on has not changed by that.
    """
    one, other, clock, told = tmp_path / "gatelodge.toml", tmp_path / "snippet.conf", FakeClock(), []
    watched = [str(one)]
    one.write_text("a = 1\n")
    other.write_text("a;\n")

    async def play() -> None:
        await clock.advance(5)
        watched.append(str(other))
        await clock.advance(5)
        assert told == []
        other.write_text("a; b;\n")
        await clock.advance(3)
        assert told == [True]
        other.unlink()
        one.write_text("a = 22\n")
        await clock.advance(3)
        assert told == [True, True]

    await first(watch(lambda: watched, clock=clock, changed=lambda: told.append(True)), play())


async def test_a_way_that_never_began_is_no_loose_end() -> None:
    """
    When the first ends at once the others are cancelled before their first step, and nothing complains that they were never
    awaited.
    """
    began = []

    async def late() -> None:
        began.append(True)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        await first(_at_once(), late(), asyncio.Event().wait())
        gc.collect()

    assert said == []


async def _at_once() -> None:
    return
