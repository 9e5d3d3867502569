"""
Dynamic DNS in a simulated world: the real loop, planner, journal and waits; the line, the DNS and the disk are made up.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import bind
from tests.support.quick_clock import QuickClock
from tests.support.recorder import Recorder
from tests.world import DAY, HOUR, MINUTE, SECOND, World, inhabited

from gatelodge.core.addresses import COMPARE, Standing
from gatelodge.dns.resolver import PublicResolver
from gatelodge.dns.rfc2136 import Rfc2136
from gatelodge.errors import DnsError, Problem, StateError
from gatelodge.model import AddressSource, DdnsSettings, DnsSettings, Name, Secret, SecretRef
from gatelodge.runtime.addresses import KIND, Addresses, document
from gatelodge.runtime.standing.report import report
from gatelodge.runtime.system import Web
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from gatelodge.model import JsonObject

ZONE = "example.org"
HOME, WIKI, STAR = f"home.{ZONE}", f"wiki.{ZONE}", f"*.{ZONE}"
ONE, TWO, THREE, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.99"
SIX = "2001:db8::1"


def trouble(kind: str, detail: str) -> DnsError:
    """
    Return an error as an adapter raises it.
    """
    return DnsError(Problem(type=kind, detail=detail))


class Line:
    """
    The machine's public addresses by family; what is not there cannot be found. `calls` counts the looks.
    """

    def __init__(self, ipv4: str | None = ONE, ipv6: str | None = None) -> None:
        self.now: dict[int, str | None] = {4: ipv4, 6: ipv6}
        self.calls = 0

    async def find(self, source: AddressSource, family: int) -> str:
        del source
        self.calls += 1
        address = self.now[family]
        if address is None:
            raise trouble(
                "dnsProvider", f"5 services asked for the public IPv{family} address do not agree: …{self.calls}"
            )
        return address


class Provider:
    """
    Implements `ports.AddressProvider` over a zone in memory. `down` says for a name why it does not work now; `before_setting` is
    called before an address is set; `requests` and `written` are what was asked and done.
    """

    def __init__(self, clock: Any) -> None:
        self.zone: dict[str, dict[str, set[str]]] = {}
        self.down: Callable[[str], DnsError | None] = lambda _: None
        self.before_setting: Callable[[str], None] = lambda _: None
        self.requests = 0
        self.written: list[tuple[dt.timedelta, str, str]] = []
        self._clock = clock

    def person_sets(self, name: str, kind: str, *values: str) -> None:
        """
        Let a person put other records there, or none.
        """
        self.zone[name] = {kind: set(values)} if values else {}

    def values(self, name: str, kind: str = "A") -> set[str]:
        return self.zone.get(name, {}).get(kind, set())

    async def zone_of(self, name: str) -> str:
        self._asked(name)
        return ZONE

    async def standing(self, zone: str, name: str) -> Standing:
        assert zone == ZONE
        self._asked(name)
        return Standing(
            ipv4=frozenset(self.values(name, "A")),
            ipv6=frozenset(self.values(name, "AAAA")),
            cname=next(iter(self.values(name, "CNAME")), None),
        )

    async def set_address(self, zone: str, name: str, address: str, *, instead_of: str | None) -> None:
        assert zone == ZONE
        self.before_setting(name)
        self._asked(name)
        kind = "AAAA" if ":" in address else "A"
        if self.values(name, "CNAME") or self.values(name, kind) != ({instead_of} if instead_of else set()):
            raise trouble("dnsRecord", f"{name}: something else stands there by now")
        self.zone.setdefault(name, {})[kind] = {address}
        self.written.append((dt.timedelta(seconds=self._clock.monotonic()), name, address))

    def _asked(self, name: str) -> None:
        self.requests += 1
        error = self.down(name)
        if error is not None:
            raise error


class Servers:
    """
    A resolver that sees records at all name servers; while it is `lagging` it does not.
    """

    def __init__(self) -> None:
        self.lagging = False
        self.seen: list[tuple[str, str]] = []

    async def wait_for(self, wanted: dict[str, frozenset[str]], *, kind: str, **_: object) -> None:
        ((name, values),) = wanted.items()
        self.seen += [(name, value) for value in values]
        if self.lagging:
            raise trouble("propagation", f"after 120 s ns2.{ZONE} has not the {kind} record of {name}")


class Home:
    """
    A world with a line, a DNS provider, and dynamic DNS between them.
    """

    def __init__(self, world: World, **settings: object) -> None:
        self.world = world
        self.line = Line()
        self.provider = Provider(world.clock)
        self.servers = Servers()
        self.configure(**settings)

    def configure(self, *hosts: str, ipv4: bool = True, ipv6: bool = False) -> None:
        """
        Give the daemon a configuration with `[ddns]`.
        """
        self.settings = DdnsSettings(
            dns="home",
            hosts=tuple(map(Name, hosts or (HOME, WIKI))),
            ipv4=AddressSource() if ipv4 else None,
            ipv6=AddressSource() if ipv6 else None,
        )
        self.addresses = self._made()
        world = self.world
        world.gate = dataclasses.replace(
            world.gate,
            desired=dataclasses.replace(
                world.gate.desired,
                ddns=self.settings,
                dns={"home": DnsSettings(name="home", provider="rfc2136", options={})},
            ),
            addresses=self.addresses,
        )
        world.reconciler.use(world.gate)

    def _made(self) -> Addresses:
        return Addresses(
            settings=self.settings, provider=self.provider, finder=self.line, resolver=self.servers,
            documents=self.world.documents, clock=self.world.clock, events=self.world.events,
        )  # type: ignore[arg-type] # fakes of what is used  # fmt: skip

    async def restart(self) -> None:
        """
        End the daemon and begin another one on what is on disk.
        """
        await self.world.kill()
        self.addresses = self._made()
        await self.addresses.load()
        self.world.gate = dataclasses.replace(self.world.gate, addresses=self.addresses)
        await self.world.begin()

    def events(self, name: str) -> list[dict[str, object]]:
        return self.world.events.of(name)

    def problem(self, host: str, kind: str = "A") -> str | None:
        """
        Return what `gatelodge ddns` says is wrong with a host.
        """
        rows = document(self.addresses.facts, self.settings)["hosts"]
        return next((row["problem"] for row in rows if (row["host"], row["type"]) == (host, kind)), None)


@contextlib.asynccontextmanager
async def at_home() -> AsyncIterator[Home]:
    """
    A world that is about to look for the first time.
    """
    async with inhabited("site.example.com") as world:
        yield Home(world)


async def test_at_first_all_hosts_are_written_then_nothing_is_asked_until_it_is_compared() -> None:
    """
    An address that does not change costs the provider nothing. After half a day a person may have changed something.
    """
    async with at_home() as home:
        await home.world.live(MINUTE)
        assert [(name, address) for _, name, address in home.provider.written] == [(HOME, ONE), (WIKI, ONE)]
        assert sorted(home.servers.seen) == [(HOME, ONE), (WIKI, ONE)]
        assert [(each["host"], each["before"], each["after"]) for each in home.events("address.changed")] == [
            (HOME, None, ONE), (WIKI, None, ONE),
        ]  # fmt: skip
        requests, calls = home.provider.requests, home.line.calls
        await home.world.live(COMPARE - 2 * MINUTE)
        assert home.line.calls - calls >= 142
        assert home.provider.requests == requests
        await home.world.live(6 * MINUTE)
        assert requests < home.provider.requests <= requests + 4
        assert len(home.provider.written) == 2


async def test_a_change_is_written_once_for_each_host() -> None:
    """
    Within five minutes, with an event that says what was there before.
    """
    async with at_home() as home:
        await home.world.live(2 * HOUR)
        home.line.now[4] = TWO
        await home.world.live(6 * MINUTE)
        assert home.provider.values(HOME) == home.provider.values(WIKI) == {TWO}
        assert len(home.provider.written) == 4
        assert [
            (each["host"], each["type"], each["before"], each["after"], each["provider"], each["zone"], each["level"])
            for each in home.events("address.changed")[2:]
        ] == [(host, "A", ONE, TWO, "home", ZONE, "info") for host in (HOME, WIKI)]


async def test_a_line_that_flaps_is_written_few_times_and_rightly_in_the_end() -> None:
    """
    Each look finds another address for six hours. When it is calm at last, nothing else has to happen.
    """
    async with at_home() as home:
        home.configure(HOME)
        for look in range(6 * 60):
            home.line.now[4] = (ONE, TWO, THREE)[look % 3]
            await home.world.live(MINUTE)
        moments = [round(moment / MINUTE) for moment, _, _ in home.provider.written]
        assert len(moments) <= 6 * 3 + 3, moments
        home.line.now[4] = OTHER
        await home.world.live(HOUR + 5 * MINUTE)
        assert home.provider.values(HOME) == {OTHER}
        assert home.problem(HOME) is None
        assert home.events("address.failed") == home.events("address.left_alone") == []


async def test_a_second_change_waits_and_says_until_when() -> None:
    """
    It is retried by the look that follows the end of the wait.
    """
    async with at_home() as home:
        home.configure(HOME)
        for address in (ONE, TWO, THREE):
            home.line.now[4] = address
            await home.world.live(5 * MINUTE)
        assert home.provider.values(HOME) == {TWO}
        assert home.problem(HOME) == (
            f"{HOME}: its address changes often, so {THREE} is written at 00:20 UTC at the earliest, if it is still that one"
        )
        await home.world.live(6 * MINUTE)
        assert home.provider.values(HOME) == {THREE}
        assert home.problem(HOME) is None


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        ("CNAME", ("cdn.test",), "a CNAME to cdn.test"),
        ("A", (OTHER,), f"has A {OTHER}"),
        ("A", (ONE, OTHER), f"A {ONE}, {OTHER}"),
    ],
)
async def test_what_a_person_set_is_left_alone_and_told_once(kind: str, values: tuple[str, ...], told: str) -> None:
    """
    Not again with each look, nor after a restart; again when it changes. Once it is gone the address is kept again.
    """
    async with at_home() as home:
        home.provider.person_sets(HOME, kind, *values)
        await home.world.live(DAY)
        (event,) = home.events("address.left_alone")
        assert (event["host"], event["type"], event["level"]) == (HOME, "A", "warning")
        assert told in str(event["error.detail"])
        assert home.problem(HOME) == event["error.detail"]
        assert home.provider.values(HOME, kind) == set(values)
        assert home.provider.values(WIKI) == {ONE}
        await home.restart()
        await home.world.live(HOUR)
        assert len(home.events("address.left_alone")) == 1
        home.provider.person_sets(HOME, "CNAME", "other.test")
        await home.world.live(HOUR)
        assert "other.test" in str(home.events("address.left_alone")[1]["error.detail"])
        home.provider.person_sets(HOME, "A")
        await home.world.live(6 * MINUTE)
        assert home.provider.values(HOME) == {ONE}
        assert home.problem(HOME) is None
        assert len(home.events("address.left_alone")) == 2
        assert home.events("address.failed") == []


async def test_a_record_that_a_person_changed_is_noticed_and_one_that_was_deleted_is_written() -> None:
    """
    Half a day later at the latest.
    """
    async with at_home() as home:
        await home.world.live(HOUR)
        home.provider.person_sets(HOME, "A", OTHER)
        home.provider.person_sets(WIKI, "A")
        await home.world.live(COMPARE)
        assert home.provider.values(HOME) == {OTHER}
        assert home.provider.values(WIKI) == {ONE}
        assert [each["host"] for each in home.events("address.left_alone")] == [HOME]


async def test_a_person_who_is_quicker_by_a_moment_is_left_alone() -> None:
    """
    Between the look and the write; the provider refuses, and it is no failure.
    """
    async with at_home() as home:
        home.provider.before_setting = lambda name: (
            home.provider.person_sets(HOME, "A", OTHER) if name == HOME else None
        )
        await home.world.live(MINUTE)
        assert home.provider.values(HOME) == {OTHER}
        assert [each["host"] for each in home.events("address.left_alone")] == [HOME]
        assert home.events("address.failed") == []
        assert home.provider.values(WIKI) == {ONE}


@pytest.mark.parametrize("after", [False, True], ids=["before it acted", "after it acted"])
async def test_a_daemon_that_dies_while_it_writes_knows_its_own_records(after: bool) -> None:  # noqa: FBT001 - a case
    """
    Killed before or after the provider acted, with another address when it comes back: nothing is taken for somebody else's.
    """
    async with at_home() as home:
        home.configure(HOME)
        await home.world.live(2 * HOUR)

        def die(name: str) -> None:
            if after:
                home.provider.zone[name] = {"A": {TWO}}
            home.world.documents_disk.full = True
            raise KeyboardInterrupt

        home.provider.before_setting = die
        home.line.now[4] = TWO
        with pytest.raises(KeyboardInterrupt):
            await home.addresses.keep(lambda _: None)
        home.provider.before_setting = lambda _: None
        home.world.documents_disk.full = False
        home.line.now[4] = THREE
        await home.restart()
        await home.world.live(6 * MINUTE)
        assert home.provider.values(HOME) == {THREE}
        assert home.events("address.left_alone") == []


async def test_a_provider_that_is_down_is_told_and_tried_again_soon_and_then_less_often() -> None:
    """
    What was not written counts as no write: when it is back, nothing holds the address up.
    """
    async with at_home() as home:
        home.provider.down = lambda name: trouble("dnsProvider", f"{name}: 192.0.2.53 cannot be asked")
        await home.world.live(30 * MINUTE)
        failures = home.events("address.failed")
        moments: list[Any] = [each["time"] for each in failures]
        gaps = [(later - earlier) / MINUTE for earlier, later in itertools.pairwise(moments)]
        assert all(base <= gap <= base * 1.2 + 0.1 for base, gap in zip((1, 2, 5, 10), gaps, strict=False)), gaps
        assert len(failures) == 5
        assert f"{HOME}: 192.0.2.53 cannot be asked (and 1 more, see `gatelodge ddns`)" in str(
            failures[0]["error.detail"]
        )
        assert home.problem(WIKI) == f"{WIKI}: 192.0.2.53 cannot be asked"
        home.provider.down = lambda _: None
        await home.world.live(25 * MINUTE)
        assert home.provider.values(HOME) == home.provider.values(WIKI) == {ONE}
        assert home.problem(HOME) is None
        assert home.world.reconciler.latest is not None
        seen = report(home.world.reconciler.latest, home.world.clock.now())["ddns"]
        assert (seen["failure"], [row["changed_at"] is not None for row in seen["hosts"]]) == (None, [True, True])


async def test_a_write_that_fails_again_and_again_is_not_called_a_change() -> None:
    """
    The provider answers questions, and takes no updates.
    """
    async with at_home() as home:
        home.configure(HOME)

        def refuse(_: str) -> None:
            raise trouble("dnsCredentials", f"{HOME}: the key may not update")

        home.provider.before_setting = refuse
        await home.world.live(HOUR)
        assert home.problem(HOME) == f"{HOME}: the key may not update"
        assert home.events("address.changed") == []
        assert 4 <= len(home.events("address.failed")) <= 7
        home.provider.before_setting = lambda _: None
        await home.world.live(HOUR)
        assert home.provider.values(HOME) == {ONE}


async def test_one_hosts_trouble_delays_no_other() -> None:
    """
    A host in a zone that the provider has not is told with longer and longer waits; the others follow the line as ever.
    """
    async with at_home() as home:
        home.provider.down = lambda name: trouble("dnsZone", f"{name}: no such zone") if name == HOME else None
        await home.world.live(3 * HOUR)
        failures = home.events("address.failed")
        assert 6 <= len(failures) <= 12
        assert {(each["host"], each["type"], each["error.type"]) for each in failures} == {(HOME, "A", "dnsZone")}
        assert [each["failures"] for each in failures] == list(range(1, len(failures) + 1))
        home.line.now[4] = TWO
        await home.world.live(6 * MINUTE)
        assert home.provider.values(WIKI) == {TWO}
        assert home.problem(HOME) == f"{HOME}: no such zone"
        home.provider.down = lambda _: None
        await home.world.live(70 * MINUTE)
        assert home.provider.values(HOME) == {TWO}


async def test_a_line_that_is_down_changes_nothing_and_is_noticed_when_it_is_back() -> None:
    """
    Told once, whatever the services say meanwhile; the look goes on as often as ever, so that the new address is not late.
    """
    async with at_home() as home:
        await home.world.live(2 * HOUR)
        requests = home.provider.requests
        home.line.now[4] = None
        await home.world.live(8 * HOUR)
        assert home.provider.requests == requests
        assert home.provider.values(HOME) == {ONE}
        (event,) = home.events("address.failed")
        assert (event["type"], event["provider"], event["level"]) == ("A", "home", "error")
        assert "do not agree" in str(event["error.detail"])
        assert str(home.problem(HOME)).startswith(f"{HOME}: its A record stays as it is: 5 services asked")
        home.line.now[4] = TWO
        await home.world.live(6 * MINUTE)
        assert home.provider.values(HOME) == {TWO}
        assert home.problem(HOME) is None
        home.line.now[4] = None
        await home.world.live(HOUR)
        assert len(home.events("address.failed")) == 2


async def test_at_a_start_without_a_line_it_is_looked_again_soon() -> None:
    """
    A router may need a minute.
    """
    async with at_home() as home:
        home.line.now[4] = None
        await home.world.live(30 * SECOND)
        assert len(home.events("address.failed")) == 1
        home.line.now[4] = ONE
        await home.world.live(MINUTE)
        assert home.provider.values(HOME) == {ONE}


async def test_one_family_does_not_wait_for_the_other() -> None:
    """
    IPv6 cannot be found; IPv4 is kept as ever, and IPv6 when it comes.
    """
    async with at_home() as home:
        home.configure(HOME, ipv6=True)
        await home.world.live(3 * HOUR)
        assert [each["type"] for each in home.events("address.failed")] == ["AAAA"]
        home.line.now[4] = TWO
        await home.world.live(6 * MINUTE)
        assert home.provider.zone[HOME] == {"A": {TWO}}
        home.line.now[6] = SIX
        await home.world.live(6 * MINUTE)
        assert home.provider.zone[HOME] == {"A": {TWO}, "AAAA": {SIX}}
        assert home.problem(HOME, "AAAA") is None


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "kept"),
    [(True, False, {"A": {ONE}}), (False, True, {"AAAA": {SIX}}), (True, True, {"A": {ONE}, "AAAA": {SIX}})],
)
async def test_only_the_families_asked_for_are_touched(*, ipv4: bool, ipv6: bool, kept: dict[str, set[str]]) -> None:
    """
    Also of a wildcard. A record of the other family is anybody's.
    """
    async with at_home() as home:
        home.line.now = {4: ONE, 6: SIX}
        home.configure(STAR, HOME, ipv4=ipv4, ipv6=ipv6)
        await home.world.live(MINUTE)
        assert home.provider.zone == {STAR: kept, HOME: kept}
        assert {row["type"] for row in document(home.addresses.facts, home.settings)["hosts"]} == kept.keys()


async def test_a_lagging_name_server_is_told_and_delays_no_other_host() -> None:
    """
    All are written first, and looked for then.
    """
    async with at_home() as home:
        home.servers.lagging = True
        await home.world.live(MINUTE)
        assert home.provider.values(HOME) == home.provider.values(WIKI) == {ONE}
        events = home.events("address.unseen")
        assert sorted((each["host"], each["type"], each["after"], each["level"]) for each in events) == [
            (HOME, "A", ONE, "warning"), (WIKI, "A", ONE, "warning"),
        ]  # fmt: skip
        assert all(f"ns2.{ZONE} has not the A record" in str(each["error.detail"]) for each in events)
        names = [name for name in home.world.events.names() if name.startswith("address.")]
        assert names == ["address.changed"] * 2 + ["address.unseen"] * 2
        assert home.events("address.failed") == []


async def test_a_clock_that_jumps_holds_nothing_up() -> None:
    """
    Back by a month after some writes, or far ahead and back.
    """
    async with at_home() as home:
        home.world.drowsy = False
        await home.world.live(2 * HOUR)
        for jump, address in ((-30 * DAY, TWO), (400 * DAY, THREE), (-400 * DAY, ONE)):
            home.world.clock.time += jump
            home.line.now[4] = address
            await home.world.live(6 * MINUTE)
            assert home.provider.values(HOME) == {address}
            await home.world.live(90 * MINUTE)


async def test_without_a_disk_nothing_is_written_that_could_not_be_told_apart_later() -> None:
    """
    What is asked for happens once there is room.
    """
    async with at_home() as home:
        await home.world.live(2 * HOUR)
        home.world.documents_disk.full = True
        home.line.now[4] = TWO
        await home.world.live(10 * MINUTE)
        assert home.provider.values(HOME) == {ONE}
        assert home.events("address.failed")[0]["error.type"] == "state"
        home.world.documents_disk.full = False
        await home.world.live(HOUR)
        assert home.provider.values(HOME) == home.provider.values(WIKI) == {TWO}


async def test_what_was_written_down_is_known_after_a_restart_and_forgotten_with_the_host() -> None:
    """
    The record of a host that left the configuration stays.
    """
    async with at_home() as home:
        await home.world.live(2 * HOUR)
        home.line.now[4] = TWO
        await home.restart()
        assert [(fact.host, fact.written) for fact in home.addresses.facts.hosts] == [(HOME, ONE), (WIKI, ONE)]
        await home.world.live(MINUTE)
        assert home.provider.values(HOME) == {TWO}
        home.configure(HOME)
        await home.world.live(MINUTE)
        assert home.provider.values(WIKI) == {TWO}
        assert (await home.world.documents.list(KIND)).keys() == {f"A {HOME}"}


DAMAGED: dict[str, JsonObject] = {
    "nothing in it": {},
    "another shape": {"host": HOME, "kind": "A", "written": [ONE], "intended": None, "writes": [], "problem": None},
    "no times": {"host": HOME, "kind": "A", "written": ONE, "intended": None, "writes": ["noon"], "problem": None},
    "no list": {"host": HOME, "kind": "A", "written": ONE, "intended": None, "writes": 7, "problem": None},
    "numbers": {"host": HOME, "kind": "A", "written": ONE, "intended": None, "writes": [1, 2], "problem": 3},
    "another type": {"host": HOME, "kind": "MX", "written": ONE, "intended": None, "writes": [], "problem": None},
    "another host": {"host": WIKI, "kind": "A", "written": ONE, "intended": None, "writes": [], "problem": None},
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
async def test_a_document_that_makes_no_sense_counts_as_not_there(damaged: JsonObject) -> None:
    """
    What stands in the DNS decides then, and the document is written anew.
    """
    async with at_home() as home:
        home.configure(HOME)
        home.provider.person_sets(HOME, "A", ONE)
        await home.world.kill()
        await home.world.documents.put(KIND, f"A {HOME}", damaged)
        await home.restart()
        await home.world.live(MINUTE)
        assert home.events("address.failed") == home.events("address.left_alone") == []
        home.line.now[4] = TWO
        await home.world.live(6 * MINUTE)
        assert home.provider.values(HOME) == {TWO}
        kept = (await home.world.documents.list(KIND))[f"A {HOME}"]
        assert (kept["host"], kept["kind"], kept["written"]) == (HOME, "A", TWO)


async def test_times_without_a_zone_and_out_of_order_are_put_right() -> None:
    """
    An editor's work on a document stops nothing.
    """
    async with at_home() as home:
        home.configure(HOME)
        await home.world.kill()
        writes = ["2025-12-31T12:00:00+02:00", "2025-12-30T12:00:00"]
        await home.world.documents.put(
            KIND,
            f"A {HOME}",
            {"host": HOME, "kind": "A", "written": OTHER, "intended": None, "writes": writes, "problem": None},
        )
        home.provider.person_sets(HOME, "A", OTHER)
        await home.restart()
        await home.world.live(MINUTE)
        assert home.provider.values(HOME) == {ONE}


class Full(MemoryDocuments):
    """
    Documents on a disk that nothing can be written to.
    """

    async def put(self, kind: str, key: str, document: JsonObject) -> None:
        del kind, key, document
        raise StateError("/state", "the file system is read-only", "make it writable")


async def test_an_address_that_stands_there_needs_no_disk() -> None:
    """
    What cannot be written down is told, and is no reason to stop.
    """
    clock, events = QuickClock(), Recorder()
    provider = Provider(clock)
    provider.person_sets(HOME, "A", ONE)
    settings = DdnsSettings(dns="home", hosts=(Name(HOME),), ipv4=AddressSource(), ipv6=None)
    addresses = Addresses(
        settings=settings, provider=provider, finder=Line(), resolver=Servers(),
        documents=Full(), clock=clock, events=events,
    )  # type: ignore[arg-type] # fakes of what is used  # fmt: skip
    await addresses.keep(lambda _: None)
    assert events.names() == ["state.failed"]
    provider.person_sets(HOME, "A")
    await clock.sleep(COMPARE.total_seconds())
    with pytest.raises(StateError):
        await addresses.keep(lambda _: None)
    assert provider.values(HOME) == set()


@pytest.mark.live
async def test_in_a_real_zone_through_dynamic_updates(tmp_path: Path) -> None:
    """
    BIND holds what is kept, and is asked whether it does; a person's record stays; no secret is in anything that is written.
    """
    async with bind.running(tmp_path, zones=(ZONE,), hosts=OTHER) as server, Web() as http:
        clock, events, documents, line = QuickClock(), Recorder(), MemoryDocuments(), Line(ONE, SIX)
        key = server.secrets["hmac-sha256"]
        options = {
            "server": (server.address, server.port),
            "key_name": server.key_name(),
            "key_secret": SecretRef(literal=Secret(key)),
        }
        addresses = Addresses(
            settings=DdnsSettings(
                dns="home",
                hosts=tuple(map(Name, (HOME, WIKI, f"www.{ZONE}"))),
                ipv4=AddressSource(),
                ipv6=AddressSource(),
            ),
            provider=Rfc2136(settings=DnsSettings(name="home", provider="rfc2136", options=options), clock=clock),
            finder=line,
            resolver=PublicResolver(servers=[server.server], doh=(), http=http, clock=clock, port=server.port),
            documents=documents,
            clock=clock,
            events=events,
        )
        await server.update(ZONE, ("add", f"www.{ZONE}.", "60", "CNAME", "www.elsewhere.test."))
        before = await server.records(ZONE)
        await addresses.keep(lambda _: None)
        line.now[4] = TWO
        await clock.sleep(3600)
        await addresses.keep(lambda _: None)
        kept = {(host, *pair) for host in (HOME, WIKI) for pair in (("A", TWO), ("AAAA", SIX))}
        assert await server.records(ZONE) == before | kept
        assert (
            events.names()
            == ["address.changed"] * 2 + ["address.changed"] * 2 + ["address.left_alone"] * 2 + ["address.changed"] * 2
        )
        written = json.dumps([dict(each) for each in (await documents.list(KIND)).values()])
        assert key not in written + repr(events.events)
