"""
What every issuer must do. An issuer joins with a `Case` of its own: the spec it can serve, and a context that runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.support.certificates import QuickKeys, private_key
from tests.support.clock import FakeClock

from gatelodge.issuers.local import Local
from gatelodge.model import CaSubject, CertificateSpec, KeyKind, LocalIssuer, Name
from gatelodge.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from gatelodge.ports import Issuer, Keys


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    An issuer under test: what it can be asked for, and how it is run with given keys.
    """

    spec: CertificateSpec
    running: Callable[[Path, FakeClock, Keys], AbstractAsyncContextManager[Issuer]]


@contextlib.asynccontextmanager
async def _local(folder: Path, clock: FakeClock, keys: Keys) -> AsyncIterator[Issuer]:
    yield Local(directory=str(folder / "ca"), clock=clock, keys=keys)


@contextlib.asynccontextmanager
async def _named(folder: Path, clock: FakeClock, keys: Keys) -> AsyncIterator[Issuer]:
    subject = CaSubject(common_name="Ours", organization="House", country="DE")
    yield Local(directory=str(folder / "ca"), clock=clock, keys=keys, subject=subject)


_NAS = CertificateSpec(
    name="nas.home.arpa",
    names=(Name("nas.home.arpa"), Name("*.nas.home.arpa"), Name("192.168.1.7")),
    issuer=LocalIssuer(),
)

CASES = {
    "local": Case(spec=_NAS, running=_local),
    "local, of a name": Case(spec=_NAS, running=_named),
}


class StuckKeys:
    """
    Implements `ports.Keys`: gives the first few keys, then waits for ever and says so.
    """

    def __init__(self, first: int) -> None:
        self._left = first
        self.stuck = asyncio.Event()

    async def new(self, kind: KeyKind) -> object:
        if not self._left:
            self.stuck.set()
            await asyncio.Event().wait()
        self._left -= 1
        return await QuickKeys().new(kind)


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """
    Each issuer in turn.
    """
    return request.param


@pytest.mark.parametrize("kind", [KeyKind.ECDSA_P256, KeyKind.ECDSA_P384, KeyKind.RSA_2048])
async def test_issued_is_what_was_asked_for(case: Case, tmp_path: Path, kind: KeyKind) -> None:
    """
    Chain and key fit each other and the spec, so that a store takes them; the key is of the kind asked for and its own.
    """
    clock = FakeClock()
    wanted = dataclasses.replace(case.spec, key=kind)
    store = MemoryStore(clock=clock)
    async with case.running(tmp_path, clock, QuickKeys()) as issuer:
        for _ in range(2):
            async with issuer.issue(wanted, progress=lambda _: None) as issued:
                held = await store.put(wanted, issued)
            size = {KeyKind.ECDSA_P256: 256, KeyKind.ECDSA_P384: 384, KeyKind.RSA_2048: 2048}[kind]
            assert private_key(issued.private_key).key_size == size
            assert held.not_before <= clock.now() < held.not_after
            assert issued.private_key.reveal() not in repr(issued)
    first, second = await store.read(wanted.name, 1), await store.read(wanted.name, 2)
    assert first.private_key != second.private_key


async def test_progress_is_told(case: Case, tmp_path: Path) -> None:
    """
    Whoever waits is told what is being done, in words.
    """
    steps: list[str] = []
    async with (
        case.running(tmp_path, FakeClock(), QuickKeys()) as issuer,
        issuer.issue(case.spec, progress=steps.append),
    ):
        assert steps
    assert all(step.strip() for step in steps)


async def test_failure_to_store_is_passed_on(case: Case, tmp_path: Path) -> None:
    """
    An exception inside the context comes out of it, and the next call serves the spec again.
    """
    async with case.running(tmp_path, FakeClock(), QuickKeys()) as issuer:
        with pytest.raises(OSError, match="full"):
            async with issuer.issue(case.spec, progress=lambda _: None):
                raise OSError("full")
        async with issuer.issue(case.spec, progress=lambda _: None) as issued:
            assert issued.chain


@pytest.mark.parametrize("first", [0, 1, 2])
async def test_cancelled_while_waiting(case: Case, tmp_path: Path, first: int) -> None:
    """
    An issuance that is cancelled while it waits ends, and a new one is served.
    """
    keys = StuckKeys(first)
    async with case.running(tmp_path, FakeClock(), keys) as issuer:

        async def issue() -> None:
            async with issuer.issue(case.spec, progress=lambda _: None):
                pass

        async with asyncio.TaskGroup() as group:
            task = group.create_task(issue())
            waiting = group.create_task(keys.stuck.wait())
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            task.cancel()
            waiting.cancel()
        assert task.cancelled() == keys.stuck.is_set()
    async with (
        case.running(tmp_path, FakeClock(), QuickKeys()) as again,
        again.issue(case.spec, progress=lambda _: None) as issued,
    ):
        assert issued.chain


async def test_several_at_once(case: Case, tmp_path: Path) -> None:
    """
    Several certificates are issued at the same time.
    """
    store = MemoryStore(clock=FakeClock())
    async with case.running(tmp_path, FakeClock(), QuickKeys()) as issuer:

        async def issue(wanted: CertificateSpec) -> None:
            async with issuer.issue(wanted, progress=lambda _: None) as issued:
                await store.put(wanted, issued)

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(issue(dataclasses.replace(case.spec, name=f"name-{number}")))
    assert len((await store.index()).held) == 5


async def test_abandon_what_was_never_begun(case: Case, tmp_path: Path) -> None:
    """
    Giving up what was never begun does nothing, and stops nothing later.
    """
    async with case.running(tmp_path, FakeClock(), QuickKeys()) as issuer:
        await issuer.abandon(case.spec.name)
        async with issuer.issue(case.spec, progress=lambda _: None) as issued:
            assert issued.chain
