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

from gatelodge.core.actions import (
    NGINX,
    Abandon,
    Action,
    Adopt,
    ApplyTree,
    DeleteCertificate,
    KeepAddresses,
    MakePlaceholder,
    Obtain,
    Prune,
    RollBack,
    StartNginx,
    SweepRecords,
    certificate_key,
    key,
)
from gatelodge.core.certificates import Certificates
from gatelodge.core.exporting import exporting
from gatelodge.core.pace import Pace
from gatelodge.core.renewal import KEEP_UNUSED
from gatelodge.model import AcmeIssuer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Held, Observed
    from gatelodge.core.tree import Rendered, VersionRef

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
    return Plan(actions=actions, follows=tuple(_follows(actions)), look_at=planner.pace.look_at)


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
    One pass.
    """

    def __init__(self, desired: Desired, observed: Observed, rendered: Rendered | None, now: dt.datetime) -> None:
        self.desired = desired
        self.observed = observed
        self.rendered = rendered
        self.pace = Pace(observed, now, at_latest=desired.check_every)
        self.certificates = Certificates(desired, observed, self.pace)

    def actions(self) -> Iterator[Action]:
        certificates = self.certificates
        yield from certificates.superseded()
        begun = set(self.observed.jobs)
        for action in (
            *certificates.revoking(),
            *certificates.actions(),
            *certificates.asking_renewals(),
            *exporting(self.desired, self.observed),
            *self._leftovers(),
            *self._dns(),
            *self._nginx(),
            *self._tidy(),
        ):
            if key(action) not in begun and not self.pace.held_back(action):
                begun.add(key(action))
                yield action

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
                or (self.observed.doubt is None and self.pace.reached(held.not_after + KEEP_UNUSED))
            )
        ]

    def _named(self, certificate: str) -> bool:
        """
        Tell whether a tree names a certificate, or one may that is just being given to nginx: planned before, it is seen in no folder yet.
        """
        return NGINX in self.observed.jobs or any(
            name == certificate for tree in self.observed.nginx.generations for name, _ in tree.references
        )

    # DNS

    def _dns(self) -> Iterator[Action]:
        """
        Take away records that nobody uses, but for those whose provider left the configuration; and look at the addresses in time.
        """
        for (provider, kind), names in self.observed.leftovers.items():
            if self.desired.publishes(provider, kind):
                yield SweepRecords(provider=provider, names=names)
        if self.observed.leftovers_due is not None:
            self.pace.reached(self.observed.leftovers_due)
        ddns, looked_at = self.desired.ddns, self.observed.addresses_looked_at
        if ddns is not None and (looked_at is None or self.pace.waited(looked_at, ddns.every)):
            yield KeepAddresses(settings=ddns)

    # nginx

    def _nginx(self) -> Iterator[Action]:
        rendered, nginx = self.rendered, self.observed.nginx
        for quarantine in self.observed.quarantines.values():
            self.pace.reached(quarantine.retry_at)
        if rendered is None:
            self.pace.reached(self.pace.now + LOOK_FOR_NGINX)
            return
        current = nginx.current
        if current is not None and not current.proven:
            yield RollBack(tree=current.digest)
            return
        apply = ApplyTree(rendered=rendered, why=self._why())
        ready = not self.certificates.any_soon()
        if nginx.running is None and not nginx.ours:
            # Others start it. What is asked for is tried all the same: one that listens nowhere yet does not answer either.
            if current is not None and current.digest == rendered.digest:
                self.pace.reached(self.pace.now + LOOK_FOR_NGINX)
            elif ready:
                yield apply
            return
        if nginx.running is None:
            start = StartNginx(tree=current.digest) if current and self._intact(current.references) else None
            # What is asked for comes first, so that a change that no reload can make is made now; what was proven is the way back.
            changed = start is None or apply.rendered.digest != start.tree
            if ready and changed and not self.pace.held_back(apply):
                yield apply
            elif start is not None:
                yield start
            return
        served = current is not None and current.digest == rendered.digest and nginx.running == current.number
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
        if waiting and not self.pace.waited(min(waiting), GATHER):
            return True
        return nginx.reloaded_at is not None and not self.pace.waited(
            nginx.reloaded_at, self.desired.nginx.reload_interval
        )

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
