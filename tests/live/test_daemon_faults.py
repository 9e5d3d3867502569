"""
A daemon that is killed at each request of an order: the next one brings the certificate, of the same order.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from tests.support.fault_kills import kills
from tests.support.fault_proxy import Kind
from tests.support.fault_table import REQUESTS

pytestmark = pytest.mark.live


@pytest.mark.timeout(300)
@pytest.mark.parametrize("late", [False, True], ids=["before the CA hears", "after the CA answered"])
async def test_a_daemon_that_is_killed_at_a_request(*, late: bool) -> None:
    """
    With kill -9, at each request in turn, again and again in one state directory: an order more at most, never a certificate more.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        found = await kills(Path(name), late=late)
    assert set(found) == {asked for asked, (kind, _) in REQUESTS.items() if kind is not Kind.REVOKE}
    assert {asked: str(each) for asked, each in found.items() if not each.keeps_the_rule} == {}
