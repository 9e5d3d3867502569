"""
Certificates of other tools are read as they lie there, and nothing is written to their folders.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from tests.support.certificates import private_key, spec

from gatelodge.errors import IssuanceError
from gatelodge.issuers import selfsigned
from gatelodge.issuers.adopted import Adoptions
from gatelodge.model import ADOPTED, Name

if TYPE_CHECKING:
    from pathlib import Path

WIKI = spec("wiki.example.com")


def lay(folder: Path, *names: str) -> Path:
    """
    Lay a certificate down as certbot does: links to what is newest.
    """
    issued = selfsigned.make([Name(name) for name in names])
    archive, live = folder / "archive", folder / "live"
    archive.mkdir(exist_ok=True)
    live.mkdir(exist_ok=True)
    number = len(list(archive.glob("fullchain*"))) + 1
    for name, text in (("fullchain", issued.chain), ("privkey", issued.private_key.reveal())):
        (archive / f"{name}{number}.pem").write_text(text)
        (live / f"{name}.pem").unlink(missing_ok=True)
        (live / f"{name}.pem").symlink_to(f"../archive/{name}{number}.pem")
    return live


async def test_it_is_offered_and_taken_for_the_names_that_it_has(tmp_path: Path) -> None:
    """
    More than ours asks for, as SWAG's one certificate for everything; with its own key, under another issuer.
    """
    live = lay(tmp_path, "wiki.example.com", "chat.example.com")
    offers = await Adoptions().offers({"wiki.example.com": str(live)})
    stand_in, issued = await Adoptions().take(WIKI, str(live))

    assert (str(stand_in.issuer), stand_in.name) == (ADOPTED, WIKI.name)
    assert stand_in.names == ("wiki.example.com", "chat.example.com")
    assert issued.chain == (live / "fullchain.pem").read_text()
    assert issued.private_key.reveal() == (live / "privkey.pem").read_text()
    assert offers["wiki.example.com"].not_after == selfsigned.NOT_AFTER.replace(microsecond=0)


async def test_a_wildcard_covers_a_site_and_a_site_a_part_of_a_wildcard(tmp_path: Path) -> None:
    """
    It need not be the same names: some visitors are better off than with a placeholder.
    """
    live = lay(tmp_path, "*.example.com")
    stand_in, _ = await Adoptions().take(WIKI, str(live))
    assert stand_in.names == ("*.example.com",)


async def test_a_renewal_of_the_other_tool_is_noticed(tmp_path: Path) -> None:
    """
    The link leads to another file then.
    """
    live = lay(tmp_path, "wiki.example.com")
    adoptions = Adoptions()
    before = await adoptions.offers({"x": str(live)})
    assert await adoptions.offers({"x": str(live)}) == before
    lay(tmp_path, "wiki.example.com")
    assert (await adoptions.offers({"x": str(live)}))["x"].fingerprint != before["x"].fingerprint


@pytest.mark.parametrize("damage", ["no folder", "no chain", "rubbish"])
async def test_where_there_is_none_nothing_is_offered(tmp_path: Path, damage: str) -> None:
    """
    A folder that is not there yet, or is being written.
    """
    live = lay(tmp_path, "wiki.example.com")
    if damage == "no chain":
        (live / "fullchain.pem").unlink()
    elif damage == "rubbish":
        (live / "fullchain.pem").write_text("rubbish")
    folder = str(tmp_path / "nowhere") if damage == "no folder" else str(live)
    assert await Adoptions().offers({"x": folder}) == {}
    with pytest.raises(IssuanceError) as caught:
        await Adoptions().take(WIKI, folder)
    assert caught.value.problem.type == "adopt"
    assert WIKI.name in caught.value.problem.detail


async def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    """
    Other names; a key that is encrypted, or none. No text holds a part of the key.
    """
    live = lay(tmp_path, "other.example.com")
    with pytest.raises(IssuanceError, match=r"is for other\.example\.com"):
        await Adoptions().take(WIKI, str(live))
    live = lay(tmp_path, "wiki.example.com")
    key = private_key((await Adoptions().take(WIKI, str(live)))[1].private_key)
    locked = key.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pass")
    )
    (live / "privkey.pem").write_bytes(locked)
    with pytest.raises(IssuanceError, match="is encrypted; decrypt it") as caught:
        await Adoptions().take(WIKI, str(live))
    assert locked.decode()[40:80] not in str(caught.value)
    (live / "privkey.pem").write_text("rubbish")
    with pytest.raises(IssuanceError, match="holds no private key"):
        await Adoptions().take(WIKI, str(live))


async def test_the_spec_asked_for_stays_what_it_is(tmp_path: Path) -> None:
    """
    What is stored meanwhile never satisfies it.
    """
    live = lay(tmp_path, "wiki.example.com")
    stand_in, _ = await Adoptions().take(dataclasses.replace(WIKI, profile="shortlived"), str(live))
    assert stand_in.profile is None
    assert str(stand_in.issuer) != str(WIKI.issuer)
