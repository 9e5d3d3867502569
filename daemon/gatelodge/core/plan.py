"""
Decides the next steps from what is to what must be. The heart of the house: pure, reads no clock, safe to stop after any step.

A plan holds what can be done now. Nothing is remembered between two plans: what a step changed is observed, and the next plan
starts from there. What it must never do: destroy something before its replacement is stored, yield a second job for a key that
runs, name a certificate in a tree that is not held, or let one name wait for another.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.core import backoff, brought
from gatelodge.core.actions import (
    ABANDONING,
    NGINX,
    TAKING,
    Abandon,
    Action,
    Adopt,
    ApplyTree,
    Cancel,
    DeleteCertificate,
    KeepAddresses,
    MakePlaceholder,
    Obtain,
    Prune,
    Reason,
    RollBack,
    StartNginx,
    SweepRecords,
    Take,
    certificate_key,
    digest,
    key,
    tries,
)
from gatelodge.core.renewal import AHEAD, KEEP_UNUSED, due_at
from gatelodge.model import AcmeIssuer, FileIssuer, SelfSigned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Held, Observed
    from gatelodge.core.tree import Rendered, VersionRef
    from gatelodge.model import CertificateSpec

#: Certificates that arrive within this time of one another share a reload, while more are on their way.
GATHER = dt.timedelta(seconds=5)

#: How often a missing nginx is looked for.
LOOK_FOR_NGINX = dt.timedelta(minutes=1)

#: Proven trees that are kept: the current one, and the one before for a person to compare with.
KEEP_GENERATIONS = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What to do now, what will follow from it, and when to look again if nothing happens before.
    """

    actions: tuple[Action, ...]
    follows: tuple[str, ...]
    look_at: dt.datetime


def plan(desired: Desired, observed: Observed, rendered: Rendered | None, now: dt.datetime) -> Plan:
    """
    Say what to do now.

    Args:
        rendered: the tree for `desired` and `observed`; None when there is no nginx to render for.
        now: the time to judge by.
    """
    planner = _Planner(desired, observed, rendered, now)
    actions = tuple(planner.actions())
    return Plan(actions=actions, follows=tuple(_follows(actions)), look_at=planner.look_at)


def _follows(actions: tuple[Action, ...]) -> Iterator[str]:
    kinds = {type(action) for action in actions}
    if Obtain in kinds:
        yield "load the new certificates into nginx"
    elif MakePlaceholder in kinds or Adopt in kinds:
        yield "write, test and load an nginx configuration, then get the certificates"
    elif ApplyTree in kinds or StartNginx in kinds:
        yield "get the certificates that are missing or due"


class _Planner:
    """
    One pass. It gathers in `look_at` the earliest moment at which one of its answers would change by time alone.
    """

    def __init__(self, desired: Desired, observed: Observed, rendered: Rendered | None, now: dt.datetime) -> None:
        self.desired = desired
        self.observed = observed
        self.rendered = rendered
        self.now = now
        self.look_at = now + desired.check_every

    def actions(self) -> Iterator[Action]:
        yield from self._superseded()
        begun = set(self.observed.jobs)
        for action in (*self._certificates(), *self._leftovers(), *self._dns(), *self._nginx(), *self._tidy()):
            if key(action) not in begun and not self._held_back(action):
                begun.add(key(action))
                yield action

    def _reached(self, moment: dt.datetime) -> bool:
        """
        Tell whether a moment has come; if not, it is one to look again at.
        """
        if moment <= self.now:
            return True
        self.look_at = min(self.look_at, moment)
        return False

    def _waited(self, since: dt.datetime, wait: dt.timedelta) -> bool:
        """
        Tell whether it is so long since a moment. One that lies ahead was dated by a clock that was wrong: how long ago it was nobody
        knows, and the clock may not come to it for years, so that it holds nothing back.
        """
        return since > self.now or self._reached(since + wait)

    def _held_back(self, action: Action) -> bool:
        """
        Tell whether the same thing failed and its time to be tried again has not come.
        """
        requests = self.observed.requests
        if (isinstance(action, Obtain | Take) and action.reason is Reason.REQUESTED) or (
            key(action) == NGINX and requests.reload
        ):
            return False
        attempt = self.observed.attempts.get(tries(action))
        if attempt is None or attempt.digest != digest(action):
            return False
        return not self._waited(attempt.at, attempt.retry_at - attempt.at)

    # Certificates

    def _certificates(self) -> Iterator[Action]:
        for spec in self.desired.certificates.values():
            held = self.observed.held.get(spec.name)
            if spec.name in self.observed.closed:
                continue  # its files are not ours to replace; an order would be thrown away
            ready = self._brought(spec) or brought.adopt(spec, self.observed, self.now)
            if ready is not None and not self._held_back(ready):
                yield ready
                continue
            if held is None and spec.beside is None:
                mend = Obtain(spec=spec, reason=Reason.DAMAGED)
                yield mend if self._lost_while_serving(mend) and self._possible(spec) else MakePlaceholder(spec=spec)
                continue
            if isinstance(spec.issuer, SelfSigned | FileIssuer):
                continue
            reason = self._reason(spec, held)
            if reason is not None and self._possible(spec, asked=reason is Reason.REQUESTED):
                yield Obtain(spec=spec, reason=reason)

    def _brought(self, spec: CertificateSpec) -> Take | None:
        """
        Return how a certificate is taken from the user's files, and look again soon at those that are being changed.
        """
        if not isinstance(spec.issuer, FileIssuer):
            return None
        if spec.name in self.observed.brought and self.observed.brought[spec.name].changing:
            self._reached(self.now + brought.STILL)
        return brought.take(spec, self.observed)

    def _lost_while_serving(self, mend: Obtain) -> bool:
        """
        Tell whether only nginx's memory still holds a certificate, its files being damaged. A placeholder would take its place,
        so one try is made to get a new one first.
        """
        name = mend.spec.name
        if isinstance(mend.spec.issuer, FileIssuer):
            return False
        return name in self.observed.damaged and self._serving() and tries(mend) not in self.observed.attempts

    def _reason(self, spec: CertificateSpec, held: Held | None) -> Reason | None:
        if spec.name in self.observed.requests.renew:
            return Reason.REQUESTED
        if spec.name in self.observed.damaged:
            return Reason.DAMAGED
        if held is None or held.placeholder:
            return Reason.MISSING
        if held.adopted:
            return Reason.ADOPTED
        if not held.satisfies(spec):
            return Reason.CHANGED
        if self._due(held):
            return Reason.DUE
        unfinished = isinstance(spec.issuer, AcmeIssuer) and spec.name in self.observed.in_flight
        return Reason.UNFINISHED if unfinished else None

    def _due(self, held: Held) -> bool:
        if held.not_before > self.now + AHEAD:
            return True  # made by a clock that ran ahead: nobody trusts it yet
        # As in `_waited`.
        stored_at = held.stored_at if held.stored_at <= self.now else held.not_before
        return self._reached(due_at(not_before=held.not_before, not_after=held.not_after, stored_at=stored_at))

    def _possible(self, spec: CertificateSpec, *, asked: bool = False) -> bool:
        """
        Tell whether an issuer can be asked: the clock is believed, nginx shows the CA our tokens where it looks for them, and an order that a dying
        daemon left behind is not taken up in a loop, unless somebody asked for it.
        """
        if self.observed.doubt is not None:
            self._reached(self.observed.doubt.until)
            return False
        if not isinstance(spec.issuer, AcmeIssuer):
            return True
        if spec.needs_nginx and not self._serving():
            return False
        begun = self.observed.in_flight.get(spec.name)
        if asked or begun is None or begun.digest != spec.digest:
            return True
        return self._waited(begun.at, backoff.wait(backoff.BEGUN, begun.begun, spread=0))

    def _serving(self) -> bool:
        """
        Tell whether nginx shows tokens: every tree that was once proven does, also while the next one is being loaded.
        """
        nginx = self.observed.nginx
        return nginx.running is not None and nginx.last_proven is not None

    def _superseded(self) -> Iterator[Cancel]:
        """
        Stop issuance whose certificate left the configuration or is asked for differently. Other work is short and finishes.
        """
        prefix = certificate_key("")
        for job in self.observed.jobs.values():
            if job.key.startswith(prefix) and job.digest != ABANDONING:
                wanted = self.desired.certificates.get(job.key.removeprefix(prefix))
                taking = wanted is not None and isinstance(wanted.issuer, FileIssuer) and job.digest.startswith(TAKING)
                if wanted is None or not (taking or job.digest == wanted.digest):
                    yield Cancel(job=job.key)

    def _leftovers(self) -> Iterator[Action]:
        wanted = self.desired.certificates
        for name, begun in self.observed.in_flight.items():
            # Another ACME CA gives it up itself, before it orders.
            if name not in wanted or not isinstance(wanted[name].issuer, AcmeIssuer):
                yield Abandon(certificate=name, issuer=begun.issuer)
        for name in self._forgettable():
            if certificate_key(name) not in self.observed.jobs and not self._named(name):
                yield DeleteCertificate(certificate=name)

    def _forgettable(self) -> list[str]:
        """
        List what may be deleted: nobody asks for it, and it is a placeholder, somebody said so, or it expired long ago.
        """
        return [
            name
            for name, held in self.observed.held.items()
            if name not in self.desired.certificates
            and (
                held.placeholder
                or name in self.observed.requests.forget
                or (self.observed.doubt is None and self._reached(held.not_after + KEEP_UNUSED))
            )
        ]

    def _named(self, certificate: str) -> bool:
        return any(name == certificate for tree in self.observed.nginx.generations for name, _ in tree.references)

    # DNS

    def _dns(self) -> Iterator[Action]:
        """
        Take away records that nobody uses, but for those whose provider left the configuration; and look at the addresses in time.
        """
        for (provider, kind), names in self.observed.leftovers.items():
            if self.desired.publishes(provider, kind):
                yield SweepRecords(provider=provider, names=names)
        if self.observed.leftovers_due is not None:
            self._reached(self.observed.leftovers_due)
        ddns, looked_at = self.desired.ddns, self.observed.addresses_looked_at
        if ddns is not None and (looked_at is None or self._waited(looked_at, ddns.every)):
            yield KeepAddresses(settings=ddns)

    # nginx

    def _nginx(self) -> Iterator[Action]:
        rendered, nginx = self.rendered, self.observed.nginx
        for quarantine in self.observed.quarantines.values():
            self._reached(quarantine.retry_at)
        if rendered is None:
            self._reached(self.now + LOOK_FOR_NGINX)
            return
        current = nginx.current
        if current is not None and not current.proven:
            yield RollBack(tree=current.digest)
            return
        apply = ApplyTree(rendered=rendered, why=self._why())
        needed = {name for name, spec in self.desired.certificates.items() if spec.beside is None}
        ready = needed <= self.observed.held.keys() | self.observed.closed
        if nginx.running is None and not nginx.ours:
            # Others start it. What is asked for is tried all the same: one that listens nowhere yet does not answer either.
            if current is not None and current.digest == rendered.digest:
                self._reached(self.now + LOOK_FOR_NGINX)
            elif ready:
                yield apply
            return
        if nginx.running is None:
            start = StartNginx(tree=current.digest) if current and self._intact(current.references) else None
            # What is asked for comes first, so that a change that no reload can make is made now; what was proven is the way back.
            changed = start is None or apply.rendered.digest != start.tree
            if ready and changed and not self._held_back(apply):
                yield apply
            elif start is not None:
                yield start
            return
        served = current is not None and current.digest == rendered.digest and nginx.running == current.number
        # A site without even a placeholder would be left out of the tree; one is made in a moment.
        if (self.observed.requests.reload or not served) and ready and not self._too_early():
            yield apply

    def _intact(self, references: frozenset[VersionRef]) -> bool:
        return all(version in self.observed.versions.get(name, ()) for name, version in references)

    def _too_early(self) -> bool:
        """
        Tell whether a reload should wait: for certificates that are about to come, or for its distance from the last one.
        """
        nginx, requests = self.observed.nginx, self.observed.requests
        if requests.reload:
            return False
        issuing = any(name.startswith(certificate_key("")) for name in self.observed.jobs)
        if requests.once:
            return issuing
        waiting = [held.stored_at for held in self._unserved()] if issuing else []
        if waiting and not self._waited(min(waiting), GATHER):
            return True
        return nginx.reloaded_at is not None and not self._waited(nginx.reloaded_at, self.desired.nginx.reload_interval)

    def _unserved(self) -> list[Held]:
        """
        List the certificates that the rendered tree names and the current one does not.
        """
        current = self.observed.nginx.current
        served = current.references if current else frozenset()
        wanted = self.rendered.references if self.rendered else frozenset()
        new = {name for name, _ in wanted - served}
        return [held for held in self.observed.held.values() if held.name in new and not held.placeholder]

    def _why(self) -> str:
        if self.observed.nginx.current is None:
            return "there is none yet"
        if self.observed.requests.reload:
            return "somebody asked for a reload"
        new = sorted(held.name for held in self._unserved())
        return f"new certificates for {', '.join(new)}" if new else "the configuration changed"

    # What nothing names any more

    def _tidy(self) -> Iterator[Prune]:
        """
        Delete old files, but only while nginx serves exactly what is asked for.
        """
        nginx, rendered = self.observed.nginx, self.rendered
        current = nginx.current
        if NGINX in self.observed.jobs or rendered is None or current is None or not current.proven:
            return
        if nginx.running != current.number or current.digest != rendered.digest:
            return
        doomed = set(self._forgettable())
        proven = sorted((tree for tree in nginx.generations if tree.proven), key=lambda tree: tree.number, reverse=True)
        kept = [tree for tree in proven[:KEEP_GENERATIONS] if not any(name in doomed for name, _ in tree.references)]
        numbers = {current.number, *(tree.number for tree in kept)}
        named = {reference for tree in (current, *kept) for reference in tree.references} | rendered.references
        generations = tuple(tree.number for tree in nginx.generations if tree.number not in numbers)
        versions = tuple(
            (name, version)
            for name, held in self.observed.held.items()
            if name not in doomed
            for version in self.observed.versions.get(name, ())
            if version < held.version and (name, version) not in named
        )
        if versions or generations:
            yield Prune(versions=versions, generations=generations)
