"""
The line that tells a person how things stand.
"""

from __future__ import annotations

import datetime as dt
import re

import pytest
from tests.support.ca import REFUSED
from tests.world import DAY, HOUR, MINUTE, SECOND, World, inhabited

from gatelodge.errors import Problem
from gatelodge.runtime.standing.summary import summary

A, B, C = "a.example.com", "b.example.com", "c.example.com"


def said(world: World) -> str:
    """
    Say how a world stands.
    """
    assert world.reconciler.latest is not None
    return summary(world.reconciler.latest, world.clock.now())


async def test_a_good_day_is_told_by_what_comes_next() -> None:
    """
    How many sites and certificates there are, and which is renewed next; further off in days, then in hours.
    """
    async with inhabited(A, B) as world:
        await world.live(MINUTE)

        assert said(world) == f"2 sites, 2 certificates; next renewal {A} in 59 days"

        await world.live(57 * DAY + 23 * HOUR)

        assert said(world) == f"2 sites, 2 certificates; next renewal {A} in 2 days"

        await world.live(2 * DAY - 90 * MINUTE)

        assert said(world) == f"2 sites, 2 certificates; next renewal {A} in 2 hours"

        await world.live(HOUR)

        assert said(world) == f"2 sites, 2 certificates; next renewal {A} in 1 hour"

        await world.live(50 * MINUTE)

        assert said(world) == f"2 sites, 2 certificates; next renewal {A} within the hour"


async def test_what_fails_comes_first_with_its_next_try() -> None:
    """
    The certificate that is tried next is named, with the kind of its trouble and no more: details can be long, and stand in the log.
    """
    async with inhabited(A, B, C) as world:
        world.ca.refuses[A] = Problem(type="dnsCredentials", detail="the key s3cr3t was refused")
        world.ca.refuses[B] = REFUSED
        await world.live(20 * SECOND)
        line = said(world)

        assert re.match(
            r"[ab]\.example\.com failed: \w+; next try \d\d:\d\d, and 1 more; 3 sites, 1 certificate; ", line
        )
        assert "s3cr3t" not in line

        world.ca.refuses = {A: world.ca.refuses[A]}
        await world.live(DAY)
        attempt = world.reconciler.latest.observed.attempts[f"certificate:{A}/acme:letsencrypt"]  # type: ignore[union-attr]

        assert said(world).startswith(
            f"{A} failed: dnsCredentials; next try {attempt.retry_at.astimezone():%H:%M}; 3 sites, 2 certificates"
        ) or said(world).startswith(
            f"{A} failed: dnsCredentials; next try {attempt.retry_at.astimezone():%Y-%m-%d %H:%M}"
        )


async def test_a_try_on_another_day_is_told_with_its_date() -> None:
    """
    14:05 would be taken for today's.
    """
    async with inhabited(A) as world:
        world.ca.refuses[A] = Problem(type="rateLimited", detail="too many", retry_after=dt.timedelta(days=3))
        await world.live(MINUTE)

        assert re.match(
            r"a\.example\.com failed: rateLimited; next try 2026-01-0[345] \d\d:\d\d; 1 site, ", said(world)
        )


@pytest.mark.parametrize("runs", [True, False])
async def test_an_nginx_that_refuses_is_told(*, runs: bool) -> None:
    """
    Whether anything is served meanwhile is what matters.
    """
    async with inhabited(A) as world:
        if runs:
            await world.live(MINUTE)
        world.nginx.closed = world.nginx.unproven = "something holds the port"
        if runs:
            world.use(A, B)
        await world.live(5 * MINUTE)
        state = "goes on as it was" if runs else "does not run"

        assert re.match(rf"nginx {state}: nginx\w+; next try ", said(world))


async def test_a_site_that_nginx_refuses_is_named() -> None:
    """
    The others are served; who has this one must look at it.
    """
    async with inhabited(A, B) as world:
        world.nginx.refuses = lambda site, _: site.startswith("b.")
        await world.live(10 * SECOND)

        assert f"nginx refused {B}; 2 sites, " in said(world)


async def test_a_doubted_clock_is_told() -> None:
    """
    Nothing is issued while it is; the remedy is a person's.
    """
    async with inhabited(A) as world:
        world.clock.time -= 400 * DAY
        await world.live(MINUTE)

        assert said(world).startswith("this machine's clock says ")
        assert "set the clock (NTP)" in said(world)
