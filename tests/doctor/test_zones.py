"""
DNS providers: zones, name servers, rights, and the keys that they are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.patient import Case
from tests.support.recorder import Recorder

from gatelodge.doctor import zones
from gatelodge.errors import DnsError, Problem
from gatelodge.ports import Excess
from gatelodge.solvers.ledger import KIND, Ledger
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.ports import TxtRecord

WIKI = "wiki.example.com"
TOML = (
    f'[sites]\n"{WIKI}" = "http://127.0.0.1:1"\n"*.example.com" = "http://127.0.0.1:1"\n'
    '[dns.lab]\nprovider = "rfc2136"\nserver = "127.0.0.1:53"\nkey_name = "k"\nkey_secret = { env = "K" }\n'
)


def failing(step: str, kind: str, detail: str) -> object:
    """
    Return what a provider does that fails at a step.
    """

    def fail(at: str, _: TxtRecord) -> None:
        if at == step:
            raise DnsError(Problem(type=kind, detail=detail))

    return fail


def case(folder: Path, provider: FakeProvider, documents: MemoryDocuments | None = None, **more: object) -> Case:
    """
    Return a case with one provider, whose records are written down.
    """
    ledger = Ledger(documents=documents or MemoryDocuments(), clock=FakeClock(), events=Recorder())
    return Case(folder=folder, toml=TOML, providers={"lab": provider}, ledger=ledger, **more)  # type: ignore[arg-type]


async def test_a_provider_that_is_well(tmp_path: Path) -> None:
    """
    A record is added where an answer would stand, looked for everywhere and deleted; nothing is left, nor written down any more.
    """
    provider, documents = FakeProvider("example.com"), MemoryDocuments()
    world = case(tmp_path, provider, documents)
    seen = await world.look(zones.look)

    assert {subject for subject, level in seen.levels if level == "ok"} == {"dns.lab", "dns.lab example.com"}
    assert seen.none("broken", "warning", "note")
    ((name, values),) = world.resolver.waited[0].items()
    assert name == f"_acme-challenge.{WIKI}"
    assert [len(value) for value in values] == [43]
    assert provider.calls == {"add": 1, "remove": 1}
    assert provider.records == set()
    assert await documents.list(KIND) == {}


async def test_without_write_nothing_is_added(tmp_path: Path) -> None:
    """
    `--no-write`, and a journal that may not be written, leave the rights untried, and say so.
    """
    provider = FakeProvider("example.com")
    seen = await case(tmp_path, provider, write=False).look(zones.look)

    assert "was not tried" in seen.of("note")

    world = case(tmp_path, provider)
    world.ledger = None
    seen = await world.look(zones.look)

    assert "there is no journal" in seen.of("note")
    assert provider.calls == {}


async def test_a_zone_that_is_not_there(tmp_path: Path) -> None:
    """
    Each name that the provider cannot prove is told.
    """
    seen = await case(tmp_path, FakeProvider("other.example")).look(zones.look)

    assert "no zone here holds" in seen.of("broken", WIKI)
    assert "no zone here holds" in seen.of("broken", "*.example.com")


async def test_other_name_servers(tmp_path: Path) -> None:
    """
    The world asks others than the provider's: what is added there is seen by nobody.
    """
    world = case(tmp_path, FakeProvider("example.com", servers=frozenset({"dns1.hichina.com"})))
    world.resolver.servers["example.com"] = frozenset({"ns1.example.net"})
    seen = await world.look(zones.look)

    assert "ns1.example.net" in seen.of("broken", WIKI)
    assert "dns1.hichina.com" in seen.of("broken", WIKI)

    world.resolver.servers["example.com"] = frozenset({"dns1.hichina.com"})

    assert (await world.look(zones.look)).none("broken")


async def test_credentials_that_are_wrong_are_told_once(tmp_path: Path) -> None:
    """
    Not for each name.
    """
    provider = FakeProvider("example.com")
    provider.at = failing("before add", "dnsCredentials", "the key is wrong")  # type: ignore[assignment]
    seen = await case(tmp_path, provider).look(zones.look)

    assert "the key is wrong" in seen.of("broken")


async def test_a_record_that_cannot_be_deleted(tmp_path: Path) -> None:
    """
    The right to add is not enough; what is left is written down, so that the daemon sweeps it.
    """
    provider, documents = FakeProvider("example.com"), MemoryDocuments()
    provider.at = failing("before remove", "dnsCredentials", "no right")  # type: ignore[assignment]
    seen = await case(tmp_path, provider, documents).look(zones.look)

    assert seen.of("broken") == f"_acme-challenge.{WIKI} could be added and not deleted"
    assert len(await documents.list(KIND)) == 1


async def test_a_name_server_that_lacks_it(tmp_path: Path) -> None:
    """
    Who lags is named, as a warning; the record is deleted all the same.
    """
    provider = FakeProvider("example.com")
    world = case(tmp_path, provider)
    world.resolver.late = "ns2.example.net has not the TXT record"
    seen = await world.look(zones.look)

    assert "ns2.example.net" in seen.of("warning", "dns.lab example.com")
    assert provider.records == set()


class Mighty(FakeProvider):
    """
    A provider that was given too much.
    """

    async def excess(self) -> Excess | None:
        return Excess(seen="the key may do everything", remedy="make another")


async def test_a_key_that_may_do_too_much(tmp_path: Path) -> None:
    """
    It works, and is a warning.
    """
    seen = await case(tmp_path, Mighty("example.com")).look(zones.look)

    assert seen.of("warning", "dns.lab") == "the key may do everything"
    assert seen.none("broken")


async def test_a_provider_that_nobody_needs(tmp_path: Path) -> None:
    """
    It is worth a note.
    """
    world = case(tmp_path, FakeProvider("example.com"))
    world.toml = world.toml.replace(
        "[dns.lab]", '"nas.home.arpa" = { upstream = "http://127.0.0.1:1", tls = "local" }\n[dns.lab]'
    ).replace(f'"{WIKI}" = "http://127.0.0.1:1"\n"*.example.com" = "http://127.0.0.1:1"\n', "")
    seen = await world.look(zones.look)

    assert seen.of("note") == "nothing is proven or kept through it"
