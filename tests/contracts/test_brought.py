"""
What whoever brings the user's certificates must do, on a disk or without one.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.support.brought import FakeBrought
from tests.support.clock import FakeClock
from tests.support.pems import Bought, buy, rsa_key

from gatelodge.errors import IssuanceError
from gatelodge.issuers.files import BroughtFiles
from gatelodge.model import CertificateSpec, FileIssuer, KeyKind, Name
from gatelodge.stores.memory import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.core.observed import InFiles
    from gatelodge.ports import Brought

WIKI = "wiki.example.com"


@dataclasses.dataclass
class Case:
    """
    Somebody who brings, and where to.
    """

    folder: Path
    clock: FakeClock
    brought: Brought

    @property
    def files(self) -> FileIssuer:
        return FileIssuer(certificate=str(self.folder / "site.crt"), key=str(self.folder / "site.key"))

    def spec(self, *names: str) -> CertificateSpec:
        return CertificateSpec(name=WIKI, names=tuple(map(Name, names or (WIKI,))), issuer=self.files)

    def lay(self, bought: Bought | None) -> None:
        """
        Put a certificate there, or take it away.
        """
        if isinstance(self.brought, FakeBrought):
            self.brought.there = {self.files.certificate: bought} if bought else {}
            return
        for file in self.folder.iterdir():
            file.unlink()
        if bought:
            bought.lay(self.folder)

    async def seen(self) -> InFiles:
        """
        Return what lies there once it has stood still.
        """
        await self.brought.look({WIKI: self.files})
        await self.clock.advance(3)
        return (await self.brought.look({WIKI: self.files}))[WIKI]


@pytest.fixture(params=["files", "fake"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """
    Each in turn.
    """
    clock = FakeClock()
    return Case(tmp_path, clock, BroughtFiles(clock=clock) if request.param == "files" else FakeBrought())


async def test_what_is_taken_is_held_as_it_was_seen(case: Case) -> None:
    """
    A store takes it, under the digest of its chain.
    """
    case.lay(buy(WIKI, "*.example.com", key=rsa_key()))
    seen = await case.seen()
    stored, issued = await case.brought.take(case.spec("chat.example.com"))
    held = await MemoryStore(clock=case.clock).put(stored, issued)
    assert (held.chain, held.brought, held.key) == (seen.chain, True, KeyKind.RSA_2048)
    assert held.names == (WIKI, "*.example.com")
    assert issued.private_key.reveal() not in repr(issued)


async def test_nobody_who_asks_for_nothing_is_answered(case: Case) -> None:
    """
    And everybody is answered under his own name.
    """
    assert await case.brought.look({}) == {}
    case.lay(buy(WIKI))
    seen = await case.brought.look({"a": case.files, "b": case.files})
    assert seen["a"] == seen["b"]


async def test_a_mark_changes_with_what_lies_there_and_not_otherwise(case: Case) -> None:
    """
    Another certificate, none, and the first one again.
    """
    first, second = buy(WIKI), buy(WIKI)
    seen = []
    for bought in (first, first, second, None, first):
        case.lay(bought)
        seen.append(await case.seen())
    assert seen[0] == seen[1] == seen[4]
    assert len({each.mark for each in seen}) == 3
    assert [each.chain is None for each in seen] == [False, False, False, True, False]


async def test_what_is_of_no_use_is_not_taken(case: Case) -> None:
    """
    Because it is not there, or is not for a name that is wanted; the text begins with whose it is.
    """
    with pytest.raises(IssuanceError) as caught:
        await case.brought.take(case.spec())
    assert caught.value.problem.type == "files"
    case.lay(buy(WIKI))
    with pytest.raises(IssuanceError, match=r"not for chat\.example\.com") as caught:
        await case.brought.take(case.spec(WIKI, "chat.example.com"))
    assert caught.value.problem.detail.startswith(f"{WIKI}: ")
