"""
Each fault at each request of an order, with a real ACME server behind it: the certificate comes, for an order more at most, and
never for a second certificate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.fault_proxy import Fault, Kind, proxied
from tests.support.fault_table import NO_LIST, PEBBLE, REQUESTS, UNHEARD, client_side, counted, plays, row
from tests.support.pebble_world import quiet, running, spec

from gatelodge.runtime.system import Web

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live


@pytest.mark.parametrize("asked", REQUESTS)
async def test_each_fault_at_a_request(tmp_path: Path, asked: str) -> None:
    """
    Played once each, for a certificate and an account of its own. There is one order each time, also where its answer was lost; only
    where the CA does not say which orders an account has, there is another.
    """
    async with running(tmp_path, environment=PEBBLE) as world:
        found = await row(world, tmp_path, asked)
    assert set(found) == {fault for fault in Fault if plays(asked, fault)}
    assert {fault: str(each) for fault, each in found.items() if not each.keeps_the_rule} == {}
    assert {fault for fault, each in found.items() if each.orders > 1} == (UNHEARD if asked == NO_LIST else set())


async def test_every_signed_request_is_refused_its_nonce_once(tmp_path: Path) -> None:
    """
    It comes again, at once, and nothing else does.
    """
    async with (
        running(tmp_path, environment=PEBBLE) as world,
        proxied(world.ca, tmp_path) as proxy,
        Web(root=proxy.root) as http,
    ):
        proxy.refuse_every_nonce_once()
        own, _ = client_side(world, proxy, http)
        async with own.acme().issue(spec("a.example"), progress=quiet) as issued:
            assert await own.verified(issued, "a.example")
        assert counted(tmp_path, proxy) == (1, 1)
        assert proxy.counts[Kind.NEW_ORDER] == 2
