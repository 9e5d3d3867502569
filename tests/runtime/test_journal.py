"""
The journal: failures that survive a restart, and waits that survive a full disk.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import FakeClock

from gatelodge.core import backoff
from gatelodge.errors import Problem, StateError, Subproblem
from gatelodge.runtime.events.log import Silence
from gatelodge.runtime.journal import ATTEMPTS, ORDERS, QUARANTINES, Journal
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model import JsonObject

PROBLEM = Problem(
    type="unauthorized",
    detail="no token there",
    status=403,
    subproblems=(Subproblem(type="dns", detail="NXDOMAIN", identifier="a.example"),),
    retry_after=dt.timedelta(hours=3),
    instance="https://ca.example/problem/1",
)


class FullDisk(MemoryDocuments):
    """
    Documents that cannot be written any more.
    """

    async def put(self, kind: str, key: str, document: JsonObject) -> None:
        del kind, key, document
        raise StateError("/state", "the disk is full", "make room there")


def journal(documents: MemoryDocuments, clock: FakeClock) -> Journal:
    """
    Return a journal without jitter.
    """
    return Journal(documents=documents, clock=clock, spread=lambda: 0.0, events=Silence())


async def test_a_failure_survives_a_restart_whole() -> None:
    """
    The next daemon knows the same attempt, with the CA's whole problem.
    """
    documents, clock = MemoryDocuments(), FakeClock()
    written = await journal(documents, clock).failed("certificate:a.example", "digest", PROBLEM)
    again = journal(documents, clock)
    await again.load()

    assert again.attempts == {"certificate:a.example": written}
    assert written.retry_at == clock.now() + dt.timedelta(hours=3)


async def test_failures_in_a_row_wait_longer_and_a_changed_subject_begins_anew() -> None:
    """
    The table is walked down for one digest; another digest is another thing.
    """
    clock = FakeClock()
    one = journal(MemoryDocuments(), clock)
    problem = Problem(type="caa", detail="")
    waits = [(await one.failed("certificate:a", "x", problem)).retry_at - clock.now() for _ in range(5)]
    other = await one.failed("certificate:a", "y", problem)

    assert waits == [*backoff.REFUSED, backoff.REFUSED[-1]]
    assert (other.failures, other.retry_at - clock.now()) == (1, backoff.REFUSED[0])


async def test_success_forgets() -> None:
    """
    What worked has no failures, on disk neither.
    """
    documents = MemoryDocuments()
    one = journal(documents, FakeClock())
    await one.failed("certificate:a", "x", PROBLEM)
    await one.succeeded("certificate:a")

    assert one.attempts == {}
    assert await documents.list(ATTEMPTS) == {}


async def test_a_full_disk_does_not_turn_a_wait_into_a_loop() -> None:
    """
    The wait holds in memory when it cannot be written down.
    """
    one = journal(FullDisk(), FakeClock())
    await one.failed("placeholder:a", "x", Problem(type="state", detail="full"))

    assert one.attempts["placeholder:a"].failures == 1


async def test_a_quarantine_ends_by_time_and_lasts_longer_when_it_comes_back() -> None:
    """
    A site is tried again after a while; refused again with the same text, it waits longer, counted from the first time.
    """
    documents, clock = MemoryDocuments(), FakeClock()
    one = journal(documents, clock)
    first = await one.quarantine("a", digest="x", error="emerg", kept="server {}")

    assert list(one.active_quarantines()) == ["a"]

    await clock.advance((first.retry_at - clock.now()).total_seconds())

    assert not one.active_quarantines()

    second = await one.quarantine("a", digest="x", error="emerg", kept=None)
    restarted = journal(documents, clock)
    await restarted.load()

    assert (second.failures, second.since) == (2, first.since)
    assert second.retry_at - clock.now() == backoff.QUARANTINE[1]
    assert restarted.quarantines == {"a": second}

    await restarted.release("a")

    assert await documents.list(QUARANTINES) == {}


@pytest.mark.parametrize(
    "document", [{}, {"tries": "x"}, {"tries": 1, "digest": None, "failures": "many", "problem": []}]
)
async def test_a_document_that_makes_no_sense_is_passed_over(document: Mapping[str, object]) -> None:
    """
    A lost wait is better than a daemon that does not start.
    """
    documents = MemoryDocuments()
    for kind in (ATTEMPTS, QUARANTINES, ORDERS):
        await documents.put(kind, "odd", document)
    one = journal(documents, FakeClock())
    await one.load()

    assert (one.attempts, one.quarantines, one.in_flight) == ({}, {}, {})


async def test_orders_in_flight_are_those_that_issuers_wrote_down() -> None:
    """
    An order is known by its certificate, and is gone when it was closed.
    """
    documents, clock = MemoryDocuments(), FakeClock()
    record = {"certificate": "a", "ca": "pebble", "digest": "x", "begun": 2, "at": clock.now().isoformat(), "url": None}
    await documents.put(ORDERS, "a", record)
    one = journal(documents, clock)
    await one.load()

    assert (one.in_flight["a"].begun, one.in_flight["a"].issuer) == (2, "acme:pebble")

    await documents.delete(ORDERS, "a")
    await one.look_for_order("a")

    assert one.in_flight == {}

    await documents.put(ORDERS, "a", record)
    await one.close_order("a")

    assert await documents.list(ORDERS) == {}


async def test_starts_of_nginx_that_do_not_last_wait_longer_each_time() -> None:
    """
    The first is followed at once by the next, later ones by the table; also for the daemon that comes after.
    """
    documents, clock = MemoryDocuments(), FakeClock()
    waits = []
    for _ in range(4):
        one = journal(documents, clock)
        await one.load()
        await one.nginx_started("tree")
        waits.append(one.attempts["nginx/start"].retry_at - clock.now())
        await clock.advance(waits[-1].total_seconds())

    assert waits == list(backoff.ENDED[:4])


async def test_a_start_of_nginx_counts_only_while_it_matters() -> None:
    """
    It is no failure while nginx runs, nor once nginx ran for a minute; what works meanwhile does not make it good.
    """
    clock = FakeClock()
    one = journal(MemoryDocuments(), clock)
    await one.failed("nginx/apply", "tree", Problem(type="nginxRefused", detail=""))
    await one.nginx_started("tree")
    await one.worked("nginx")

    assert one.standing_attempts(nginx_runs=True) == {}
    assert list(one.standing_attempts(nginx_runs=False)) == ["nginx/start"]

    await clock.advance(60)

    assert one.standing_attempts(nginx_runs=False) == {}

    await one.nginx_started("tree")

    assert one.attempts["nginx/start"].failures == 1
