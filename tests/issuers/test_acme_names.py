"""
One bad name among many: whichever way it is found to be bad, it comes out of a failed attempt as data, so that the others can be had.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from tests.issuers.test_acme import SPEC, World
from tests.support.fake_acme import URN
from tests.support.fake_resolver import FakeResolver

from gatelodge.core import asking
from gatelodge.core.actions import Obtain, Reason, tries
from gatelodge.core.observed import Attempt
from gatelodge.errors import IssuanceError, Problem, Subproblem
from gatelodge.model import Name, OnBadName

if TYPE_CHECKING:
    from gatelodge.model import CertificateSpec

WANTED = dataclasses.replace(
    SPEC, names=(Name("good.example"), Name("bad.example"), Name("*.good.example")), on_bad_name=OnBadName.SUBSET
)
GOOD = (Name("good.example"), Name("*.good.example"))


@pytest.fixture
def world() -> World:
    """
    A CA that has a name, and a DNS.
    """
    world = World()
    world.server.identities = ("ca.test",)
    world.options = {"resolver": lambda: resolver}
    resolver = FakeResolver()
    world.restart()
    return world


def make_bad(world: World, how: str) -> None:
    """
    Make one name bad.
    """
    subproblem = {
        "type": f"{URN}rejectedIdentifier",
        "detail": "no",
        "identifier": {"type": "dns", "value": "bad.example"},
    }
    refusal = {"type": f"{URN}rejectedIdentifier", "detail": "some names", "subproblems": [subproblem]}
    match how:
        case "an authorization":
            world.server.refuse["bad.example"] = {"type": f"{URN}dns", "detail": "NXDOMAIN"}
        case "the order":
            world.server.scripted["new-order"] = [world.server.answer(refusal, 400)]
        case "the order, by its words":
            words = (
                'Cannot issue for "bad.example": The ACME server refuses to issue a certificate for this domain name'
            )
            world.server.scripted["new-order"] = [world.server.problem(400, "rejectedIdentifier", words)]
        case "a record":
            resolver = FakeResolver()
            resolver.records = {"bad.example": [(0, "issue", ";")]}
            world.options = {"resolver": lambda: resolver}
            world.restart()
        case "no solver":
            world.board.refused = {Name("bad.example"): Problem(type="noSolver", detail="bad.example: no way")}
        case _:
            told = Subproblem(type="selfCheck", detail="404", identifier="bad.example")
            world.board.fail = IssuanceError(Problem(type="selfCheck", detail="bad.example: 404", subproblems=(told,)))


@pytest.mark.parametrize(
    "how", ["an authorization", "the order", "the order, by its words", "a record", "no solver", "a look of ours"]
)
async def test_the_bad_name_is_told_and_the_others_can_be_had(world: World, how: str) -> None:
    """
    Refused by the CA, in an authorization or at once; forbidden by a record; provable by nobody; not shown by nginx.
    """
    make_bad(world, how)
    problem = await world.fail(WANTED)
    part = next(asking.parts(WANTED, attempts(WANTED, problem, world)))
    assert part.names == GOOD
    world.board.fail = None
    world.board.refused = {}
    async with world.acme.issue(part, progress=world.texts.append) as issued:
        assert issued.chain
    (last,) = [json.dumps(order.names) for order in world.server.orders.values() if order.csr is not None]
    assert last == json.dumps(GOOD)


def attempts(spec: CertificateSpec, problem: Problem, world: World) -> dict[str, Attempt]:
    """
    Return what is remembered of a failure.
    """
    way, *_ = spec.ways
    now = world.clock.now()
    name = tries(Obtain(spec=way, reason=Reason.FAILED))
    return {name: Attempt(tries=name, digest=way.digest, failures=1, problem=problem, at=now, retry_at=now)}
