"""
Jobs beside the loop: what they are at, and since when.
"""

from __future__ import annotations

import asyncio

from tests.support.clock import START, FakeClock

from gatelodge.runtime.jobs import Jobs
from gatelodge.runtime.standing.report import doing

KEY = "certificate:a.example.com"


async def test_a_step_lasts_until_another_begins() -> None:
    """
    Said again it goes on, since whoever waits says so at each look; a job that begins is at its first step since then.
    """
    clock, over = FakeClock(), asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        await over.wait()

    async with asyncio.TaskGroup() as group:
        jobs = Jobs(group=group, clock=clock, ended=lambda: ended.append("ended"))
        jobs.start(KEY, "", work)
        began = {"job": KEY, "step": "starting", "since": START.isoformat(), "step_since": START.isoformat()}
        assert doing(jobs.running, START) == {"time": START.isoformat(), "jobs": [began]}

        clock.jump(60)
        jobs.step(KEY, "waiting for the DNS")
        waiting = clock.now().isoformat()
        clock.jump(120)
        jobs.step(KEY, "waiting for the DNS")
        [found] = doing(jobs.running, clock.now())["jobs"]
        assert found == {**began, "step": "waiting for the DNS", "step_since": waiting}

        jobs.step("certificate:nobody", "nothing")
        assert list(jobs.running) == [KEY]
        over.set()
    assert (dict(jobs.running), ended) == ({}, ["ended"])
