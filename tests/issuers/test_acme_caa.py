"""
CAA records that are in the way are found before an order is made; what cannot be looked up is the CA's to say.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from tests.issuers.test_acme import SPEC, World
from tests.support.fake_acme import URN, Board
from tests.support.fake_resolver import FakeResolver
from tests.support.pebble_world import quiet, running, spec

from gatelodge.core.failures import Failure, classify
from gatelodge.dns.resolver import PublicResolver
from gatelodge.errors import IssuanceError, Problem
from gatelodge.issuers.acme import caa
from gatelodge.model import Name
from gatelodge.ports import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gatelodge.runtime.system import Web

OTHERS = [(0, "issue", "other.test")]


class Dns(World):
    """
    A world with a DNS, and a CA that says what it is called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.resolver = FakeResolver()
        self.server.identities = ("ca.test",)
        self.options = {"resolver": lambda: self.resolver}
        self.restart()


@pytest.fixture
def world() -> Dns:
    """
    A CA and a DNS.
    """
    return Dns()


async def test_nothing_in_the_way(world: Dns) -> None:
    """
    Each name and each parent is asked for once, from caches.
    """
    world.resolver.records = {"b.example": [(0, "issue", "ca.test")], "example": OTHERS[:0]}
    await world.issue()
    assert sorted(world.resolver.asked) == [("a.example", "CAA"), ("b.example", "CAA"), ("example", "CAA")]


async def test_a_record_that_forbids_is_named_before_the_order(world: Dns) -> None:
    """
    With the name, and what to write; as data for whoever wants the other names. The nearest records count.
    """
    world.resolver.records = {"a.example": OTHERS, "example": [(0, "issue", "ca.test")]}
    problem = await world.fail()
    assert (problem.type, classify(problem)) == ("caa", Failure.CAA)
    assert problem.detail == (
        'a.example: the record a.example CAA 0 issue "other.test" forbids fake to certify it, since it does not name ca.test; '
        'write a.example CAA 0 issue "ca.test" beside it; the CA was not asked'
    )
    assert [(sub.identifier, sub.type) for sub in problem.subproblems] == [("a.example", "caa")]
    assert "new-order" not in world.server.log
    assert await world.record() is None
    await world.issue(dataclasses.replace(SPEC, names=(Name("b.example"),)))


async def test_a_record_that_was_mended_is_in_nobodys_way(world: Dns) -> None:
    """
    A cache says for an hour what stood there before.
    """
    world.resolver.records, world.resolver.fresh = {"a.example": OTHERS}, {}
    await world.issue()
    assert ("a.example", "fresh") in world.resolver.asked
    assert ("b.example", "fresh") not in world.resolver.asked


async def test_the_account_and_the_method_count(world: Dns) -> None:
    """
    RFC 8657: the account's URL is known once there is one; the method is that by which the name will be proven.
    """
    await world.issue()
    (kid,) = world.server.accounts
    world.resolver.records = {"example": [(0, "issue", f"ca.test; accounturi={kid}; validationmethods=http-01")]}
    await world.issue()
    world.resolver.records = {"example": [(0, "issue", "ca.test; accounturi=https://ca.test/account/0")]}
    problem = await world.fail()
    assert f"its accounturi is not this account's, {kid}" in problem.detail
    assert {sub.identifier for sub in problem.subproblems} == {"a.example", "b.example"}
    world.resolver.records = {"example": [(0, "issue", "ca.test; validationmethods=dns-01")]}
    assert "validationmethods do not have http-01" in (await world.fail()).detail
    dns = Board("dns-01")
    world.server.boards = (world.board, dns)
    world.solvers = {"dns:home": dns}  # type: ignore[dict-item] # a board is any solver
    world.restart()
    await world.issue(dataclasses.replace(SPEC, challenges=("dns:home",)))


async def test_wildcards_have_rules_of_their_own(world: Dns) -> None:
    """
    `issuewild` counts for them alone.
    """
    world.resolver.records = {"a.example": [(0, "issue", "ca.test"), (0, "issuewild", ";")]}
    await world.issue(dataclasses.replace(SPEC, names=(Name("a.example"),)))
    problem = await world.fail(dataclasses.replace(SPEC, names=(Name("*.a.example"),)))
    assert 'write a.example CAA 0 issuewild "ca.test" in its place' in problem.detail


async def test_what_cannot_be_looked_up_is_the_cas_to_say(world: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is kept, and told beside what the CA says of that name; a machine without DNS waits a few seconds at most.
    """
    world.resolver.silent = {"a.example"}
    await world.issue()
    world.server.refuse = {"a.example": {"type": f"{URN}caa", "detail": "CAA says no"}}
    problem = await world.fail()
    assert problem.type == "caa"
    assert problem.detail == "a.example: CAA says no; looked at from here before: a.example: nobody answers"
    world.server.refuse = {"a.example": {"type": f"{URN}connection", "detail": "nobody there"}}
    assert "looked at from here" not in (await world.fail()).detail
    world.server.refuse = {}
    world.resolver.slow = 30
    monkeypatch.setattr(caa, "_PATIENCE", 0.05)
    async with asyncio.timeout(5):
        await world.issue()


async def test_nothing_is_looked_up_for_a_ca_without_a_name(world: Dns) -> None:
    """
    Nor for addresses, which have no such records, nor when there is no way to prove a name.
    """
    world.board.refused = {Name("a.example"): Problem(type="noSolver", detail="a.example: there is no way")}
    world.resolver.slow = 0.01
    assert (await world.fail()).type == "noSolver"
    world.board.refused = {}
    world.resolver.asked.clear()
    world.server.identities = ()
    world.restart()
    await world.issue()
    assert not world.resolver.asked


class Named:
    """
    A connection to a CA that tells what it is called in CAA records.
    """

    def __init__(self, http: Web) -> None:
        self.http = http

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        response = await self.http.request(method, url, headers=headers, body=body, timeout=timeout)
        if not url.endswith("/dir"):
            return response
        directory = json.loads(response.body)
        directory["meta"]["caaIdentities"] = ["pebble.test"]
        return HttpResponse(status=200, headers=response.headers, body=json.dumps(directory).encode())


@pytest.mark.live
async def test_records_of_a_real_name_server(tmp_path: Path) -> None:
    """
    Looked up by DNS messages, from the name upwards, in front of a real CA.
    """
    async with running(tmp_path) as world:

        async def say(host: str, *policies: tuple[str, str]) -> None:
            said = [{"tag": tag, "value": value} for tag, value in policies]
            body = json.dumps({"host": f"{host}.", "policies": said}).encode()
            answer = await world.http.request("POST", f"{world.ca.dns}/add-caa", body=body)
            assert answer.status == 200

        resolver = PublicResolver(servers=[world.ca.dns_server], doh=(), http=world.http, clock=world.clock, port=9)
        acme = world.acme(Named(world.http), resolver=lambda: resolver)
        async with acme.issue(spec("free.example"), progress=quiet):
            pass
        await say("ours.example", ("issue", "pebble.test"))
        async with acme.issue(spec("a.b.ours.example"), progress=quiet):
            pass
        await say("theirs.example", ("issue", "other.test"), ("iodef", "mailto:x@theirs.example"))
        with pytest.raises(IssuanceError) as caught:
            async with acme.issue(spec("a.b.theirs.example"), progress=quiet):
                pass
        problem = caught.value.problem
        assert problem.type == "caa"
        assert 'write theirs.example CAA 0 issue "pebble.test" beside it' in problem.detail
        assert await world.documents.get("journal/orders", "a.b.theirs.example") is None
