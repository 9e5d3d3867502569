"""
Decides the next step for each certificate that is asked for: another tool's, the user's own, or one from an issuer; and that there is a
placeholder, one for all who have none yet.

One name never waits for another, and what is held is never given up before there is something in its place.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.core import ari, asking, backoff, brought
from gatelodge.core.actions import (
    ABANDONING,
    REVOKING,
    TAKING,
    Action,
    Adopt,
    AskRenewals,
    Cancel,
    MakePlaceholder,
    Obtain,
    Reason,
    Revoke,
    Take,
    certificate_key,
)
from gatelodge.core.due import due, identifier
from gatelodge.core.renewal import AHEAD
from gatelodge.model import INTERNAL_HOST, AcmeIssuer, FileIssuer, SelfSigned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Held, Observed
    from gatelodge.core.pace import Pace
    from gatelodge.model import CertificateSpec

#: How long a CA that may be asked about a renewal again is left alone, so that it is asked about many at once.
TOGETHER = dt.timedelta(minutes=10)


class Certificates:
    """
    The part of one plan that is about certificates.
    """

    def __init__(self, desired: Desired, observed: Observed, pace: Pace) -> None:
        self._desired = desired
        self._observed = observed
        self._pace = pace

    def actions(self) -> Iterator[Action]:
        """
        Yield what brings each certificate nearer to what is asked for.
        """
        for spec in self._desired.certificates.values():
            held = self._observed.held.get(spec.name)
            if spec.name in self._observed.closed:
                continue  # its files are not ours to replace; an order would be thrown away
            ready = self._ready(spec)
            if ready is not None and not self._pace.held_back(ready):
                yield ready
                continue
            if isinstance(spec.issuer, SelfSigned):
                if held is None:
                    yield MakePlaceholder(spec=spec)
                continue
            if isinstance(spec.issuer, FileIssuer):
                continue
            reason = self._reason(spec, held)
            if reason is not None:
                yield from self._obtain(spec, held, reason)

    def _obtain(self, spec: CertificateSpec, held: Held | None, reason: Reason) -> Iterator[Obtain]:
        """
        Ask the CA whose turn it is; while all are held back, for the names that were not refused, where these alone will do.
        """
        asked = spec.name in self._observed.requests.renew
        way = spec.ways[0] if asked else self._way(spec)
        if way is not None:
            if self._possible(way, asked=asked):
                yield Obtain(spec=way, reason=reason)
            return
        for part in asking.parts(spec, self._observed.attempts):
            action = Obtain(spec=part, reason=reason, partial=True)
            if self._lacks(spec, part, held, reason) and not self._pace.held_back(action) and self._possible(part):
                yield action
                return

    def _way(self, spec: CertificateSpec) -> CertificateSpec | None:
        """
        Return the CA whose turn it is, as what it would be asked for; None while all are held back.
        """
        begun = self._observed.in_flight.get(spec.name)
        return asking.choose(spec, self._observed.attempts, begun, waited=self._pace.is_over)

    def _lacks(self, spec: CertificateSpec, part: CertificateSpec, held: Held | None, reason: Reason) -> bool:
        """
        Tell whether even a part of a certificate is to be had: what is held lacks some name of it, or is due as well.
        """
        if reason is not Reason.CHANGED or held is None or not asking.will_do(held, part, spec):
            return True
        return self._due(held) is not None

    def _ready(self, spec: CertificateSpec) -> Take | Adopt | None:
        """
        Return how a certificate is had that lies on this machine.
        """
        return self._brought(spec) or brought.adopt(spec, self._observed, self._pace.now)

    def _brought(self, spec: CertificateSpec) -> Take | None:
        """
        Return how a certificate is taken from the user's files, and look again soon at those that are being changed.
        """
        if not isinstance(spec.issuer, FileIssuer):
            return None
        if spec.name in self._observed.brought and self._observed.brought[spec.name].changing:
            self._pace.reached(self._pace.now + brought.STILL)
        return brought.take(spec, self._observed)

    def any_soon(self) -> bool:
        """
        Tell whether something is about to be there, without waiting for anybody, that a tree of now would lack or show the placeholder for.
        """
        held = self._observed.held
        return any(
            self._soon(spec)
            for name, spec in self._desired.certificates.items()
            if (name not in held or (held[name].placeholder and name != INTERNAL_HOST))
            and name not in self._observed.closed
        )

    def _soon(self, spec: CertificateSpec) -> bool:
        if spec.beside is not None:
            return False
        if isinstance(spec.issuer, SelfSigned):
            return True
        ready = self._ready(spec)
        return (ready is not None and not self._pace.held_back(ready)) or self._in_memory_alone(spec)

    def _in_memory_alone(self, spec: CertificateSpec) -> bool:
        """
        Tell whether only nginx's memory still holds a certificate, its files being damaged. The placeholder would take its place, so one try
        is made to get a new one first.
        """
        nginx = self._observed.nginx
        if spec.name not in self._observed.damaged or not nginx.serving or isinstance(spec.issuer, FileIssuer):
            return False
        if nginx.current is None or not any(name == spec.name for name, _ in nginx.current.references):
            return False
        way = self._way(spec)
        untried = not asking.failed(self._observed.attempts, spec.name)
        return untried and way is not None and self._possible(way)

    def _reason(self, spec: CertificateSpec, held: Held | None) -> Reason | None:
        requests = self._observed.requests
        failed = spec.name in requests.again and asking.failed(self._observed.attempts, spec.name)
        if spec.name in requests.renew or failed:
            return Reason.REQUESTED
        if spec.name in self._observed.damaged:
            return Reason.DAMAGED
        if held is None or held.placeholder:
            return Reason.MISSING
        if held.adopted:
            return Reason.ADOPTED
        if self._observed.is_revoked(held):
            return Reason.REVOKED
        if not held.satisfies(spec):
            return Reason.CHANGED
        if (why := self._due(held)) is not None:
            return why
        unfinished = isinstance(spec.issuer, AcmeIssuer) and spec.name in self._observed.in_flight
        return Reason.UNFINISHED if unfinished else None

    def _due(self, held: Held) -> Reason | None:
        if held.not_before > self._pace.now + AHEAD:
            return Reason.DUE  # made by a clock that ran ahead: nobody trusts it yet
        # As in `Pace.waited`.
        stored_at = held.stored_at if held.stored_at <= self._pace.now else held.not_before
        moment, why = due(held, self._observed.renewals, stored_at=stored_at)
        return why if self._pace.reached(moment) else None

    def asking_renewals(self) -> Iterator[AskRenewals]:
        """
        Ask the CAs in time what they suggest about renewals, each for all that it is to be asked about. Nothing waits for the answers.
        """
        if self._observed.doubt is not None:
            self._pace.reached(self._observed.doubt.until)
            return
        of: dict[str, list[tuple[dt.datetime, Held]]] = {}
        for spec in self._desired.certificates.values():
            held = self._observed.held.get(spec.name)
            if held is not None and isinstance(spec.issuer, AcmeIssuer) and held.issuer in map(str, spec.issuers):
                at = self._to_ask_at(held)
                if at is not None:
                    of.setdefault(held.issuer, []).append((at, held))
        for issuer, found in of.items():
            if self._pace.reached(min(at for at, _ in found)):
                # The others have not been asked about for longer than the CA wanted.
                ready = tuple(held for at, held in found if at - TOGETHER <= self._pace.now)
                yield AskRenewals(issuer=issuer, held=ready)

    def revoking(self) -> Iterator[Revoke]:
        """
        Have certificates revoked of which somebody said so.
        """
        for name, reason in self._observed.requests.revoke.items():
            held = self._observed.held.get(name)
            if held is not None:
                yield Revoke(held=held, reason=reason)

    def _to_ask_at(self, held: Held) -> dt.datetime | None:
        """
        Return when a CA is to be asked about a certificate: at once about a new one, else a while after it may be, together with others.
        """
        known = identifier(held)
        if known is None:
            return None
        choice = self._observed.renewals.get(held.name)
        at = ari.ask_at(choice, certificate=known, not_after=held.not_after, now=self._pace.now)
        return at + TOGETHER if choice is not None and at == choice.ask_at else at

    def _possible(self, spec: CertificateSpec, *, asked: bool = False) -> bool:
        """
        Tell whether an issuer can be asked: the clock is believed, nginx shows the CA our tokens where it looks for them, and an order that a dying
        daemon left behind is not taken up in a loop, unless somebody asked for it.
        """
        if self._observed.doubt is not None:
            self._pace.reached(self._observed.doubt.until)
            return False
        if not isinstance(spec.issuer, AcmeIssuer):
            return True
        if spec.needs_nginx and not self._observed.nginx.serving:
            return False
        begun = self._observed.in_flight.get(spec.name)
        if asked or begun is None or begun.digest != spec.digest:
            return True
        return self._pace.waited(begun.at, backoff.wait(backoff.BEGUN, begun.begun, spread=0))

    def superseded(self) -> Iterator[Cancel]:
        """
        Stop issuance whose certificate left the configuration or is asked for differently. Other work is short and finishes.
        """
        prefix = certificate_key("")
        for job in self._observed.jobs.values():
            if job.key.startswith(prefix) and job.digest not in {ABANDONING, REVOKING}:
                wanted = self._desired.certificates.get(job.key.removeprefix(prefix))
                taking = wanted is not None and isinstance(wanted.issuer, FileIssuer) and job.digest.startswith(TAKING)
                if wanted is None or not (taking or job.digest in self._digests(wanted)):
                    yield Cancel(job=job.key)

    def _digests(self, spec: CertificateSpec) -> frozenset[str]:
        """
        Return what a job may work on that is to get a certificate, or a part of it, of whomever.
        """
        return frozenset(each.digest for each in (*spec.ways, *asking.parts(spec, self._observed.attempts)))
