"""
Every record of ours is gone in the end, and nothing else is ever touched.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.support.fake_provider import FakeProvider
from tests.support.quick_clock import QuickClock
from tests.support.recorder import Recorder
from tests.support.waiting import until

from gatelodge.errors import DnsError, Problem, StateError
from gatelodge.ports import TxtRecord
from gatelodge.solvers.ledger import KIND, SETTLED, Ledger
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatelodge.model import JsonObject

A = TxtRecord(zone="example.org", name="_acme-challenge.example.org", value="apex")
B = TxtRecord(zone="example.org", name="_acme-challenge.example.org", value="wildcard")
FOREIGN = TxtRecord(zone="example.org", name="_acme-challenge.example.org", value="somebody else's")

STEPS = ("before add", "after add", "before remove", "after remove")


class Killed(BaseException):
    """
    The process is gone: nothing catches this.
    """


class Disk(MemoryDocuments):
    """
    Documents that outlive the ledger, on a disk that can be full.
    """

    full = False
    lost = False
    slow: Callable[[], Awaitable[None]] | None = None

    async def put(self, kind: str, key: str, document: JsonObject) -> None:
        if self.slow is not None:
            await self.slow()
        self._check()
        if self.full:
            raise StateError("/state", "the disk is full", "make room there")
        await super().put(kind, key, document)

    async def delete(self, kind: str, key: str) -> None:
        self._check()
        await super().delete(kind, key)

    def _check(self) -> None:
        if self.lost:
            raise Killed


#: The NAME of the provider, and its kind, of which these tests mostly say nothing.
HOME = ("home", "")


class World:
    """
    A provider, a disk, and a ledger that can die and come back.
    """

    def __init__(self) -> None:
        self.provider = FakeProvider("example.org")
        self.provider.records.add(FOREIGN)
        self.disk = Disk()
        self.clock = QuickClock()
        self.events = Recorder()
        self.ledger = Ledger(documents=self.disk, clock=self.clock, events=self.events)

    def die_at(self, step: str) -> None:
        """
        Let the process end at a step: from then on it reaches neither disk nor provider.
        """

        def die(at: str, _: TxtRecord) -> None:
            self.disk.lost |= at == step
            if self.disk.lost:
                raise Killed

        self.provider.at = die

    async def restart(self) -> None:
        self.provider.at = lambda _, __: None
        self.disk.lost = False
        self.ledger = Ledger(documents=self.disk, clock=self.clock, events=self.events)
        await self.ledger.load()

    async def publish(self, *records: TxtRecord) -> None:
        async with self.ledger.published("home", self.provider, records):
            assert self.provider.records >= set(records)

    async def written(self) -> int:
        return len(await self.disk.list(KIND))

    async def settle(self) -> None:
        """
        Let so much time pass that whatever was asked for has happened or never will, and sweep what is due then.
        """
        due = self.ledger.due
        await self.clock.sleep(SETTLED.total_seconds())
        assert due is None or due <= self.clock.now()
        await self.ledger.sweep("home", self.provider)


@pytest.fixture
def world() -> World:
    """
    A world of its own for each test.
    """
    return World()


async def test_what_is_published_is_taken_away_and_nothing_else(world: World) -> None:
    """
    Two values under one name live beside each other and beside somebody else's.
    """
    await world.publish(A, B)
    assert world.provider.records == {FOREIGN}
    assert sorted(filter(None, world.provider.removed_by)) == ["id of apex", "id of wildcard"]
    assert await world.written() == 0


async def test_a_record_is_written_down_before_the_provider_is_asked(world: World) -> None:
    """
    With no way to write, nobody is asked.
    """
    world.disk.full = True
    with pytest.raises(StateError):
        await world.publish(A)
    assert world.provider.calls == {}
    assert world.ledger.leftovers == {}


@pytest.mark.parametrize("step", STEPS)
async def test_after_a_crash_at_any_step_the_next_sweep_leaves_nothing(world: World, step: str) -> None:
    """
    Whether or not the provider had acted.
    """
    world.die_at(step)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the group may wrap it
        await world.publish(A, B)
    await world.restart()
    assert world.ledger.leftovers.keys() <= {HOME}
    await world.ledger.sweep("home", world.provider)
    assert world.provider.records == {FOREIGN}
    assert world.ledger.leftovers == {}, "what was not there is looked for again, but not at once"
    await world.settle()
    assert world.provider.records == {FOREIGN}
    assert (world.ledger.leftovers, world.ledger.due) == ({}, None)
    assert await world.written() == 0


@pytest.mark.parametrize("how", ["killed", "refused"])
async def test_a_record_that_was_long_in_being_written_down_may_still_come(world: World, how: str) -> None:
    """
    It counts from when the provider was asked: a disk may hang for longer than any request.
    """
    world.disk.slow = lambda: world.clock.sleep(2 * SETTLED.total_seconds())

    def fail(at: str, _: TxtRecord) -> None:
        if at == "before add":
            raise DnsError(Problem(type="dnsProvider", detail="no answer"))

    if how == "killed":
        world.die_at("before add")
    else:
        world.provider.at = fail
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the group may wrap it
        await world.publish(A)
    if how == "killed":
        await world.restart()
        await world.ledger.sweep("home", world.provider)
    world.provider.records.add(A)
    assert world.ledger.due is not None
    await world.settle()
    assert world.provider.records == {FOREIGN}
    assert await world.written() == 0


@pytest.mark.parametrize("how", ["killed", "cancelled"])
async def test_a_record_that_comes_after_it_was_looked_for_is_swept(world: World, how: str) -> None:
    """
    The request was on its way when this process ended, or gave it up: the provider carries it out when nobody looks any more.
    """
    if how == "killed":
        world.die_at("before add")
        with pytest.raises(BaseException):  # noqa: B017, PT011 - the group may wrap it
            await world.publish(A)
        await world.restart()
        await world.ledger.sweep("home", world.provider)
    else:
        world.provider.hold = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(world.publish(A))
            await until(lambda: world.provider.calls["add"] > 0)
            task.cancel()
            await asyncio.sleep(0)
            world.provider.hold.set()
        (told,) = world.events.of("dns.record.left")
        assert "may still come" in told["error.detail"]
    assert world.provider.records == {FOREIGN}
    world.provider.records.add(A)
    assert world.ledger.due is not None
    await world.settle()
    assert world.provider.records == {FOREIGN}
    assert await world.written() == 0


async def test_under_another_kind_the_name_means_another_service(world: World) -> None:
    """
    The record is at the first one: nothing that the second says is about it.
    """
    world.die_at("after add")
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the group may wrap it
        async with world.ledger.published("home", world.provider, (A,), kind="aliyun"):
            raise AssertionError("it died before")
    await world.restart()
    assert world.ledger.leftovers == {("home", "aliyun"): (A.name,)}
    await world.ledger.sweep("home", FakeProvider("example.org"), kind="rfc2136")
    assert world.ledger.leftovers == {("home", "aliyun"): (A.name,)}
    await world.ledger.sweep("home", world.provider, kind="aliyun")
    assert world.provider.records == {FOREIGN}


async def test_a_shared_record_that_was_not_added_is_added_by_the_next(world: World) -> None:
    """
    What is written down is not there yet.
    """

    def fail(at: str, _: TxtRecord) -> None:
        if at == "before add" and world.provider.calls["add"] == 1:
            raise DnsError(Problem(type="dnsProvider", detail="no answer"))

    world.provider.at = fail
    entered = asyncio.Event()

    async def second() -> None:
        async with world.ledger.published("home", world.provider, (A,)):
            assert A in world.provider.records
            entered.set()

    async with asyncio.TaskGroup() as group:

        async def first() -> None:
            with pytest.raises(DnsError):
                await world.publish(A)

        group.create_task(first())
        group.create_task(second())
    assert entered.is_set()
    assert world.provider.records == {FOREIGN}


async def test_told_to_stop_while_it_takes_away_it_goes_on_in_a_hurry(world: World) -> None:
    """
    The cancellation comes in the middle of a removal.
    """
    taking = asyncio.Event()

    def noticed(at: str, _: TxtRecord) -> None:
        if at == "before remove":
            taking.set()

    world.provider.at = noticed

    async def publish() -> None:
        async with world.ledger.published("home", world.provider, (A, B)):
            world.provider.hold = asyncio.Event()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(publish())
        await taking.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert world.provider.hold is not None
        world.provider.hold.set()
    assert task.cancelled()
    assert world.provider.records == {FOREIGN}
    assert await world.written() == 0


async def test_a_provider_that_fails_while_adding_leaves_nothing_of_the_others(world: World) -> None:
    """
    What was added is taken away again, and what may have been added too.
    """

    def fail(at: str, record: TxtRecord) -> None:
        if at == "after add" and record == B:
            raise DnsError(Problem(type="dnsProvider", detail="no answer"))

    world.provider.at = fail
    with pytest.raises(DnsError, match="no answer"):
        await world.publish(A, B)
    assert world.provider.records == {FOREIGN}
    await world.settle()
    assert await world.written() == 0


async def test_what_cannot_be_taken_away_stays_in_the_ledger_and_is_told(world: World) -> None:
    """
    A later sweep takes it away; until then it is a leftover, also after a restart.
    """

    def fail(at: str, record: TxtRecord) -> None:
        if at == "before remove" and record == A:
            raise DnsError(Problem(type="dnsProvider", detail="no answer"))

    world.provider.at = fail
    await world.publish(A, B)
    assert world.provider.records == {FOREIGN, A}
    (told,) = world.events.of("dns.record.left")
    assert told["records"] == [A.name]
    await world.restart()
    assert world.ledger.leftovers == {HOME: (A.name,)}
    world.provider.at = fail
    with pytest.raises(DnsError):
        await world.ledger.sweep("home", world.provider)
    world.provider.at = lambda _, __: None
    await world.ledger.sweep("home", world.provider)
    assert world.provider.records == {FOREIGN}
    assert world.provider.removed_by[-1] == "id of apex"
    assert world.ledger.leftovers == {}


async def test_a_job_that_is_cancelled_takes_its_records_away(world: World) -> None:
    """
    While it waits for the CA, and while records are still being added.
    """
    inside = asyncio.Event()

    async def wait_for_ever() -> None:
        async with world.ledger.published("home", world.provider, (A, B)):
            inside.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(wait_for_ever())
        await inside.wait()
        task.cancel()
    assert task.cancelled()
    assert world.provider.records == {FOREIGN}
    assert await world.written() == 0


async def test_a_job_that_is_cancelled_while_adding_leaves_nothing(world: World) -> None:
    """
    The provider was asked and did not answer: the record may be there.
    """
    world.provider.hold = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(world.publish(A))
        await until(lambda: world.provider.calls["add"] > 0)
        world.provider.records.add(A)  # it acted, and its answer never came
        task.cancel()
        await asyncio.sleep(0)
        world.provider.hold.set()
    assert task.cancelled()
    assert world.provider.records == {FOREIGN}
    await world.settle()
    assert await world.written() == 0


async def test_two_orders_that_share_a_record_take_it_away_once(world: World) -> None:
    """
    The last one out does.
    """
    async with contextlib.AsyncExitStack() as second:
        async with world.ledger.published("home", world.provider, (A,)):
            await second.enter_async_context(world.ledger.published("home", world.provider, (A,)))
        assert A in world.provider.records
        assert world.ledger.leftovers == {}
    assert A not in world.provider.records
    assert world.provider.calls == {"add": 1, "remove": 1}


async def test_a_sweep_leaves_what_is_in_use(world: World) -> None:
    """
    Also when it was a leftover a moment ago, and comes to be used while the sweep is under way.
    """
    world.die_at("after add")
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the group may wrap it
        await world.publish(A)
    await world.restart()
    async with world.ledger.published("home", world.provider, (A,)):
        await world.ledger.sweep("home", world.provider)
        assert A in world.provider.records
    assert world.provider.records == {FOREIGN}


async def test_a_document_that_makes_no_sense_stops_nothing(world: World) -> None:
    """
    The rest of the ledger is read.
    """
    await world.disk.put(KIND, "broken", {"provider": 7})
    await world.restart()
    assert world.ledger.leftovers == {}
