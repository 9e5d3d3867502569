"""
What `ports.Nginx` promises, on the nginx that is ours, old and new, and on its fake.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import FakeClock
from tests.support.nginx_fake import FakeNginx
from tests.support.nginx_house import DEBIAN, WHEEL, house
from tests.support.waiting import until

from gatelodge.errors import NginxMissing, NginxRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import House

    from gatelodge.core.tree import Rendered
    from gatelodge.ports import Nginx


@dataclasses.dataclass(slots=True, kw_only=True)
class Bench:
    """
    An implementation and the means to trouble it.
    """

    nginx: Nginx
    home: House

    def tree(self, *hosts: str, spoiled: str | None = None) -> Rendered:
        """
        Render a tree with sites for these hosts, one of which may hold what no nginx takes.
        """
        self.home.sites = []
        for host in hosts:
            self.home.add(host)
        rendered = self.home.render()
        if spoiled:
            rendered = dataclasses.replace(rendered, sites={**rendered.sites, spoiled: "nonsense on;\n"})
        return rendered

    async def crash(self) -> None:
        """
        End nginx as kill -9 does.
        """
        if isinstance(self.nginx, FakeNginx):
            self.nginx.crash()
        else:
            pid = (await self.nginx.observe()).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

    def without_program(self) -> Nginx:
        """
        Return the implementation on a machine that has no nginx.
        """
        if isinstance(self.nginx, FakeNginx):
            self.nginx.missing = "it is not in PATH"
            return self.nginx
        self.home.settings = dataclasses.replace(self.home.settings, binary="/nonexistent/nginx")
        return self.home.managed()


@pytest.fixture(
    params=[
        "fake",
        pytest.param(DEBIAN, marks=pytest.mark.live, id="debian"),
        pytest.param(WHEEL, marks=pytest.mark.live, id="wheel"),
    ]
)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """
    Yield each implementation in turn.
    """
    fake = request.param == "fake"
    async with house(WHEEL if fake else request.param) as home:
        yield Bench(nginx=FakeNginx(clock=FakeClock()) if fake else home.managed(), home=home)


async def test_at_first_nothing_runs_and_nothing_is_current(bench: Bench) -> None:
    """
    A look at a fresh machine finds the program and nothing else.
    """
    seen = await bench.nginx.observe()
    assert seen.capabilities is not None
    assert (seen.missing, seen.running, seen.pid, seen.current, seen.generations) == (None, None, None, None, ())
    assert await bench.nginx.site_text("a.example.com") is None


async def test_apply_starts_nginx_and_proves_the_tree(bench: Bench) -> None:
    """
    The number returned is the one that is current, proven and running.
    """
    rendered = bench.tree("a.example.com")
    number = await bench.nginx.apply(rendered)
    seen = await bench.nginx.observe()
    assert seen.current is not None
    assert seen.running == seen.current.number == number
    assert (seen.current.digest, seen.current.references) == (rendered.digest, rendered.references)
    assert seen.last_proven == seen.current
    assert seen.reloaded_at is None, "a start is no reload"
    assert await bench.nginx.site_text("a.example.com") == rendered.sites["a.example.com"]
    assert await bench.nginx.site_text("b.example.com") is None


async def test_apply_reloads_the_same_nginx_with_the_next_tree(bench: Bench) -> None:
    """
    The process stays, the number grows, the tree before is kept.
    """
    first = await bench.nginx.apply(bench.tree("a.example.com"))
    before = await bench.nginx.observe()
    second = await bench.nginx.apply(bench.tree("a.example.com", "b.example.com"))
    seen = await bench.nginx.observe()
    assert second > first
    assert seen.pid == before.pid
    assert seen.running == second
    assert seen.reloaded_at is not None
    assert [generation.number for generation in seen.generations] == [first, second]


async def test_a_refused_tree_is_gone_and_the_one_before_is_served(bench: Bench) -> None:
    """
    The guilty site is named, and the refused tree's number is never given again.
    """
    first = await bench.nginx.apply(bench.tree("a.example.com"))
    with pytest.raises(NginxRefused) as refused:
        await bench.nginx.apply(bench.tree("a.example.com", "b.example.com", spoiled="b.example.com"))
    assert refused.value.guilty == {"b.example.com"}
    seen = await bench.nginx.observe()
    assert seen.running == first
    assert [generation.number for generation in seen.generations] == [first]
    assert await bench.nginx.site_text("b.example.com") is None
    assert await bench.nginx.apply(bench.tree("a.example.com", "b.example.com")) > first + 1


async def test_a_refused_first_tree_leaves_nothing_behind(bench: Bench) -> None:
    """
    Nothing is current and nothing runs.
    """
    with pytest.raises(NginxRefused):
        await bench.nginx.apply(bench.tree("a.example.com", spoiled="a.example.com"))
    seen = await bench.nginx.observe()
    assert (seen.running, seen.current, seen.generations) == (None, None, ())


async def test_stop_and_start(bench: Bench) -> None:
    """
    A stopped nginx starts again on the current tree; each call does nothing when there is nothing to do.
    """
    await bench.nginx.stop(grace=1)
    with pytest.raises(NginxRefused):
        await bench.nginx.start()
    number = await bench.nginx.apply(bench.tree("a.example.com"))
    await bench.nginx.stop(grace=1)
    stopped = await bench.nginx.observe()
    assert (stopped.running, stopped.pid) == (None, None)
    assert stopped.current is not None
    await bench.nginx.start()
    started = await bench.nginx.observe()
    assert started.running == number
    await bench.nginx.start()
    assert (await bench.nginx.observe()).pid == started.pid


@pytest.mark.parametrize("how", ["crash", "stop"])
async def test_exited_returns_when_nginx_ends_and_not_before(bench: Bench, how: str) -> None:
    """
    It waits while none runs, waits while one runs, and returns when that ends, however it does.
    """
    over = asyncio.Event()

    async def watch() -> None:
        await bench.nginx.exited()
        over.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        await bench.nginx.apply(bench.tree("a.example.com"))
        assert not over.is_set()
        await (bench.crash() if how == "crash" else bench.nginx.stop(grace=1))
        await until(over.is_set)
    assert (await bench.nginx.observe()).running is None


async def test_a_crashed_nginx_starts_again(bench: Bench) -> None:
    """
    After kill -9 its ports are free for the next one.
    """
    number = await bench.nginx.apply(bench.tree("a.example.com"))
    await bench.crash()
    await _gone(bench.nginx)
    await bench.nginx.start()
    assert (await bench.nginx.observe()).running == number
    assert await bench.nginx.apply(bench.tree("b.example.com")) == number + 1


async def _gone(nginx: Nginx) -> None:
    async def gone() -> bool:
        return (await nginx.observe()).running is None

    await until(gone)


async def test_roll_back_makes_the_last_proven_tree_current(bench: Bench) -> None:
    """
    With a proven tree that is served; without one nothing is current.
    """
    await bench.nginx.roll_back()
    assert (await bench.nginx.observe()).current is None
    number = await bench.nginx.apply(bench.tree("a.example.com"))
    await bench.nginx.roll_back()
    seen = await bench.nginx.observe()
    assert seen.current is not None
    assert (seen.running, seen.current.number) == (number, number)


async def test_prune_deletes_trees_but_never_what_is_served(bench: Bench) -> None:
    """
    The current and the last proven one stay, asked for or not; unknown numbers are skipped.
    """
    numbers = [
        await bench.nginx.apply(bench.tree(host)) for host in ("a.example.com", "b.example.com", "c.example.com")
    ]
    await bench.nginx.prune([*numbers, 99])
    seen = await bench.nginx.observe()
    assert [generation.number for generation in seen.generations] == numbers[-1:]
    assert seen.running == numbers[-1]


async def test_a_missing_program_is_seen_and_said(bench: Bench) -> None:
    """
    A look does not raise; whatever needs the program does.
    """
    rendered = bench.tree("a.example.com")
    nginx = bench.without_program()
    seen = await nginx.observe()
    assert seen.capabilities is None
    assert seen.missing
    with pytest.raises(NginxMissing):
        await nginx.apply(rendered)


@pytest.mark.parametrize("after", [0, 0.005, 0.02, 0.04, 0.06, 0.1])
async def test_a_cancelled_apply_leaves_the_tree_before_served(bench: Bench, after: float) -> None:
    """
    Wherever it is cut short, it is all or nothing.
    """
    first = await bench.nginx.apply(bench.tree("a.example.com"))
    rendered = bench.tree("a.example.com", "b.example.com")
    done = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(after):
            done = await bench.nginx.apply(rendered)
    seen = await bench.nginx.observe()
    assert seen.current is not None
    assert seen.running == seen.current.number == (done or first)
    assert seen.current.proven
    assert await bench.nginx.apply(rendered) > first
