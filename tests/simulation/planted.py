"""
Bugs, one at least for each thing that must always be: each breaks the daemon in one place, and the simulation must find it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulation.gates import SimulatedGates
from tests.simulation.world import Parts

from gatelodge.core.actions import Obtain, Reason
from gatelodge.core.limits import limits_of
from gatelodge.issuers.acme.budgets import Budgets
from gatelodge.model import SELF_SIGNED
from gatelodge.runtime.journal import Journal
from gatelodge.runtime.reconcile import Reconciler
from gatelodge.solvers.ledger import Ledger
from gatelodge.stores.directory import DirectoryStore
from gatelodge.stores.documents import DirectoryDocuments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gatelodge.config.shape import Config
    from gatelodge.core.budget import Budget
    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Attempt, Held
    from gatelodge.errors import Problem
    from gatelodge.model import CertificateAuthority, CertificateSpec
    from gatelodge.ports import DnsProvider, Index, Issued
    from gatelodge.runtime.gate import Gate
    from gatelodge.runtime.look import Look
    from gatelodge.solvers.http01 import Webroot


class RenewsTooLate(Reconciler):
    """
    Renews within the last hour of a certificate's life.
    """

    async def look(self) -> Look:
        look = await super().look()
        now = self._clock.now()

        def early(action: object) -> bool:
            if not (isinstance(action, Obtain) and action.reason in {Reason.DUE, Reason.SUGGESTED}):
                return False
            return look.observed.held[action.spec.name].not_after - now > dt.timedelta(hours=1)

        actions = tuple(action for action in look.plan.actions if not early(action))
        return dataclasses.replace(look, plan=dataclasses.replace(look.plan, actions=actions))


class NamesWhatIsNotThere(DirectoryStore):
    """
    Says that a version lies in the folder of the next one.
    """

    async def index(self) -> Index:
        index = await super().index()

        def next_to(held: Held) -> Held:
            path = Path(held.directory).with_name(str(held.version + 1))
            return held if held.issuer == SELF_SIGNED else dataclasses.replace(held, directory=str(path))

        return dataclasses.replace(index, held={name: next_to(held) for name, held in index.held.items()})


class RefillsTooFast(Budgets):
    """
    Believes that a CA allows twenty times as much.
    """

    def budget(self, authority: CertificateAuthority) -> Budget:
        allowed = limits_of(authority.directory, public=authority.production)
        limits = tuple(dataclasses.replace(limit, count=20 * limit.count) for limit in allowed)
        return dataclasses.replace(super().budget(authority), limits=limits)


class SpendsTooMuch(SimulatedGates):
    """
    Counts with a budget that refills too fast.
    """

    def __init__(self, *world: Any, **parts: Any) -> None:
        super().__init__(*world, **parts)
        self.budgets = RefillsTooFast(documents=parts["documents"], clock=parts["clock"])


class _Twice:
    """
    Asks for each certificate twice.
    """

    def __init__(self, issuer: Any) -> None:
        self._issuer = issuer

    @contextlib.asynccontextmanager
    async def issue(self, spec: CertificateSpec, **more: Any) -> AsyncIterator[Issued]:
        async with self._issuer.issue(spec, **more), self._issuer.issue(spec, **more) as issued:
            yield issued

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)


class OrdersTwice(SimulatedGates):
    """
    Has issuers that ask for each certificate twice.
    """

    def make(self, config: Config) -> Gate:
        gate = super().make(config)
        twice = {name: _Twice(ca) for name, ca in gate.cas.items()}
        return dataclasses.replace(gate, issuers={**gate.issuers, **twice}, cas=twice)


class WritesNothingDown(Ledger):
    """
    Keeps the ledger in memory alone.
    """

    async def _write(self, entry: Any) -> None:
        self._entries[entry.key] = entry


class NeverSweeps(Ledger):
    """
    Leaves for ever what was left behind once.
    """

    @property
    def leftovers(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        return {}


class LeavesTokens(SimulatedGates):
    """
    Leaves the tokens that were published where they are.
    """

    def _webroot(self, wanted: Desired) -> Webroot:
        webroot = super()._webroot(wanted)
        webroot._release = lambda _token: None  # type: ignore[method-assign]
        webroot.sweep = lambda: None  # type: ignore[method-assign]
        return webroot


class NeverTriesAgain(Journal):
    """
    Holds what failed back for ten years.
    """

    async def failed(self, tries: str, digest: str, problem: Problem) -> Attempt:
        attempt = await super().failed(tries, digest, problem)
        later = dataclasses.replace(attempt, retry_at=attempt.at + dt.timedelta(days=3650))
        self.attempts[tries] = later
        return later


class ForgetsAccounts(DirectoryDocuments):
    """
    Keeps the account's key in memory alone.
    """

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._accounts: dict[str, Any] = {}

    async def put(self, kind: str, key: str, document: Any) -> None:
        if kind == "accounts":
            self._accounts[key] = document
        else:
            await super().put(kind, key, document)

    async def get(self, kind: str, key: str) -> Any:
        return self._accounts.get(key) if kind == "accounts" else await super().get(kind, key)


class Defective(Ledger):
    """
    Fails in its own way when it sweeps.
    """

    async def sweep(self, name: str, provider: DnsProvider, *, kind: str = "") -> None:
        del provider, kind
        raise KeyError(name)


class ShowsKeys(DirectoryStore):
    """
    Lets everybody read keys.
    """

    async def put(self, spec: CertificateSpec, issued: Issued) -> Held:
        held = await super().put(spec, issued)
        (Path(held.directory) / "privkey.pem").chmod(0o644)
        return held


class DeletesFirst(DirectoryStore):
    """
    Deletes what is held before it stores what takes its place.
    """

    async def put(self, spec: CertificateSpec, issued: Issued) -> Held:
        await self.delete(spec.name)
        return await super().put(spec, issued)


class OverlooksOldOnes(DirectoryStore):
    """
    Says of certificates that are not new any more that they are not held.
    """

    async def index(self) -> Index:
        found = await super().index()
        young = self._clock.now() - dt.timedelta(days=1)
        held = {name: each for name, each in found.held.items() if each.placeholder or each.stored_at > young}
        return dataclasses.replace(found, held=held)


class ForgetsKeys(DirectoryDocuments):
    """
    Forgets that an order was begun, and with it the order's key.
    """

    async def put(self, kind: str, key: str, document: Any) -> None:
        if kind != "journal/orders":
            await super().put(kind, key, document)


class NeverSyncsRecords(DirectoryDocuments):
    """
    Writes DNS records down, and does not wait until they are on the disk.
    """

    def _write(self, path: Path, text: bytes) -> None:
        if "journal/dns" not in str(path):
            super()._write(path, text)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        path.chmod(0o600)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """
    A bug, the invariant that it breaks, and a seed that finds it within some years with so many sites, in a climate that is good for it.
    """

    parts: Parts
    breaks: str
    seed: int
    years: float
    sites: int
    climate: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """
        What it is called.
        """
        played = [getattr(self.parts, field.name) for field in dataclasses.fields(self.parts)]
        return next(part.__name__ for part in played if part.__module__ == __name__)


#: A climate in which daemons are killed all the time, but not so often that they get nowhere.
_DEADLY = {"rough weather": 10.0, "daemon killed": 8.0, "power lost": 8.0}

PLANTED = (
    Planted(parts=Parts(reconciler=RenewsTooLate), breaks="no lapse", seed=2, years=0.4, sites=1),
    Planted(parts=Parts(store=NamesWhatIsNotThere), breaks="sound trees", seed=1, years=0.1, sites=1),
    Planted(
        parts=Parts(gates=SpendsTooMuch),
        breaks="limits kept",
        seed=2,
        years=0.4,
        sites=2,
        climate={"first CA sends wrong certificates": 50.0},
    ),
    Planted(parts=Parts(gates=OrdersTwice), breaks="one order at once", seed=1, years=0.1, sites=1),
    Planted(parts=Parts(ledger=WritesNothingDown), breaks="records written down", seed=2, years=0.05, sites=3),
    Planted(
        parts=Parts(documents=NeverSyncsRecords),
        breaks="records written down",
        seed=2,
        years=0.05,
        sites=8,
        climate={"rough weather": 40.0, "daemon killed": 0.0, "power lost": 60.0, "configuration edited": 10.0},
    ),
    Planted(parts=Parts(store=ShowsKeys), breaks="keys kept", seed=1, years=0.1, sites=1),
    Planted(parts=Parts(store=OverlooksOldOnes), breaks="nothing destroyed", seed=1, years=0.1, sites=1),
    Planted(parts=Parts(documents=ForgetsKeys), breaks="keys kept", seed=1, years=0.1, sites=1),
    Planted(parts=Parts(documents=ForgetsAccounts), breaks="keys kept", seed=1, years=0.1, sites=1),
    Planted(
        parts=Parts(store=DeletesFirst),
        breaks="nothing destroyed",
        seed=1,
        years=0.4,
        sites=3,
        climate={**_DEADLY, "disk error": 20.0},
    ),
    Planted(parts=Parts(ledger=Defective), breaks="no defect", seed=2, years=0.1, sites=3, climate=_DEADLY),
    Planted(
        parts=Parts(ledger=NeverSweeps), breaks="nothing left behind", seed=5, years=0.08, sites=3, climate=_DEADLY
    ),
    Planted(parts=Parts(gates=LeavesTokens), breaks="nothing left behind", seed=1, years=0.08, sites=3),
    Planted(parts=Parts(journal=NeverTriesAgain), breaks="convergence", seed=2, years=0.1, sites=3, climate=_DEADLY),
)
