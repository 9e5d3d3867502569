"""
What whoever copies certificates for other programs must do, on a disk or without one.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import FakeClock
from tests.support.exporter import FakeExporter
from tests.support.pems import buy

from gatelodge.core.observed import Exported
from gatelodge.errors import ExportError
from gatelodge.exports.exporter import FileExporter
from gatelodge.model import AcmeIssuer, CertificateSpec, Export, Name, Secret
from gatelodge.ports import Issued
from gatelodge.stores.memory import MemoryDocuments, MemoryStore

if TYPE_CHECKING:
    from gatelodge.core.observed import Held
    from gatelodge.ports import Exporter

WIKI = "wiki.example.com"


@dataclasses.dataclass
class Case:
    """
    Somebody who copies, and where to.
    """

    folder: Path
    exporter: Exporter
    store: MemoryStore
    clock: FakeClock

    def to(self, name: str = "tls", *command: str) -> Export:
        return Export(directory=str(self.folder / name), command=command)

    async def held(self) -> tuple[Held, Issued]:
        bought = buy(WIKI)
        spec = CertificateSpec(name=WIKI, names=(Name(WIKI),), issuer=AcmeIssuer(ca="pebble"))
        issued = Issued(chain=bought.chain, private_key=Secret(bought.key_pem))
        return await self.store.put(spec, issued), issued

    def spoil(self, export: Export) -> None:
        """
        Change what was written.
        """
        if isinstance(self.exporter, FakeExporter):
            self.exporter.written[export.place] = "something else"
        else:
            Path(export.directory, "privkey.pem").write_text("something else")
        self.clock.elapsed += 60


@pytest.fixture(params=["files", "fake"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """
    Each of those who copy.
    """
    clock = FakeClock()
    files = FileExporter(documents=MemoryDocuments(), clock=clock, state_directory=str(tmp_path / "state"))
    exporter = files if request.param == "files" else FakeExporter()
    return Case(folder=tmp_path, exporter=exporter, store=MemoryStore(clock=clock), clock=clock)


async def test_what_was_written_is_known(case: Case) -> None:
    """
    As the certificate and the export that it is of, and nothing else is.
    """
    (held, issued), export = await case.held(), case.to()
    assert await case.exporter.look([export]) == {}

    await case.exporter.export(held, issued, export)

    known = {export.mark: Exported(content=held.content, digest=export.digest)}
    assert await case.exporter.look([export, case.to("other")]) == known
    assert await case.exporter.look([]) == {}


async def test_what_was_changed_is_not_whole(case: Case) -> None:
    """
    It is until somebody writes into it, and again when it is made anew.
    """
    (held, issued), export = await case.held(), case.to()
    await case.exporter.export(held, issued, export)
    case.spoil(export)
    assert await case.exporter.look([export]) == {}

    await case.exporter.export(held, issued, export)
    assert export.mark in await case.exporter.look([export])


async def test_another_certificate_takes_its_place(case: Case) -> None:
    """
    What is known is of the newest alone.
    """
    export = case.to()
    await case.exporter.export(*await case.held(), export)
    held, issued = await case.held()
    await case.exporter.export(held, issued, export)

    assert (await case.exporter.look([export]))[export.mark].content == held.content


async def test_a_program_that_fails_leaves_it_undone(case: Case) -> None:
    """
    The error names the place; the copy does not count, so that it is done again.
    """
    (held, issued), export = await case.held(), case.to("tls", "/bin/false")
    with pytest.raises(ExportError) as raised:
        await case.exporter.export(held, issued, export)

    assert raised.value.place == export.place
    assert await case.exporter.look([export]) == {}
