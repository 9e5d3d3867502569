"""
Many things at once: entered together, left together, and in a hurry only when there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.support.waiting import until

from gatelodge.errors import DnsError, Problem
from gatelodge.together import entered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Room:
    """
    Something that is entered, and remembers how.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.go = asyncio.Event()

    @contextlib.asynccontextmanager
    async def open(self, name: str, *, fails: bool = False) -> AsyncIterator[None]:
        """
        Enter by that name, once `go` is set.
        """
        self.said.append(f"{name} begins")
        await self.go.wait()
        if fails:
            raise DnsError(Problem(type="dnsProvider", detail=name))
        try:
            yield
        finally:
            task = asyncio.current_task()
            hasty = task is not None and task.cancelling() > 0
            self.said.append(f"{name} leaves{' in a hurry' if hasty else ''}")


async def test_all_are_entered_at_once_and_left_at_once() -> None:
    """
    The second does not wait for the first.
    """
    room = Room()

    async def inside() -> None:
        async with entered([room.open("a"), room.open("b")]):
            room.said.append("inside")

    async with asyncio.TaskGroup() as group:
        group.create_task(inside())
        await until(lambda: len(room.said) == 2)
        room.go.set()
    assert room.said == ["a begins", "b begins", "inside", "a leaves", "b leaves"]


async def test_one_that_cannot_be_entered_lets_the_others_go() -> None:
    """
    The first failure in order is what is raised; nobody comes inside.
    """
    room = Room()
    room.go.set()
    with pytest.raises(DnsError, match="b"):
        async with entered([room.open("a"), room.open("b", fails=True), room.open("c", fails=True)]):
            raise AssertionError("nobody comes inside")
    assert "a leaves" in room.said


async def test_a_failure_inside_lets_them_take_their_time() -> None:
    """
    Only a cancellation is a hurry.
    """
    room = Room()
    room.go.set()
    with pytest.raises(KeyError):
        async with entered([room.open("a")]):
            raise KeyError("x")
    assert room.said[-1] == "a leaves"


async def test_a_cancellation_inside_is_a_hurry_for_all() -> None:
    """
    A daemon that is told to stop.
    """
    room = Room()
    room.go.set()
    waiting = asyncio.Event()

    async def inside() -> None:
        async with entered([room.open("a"), room.open("b")]):
            waiting.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(inside())
        await waiting.wait()
        task.cancel()
    assert task.cancelled()
    assert sorted(room.said[-2:]) == ["a leaves in a hurry", "b leaves in a hurry"]


async def test_nothing_to_enter_is_nothing() -> None:
    """
    As with names that are proven already.
    """
    came = False
    async with entered([]):
        came = True
    assert came
