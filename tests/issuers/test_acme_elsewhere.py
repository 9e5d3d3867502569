"""
Orders begun at one CA and wanted from another, and machines on which nothing should be ordered at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.issuers.test_acme import SPEC, World
from tests.support.fake_acme import BASE, DIRECTORY, FakeAcme

from gatelodge.core.failures import Failure, classify
from gatelodge.errors import IssuanceError, Problem
from gatelodge.issuers.acme.budgets import KIND as BUDGETS
from gatelodge.issuers.acme.issuer import Acme
from gatelodge.issuers.keys import NewKeys
from gatelodge.model import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.ports import HttpResponse

ELSEWHERE = "https://elsewhere.test"


class Moved:
    """
    A CA under another address.
    """

    def __init__(self, server: FakeAcme) -> None:
        self.server = server

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        # Only its directory is asked for there: what it names is where it always was.
        return await self.server.request(
            method, url.replace(ELSEWHERE, BASE), headers=headers, body=body, timeout=timeout
        )


@pytest.mark.parametrize("reached", [True, False])
async def test_an_order_at_another_ca_is_given_up_first(*, reached: bool) -> None:
    """
    Where that can be told: its open authorizations are deactivated. Where not, the certificate comes all the same.
    """
    world = World()
    await world.stop_at("challenge", "before")
    (order,) = world.server.orders.values()
    server, others = FakeAcme(world.clock, world.board), {DIRECTORY: world.acme}
    second = Acme(
        authority=CertificateAuthority(name="second", directory=f"{ELSEWHERE}/directory"),
        http=Moved(server),
        documents=world.documents,
        clock=world.clock,
        keys=NewKeys(),
        solvers=world.solvers,
        email=None,
        events=world.events,
        others=others,
    )
    world.board.refused = {SPEC.names[0]: Problem(type="noSolver", detail="not now")}
    with pytest.raises(IssuanceError):
        async with second.issue(SPEC, progress=world.texts.append):
            pass
    # It was not begun elsewhere yet, so that it may still come from where it was, and costs nothing here.
    assert (await world.record())["ca"] == "fake"
    assert f"{ELSEWHERE}/directory" not in await world.documents.list(BUDGETS)
    world.board.refused = {}
    world.server.unreachable = not reached
    async with second.issue(SPEC, progress=world.texts.append):
        record = await world.record()
    assert record["ca"] == "second"
    assert "giving up the order at fake" in world.texts
    statuses = {world.server.authorizations[number].status for number in order.authorizations}
    assert statuses == ({"deactivated"} if reached else {"pending"})
    assert (world.server.issued, server.issued) == (0, 1)
    assert await world.record() is None


async def test_nothing_is_ordered_where_nothing_is_kept() -> None:
    """
    Nor is an account made; the remedy is said. Another problem of this machine's than the CA's.
    """
    world = World()
    world.options = {"passing": lambda: "tmpfs at /data, in memory"}
    world.restart()
    problem = await world.fail()
    assert (problem.type, classify(problem)) == ("ephemeral", Failure.POLICY)
    assert "the state directory lies on tmpfs at /data, in memory" in problem.detail
    assert "`allow_ephemeral_state = true` in [acme]" in problem.detail
    assert world.server.log == []
