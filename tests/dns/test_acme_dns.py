"""
A server that keeps two values of one name: none that is still needed is ever pushed out, and each refusal says what to do.

The server here keeps values as acme-dns does (`db.go`, Update): the one that was updated longest ago is overwritten, also by an
equal one.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from tests.support.waiting import until

from gatelodge.dns.acme_dns import AcmeDns, make
from gatelodge.dns.providers import Parts
from gatelodge.errors import DnsError
from gatelodge.model import DnsSettings, Secret, SecretRef
from gatelodge.ports import TxtRecord
from gatelodge.runtime.system import Web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatelodge.errors import Problem

pytestmark = pytest.mark.live

DOMAIN = "8e5700ea.auth.example.net"
KEYS = ("c36f50e8-user", "secret-of-acme-dns")


class Server:
    """
    An acme-dns. `status` and `body` are what it answers instead; `deaf` takes a value and hangs up; `held` answers later.
    """

    def __init__(self) -> None:
        self.url = ""
        self.kept = ["", ""]
        self.calls = 0
        self.status = 200
        self.body = ""
        self.deaf = False
        self.held: asyncio.Event | None = None

    async def update(self, request: web.Request) -> web.Response:
        """
        Answer `POST /update`.
        """
        self.calls += 1
        asked = await request.json()
        if self.status != 200:
            return web.Response(status=self.status, text=self.body)
        assert (request.headers["X-Api-User"], request.headers["X-Api-Key"]) == KEYS
        self.kept = [self.kept[1], asked["txt"]]
        if self.held is not None:
            await self.held.wait()
        if self.deaf:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"txt": asked["txt"]})


class Place:
    """
    The server and its client.
    """

    def __init__(self, server: Server, http: Web) -> None:
        self.server = server
        self.http = http
        self.provider = self.restarted()

    def restarted(self, **options: object) -> AcmeDns:
        """
        Return a provider that knows nothing, as after a start.
        """
        known = {
            "username": secret(KEYS[0]),
            "password": secret(KEYS[1]),
            "subdomain": "8e5700ea",
            "fulldomain": DOMAIN,
        }
        settings = DnsSettings(
            name="delegated", provider="acme-dns", options={**known, **options}, endpoint=f"{self.server.url}/"
        )
        parts: Any = Parts(http=self.http, clock=None, resolver=None)  # type: ignore[arg-type] # it uses no more
        self.provider = make(settings, parts)
        return self.provider

    async def add(self, *values: str) -> None:
        for value in values:
            assert await self.provider.add(record(value)) is None

    async def remove(self, *values: str) -> None:
        for value in values:
            await self.provider.remove(record(value), None)

    async def refused(self, value: str) -> Problem:
        """
        Return the problem with which a value is refused. No secret is in it.
        """
        with pytest.raises(DnsError) as caught:
            await self.provider.add(record(value))
        assert all(key not in str(caught.value) for key in KEYS)
        assert caught.value.problem.detail.startswith(f"{DOMAIN}: ")
        assert caught.value.problem.detail.isprintable()
        return caught.value.problem


def secret(text: str) -> SecretRef:
    """
    Return a secret that stands in the configuration.
    """
    return SecretRef(literal=Secret(text))


def record(value: str) -> TxtRecord:
    """
    Return a TXT record of the one name.
    """
    return TxtRecord(zone=DOMAIN, name=DOMAIN, value=value)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """
    A server on a free port of the loopback address.
    """
    server = Server()
    app = web.Application()
    app.router.add_post("/update", server.update)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    async with Web() as http:
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield Place(server, http)
        finally:
            await runner.cleanup()


async def test_apex_and_wildcard_have_room_together_time_after_time(place: Place) -> None:
    """
    Two values in use, then two others.
    """
    for values in (["a", "b"], ["c", "d"], ["e"], ["f", "g"]):
        await place.add(*values)
        assert set(values) <= set(place.server.kept)
        await place.remove(*values)


async def test_a_third_value_waits_until_there_is_room(place: Place) -> None:
    """
    It would push out one that a CA may still look for.
    """
    await place.add("a", "b")
    problem = await place.refused("c")
    assert problem.type == "dnsRecord"
    assert "keeps 2 values" in problem.detail
    assert "tried again later" in problem.detail
    await place.remove("a")
    await place.add("c")
    assert set(place.server.kept) == {"b", "c"}


async def test_a_value_in_use_is_not_pushed_out_by_the_room_of_a_newer_one(place: Place) -> None:
    """
    The server overwrites the older one, whichever is not needed any more.
    """
    await place.add("old", "new")
    await place.remove("new")
    assert (await place.refused("next")).type == "dnsRecord"
    assert "old" in place.server.kept
    await place.remove("old")
    await place.add("next", "after next")
    assert set(place.server.kept) == {"next", "after next"}


async def test_a_value_that_is_there_is_not_sent_again(place: Place) -> None:
    """
    That would push out the other one.
    """
    await place.add("a", "b", "b", "a", "b")
    assert (place.server.calls, set(place.server.kept)) == (2, {"a", "b"})


async def test_a_restart_forgets_what_was_in_use_and_loses_nothing(place: Place) -> None:
    """
    An order that is taken up again sends its values again, in whichever order.
    """
    await place.add("a", "b")
    for values in (["b", "a"], ["a", "b"]):
        place.restarted()
        await place.add(*values)
        assert set(place.server.kept) == {"a", "b"}
    place.restarted()
    await place.add("c", "d")
    assert set(place.server.kept) == {"c", "d"}


@pytest.mark.parametrize("how", ["lost", "cancelled", "broken"])
async def test_what_may_or_may_not_be_there_is_sent_again(place: Place, how: str) -> None:
    """
    An answer that was lost, a job that was cancelled, a server that broke: then both are sent anew.
    """
    await place.add("a")
    if how == "cancelled":
        place.server.held = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(place.provider.add(record("b")))
            await until(lambda: place.server.calls == 2)
            task.cancel()
        place.server.held.set()
        place.server.held = None
    else:
        place.server.deaf, place.server.status = how == "lost", 500 if how == "broken" else 200
        assert (await place.refused("b")).type == "dnsProvider"
        place.server.deaf, place.server.status = False, 200
    await place.remove("a", "b")
    await place.add("a", "b")
    assert set(place.server.kept) == {"a", "b"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (
            401,
            '{"error": "forbidden"}',
            "dnsCredentials",
            'status 401: {"error": "forbidden"}; compare `username` and `pass',
        ),
        (403, "", "dnsCredentials", "`allowfrom`"),
        (400, '{"error": "bad_subdomain"}', "dnsRecord", "bad_subdomain"),
        (
            404,
            "not\x1b[31m found",
            "dnsRecord",
            "status 404: not[31m found; compare `subdomain` and `endpoint` of [dns.del",
        ),
        (301, "", "dnsRecord", "status 301: it said nothing; "),
        (429, "slow down", "dnsProvider", "status 429: slow down; "),
        (500, '{"error": "db_error"}', "dnsProvider", "look at the server's log"),
        (502, "x" * 5000, "dnsProvider", "look at the server's log"),
    ],
)
async def test_a_refusal_says_what_to_look_at(place: Place, status: int, body: str, kind: str, told: str) -> None:
    """
    By status, with what the server said, and the next try finds it in working order.
    """
    place.server.status, place.server.body = status, body
    problem = await place.refused("a")
    assert (problem.type, told in problem.detail, len(problem.detail) < 600) == (kind, True, True), problem.detail
    place.server.status = 200
    await place.add("a", "b")
    assert set(place.server.kept) == {"a", "b"}


async def test_a_refused_value_leaves_the_others_guarded(place: Place) -> None:
    """
    What was surely not taken changes nothing about those that are in use.
    """
    await place.add("a", "b")
    await place.remove("a")
    place.server.status = 401
    await place.refused("c")
    place.server.status = 200
    await place.add("c")
    assert (await place.refused("d")).type == "dnsRecord"
    assert set(place.server.kept) == {"b", "c"}


async def test_a_server_that_is_not_there_is_told(place: Place) -> None:
    """
    With where it was looked for.
    """
    place.server.url = "http://127.0.0.1:1"
    place.restarted()
    problem = await place.refused("a")
    assert (problem.type, "http://127.0.0.1:1 did not take the value" in problem.detail) == ("dnsProvider", True)
    assert "is `endpoint` right" in problem.detail


async def test_a_secret_that_is_not_there_is_named(place: Place) -> None:
    """
    By its key and its file; nothing is sent.
    """
    place.restarted(password=SecretRef(file="/nowhere/password"))
    problem = await place.refused("a")
    assert problem.type == "dnsCredentials"
    assert "password of [dns.delegated]: /nowhere/password cannot be read" in problem.detail
    assert place.server.calls == 0


async def test_other_names_are_not_its_own(place: Place) -> None:
    """
    What is to be made a CNAME is said; so a wrong `fulldomain` shows, too.
    """
    assert await place.provider.zone_of(DOMAIN) == DOMAIN
    assert await place.provider.name_servers(DOMAIN) is None
    with pytest.raises(DnsError) as caught:
        await place.provider.zone_of("_acme-challenge.example.org")
    assert caught.value.problem.type == "dnsZone"
    assert f"make _acme-challenge.example.org a CNAME to {DOMAIN}" in caught.value.problem.detail


async def test_many_at_once_take_turns(place: Place) -> None:
    """
    Of ten values that come together two are taken, and these are the two that the server has.
    """
    outcomes: dict[str, bool] = {}

    async def attempt(value: str) -> None:
        outcomes[value] = False
        with contextlib.suppress(DnsError):
            await place.provider.add(record(value))
            outcomes[value] = True

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(attempt(f"value {number}"))
    assert {value for value, taken in outcomes.items() if taken} == set(place.server.kept)
