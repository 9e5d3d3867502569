"""
Carries out actions: each becomes a job that calls adapters, writes down what failed, and tells what happened.

It decides nothing: which action, and when again, is `core`'s. A job never raises for what the world does to it; what the world
did becomes an event and an entry of the journal, and the next plan starts from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from gatelodge.core.actions import (
    Abandon,
    Action,
    Adopt,
    ApplyTree,
    AskRenewals,
    Cancel,
    DeleteCertificate,
    ExportCertificate,
    KeepAddresses,
    MakePlaceholder,
    Obtain,
    Prune,
    Revoke,
    RollBack,
    StartNginx,
    SweepRecords,
    Take,
    describe,
    digest,
    key,
    tries,
)
from gatelodge.core.failures import classify
from gatelodge.errors import (
    DnsError,
    ExportError,
    IssuanceError,
    NginxError,
    NginxRefused,
    NginxUnproven,
    Problem,
    StateError,
)
from gatelodge.runtime.certify import Certifier
from gatelodge.runtime.parts import tell_kept_back, tell_released

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatelodge.core.observed import Observed
    from gatelodge.core.tree import Rendered
    from gatelodge.model import Name
    from gatelodge.ports import Clock, Events, Issued, Store
    from gatelodge.runtime.gate import Gate
    from gatelodge.runtime.jobs import Jobs
    from gatelodge.runtime.journal import Journal
    from gatelodge.solvers.ledger import Ledger

#: What can go wrong in the world, by exception, as a problem type.
_TROUBLE: dict[type[Exception], str] = {
    StateError: "state",
    ExportError: "export",
    NginxRefused: "nginxRefused",
    NginxUnproven: "nginxUnproven",
    NginxError: "nginx",
}


_NGINX_FAILED = {"nginxRefused": "nginx.refused", "nginxUnproven": "nginx.unproven"}


class Actor:
    """
    Starts jobs for actions.
    """

    def __init__(
        self,
        *,
        store: Store,
        journal: Journal,
        ledger: Ledger,
        jobs: Jobs,
        clock: Clock,
        events: Events,
        placeholder: Callable[[Sequence[Name]], Issued],
    ) -> None:
        """
        Args:
            placeholder: makes a self-signed certificate.
        """
        self._store = store
        self._journal = journal
        self._ledger = ledger
        self._jobs = jobs
        self._clock = clock
        self._events = events
        self._certifier = Certifier(
            store=store, journal=journal, jobs=jobs, clock=clock, events=events, placeholder=placeholder
        )

    def act(self, action: Action, observed: Observed, gate: Gate) -> None:
        """
        Begin to carry out an action that was planned from `observed` for `gate`.
        """
        if isinstance(action, Cancel):
            self._jobs.cancel(action.job)
        else:
            self._jobs.start(key(action), digest(action), lambda: self._carry_out(action, observed, gate))

    async def _carry_out(self, action: Action, observed: Observed, gate: Gate) -> None:
        self._jobs.step(key(action), describe(action))
        try:
            await self._do(action, observed, gate)
        except (IssuanceError, DnsError) as error:
            await self._failed(action, error.problem)
        except (StateError, ExportError, NginxError) as error:
            kind = next(kind for family, kind in _TROUBLE.items() if isinstance(error, family))
            await self._failed(action, Problem(type=kind, detail=str(error)))
        except Exception as error:  # noqa: BLE001 - the seam around one action: a bug in one must not stop the others
            await self._failed(action, Problem(type="internal", detail=f"{type(error).__name__}: {error}"))
        else:
            if isinstance(action, Obtain) and action.partial:
                # The whole failed, and is tried again at the pace of its failures.
                await self._journal.succeeded(tries(action))
            else:
                await self._journal.worked(key(action))

    async def _do(self, action: Action, observed: Observed, gate: Gate) -> None:
        match action:
            case (
                MakePlaceholder()
                | Adopt()
                | Take()
                | Obtain()
                | AskRenewals()
                | ExportCertificate()
                | Revoke()
                | Abandon()
                | DeleteCertificate()
            ):
                await self._certifier.do(action, observed, gate)
            case RollBack():
                await gate.nginx.roll_back()
                self._events.emit("nginx.rolled_back", level="warning")
            case StartNginx(tree=tree):
                await gate.nginx.start()
                await self._journal.nginx_started(tree)
                self._events.emit("nginx.started")
            case ApplyTree():
                await self._apply(action, observed, gate)
            case Prune(versions=versions, generations=generations):
                await gate.nginx.prune(generations)
                await self._store.prune(versions)
            case SweepRecords(provider=provider):
                kind = gate.desired.dns[provider].provider
                await self._ledger.sweep(provider, gate.providers[provider], kind=kind)
            case KeepAddresses():
                await self._keep_addresses(action, gate)
            case Cancel():
                raise AssertionError("a cancellation is no job")
            case _:
                assert_never(action)

    async def _keep_addresses(self, action: KeepAddresses, gate: Gate) -> None:
        if gate.addresses is None:
            raise AssertionError("the gate of a configuration with [ddns] keeps addresses")
        await gate.addresses.keep(lambda step: self._jobs.step(key(action), step))

    async def _apply(self, action: ApplyTree, observed: Observed, gate: Gate) -> None:
        rendered = action.rendered
        try:
            number = await gate.nginx.apply(rendered, progress=lambda step: self._jobs.step(key(action), step))
        except NginxRefused as error:
            if not await self._quarantine(error, rendered, observed, gate):
                raise
            return  # the next look renders a tree without the guilty
        for part in self._journal.quarantines.keys() & rendered.parts.keys() - observed.quarantines.keys():
            # It was tried as it is, and nginx takes it again.
            await self._journal.release(part)
            tell_released(self._events, part)
        for part, why in rendered.unwritten.items():
            tell_kept_back(self._events, part, why=why)
        if observed.nginx.running is None and observed.nginx.ours:
            await self._journal.nginx_started(rendered.digest)
        self._events.emit(
            "nginx.started" if observed.nginx.running is None else "nginx.reloaded",
            generation=number,
            sites=len(rendered.sites),
            reason=action.why,
        )

    async def _quarantine(self, error: NginxRefused, rendered: Rendered, observed: Observed, gate: Gate) -> bool:
        """
        Keep back the sites and streams that nginx blamed: each at its last proven text, or when that is what was refused a site with a
        503 and a stream not at all. Tell whether anything was left to keep back.
        """
        kept_back = False
        for part in sorted(error.guilty & rendered.fresh.keys()):
            before = observed.quarantines.get(part)
            again = before is not None and before.digest == rendered.fresh[part]
            if before is not None and again and before.kept is None:
                continue
            kept = None if again else await gate.nginx.site_text(part)
            if kept == rendered.parts[part]:
                kept = None
            found = await self._journal.quarantine(
                part, digest=rendered.fresh[part], error=error.reason(part), kept=kept
            )
            kept_back = True
            tell_kept_back(
                self._events, part, why=error.reason(part), last_good=kept is not None, retry_at=found.retry_at
            )
        return kept_back

    async def _failed(self, action: Action, problem: Problem) -> None:
        attempt = await self._journal.failed(tries(action), digest(action), problem)
        kind = classify(problem)
        match action:
            case Obtain(spec=spec):
                names = list(spec.names)
                event, fields = (
                    "certificate.failed",
                    {"certificate": spec.name, "names": names, "ca": str(spec.issuer), "failure": kind},
                )
            case Revoke(held=held):
                event, fields = (
                    "certificate.failed",
                    {"certificate": held.name, "names": list(held.names), "ca": held.issuer, "failure": kind},
                )
            case MakePlaceholder(spec=spec) | Adopt(spec=spec) | Take(spec=spec):
                event, fields = (
                    "certificate.failed",
                    {"certificate": spec.name, "names": list(spec.names), "failure": kind},
                )
            case ExportCertificate(held=held, export=export):
                event, fields = (
                    "certificate.export.failed",
                    {"certificate": held.name, "place": export.place, "failure": kind},
                )
            case Abandon(certificate=name) | DeleteCertificate(certificate=name):
                event, fields = "certificate.failed", {"certificate": name, "failure": kind}
            case RollBack() | StartNginx() | ApplyTree():
                event, fields = _NGINX_FAILED.get(problem.type, "nginx.failed"), {}
            case SweepRecords(provider=provider, names=names):
                event, fields = "dns.sweep.failed", {"provider": provider, "records": list(names), "failure": kind}
            case KeepAddresses(settings=settings):
                event, fields = "address.failed", {"provider": settings.dns, "failure": kind}
            case Prune() | Cancel() | AskRenewals():
                event, fields = "job.failed", {}
            case _:
                assert_never(action)
        self._events.emit(
            event,
            level="error",
            **fields,
            doing=describe(action),
            error__type=problem.type,
            error__detail=str(problem),
            failures=attempt.failures,
            retry_at=attempt.retry_at.isoformat(),
        )
