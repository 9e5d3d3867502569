"""
What the parts of the daemon are put together with, where only a whole daemon would show it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.recorder import Recorder

from gatelodge.config.read import read
from gatelodge.errors import IssuanceError
from gatelodge.gates import Gates
from gatelodge.runtime.system import SystemClock
from gatelodge.solvers.ledger import Ledger
from gatelodge.stores.memory import MemoryDocuments
from gatelodge.stores.mounts import passing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.runtime.gate import Gate

TEXT = """\
state_directory = "{folder}/state"
[acme]
agree_tos = true
ca = "{ca}"
{more}
[sites]
"wiki.example.com" = "http://127.0.0.1:3000"
"""


@pytest.fixture
def memory() -> Iterator[Path]:
    """
    A folder that is gone at the next start.
    """
    if "/dev/shm tmpfs" not in Path("/proc/self/mounts").read_text():
        pytest.skip("this machine has no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def gate(folder: Path, ca: str, more: str = "") -> Gate:
    """
    Return the parts for a configuration. Nothing is asked of anybody.
    """
    documents, clock, events = MemoryDocuments(), SystemClock(), Recorder()
    ledger = Ledger(documents=documents, clock=clock, events=events)
    gates = Gates(clock=clock, documents=documents, ledger=ledger, events=events)
    return gates.make(read(TEXT.format(folder=folder, ca=ca, more=more)))


async def test_a_production_ca_is_not_asked_from_memory(memory: Path) -> None:
    """
    A state directory that a restart empties is refused before anything is sent.
    """
    made = gate(memory, "letsencrypt")
    with pytest.raises(IssuanceError) as caught:
        async with made.issuers["acme:letsencrypt"].issue(
            made.desired.certificates["wiki.example.com"], progress=lambda _: None
        ):
            pass
    assert caught.value.problem.type == "ephemeral"
    assert "tmpfs at /dev/shm, in memory" in caught.value.problem.detail


def test_others_are(memory: Path, tmp_path: Path) -> None:
    """
    A CA of tests, whoever says that it is meant, and whoever has a disk.
    """
    for folder, ca, more in (
        (memory, "letsencrypt-staging", ""),
        (memory, "letsencrypt", "allow_ephemeral_state = true"),
        (tmp_path, "letsencrypt", ""),
    ):
        made = gate(folder, ca, more)
        issuer = made.issuers[f"acme:{ca}"]
        expected = passing(str(folder)) if folder == tmp_path else None
        assert issuer._passing() == expected  # type: ignore[attr-defined]
        assert list(made.budgets()) == []
