"""
A gate whose nginx misbehaves: it dies, dies at once, refuses a site, is missing, does not prove what it was given.
"""

from __future__ import annotations

import itertools

import pytest
from tests.support.ca import REFUSED
from tests.world import DAY, HOUR, MINUTE, SECOND, World, inhabited

from gatelodge.api.wishes import Wishes
from gatelodge.core import backoff
from gatelodge.runtime.standing.report import report

SITES = ("a.example.com", "b.example.com", "c.example.com")
A, B, C = SITES


def waits(world: World) -> list[float]:
    """
    Return the seconds between starts of nginx.
    """
    return [later - earlier for earlier, later in itertools.pairwise(world.nginx.starts)]


async def test_an_nginx_that_crashes_now_and_then_is_started_at_once() -> None:
    """
    Every few hours for a month: back within the same second, with nothing asked of the CA.
    """
    async with inhabited(*SITES) as world:
        await world.live(DAY)
        for _ in range(100):
            world.nginx.crash()
            await world.live(SECOND)

            assert world.good(*SITES)

            await world.live(world.rng.uniform(1.1, 600) * MINUTE)
        assert len(world.nginx.starts) == 101
        assert len(world.events.of("nginx.exited")) == 100
        assert len(world.ca.asked) == len(SITES)


@pytest.mark.parametrize("life", [0, 0.3, 20])
async def test_an_nginx_that_dies_at_once_again_and_again(life: float) -> None:
    """
    It is started less and less often, down to four times an hour, and said to be so; once it is mended it comes back by itself,
    and after a minute its past is forgotten.
    """
    async with inhabited(*SITES) as world:
        await world.live(DAY)
        world.nginx.dies_after = life
        world.nginx.crash()
        await world.live(10 * MINUTE)
        look = await world.reconciler.look()

        assert look.observed.nginx.running is None
        assert "ended by itself" in report(look, world.clock.now())["nginx"]["failure"]["error.detail"]

        await world.live(DAY)

        assert len(world.nginx.starts) < 12 + 24 * 4
        for wait, (number, least) in zip(waits(world)[2:], enumerate(backoff.ENDED[1:]), strict=False):
            assert wait >= least.total_seconds(), f"start {number}"
        assert world.events.names().count("nginx.exited") >= len(world.nginx.starts) - 1

        world.nginx.dies_after = None
        await world.live(18 * MINUTE)
        look = await world.reconciler.look()

        assert world.good(*SITES)
        assert report(look, world.clock.now())["nginx"]["failure"] is None

        await world.live(18 * MINUTE)
        world.nginx.crash()
        await world.live(SECOND)

        assert world.good(*SITES)


async def test_a_restart_of_the_daemon_does_not_forget_that_nginx_dies() -> None:
    """
    The wait is a fact on disk: a daemon that is killed and started again waits on.
    """
    async with inhabited(A) as world:
        await world.live(DAY)
        world.nginx.dies_after = 0
        world.nginx.crash()
        await world.live(10 * MINUTE)
        starts = len(world.nginx.starts)
        for _ in range(20):
            await world.kill()
            await world.begin()
            await world.live(5 * SECOND)

        assert len(world.nginx.starts) <= starts + 1


async def test_somebody_who_asks_for_a_reload_is_not_told_to_wait() -> None:
    """
    Whoever mended an nginx that waits for its next start has it started now; one that still dies is answered, not waited for.
    """
    async with inhabited(A) as world:
        await world.live(DAY)
        world.nginx.closed = "port 443 is taken"
        world.nginx.crash()
        await world.live(HOUR)
        refused = await world.grant(Wishes(world.reconciler, world.clock).reload(), within=SECOND)

        assert not refused.ok
        assert "port 443 is taken" in refused.message

        world.nginx.closed = None
        answer = await world.grant(Wishes(world.reconciler, world.clock).reload(), within=SECOND)

        assert answer.ok, answer.message
        assert world.good(A)


async def test_a_refused_site_is_kept_back_until_its_text_changes() -> None:
    """
    Its last good text goes on, renewals of others too, and it is back at once when the configuration is mended.
    """
    async with inhabited(*SITES) as world:
        await world.live(DAY)
        world.use(*SITES, a="nonsense")
        await world.live(59.5 * DAY)

        assert world.nginx.serving is not None
        assert "127.0.0.1" in world.nginx.serving.sites[A]
        assert "nonsense" not in "".join(world.nginx.serving.sites.values())
        assert all(event["site"] == A for event in world.events.of("site.quarantined"))
        assert len(world.events.of("site.quarantined")) <= 70
        for name in (B, C):
            served = world.served(name)
            assert served is not None
            assert served.version > 1, "the others are renewed meanwhile"

        world.use(*SITES, a="10.0.0.1")
        await world.live(MINUTE)

        assert "10.0.0.1" in world.nginx.serving.sites[A]
        assert len(world.events.of("site.released")) == 1
        assert world.expired == set()


async def test_a_refused_site_is_let_in_when_nginx_takes_it() -> None:
    """
    Nobody changes the text, but what it names appears: within a day it is served.
    """
    async with inhabited(*SITES) as world:
        await world.live(DAY)
        world.use(*SITES, a="nonsense")
        await world.live(3 * DAY)
        world.nginx.refuses = lambda _site, _text: False
        await world.live(1.2 * DAY + MINUTE)

        assert world.nginx.serving is not None
        assert "nonsense" in world.nginx.serving.sites[A]
        assert len(world.events.of("site.released")) == 1
        assert world.reconciler.latest is not None
        assert world.reconciler.latest.observed.quarantines == {}


async def test_a_new_site_that_is_refused_answers_503_and_harms_nobody() -> None:
    """
    A site that was never good has no text to stay at; the one added together with it is served.
    """
    async with inhabited(A) as world:
        await world.live(DAY)
        world.use(A, B, C, b="nonsense")
        await world.live(2 * MINUTE)

        assert world.nginx.serving is not None
        assert "503" in world.nginx.serving.sites[B]
        assert world.good(A, C)


async def test_a_missing_nginx_is_found_when_it_is_there() -> None:
    """
    Said once, nothing asked of the CA, and within a minute or so of its arrival everything is served.
    """
    async with inhabited(*SITES) as world:
        world.nginx.missing = "not found"
        await world.live(3 * DAY)

        assert world.events.names().count("nginx.missing") == 1
        assert world.ca.asked == []

        world.nginx.missing = None
        await world.live(2 * MINUTE)

        assert world.good(*SITES)


@pytest.mark.parametrize("trouble", ["unproven", "closed"])
async def test_an_nginx_that_does_not_serve_what_it_is_given(trouble: str) -> None:
    """
    Tried again with growing waits, in which the old certificates go on if nginx runs; mended, it takes the newest tree.
    """
    async with inhabited(*SITES) as world:
        await world.live(59.9 * DAY)
        setattr(world.nginx, trouble, "no")
        if trouble == "closed":
            world.nginx.crash()
        await world.live(DAY)
        failed = world.events.of("nginx.unproven") + world.events.of("nginx.refused")

        assert 4 * 20 <= len(failed) <= 4 * 24 + 6
        assert (world.nginx.serving is None) == (trouble == "closed")

        setattr(world.nginx, trouble, None)
        await world.live(20 * MINUTE)

        assert world.good(*SITES)
        if trouble == "unproven":
            assert all((held := world.served(name)) is not None and held.version == 2 for name in SITES)


async def test_a_wish_that_cannot_come_true_is_answered() -> None:
    """
    Nobody waits at a terminal for an nginx that is not there, a clock that is wrong or a tree that does not go away.
    """
    async with inhabited(A, B) as world:
        await world.live(DAY)
        wishes = Wishes(world.reconciler, world.clock)
        world.use(A)
        world.nginx.missing = "not found"
        world.nginx.crash()
        await world.live(MINUTE)
        reload = await world.grant(wishes.reload(), within=SECOND)
        renew = await world.grant(wishes.renew(A, force=True), within=SECOND)
        forget = await world.grant(wishes.forget(B), within=SECOND)

        assert [reload.ok, renew.ok, forget.ok] == [False, False, False]
        assert all("not found" in answer.message for answer in (reload, renew, forget))

        world.nginx.missing = None
        await world.live(5 * MINUTE)

        assert world.good(A)
        assert B not in (await world.store.index()).held, "what was asked for is done once it can be"


async def test_a_wish_for_what_is_on_its_way_costs_no_second_certificate() -> None:
    """
    Whoever asks for a renewal while the first order runs gets that one; a refusal is answered in the CA's words.
    """
    async with inhabited(A) as world:
        world.ca.seconds = 60
        await world.live(SECOND)
        answer = await world.grant(Wishes(world.reconciler, world.clock).renew(A, force=False))

        assert answer.ok, answer.message
        assert len(world.ca.orders) == 1

        world.ca.refuses[A] = REFUSED
        answer = await world.grant(Wishes(world.reconciler, world.clock).renew(A, force=True))

        assert not answer.ok
        assert REFUSED.detail in answer.message
        assert world.good(A)
