"""
Where hosts are, by the world's DNS, against this machine's public address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.patient import PUBLIC, Case, World

from gatelodge.doctor import addresses

if TYPE_CHECKING:
    from pathlib import Path

WIKI = "wiki.example.com"
BY_HTTP = f'[sites]\n"{WIKI}" = "http://127.0.0.1:1"\n'
BY_DNS = (
    BY_HTTP + '[dns.lab]\nprovider = "rfc2136"\nserver = "127.0.0.1:53"\nkey_name = "k"\nkey_secret = { env = "K" }\n'
)
OTHER, OTHER_6, OWN_6 = "192.88.99.8", "2001:500:2::c", "2001:500:2::d"


def placed(**records: tuple[str, ...]) -> World:
    """
    Return a world in which the host has these records.
    """
    world = World()
    world.placed = {(WIKI, kind): values for kind, values in records.items()}
    return world


@pytest.mark.parametrize(
    ("records", "level", "said"),
    [
        ({"A": (PUBLIC,)}, "ok", f"A {PUBLIC}, this machine"),
        ({}, "broken", "has no address"),
        ({"A": (OTHER,)}, "broken", f"A {OTHER} leads elsewhere: this machine is {PUBLIC}"),
        ({"A": (PUBLIC, OTHER)}, "broken", f"A {OTHER} leads elsewhere"),
        ({"A": ("192.168.1.2",)}, "broken", "no address of the internet"),
        ({"A": ("100.64.0.9",)}, "broken", "no address of the internet"),
        ({"A": (PUBLIC,), "AAAA": (OTHER_6,)}, "broken", f"AAAA {OTHER_6} leads elsewhere"),
    ],
)
async def test_a_host_that_is_proven_by_http(
    tmp_path: Path, records: dict[str, tuple[str, ...]], level: str, said: str
) -> None:
    """
    The CA comes by its records, so that a wrong one breaks renewals. An AAAA record that leads elsewhere breaks them beside an A record
    that is right, since everybody prefers it.
    """
    case = Case(folder=tmp_path, toml=BY_HTTP, resolver=placed(**records), public={4: PUBLIC})

    assert said in (await case.look(addresses.look)).of(level, WIKI)


@pytest.mark.parametrize(
    ("records", "level"),
    [
        ({}, "warning"),
        ({"A": (OTHER,)}, "warning"),
        ({"A": ("192.168.1.2",)}, "note"),
        ({"A": (PUBLIC,)}, "ok"),
    ],
)
async def test_a_host_that_is_proven_by_dns(tmp_path: Path, records: dict[str, tuple[str, ...]], level: str) -> None:
    """
    Only visitors come by its records then; an address of the LAN may be meant.
    """
    case = Case(folder=tmp_path, toml=BY_DNS, resolver=placed(**records), public={4: PUBLIC})
    seen = await case.look(addresses.look)

    assert seen.of(level, WIKI)
    assert seen.none("broken")


async def test_both_families(tmp_path: Path) -> None:
    """
    Each kind of record is compared with the address of its family.
    """
    world = placed(A=(PUBLIC,), AAAA=(OWN_6,))
    case = Case(folder=tmp_path, toml=BY_HTTP, resolver=world, public={4: PUBLIC, 6: OWN_6})

    assert (await case.look(addresses.look)).none("broken", "warning")

    world.placed[WIKI, "AAAA"] = (OTHER_6,)

    assert f"this machine is {OWN_6}" in (await case.look(addresses.look)).of("broken", WIKI)


async def test_behind_a_cdn_other_addresses_are_meant(tmp_path: Path) -> None:
    """
    With `trusted_proxies` the records are the proxy's.
    """
    toml = '[nginx]\ntrusted_proxies = ["203.0.113.0/24"]\n' + BY_HTTP
    case = Case(folder=tmp_path, toml=toml, resolver=placed(A=(OTHER,)), public={4: PUBLIC})

    assert "a proxy stands before this gate" in (await case.look(addresses.look)).of("ok", WIKI)


async def test_wildcards_and_hosts_of_the_lan(tmp_path: Path) -> None:
    """
    A wildcard is asked for a name below it, and need not have an address; the LAN's own hosts, addresses and patterns are not asked for.
    """
    toml = (
        '[sites]\n"*.example.com" = "http://127.0.0.1:1"\n'
        '"nas.home.arpa" = { upstream = "http://127.0.0.1:1", tls = "local" }\n'
        '[dns.lab]\nprovider = "rfc2136"\nserver = "127.0.0.1:53"\nkey_name = "k"\nkey_secret = { env = "K" }\n'
    )
    world = World()
    case = Case(folder=tmp_path, toml=toml, resolver=world, public={4: PUBLIC})
    seen = await case.look(addresses.look)

    assert "no address for gatelodge-doctor.example.com" in seen.of("note", "*.example.com")
    assert {name for name, _ in world.asked} == {"gatelodge-doctor.example.com"}


async def test_what_cannot_be_found_out_is_told_once(tmp_path: Path) -> None:
    """
    Without a public address nothing is compared; names of which the DNS says nothing share one note.
    """
    world = placed(A=(OTHER,))
    case = Case(folder=tmp_path, toml=BY_HTTP + '"b.example.com" = "http://127.0.0.1:1"\n', resolver=world)
    world.silent = {"b.example.com"}
    seen = await case.look(addresses.look)

    assert "nobody tells it" in seen.of("note", "public address")
    assert "nobody answers" in seen.of("note", "b.example.com")
    assert "not compared" in seen.of("ok", WIKI)

    world.silent.add(WIKI)

    assert (await case.look(addresses.look)).of("note", f"{WIKI} and 1 more")


async def test_cnames_are_told(tmp_path: Path) -> None:
    """
    Where a record leads through another name, that is where it is to be mended.
    """
    world = placed(A=(OTHER,))
    world.aliases[WIKI] = "old.dyndns.example"
    case = Case(folder=tmp_path, toml=BY_HTTP, resolver=world, public={4: PUBLIC})

    assert "through the CNAME old.dyndns.example" in (await case.look(addresses.look)).of("broken", WIKI)
