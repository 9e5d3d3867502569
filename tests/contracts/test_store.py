"""
What every store of certificates must do. What only one on a disk can suffer is in `tests/stores`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.support.certificates import issued, placeholder, spec
from tests.support.clock import START, FakeClock

from gatelodge.model import CertificateSpec, LocalIssuer, Name, Secret
from gatelodge.ports import Issued
from gatelodge.stores.directory import DirectoryStore
from gatelodge.stores.memory import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.ports import Store

WIKI = spec("wiki.example.com")


@pytest.fixture
def clock() -> FakeClock:
    """
    The store's clock.
    """
    return FakeClock()


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Store:
    """
    Each implementation in turn, empty.
    """
    if request.param == "memory":
        return MemoryStore(clock=clock)
    return DirectoryStore(directory=str(tmp_path / "certificates"), clock=clock)


async def test_empty(store: Store) -> None:
    """
    A new store holds nothing, and looking at it is no mistake.
    """
    index = await store.index()
    assert (index.held, index.versions, index.damaged) == ({}, {}, {})


async def test_put_and_index(store: Store, clock: FakeClock) -> None:
    """
    What was put is held, described by its spec and its leaf.
    """
    clock.time = START + dt.timedelta(days=3)
    wanted = CertificateSpec(
        name="home",
        names=(Name("example.com"), Name("*.example.com"), Name("192.0.2.7"), Name("2001:db8::7")),
        issuer=LocalIssuer(),
        profile="shortlived",
    )
    new = issued(wanted)
    held = await store.put(wanted, new)
    leaf = x509.load_pem_x509_certificate(new.chain.encode())
    assert held.satisfies(wanted)
    assert (held.name, held.version, held.names) == ("home", 1, wanted.names)
    assert held.serial == f"{leaf.serial_number:x}"
    assert held.fingerprint == leaf.fingerprint(hashes.SHA256()).hex()
    assert (held.not_before, held.not_after) == (leaf.not_valid_before_utc, leaf.not_valid_after_utc)
    assert held.stored_at == clock.now()
    index = await store.index()
    assert index.held == {"home": held}
    assert index.versions == {"home": (1,)}
    assert index.damaged == {}


async def test_newest_is_held(store: Store) -> None:
    """
    The newest version is the one held; the older ones are still listed.
    """
    await store.put(WIKI, issued(WIKI))
    second = await store.put(WIKI, issued(WIKI))
    index = await store.index()
    assert index.held[WIKI.name] == second
    assert index.versions[WIKI.name] == (1, 2)


async def test_index_is_a_snapshot(store: Store) -> None:
    """
    An index that was taken does not change with the store.
    """
    before = await store.index()
    await store.put(WIKI, issued(WIKI))
    assert before.held == {}


async def test_read(store: Store) -> None:
    """
    A version is read back as it was put.
    """
    one, two = issued(WIKI), issued(WIKI)
    await store.put(WIKI, one)
    await store.put(WIKI, two)
    assert await store.read(WIKI.name, 1) == one
    assert await store.read(WIKI.name, 2) == two


@pytest.mark.parametrize(("name", "version"), [("wiki.example.com", 2), ("wiki.example.com", 0), ("other", 1)])
async def test_read_what_is_not_there(store: Store, name: str, version: int) -> None:
    """
    Reading a version that does not exist is a KeyError.
    """
    await store.put(WIKI, issued(WIKI))
    with pytest.raises(KeyError):
        await store.read(name, version)


async def test_other_text_of_a_chain_is_dropped(store: Store) -> None:
    """
    Nothing but certificates is kept of a CA's answer: no remark, no foreign key.
    """
    new, foreign = issued(WIKI), issued(WIKI)
    await store.put(
        WIKI, Issued(chain=f"a remark\n{new.chain}{foreign.private_key.reveal()}", private_key=new.private_key)
    )
    assert (await store.read(WIKI.name, 1)).chain == new.chain


async def test_key_of_another_certificate(store: Store) -> None:
    """
    A key that is not the leaf's is refused; the message names the certificate and no part of the key.
    """
    new, other = issued(WIKI), issued(WIKI)
    with pytest.raises(ValueError, match=r"wiki\.example\.com.*does not fit") as raised:
        await store.put(WIKI, Issued(chain=new.chain, private_key=other.private_key))
    assert "PRIVATE KEY" not in str(raised.value)
    assert (await store.index()).held == {}


@pytest.mark.parametrize("rubbish", ["", "rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
async def test_rubbish(store: Store, rubbish: str) -> None:
    """
    What is no certificate, or no key, is refused.
    """
    new = issued(WIKI)
    with pytest.raises(ValueError, match="wiki"):
        await store.put(WIKI, dataclasses.replace(new, chain=rubbish))
    with pytest.raises(ValueError, match="wiki"):
        await store.put(WIKI, dataclasses.replace(new, private_key=Secret(rubbish)))
    assert (await store.index()).versions == {}


async def test_missing_name(store: Store) -> None:
    """
    A leaf that lacks a name of the spec is refused, by that name.
    """
    wider = spec(WIKI.name, "extra.example.com")
    with pytest.raises(ValueError, match=r"lacks extra\.example\.com"):
        await store.put(wider, issued(WIKI))
    assert (await store.index()).held == {}


async def test_more_names_than_asked(store: Store) -> None:
    """
    A leaf may hold more names than were asked for; what was asked for is what is written down.
    """
    held = await store.put(WIKI, issued(spec(WIKI.name, "www.example.com")))
    assert held.names == WIKI.names


async def test_placeholder_never_replaces(store: Store) -> None:
    """
    A placeholder is refused while a certificate from anyone is held, and that one stays held.
    """
    real = await store.put(WIKI, issued(WIKI))
    with pytest.raises(ValueError, match="acme:letsencrypt"):
        await store.put(placeholder(), issued(WIKI))
    assert (await store.index()).held == {WIKI.name: real}


async def test_placeholder_gives_way(store: Store) -> None:
    """
    A placeholder stands alone or after another, and a certificate from a CA replaces it.
    """
    await store.put(placeholder(), issued(WIKI))
    assert (await store.put(placeholder(), issued(WIKI))).placeholder
    await store.put(WIKI, issued(WIKI))
    assert not (await store.index()).held[WIKI.name].placeholder


async def test_prune(store: Store) -> None:
    """
    Pruning deletes what is asked for, except the newest; what does not exist is skipped.
    """
    for _ in range(4):
        await store.put(WIKI, issued(WIKI))
    await store.prune([(WIKI.name, 1), (WIKI.name, 3), (WIKI.name, 4), (WIKI.name, 9), ("other", 1)])
    assert (await store.index()).versions == {WIKI.name: (2, 4)}
    with pytest.raises(KeyError):
        await store.read(WIKI.name, 1)


async def test_delete(store: Store) -> None:
    """
    Deleting removes all versions of one certificate and nothing of another; twice is no mistake.
    """
    other = spec("other.example.com")
    await store.put(WIKI, issued(WIKI))
    await store.put(WIKI, issued(WIKI))
    await store.put(other, issued(other))
    await store.delete(WIKI.name)
    await store.delete(WIKI.name)
    await store.delete("never.example.com")
    assert set((await store.index()).held) == {other.name}
    assert set((await store.index()).versions) == {other.name}


async def test_numbers_are_never_used_again(store: Store) -> None:
    """
    Neither pruning nor deleting gives a number back: an nginx tree may still name it.
    """
    for _ in range(3):
        await store.put(WIKI, issued(WIKI))
    await store.prune([(WIKI.name, 1), (WIKI.name, 2)])
    assert (await store.put(WIKI, issued(WIKI))).version == 4
    await store.delete(WIKI.name)
    await store.delete(WIKI.name)
    assert (await store.put(WIKI, issued(WIKI))).version == 5


async def test_concurrent_puts_of_one_name(store: Store) -> None:
    """
    Certificates put at the same time under one name all become versions.
    """
    new = [issued(WIKI) for _ in range(5)]
    async with asyncio.TaskGroup() as group:
        puts = [group.create_task(store.put(WIKI, each)) for each in new]
    assert sorted(put.result().version for put in puts) == [1, 2, 3, 4, 5]
    index = await store.index()
    assert index.versions[WIKI.name] == (1, 2, 3, 4, 5)
    assert index.held[WIKI.name].version == 5
    for put, each in zip(puts, new, strict=True):
        assert await store.read(WIKI.name, put.result().version) == each


async def test_everything_at_once(store: Store) -> None:
    """
    Puts, prunes, deletions and looks at the same time disturb nobody.
    """
    specs = [spec(f"{number}.example.com") for number in range(8)]

    async def live(each: CertificateSpec) -> None:
        for version in (1, 2, 3):
            await store.put(each, issued(each))
            await store.prune([(each.name, version - 1)])
            index = await store.index()
            assert index.held[each.name].version == version
            assert index.damaged == {}

    async with asyncio.TaskGroup() as group:
        for each in specs:
            group.create_task(live(each))
    assert (await store.index()).versions == {each.name: (3,) for each in specs}


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/etc", "../certificates", "a\0b"])
async def test_names_that_would_escape(store: Store, name: str) -> None:
    """
    A name that is no folder of the store is refused by every call that takes one.
    """
    wanted = dataclasses.replace(WIKI, name=name)
    with pytest.raises(ValueError, match="cannot be the name"):
        await store.put(wanted, issued(WIKI))
    with pytest.raises(ValueError, match="cannot be the name"):
        await store.read(name, 1)
    with pytest.raises(ValueError, match="cannot be the name"):
        await store.prune([(name, 1)])
    with pytest.raises(ValueError, match="cannot be the name"):
        await store.delete(name)


async def test_verify_changes_nothing(store: Store) -> None:
    """
    After a verification an intact store holds what it held.
    """
    await store.put(WIKI, issued(WIKI))
    before = await store.index()
    await store.verify()
    assert await store.index() == before
