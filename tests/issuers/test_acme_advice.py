"""
What is seen from here stands beside what the CA says of a name, and makes nobody hurry where it explains that.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import pytest
from tests.issuers.test_acme import SPEC, World
from tests.support.fake_acme import URN, Board
from tests.support.pebble_world import quiet, running, spec

from gatelodge.core import backoff
from gatelodge.dns.public_address import own_addresses
from gatelodge.dns.resolver import PublicResolver
from gatelodge.errors import IssuanceError
from gatelodge.issuers.acme.advice import EXPLAINED
from gatelodge.ports.advice import Finding
from gatelodge.solvers.outside import Outside

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.ports import Challenge


class Eyes:
    """
    Sees what it is told to, by name.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.sees: dict[str, Finding] = {}
        self.looked: list[str] = []

    async def look(self, challenge: Challenge) -> Finding | None:
        assert self.board.visible[challenge.token] == challenge.key_authorization
        self.looked.append(challenge.name)
        return self.sees.get(challenge.name)


@pytest.fixture
def eyes() -> Eyes:
    """
    Somebody who looks.
    """
    return Eyes(Board())


@pytest.fixture
def world(eyes: Eyes) -> World:
    """
    A CA that refuses one name.
    """
    world = World()
    eyes.board = world.board
    world.options = {"adviser": eyes}
    world.server.refuse["a.example"] = {"type": f"{URN}connection", "detail": "no answer"}
    world.restart()
    return world


@pytest.mark.parametrize("explains", [True, False])
async def test_what_is_seen_stands_beside_what_the_ca_says(world: World, eyes: Eyes, *, explains: bool) -> None:
    """
    Looked at while the answer is still visible; where it explains the failure, the next try can wait.
    """
    eyes.sees = {"a.example": Finding(text="AAAA 2a00::1 answers 404", explains=explains)}
    problem = await world.fail()
    assert eyes.looked == ["a.example"]
    assert str(problem) == "connection: a.example: no answer; seen from here: AAAA 2a00::1 answers 404"
    assert [sub.identifier for sub in problem.subproblems] == ["a.example"]
    assert problem.retry_after == (EXPLAINED if explains else None)
    least = backoff.delay("certificate/home", 1, problem, spread=0.0)
    assert least == (dt.timedelta(minutes=100) if explains else dt.timedelta(minutes=1))
    assert backoff.REFUSED[2] == EXPLAINED
    assert not world.board.visible


async def test_of_several_names_each_has_its_own(world: World, eyes: Eyes) -> None:
    """
    And one of which nothing is seen stays as it is.
    """
    world.server.refuse["b.example"] = {"type": f"{URN}dns", "detail": "NXDOMAIN"}
    eyes.sees = {"b.example": Finding(text="no address", explains=True)}
    problem = await world.fail()
    assert {sub.identifier: sub.detail for sub in problem.subproblems} == {
        "a.example": "no answer",
        "b.example": "NXDOMAIN; seen from here: no address",
    }
    assert (problem.type, problem.retry_after) == ("compound", EXPLAINED)


async def test_nobody_looks_when_it_went_well_or_for_another_reason(world: World, eyes: Eyes) -> None:
    """
    A record that forbids, or names proven by DNS, have nothing to do with who answers where.
    """
    world.server.refuse["a.example"] = {"type": f"{URN}caa", "detail": "no"}
    await world.fail()
    world.server.refuse.clear()
    await world.issue()
    world.board.type = "dns-01"
    world.server.refuse["a.example"] = {"type": f"{URN}dns", "detail": "no"}
    await world.fail()
    assert eyes.looked == []
    assert SPEC.challenges == ("http-01",)


@pytest.mark.live
async def test_a_name_that_leads_elsewhere_at_a_real_ca(tmp_path: Path) -> None:
    """
    The CA says that nobody answers; beside it stands what the DNS says, and what answers there.
    """
    async with running(tmp_path) as world:
        body = json.dumps({"host": "lost.example.", "addresses": ["127.0.0.9"]}).encode()
        assert (await world.http.request("POST", f"{world.ca.dns}/add-a", body=body)).status == 200
        resolver = PublicResolver(servers=[world.ca.dns_server], doh=(), http=world.http, clock=world.clock, port=9)
        adviser = Outside(
            resolver=lambda: resolver, http=world.http, own=own_addresses, public=dict, port=world.ca.http_port
        )
        acme = world.acme(adviser=adviser)
        async with acme.issue(spec("found.example"), progress=quiet):
            pass
        with pytest.raises(IssuanceError) as caught:
            async with acme.issue(spec("lost.example"), progress=quiet):
                pass
        problem = caught.value.problem
        assert problem.detail.endswith(
            "; seen from here: A 127.0.0.9 cannot be reached from here; 127.0.0.9 cannot be reached from the internet: the A record "
            "must have a public address"
        )
        assert problem.type in {"connection", "unauthorized"}
        assert problem.retry_after == EXPLAINED
        assert world.tokens() == []
