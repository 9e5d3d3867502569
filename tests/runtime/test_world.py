"""
Years of a gate's life: certificates, CAs that fail, daemons that die, clocks that lie, disks that fill up.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.support.ca import REFUSED
from tests.support.clock import START
from tests.world import DAY, HOUR, MINUTE, SECOND, World, inhabited

from gatelodge.api.wishes import Wishes
from gatelodge.core import backoff
from gatelodge.errors import Problem

if TYPE_CHECKING:
    import datetime as dt

SITES = ("a.example.com", "b.example.com", "c.example.com", "d.example.com", "e.example.com")
A, B = SITES[:2]


def gaps(moments: list[dt.datetime]) -> list[dt.timedelta]:
    """
    Return the times between moments.
    """
    return [later - earlier for earlier, later in itertools.pairwise(moments)]


def ages_at_renewal(world: World, name: str) -> list[dt.timedelta]:
    """
    Return how old each certificate of a NAME was when its successor was signed.
    """
    return gaps([each.at for each in world.ca.signed if each.name == name])


async def test_failures_of_a_site_that_is_gone_are_forgotten() -> None:
    """
    So that nothing is told of them for ever, and one that comes back later begins anew.
    """
    async with inhabited(A, B) as world:
        world.ca.refuses[B] = REFUSED
        await world.live(HOUR)
        assert any(B in tries for tries in world.reconciler._journal.attempts)
        world.use(A)
        await world.live(HOUR)
        assert not any(B in tries for tries in await world.documents.list("journal/attempts"))


async def test_a_failure_after_the_certificate_was_stored_does_not_stand_for_ever() -> None:
    """
    The record of an order that could not be closed is no reason to say that something fails, once nothing is to be done any more.
    """
    async with inhabited(A) as world:
        await world.live(HOUR)
        journal = world.reconciler._journal
        await journal.failed(
            f"certificate:{A}/acme:letsencrypt", "", Problem(type="state", detail="the disk reports an error")
        )
        world.reconciler.wake()
        await world.live(SECOND)
        assert any(A in tries for tries in journal.attempts)
        world.drowsy = False
        await world.live(2 * HOUR)
        assert not any(A in tries for tries in journal.attempts)


async def test_what_a_killed_process_left_is_swept_while_nothing_else_happens() -> None:
    """
    Old tokens wait for no order and no restart.
    """
    swept = []
    async with inhabited(A) as world:
        world.drowsy = False
        world.reconciler.use(dataclasses.replace(world.gate, sweep=lambda: swept.append(world.elapsed)))
        await world.live(3 * HOUR + MINUTE)
    assert len(swept) == 3


@pytest.mark.parametrize(("years", "days", "share"), [(3, 90, 2 / 3), (3, 45, 2 / 3), (1, 6, 1 / 2)])
async def test_years_pass(years: int, days: int, share: float) -> None:
    """
    Every certificate is renewed when its time has come, none expires, and renewals that fall together share one reload.
    """
    async with inhabited(*SITES, life=days * DAY) as world:
        await world.live(years * 365 * DAY)
        rounds = len(ages_at_renewal(world, A))

        assert rounds == int(years * 365 / (days * share + 6 / 86400))
        for name in SITES:
            assert len(ages_at_renewal(world, name)) == rounds
            for age in ages_at_renewal(world, name):
                assert days * DAY * share <= age <= days * DAY * share + 10 * SECOND
        assert world.expired == set()
        assert world.good(*SITES)
        assert len(world.nginx.reloaded) == rounds + 1
        assert len(world.nginx.starts) == 1
        assert len(world.ca.orders) == len(world.ca.asked) == len(world.ca.signed)


async def test_a_daemon_that_never_oversleeps_does_the_same() -> None:
    """
    A machine that is awake all the time renews at the same moments: what wakes the loop in between changes nothing.
    """
    async with inhabited(A, life=6 * DAY) as world:
        world.drowsy = False
        await world.live(8 * DAY)

        assert [round(age / HOUR) for age in ages_at_renewal(world, A)] == [72, 72]


async def test_certificates_that_come_one_after_another_are_loaded_few_times() -> None:
    """
    Sites added hours apart renew hours apart: a reload each, at least the interval apart, and nobody expires.
    """
    async with inhabited(A) as world:
        for count in range(2, 6):
            await world.live(world.rng.randrange(10, 60) * SECOND)
            world.use(*SITES[:count])
        await world.live(365 * DAY)

        assert world.expired == set()
        assert all(later - earlier >= 30 for earlier, later in itertools.pairwise(world.nginx.reloaded))
        assert {len(ages_at_renewal(world, name)) for name in SITES} == {6}


async def test_a_slow_name_delays_nobody() -> None:
    """
    One order takes three hours; the others are served within a minute, and the slow one when it is there.
    """
    async with inhabited(*SITES) as world:
        world.ca.slow[A] = 3 * 3600
        await world.live(MINUTE)

        assert world.good(*SITES[1:])
        assert not world.good(A)

        await world.live(3 * HOUR)

        assert world.good(A)


async def test_a_storm_of_two_hundred_needs_few_reloads() -> None:
    """
    Two hundred certificates, ten at a time: a reload each half minute at most, at the start and at each renewal.
    """
    hosts = [f"s{number}.example.com" for number in range(200)]
    async with inhabited(*hosts, at_once=10) as world:
        await world.live(HOUR)

        assert world.good(*hosts)
        assert len(world.nginx.reloaded) <= 5

        before = len(world.nginx.reloaded)
        await world.live(61 * DAY)

        assert len(world.ca.signed) == 400
        assert len(world.nginx.reloaded) - before <= 5
        assert world.expired == set()


async def test_a_ca_that_is_down_for_two_weeks() -> None:
    """
    The old certificates go on; tries follow the table; two alarms a certificate tell that it is late; once the CA is back,
    all are renewed within the longest wait.
    """
    async with inhabited(*SITES) as world:
        await world.live(59 * DAY)
        world.ca.down = True
        await world.live(14 * DAY)
        waits = gaps(world.ca.tries(A)[1:])

        assert world.good(*SITES)
        for number, wait in enumerate(waits):
            least = backoff.TRANSIENT[min(number, len(backoff.TRANSIENT) - 1)]
            assert least <= wait <= least * (1 + backoff.JITTER) + SECOND
        assert len(waits) > 13 * 20
        assert Counter(str(event["certificate"]) for event in world.events.of("certificate.expiring")) == dict.fromkeys(
            SITES, 2
        )

        world.ca.down = False
        await world.live(HOUR * (1 + backoff.JITTER) + MINUTE)

        assert {len(ages_at_renewal(world, name)) for name in SITES} == {1}
        assert world.expired == set()


async def test_a_ca_that_stays_down_is_told_once_at_each_level() -> None:
    """
    An eighth, a quarter, half, three quarters, seven eighths and all of the time that was left is gone: six alarms; the old certificate is served
    to the end and beyond.
    """
    async with inhabited(A) as world:
        await world.live(DAY)
        world.ca.down = True
        await world.live(100 * DAY)
        left = [event["days_left"] for event in world.events.of("certificate.expiring")]

        assert left == [26.2, 22.5, 15, 7.5, 3.7, 0]
        assert world.expired == {A}
        assert world.good(A)


async def test_a_name_that_is_refused_for_ever() -> None:
    """
    It is tried about once a day and answers with the placeholder; the others live as if it were not there.
    """
    async with inhabited(*SITES) as world:
        world.ca.refuses[A] = REFUSED
        await world.live(365 * DAY)
        tries = world.ca.tries(A)

        assert 365 / 1.2 <= len(tries) <= 365 + 4
        assert all(gap >= DAY for gap in gaps(tries)[3:])
        assert {len(ages_at_renewal(world, name)) for name in SITES[1:]} == {6}
        assert world.expired == set()
        assert world.served(A) is not None
        assert world.good(*SITES[1:])

        del world.ca.refuses[A]
        await world.live(1.2 * DAY + MINUTE)

        assert world.good(A)


@pytest.mark.parametrize("seed", range(3))
async def test_a_daemon_that_is_killed_again_and_again(seed: int) -> None:
    """
    Killed at any moment, often in the middle of an order, over a year: the end is that of a quiet year. No order is doubled, no
    certificate is signed twice, no tree that was not proven stays.
    """
    async with inhabited(*SITES, seed=seed) as world:
        while world.elapsed < 365 * DAY:
            if world.rng.random() < 0.5:
                await world.live(20 * DAY, until=lambda: world.ca.working)
            await world.live(world.rng.choice([6 * SECOND, HOUR, 10 * DAY]) * world.rng.random())
            await world.step(world.rng.randrange(40))
            await world.kill()
            if world.rng.random() < 0.25 and world.nginx.serving:
                world.nginx.leave_unproven(world.nginx.serving)
            await world.live(world.rng.random() * HOUR)
            await world.begin()
        await world.live(5 * DAY)
        current = (await world.nginx.observe()).current

        assert world.good(*SITES)
        assert world.expired == set()
        assert current is not None
        assert current.proven
        assert Counter(each.name for each in world.ca.signed) == dict.fromkeys(SITES, 7)
        assert len(world.ca.orders) == len(world.ca.signed)


@pytest.mark.parametrize("seed", range(3))
async def test_sites_come_and_go(seed: int) -> None:
    """
    Whatever was asked for in between, what is asked for at the end is served, and what nobody asks for is gone a month after
    its end.
    """
    pool = [f"{letter}.example.com" for letter in "abcdefgh"]
    async with inhabited(A, seed=seed) as world:
        for _ in range(60):
            chosen = world.rng.sample(pool, world.rng.randrange(1, len(pool) + 1))
            kind = world.rng.choice(["ecdsa-p256", "ecdsa-p384"])
            world.use(*chosen, key=kind)
            await world.live(world.rng.choice([SECOND, MINUTE, DAY, 30 * DAY]) * world.rng.random())
        await world.live(DAY)

        assert world.good(*chosen)
        for name in chosen:
            held = world.store.newest(name)
            assert held is not None
            assert held.satisfies(world.gate.desired.certificates[name])

        await world.live(125 * DAY)

        assert (await world.store.index()).held.keys() == world.gate.desired.certificates.keys()
        assert world.expired == set()


@pytest.mark.parametrize("wrong", [-7 * 365 * DAY, 5 * 365 * DAY])
async def test_a_clock_that_is_wrong_by_years_at_the_start(wrong: dt.timedelta) -> None:
    """
    The gate opens with the placeholder and nothing is asked of the CA; once the clock is set, everything follows within minutes.
    """
    async with inhabited(*SITES) as world:
        world.clock.time = START + wrong
        await world.live(6 * HOUR)

        assert world.nginx.serving is not None
        assert world.ca.asked == []
        assert world.events.names().count("clock.doubted") == 1

        world.clock.time = world.ca.now()
        await world.live(2 * MINUTE)

        assert world.good(*SITES)
        assert "clock.trusted" in world.events.names()


@pytest.mark.parametrize("wrong", [-400 * DAY, 400 * DAY])
async def test_a_clock_that_goes_wrong_later(wrong: dt.timedelta) -> None:
    """
    Nothing is renewed, alarmed about or deleted on the word of a clock that the CA contradicts; nor late once it is right again.
    """
    async with inhabited(*SITES) as world:
        await world.live(30 * DAY)
        world.clock.time += wrong
        await world.live(6 * HOUR)

        assert len(world.ca.asked) == len(SITES)
        assert world.events.of("certificate.expiring") == []
        assert world.good(*SITES)

        world.clock.time -= wrong
        await world.live(90 * DAY)

        assert world.expired == set()
        assert {len(ages_at_renewal(world, name)) for name in SITES} == {2}


@pytest.mark.parametrize("full", ["certificates_disk", "documents_disk", "both"])
async def test_a_disk_that_is_full_for_a_day(full: str) -> None:
    """
    No order is wasted while a certificate could not be stored, the old ones go on, and all is well once there is room.
    """
    async with inhabited(*SITES) as world:
        disks = [world.certificates_disk, world.documents_disk] if full == "both" else [getattr(world, full)]
        await world.live(59.9 * DAY)
        for disk in disks:
            disk.full = True
        await world.live(DAY)

        assert len(world.ca.orders) <= 2 * len(SITES)
        assert len(world.ca.signed) <= 2 * len(SITES)
        assert all(len(world.ca.tries(name)) <= 1 + 40 for name in SITES)
        assert world.good(*SITES)

        for disk in disks:
            disk.full = False
        await world.live(2 * HOUR)

        assert {len(ages_at_renewal(world, name)) for name in SITES} == {1}
        for name in SITES:
            served = world.served(name)
            assert served is not None
            assert served.not_before > START + 50 * DAY


async def test_a_gate_that_begins_on_a_full_disk() -> None:
    """
    Not even the placeholder can be stored; nothing runs hot, and once there is room everything follows by itself.
    """
    async with inhabited(A, B) as world:
        world.certificates_disk.full = world.documents_disk.full = True
        await world.live(HOUR)

        assert world.nginx.serving is None
        assert 4 <= len(world.events.of("certificate.failed")) <= 3 * 8

        world.certificates_disk.full = world.documents_disk.full = False
        await world.live(HOUR)

        assert world.good(A, B)


async def test_what_people_wish_for() -> None:
    """
    A forced renewal is served when it is answered; a certificate that was taken out can be forgotten; both over and over.
    """
    async with inhabited(A, B) as world:
        await world.live(DAY)
        for _ in range(5):
            before = world.served(A)
            answer = await world.grant(Wishes(world.reconciler, world.clock).renew(A, force=True))
            after = world.served(A)

            assert answer.ok, answer.message
            assert before is not None
            assert after is not None
            assert after.version > before.version
            assert after.serial == answer.fields["serial"]
        assert len(world.ca.signed) == 2 + 5

        world.use(A)
        await world.live(DAY)
        answer = await world.grant(Wishes(world.reconciler, world.clock).forget(B))

        assert answer.ok, answer.message
        assert B not in (await world.store.index()).held
        assert world.good(A)
