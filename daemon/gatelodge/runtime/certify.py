"""
Carries out what is to be done for certificates: gets them from wherever they come, stores them, and asks CAs about them.

It decides nothing, and catches only what is no failure. What was not to be had is the actor's to write down.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, TypeAlias, assert_never

from gatelodge.core import ari, asking
from gatelodge.core.actions import (
    Abandon,
    Adopt,
    AskRenewals,
    DeleteCertificate,
    ExportCertificate,
    MakePlaceholder,
    Obtain,
    Reason,
    Revoke,
    Take,
    certificate_key,
    key,
    revoking,
)
from gatelodge.core.due import identifier
from gatelodge.core.failures import Failure, classify
from gatelodge.errors import IssuanceError, StateError
from gatelodge.model import KeyKind, SelfSigned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from gatelodge.core.observed import Held, Observed
    from gatelodge.errors import Problem
    from gatelodge.model import Name, Secret
    from gatelodge.ports import Clock, Events, Issued, Store
    from gatelodge.runtime.gate import Gate
    from gatelodge.runtime.jobs import Jobs
    from gatelodge.runtime.journal import Journal

#: Failures after which a CA is not asked about the next certificate either.
_NO_MORE = frozenset({Failure.CA_DOWN, Failure.RATE_LIMIT})

#: What is done for certificates.
ForCertificates: TypeAlias = (
    MakePlaceholder | Adopt | Take | Obtain | AskRenewals | ExportCertificate | Revoke | Abandon | DeleteCertificate
)


class Certifier:
    """
    Does what actions for certificates say.
    """

    def __init__(
        self,
        *,
        store: Store,
        journal: Journal,
        jobs: Jobs,
        clock: Clock,
        events: Events,
        placeholder: Callable[[Sequence[Name]], Issued],
    ) -> None:
        self._store = store
        self._journal = journal
        self._jobs = jobs
        self._clock = clock
        self._events = events
        self._placeholder = placeholder

    async def do(self, action: ForCertificates, observed: Observed, gate: Gate) -> None:
        """
        Carry out an action that was planned from `observed` for `gate`.

        Raises:
            IssuanceError, DnsError: the issuer refused, or could not be asked.
            ExportError: a copy was not made.
            StateError: something could not be read or written.
        """
        match action:
            case MakePlaceholder(spec=spec):
                stand_in = dataclasses.replace(spec, issuer=SelfSigned(), key=KeyKind.ECDSA_P256, profile=None)
                await self._store.put(stand_in, self._placeholder(spec.names))
            case Adopt():
                await self._adopt(action, gate)
            case Take():
                await self._take(action, gate)
            case Obtain():
                await self._obtain(action, observed, gate)
            case AskRenewals():
                await self._ask_renewals(action, gate)
            case ExportCertificate():
                await self._export(action, gate)
            case Revoke():
                await self._revoke(action, gate)
            case Abandon(certificate=name, issuer=issuer):
                if issuer in gate.issuers:
                    await gate.issuers[issuer].abandon(name)
                await self._journal.close_order(name)
            case DeleteCertificate(certificate=name):
                await self._store.delete(name)
                await self._journal.renewals.forget(name)
                await self._journal.not_revoked(name)
                await self._journal.worked(certificate_key(name))
                self._events.emit("certificate.deleted", certificate=name)
            case _:
                assert_never(action)

    async def _adopt(self, action: Adopt, gate: Gate) -> None:
        if gate.adoption is None:
            raise AssertionError("what was offered can be taken")
        stand_in, issued = await gate.adoption.take(action.spec, action.directory)
        held = await self._store.put(stand_in, issued)
        self._events.emit(
            "certificate.adopted",
            certificate=held.name,
            names=list(held.names),
            directory=action.directory,
            not_after=held.not_after.isoformat(),
            serial=held.serial,
        )

    async def _take(self, action: Take, gate: Gate) -> None:
        if gate.brought is None:
            raise AssertionError("what was seen can be taken")
        stand_in, issued = await gate.brought.take(action.spec)
        held = await self._store.put(stand_in, issued)
        self._events.emit(
            "certificate.taken",
            certificate=held.name,
            names=list(held.names),
            reason=action.reason,
            not_after=held.not_after.isoformat(),
            serial=held.serial,
        )

    async def _export(self, action: ExportCertificate, gate: Gate) -> None:
        held, export = action.held, action.export
        if gate.exporter is None:
            raise AssertionError("what was seen to lack can be made")
        try:
            issued = await self._store.read(held.name, held.version)
        except KeyError:
            return  # another version is there by now
        await gate.exporter.export(held, issued, export)
        self._events.emit(
            "certificate.exported",
            certificate=held.name,
            place=export.place,
            format=export.format,
            not_after=held.not_after.isoformat(),
            serial=held.serial,
        )

    async def _obtain(self, action: Obtain, observed: Observed, gate: Gate) -> None:
        spec, before = action.spec, observed.held.get(action.spec.name)
        self._tell_whom(action, observed, gate)
        try:
            key_kept = await self._key_kept(action, observed, gate)
            async with self._issuing(action, before, key_kept, gate) as issued:
                self._jobs.step(key(action), "storing the certificate")
                held = await self._store.put(spec, issued)
        finally:
            await self._journal.look_for_order(spec.name)
        if before is not None and observed.is_revoked(before):
            await self._journal.not_revoked(spec.name)
        first = (before is None or before.placeholder or before.adopted) and action.reason is not Reason.DAMAGED
        self._events.emit(
            "certificate.issued" if first else "certificate.renewed",
            certificate=spec.name,
            names=list(spec.names),
            ca=str(spec.issuer),
            reason=action.reason,
            not_after=held.not_after.isoformat(),
            serial=held.serial,
            lacking=_lacking(action, gate) or None,
        )

    async def _key_kept(self, action: Obtain, observed: Observed, gate: Gate) -> Secret | None:
        """
        Return the private key that a renewal goes on with, where that is wanted: one of ours, of that kind, that nobody else is known to have.
        """
        spec, before = action.spec, observed.held.get(action.spec.name)
        if not spec.reuse_key or before is None or before.key != spec.key or before.issuer not in gate.cas:
            return None
        if observed.is_revoked(before):
            return None
        with contextlib.suppress(KeyError, StateError):
            return (await self._store.read(before.name, before.version)).private_key
        return None

    def _issuing(
        self, action: Obtain, before: Held | None, private_key: Secret | None, gate: Gate
    ) -> AbstractAsyncContextManager[Issued]:
        issuer, wanted = str(action.spec.issuer), action.reason is Reason.REQUESTED

        def progress(step: str) -> None:
            self._jobs.step(key(action), step)

        if issuer not in gate.cas:
            return gate.issuers[issuer].issue(action.spec, progress=progress)
        # A CA knows its own certificates alone.
        replaces = identifier(before) if before is not None and before.issuer == issuer else None
        suggested = self._journal.renewals.choices.get(action.spec.name)
        return gate.cas[issuer].issue(
            action.spec,
            progress=progress,
            replaces=replaces,
            invited=replaces is not None and ari.invited(suggested, certificate=replaces, now=self._clock.now()),
            force=wanted,
            private_key=private_key,
        )

    async def _revoke(self, action: Revoke, gate: Gate) -> None:
        held, reason = action.held, action.reason
        issued = await self._store.read(held.name, held.version)
        if held.name in self._journal.in_flight:
            # Its key may be the one that is not to be used any more.
            await gate.cas[held.issuer].abandon(held.name)
            await self._journal.look_for_order(held.name)
        await self._journal.revoking(held, reason)
        try:
            await gate.cas[held.issuer].revoke(
                issued, reason=reason, progress=lambda step: self._jobs.step(key(action), step)
            )
        except IssuanceError:
            await self._journal.not_revoked(held.name)
            raise
        await self._journal.succeeded(revoking(held.name))
        self._events.emit(
            "certificate.revoked",
            level="warning",
            certificate=held.name,
            names=list(held.names),
            ca=held.issuer,
            serial=held.serial,
            reason=reason,
        )

    async def _ask_renewals(self, action: AskRenewals, gate: Gate) -> None:
        """
        Ask a CA about renewals. That it cannot be asked changes nothing: dates decide, and it is left alone for a while; for a day where it
        tells nobody.
        """
        renewals, ca = self._journal.renewals, gate.cas.get(action.issuer)
        failed: Problem | None = None
        for held in action.held:
            info, known = None, identifier(held)
            try:
                if ca is not None and known is not None and (failed is None or classify(failed) not in _NO_MORE):
                    info = await ca.renewal(known)
            except IssuanceError as error:
                failed = error.problem
            if info is None and failed is None:
                renewals.nothing_said(held)
            else:
                await renewals.learn(held, info, retry_after=failed.retry_after if failed else None)

    def _tell_whom(self, action: Obtain, observed: Observed, gate: Gate) -> None:
        """
        Tell which CA is left for which, and why.
        """
        wanted = gate.desired.certificates.get(action.spec.name)
        failed = asking.left(wanted, action.spec, observed.attempts) if wanted is not None else None
        if failed is not None:
            self._events.emit(
                "certificate.elsewhere",
                level="warning",
                certificate=action.spec.name,
                ca=str(action.spec.issuer),
                left=asking.issuer_of(failed),
                error__type=failed.problem.type,
                error__detail=str(failed.problem),
                retry_at=failed.retry_at.isoformat(),
            )


def _lacking(action: Obtain, gate: Gate) -> list[Name]:
    """
    List the names that a part of a certificate does without.
    """
    wanted = gate.desired.certificates.get(action.spec.name)
    return [name for name in wanted.names if name not in action.spec.names] if wanted and action.partial else []
