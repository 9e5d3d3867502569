"""
Tells, once each, what a look at everything shows and no job tells: an nginx that ended or is missing, certificates near their
end. It decides nothing about what is done.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.core import asking
from gatelodge.core.actions import NGINX, NGINX_START, key
from gatelodge.core.backoff import NGINX_ENDED
from gatelodge.core.due import due
from gatelodge.core.renewal import SERIOUS, alarm, late
from gatelodge.model import FileIssuer

if TYPE_CHECKING:
    from gatelodge.core.observed import Observed
    from gatelodge.model import CertificateSpec
    from gatelodge.ports import Clock, Events
    from gatelodge.runtime.look import Look


class Herald:
    """
    Remembers what it told, for as long as the daemon lives.
    """

    def __init__(self, *, clock: Clock, events: Events) -> None:
        self._clock = clock
        self._events = events
        self._missing: str | None = None
        self._nginx_ran = False
        self._nginx_told: dt.datetime | None = None
        self._away = False
        self._orphaned: dict[str, tuple[str, ...]] = {}
        self._alarms: dict[tuple[str, int], int] = {}

    def tell(self, look: Look) -> None:
        """
        Tell what is new in a look, before its plan is carried out.
        """
        self._tell_alarms(look)
        self._tell_missing(look.observed)
        if look.observed.nginx.ours:
            self._tell_exit(look)
        else:
            self._tell_away(look)
        self._tell_orphaned(look)

    def _tell_missing(self, observed: Observed) -> None:
        """
        Tell, once, that there is no nginx to run.
        """
        missing = observed.nginx.missing
        if missing is not None and missing != self._missing:
            self._events.emit("nginx.missing", level="error", error__detail=missing)
        self._missing = missing

    def _tell_orphaned(self, look: Look) -> None:
        """
        Tell, once, that DNS records of ours cannot be taken away, since their provider left the configuration.
        """
        orphaned = {
            provider: names
            for (provider, kind), names in look.observed.leftovers.items()
            if not look.gate.desired.publishes(provider, kind)
        }
        for provider, names in orphaned.items():
            if self._orphaned.get(provider) != names:
                self._events.emit(
                    "dns.record.orphaned",
                    level="warning",
                    provider=provider,
                    records=list(names),
                    error__detail=f"[dns.{provider}] is not in the configuration any more, or is another service now; put it back until they are swept, "
                    "or delete these TXT records by hand",
                )
        self._orphaned = orphaned

    def _tell_exit(self, look: Look) -> None:
        """
        Tell that nginx ended by itself: it ran at the last look, or was started since, and no job of ours is about to stop it.
        """
        nginx, jobs, attempts = look.observed.nginx, look.observed.jobs, look.observed.attempts
        if NGINX in jobs:
            return
        attempt = attempts.get(NGINX_START)
        ended = attempt if attempt is not None and attempt.problem.type == NGINX_ENDED else None
        if nginx.running is None and (self._nginx_ran or (ended is not None and ended.at != self._nginx_told)):
            self._events.emit(
                "nginx.exited",
                level="error",
                failures=ended.failures if ended else None,
                retry_at=ended.retry_at.isoformat() if ended else None,
            )
            self._nginx_told = ended.at if ended else None
        self._nginx_ran = nginx.running is not None and not any(key(action) == NGINX for action in look.plan.actions)

    def _tell_away(self, look: Look) -> None:
        """
        Tell, once each, that an nginx which others run does not answer, and that it does again.
        """
        nginx = look.observed.nginx
        if NGINX in look.observed.jobs or nginx.current is None or not nginx.current.proven:
            return
        away = nginx.running is None
        if away and not self._away:
            where = look.gate.desired.nginx.address
            self._events.emit(
                "nginx.unreachable",
                level="error",
                error__detail=f"nginx does not answer at {where} as it did, and others start it; certificates are still renewed, and "
                "loaded once it is back",
            )
        if self._away and not away:
            self._events.emit("nginx.reachable")
        self._away = away

    def _tell_alarms(self, look: Look) -> None:
        """
        Tell, once at each level, that a certificate nears its end and was not renewed.
        """
        observed = look.observed
        if observed.doubt is not None:
            return
        now = self._clock.now()
        for name, held in observed.held.items():
            spec = look.gate.desired.certificates.get(name)
            if held.placeholder or spec is None:
                continue
            moment, _ = due(held, observed.renewals)
            if held.brought:
                level = alarm(not_before=held.not_before, not_after=held.not_after, now=now, brought=True)
            else:
                level = late(due=moment, not_after=held.not_after, now=now)
            if level <= self._alarms.get((name, held.version), 0):
                continue
            self._alarms[name, held.version] = level
            left = max(held.not_after - now, dt.timedelta(0))
            attempt = asking.latest(observed.attempts, name)
            self._events.emit(
                "certificate.expiring",
                level="error" if held.brought or level >= SERIOUS else "warning",
                certificate=name,
                names=list(held.names),
                not_after=held.not_after.isoformat(),
                alarm=level,
                due_at=None if held.brought else moment.isoformat(),
                # What has not ended yet is never told as 0, which means that it has.
                days_left=max(round(left.total_seconds() / 86400, 1), 0.1) if left else 0.0,
                error__detail=str(attempt.problem) if attempt else _whose(spec),
            )


def _whose(spec: CertificateSpec) -> str | None:
    """
    Say who renews a certificate that nobody else does.
    """
    if not isinstance(spec.issuer, FileIssuer):
        return None
    return (
        f"nobody renews it but you: put the new one into {spec.issuer.certificate}, and its key into {spec.issuer.key}"
    )
