"""
What people ask the running loop for, and how it is known that it was done.

A wish is given to the loop and then watched from look to look; it decides nothing about how. It says no at once to what cannot
be done, with the reason and what to do.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any

from gatelodge.core import asking
from gatelodge.core.actions import NGINX, certificate_key, key, revoking
from gatelodge.core.due import due
from gatelodge.core.limits import Counted, Kind, limits_of, told
from gatelodge.model import INTERNAL_HOST, AcmeIssuer, FileIssuer, covers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Held
    from gatelodge.model import CertificateSpec, RevocationReason
    from gatelodge.ports import Clock
    from gatelodge.runtime.look import Look
    from gatelodge.runtime.reconcile import Reconciler


#: The limits that an order counts for, whatever becomes of it.
_OF_ORDERS = frozenset({Counted.ORDERS, Counted.CERTIFICATES_PER_DOMAIN, Counted.CERTIFICATES_PER_SET})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    Whether a wish came true, in words and in fields.
    """

    ok: bool
    message: str
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)


class Wishes:
    """
    Asks a loop for things and waits until they are done.
    """

    def __init__(self, reconciler: Reconciler, clock: Clock) -> None:
        self._reconciler = reconciler
        self._clock = clock

    async def once(self) -> Look:
        """
        Have everything looked at now, every file too, and return the first look that finds nothing left to do.
        """
        await self._reconciler.distrust()
        # A reload that keeps its distance from the last one is still to come.
        return await self._reconciler.passed(lambda look: look.settled and (look.served or _nginx_failed(look)))

    async def renew(self, wanted: str, *, force: bool) -> Answer:
        """
        Renew a certificate, by its NAME or one of its names. Without `force` only when it is due, missing or failed before.
        """
        if (refusal := await self.cannot_renew(wanted)) is not None:
            return refusal
        before = await self._reconciler.look()
        desired = before.gate.desired
        name = find(wanted, desired) or wanted
        held = before.observed.held.get(name)
        spec = desired.certificates[name]
        if held is not None and held.brought and not force and isinstance(spec.issuer, FileIssuer):
            if not asking.failed(before.observed.attempts, name):
                return Answer(
                    ok=False,
                    message=f"{name} is yours to renew: put a newer one into {spec.issuer.certificate} and {spec.issuer.key}, and it "
                    "is taken; --force takes what lies there again",
                )
        elif held is not None and not held.placeholder and not force and held.satisfies(spec):
            moment, _ = due(held, before.observed.renewals)
            if moment > self._clock.now() and not asking.failed(before.observed.attempts, name):
                return Answer(
                    ok=False, message=f"{name} is not due before {moment:%Y-%m-%d %H:%M} UTC; --force renews it now"
                )
        if (why := _impossible(before, spec)) is not None:
            return Answer(ok=False, message=f"{name} cannot be renewed now: {why}")
        # One that is on its way already is the one that is wanted: another would only cost the CA's rate limits.
        if certificate_key(name) not in before.observed.jobs:
            self._reconciler.ask(renew=frozenset({name}))
        after = await self._reconciler.passed(lambda look: self._tried(name, look))
        new = after.observed.held.get(name)
        if new is None or (held is not None and new.version == held.version):
            attempt = asking.latest(after.observed.attempts, name)
            why = str(attempt.problem) if attempt else _impossible(after, spec) or "it was cut short"
            return Answer(ok=False, message=f"{name} was not renewed: {why}")
        self._reconciler.ask(reload=True)
        after = await self._reconciler.passed(self._answered)
        return _renewed(new, served=after.served, cost=cost(desired, new) if force else "")

    async def revoke(self, wanted: str, reason: RevocationReason) -> Answer:
        """
        Have a certificate revoked by its CA, by its NAME or one of its names, and another got in its place.
        """
        held = _revocable(wanted, await self._reconciler.look())
        if isinstance(held, Answer):
            return held
        name = held.name
        self._reconciler.ask(revoke={name: reason})
        after = await self._reconciler.passed(
            lambda look: name not in self._reconciler.requests.revoke and self._tried(name, look)
        )
        new = after.observed.held.get(name)
        fields = {"certificate": name, "serial": held.serial, "reason": str(reason)}
        done = f"{name} (serial {held.serial}) is revoked"
        if new is not None and new.serial != held.serial:
            return Answer(ok=True, message=f"{done}, and another is there", fields={**fields, "new_serial": new.serial})
        if not after.observed.is_revoked(held):
            attempt = after.observed.attempts.get(revoking(name))
            why = str(attempt.problem) if attempt else "it was cut short"
            return Answer(ok=False, message=f"{name} was not revoked: {why}", fields=fields)
        if name not in after.gate.desired.certificates:
            return Answer(ok=True, message=done, fields=fields)
        failed = asking.latest(after.observed.attempts, name)
        why = str(failed.problem) if failed else "it is on its way"
        return Answer(ok=True, message=f"{done}, and served until another is there: {why}", fields=fields)

    async def cannot_revoke(self, wanted: str) -> Answer | None:
        """
        Say no when nothing is called so that a CA could revoke.
        """
        found = _revocable(wanted, await self._reconciler.look())
        return found if isinstance(found, Answer) else None

    async def forget(self, wanted: str) -> Answer:
        """
        Delete a certificate that the configuration does not ask for.
        """
        if (refusal := await self.cannot_forget(wanted)) is not None:
            return refusal
        self._reconciler.ask(forget=frozenset({wanted}))
        after = await self._reconciler.passed(lambda look: wanted not in look.observed.held or self._kept(wanted, look))
        if wanted not in after.observed.held:
            return Answer(ok=True, message=f"{wanted} is deleted")
        return Answer(
            ok=False,
            message=f"{wanted} cannot be deleted now: {_why_kept(wanted, after)}",
        )

    async def cannot_renew(self, wanted: str) -> Answer | None:
        """
        Say no when nothing is called so.
        """
        desired = (await self._reconciler.look()).gate.desired
        if find(wanted, desired) is not None:
            return None
        return Answer(ok=False, message=_unknown(wanted, (n for n in desired.certificates if n != INTERNAL_HOST)))

    async def cannot_forget(self, wanted: str) -> Answer | None:
        """
        Say no when nothing that is held is called so, or the configuration asks for it.
        """
        look = await self._reconciler.look()
        if wanted in look.gate.desired.certificates:
            return Answer(ok=False, message=f"{wanted} is asked for in the configuration; take it out there first")
        if wanted not in look.observed.held:
            return Answer(
                ok=False,
                message=_unknown(
                    wanted, look.observed.held.keys() - look.gate.desired.certificates.keys(), kind="unused certificate"
                ),
            )
        return None

    async def reload(self) -> Answer:
        """
        Write, test and load nginx's configuration now.
        """
        self._reconciler.ask(reload=True)
        after = await self._reconciler.passed(self._answered)
        current = after.observed.nginx.current
        if not after.served or current is None:
            return Answer(ok=False, message=_nginx_trouble(after))
        message, fields = f"nginx serves generation {current.number}", {"generation": current.number}
        if kept_back := after.kept_back:
            told = "; ".join(f"{site}: {why}" for site, why in kept_back.items())
            return Answer(ok=False, message=f"{message}, but refuses {told}", fields=fields)
        return Answer(ok=True, message=message, fields=fields)

    def _answered(self, look: Look) -> bool:
        """
        Tell whether a reload that was asked for is over, one way or the other, or nothing can be done for it.
        """
        if look.observed.requests.reload and look.settled:
            return True
        over = not (self._reconciler.requests.reload or look.observed.requests.reload or NGINX in look.observed.jobs)
        return over and (look.served or _nginx_failed(look))

    def _tried(self, name: str, look: Look) -> bool:
        asked = name in self._reconciler.requests.renew or name in look.observed.requests.renew
        if name in look.observed.requests.renew and look.settled:
            return True
        begun = any(key(action) == certificate_key(name) for action in look.plan.actions)
        return not asked and not begun and certificate_key(name) not in look.observed.jobs

    def _kept(self, name: str, look: Look) -> bool:
        """
        Tell whether a certificate cannot be deleted before somebody mends nginx.
        """
        asked = name in look.observed.requests.forget and look.settled
        failed = any(tries in look.observed.attempts for tries in (f"delete:{name}", "prune"))
        return asked and (failed or look.observed.nginx.running is None or _nginx_failed(look))


def find(wanted: str, desired: Desired) -> str | None:
    """
    Return the NAME of the certificate that a person means by its NAME or by a host it is for.
    """
    if wanted in desired.certificates:
        return wanted
    for site in desired.sites:
        if site.certificates and wanted in site.hosts:
            return site.certificates[0]
    return next(
        (n for n, spec in desired.certificates.items() if any(covers(name, wanted) for name in spec.names)), None
    )


def _held_as(wanted: str, look: Look) -> str | None:
    """
    Return the NAME of the certificate that is held and that a person means, also one that is not used any more.
    """
    name = find(wanted, look.gate.desired) or wanted
    return name if name in look.observed.held else None


def cost(desired: Desired, held: Held) -> str:
    """
    Say what a renewal that was not due cost of the CA's limits; nothing where it has none that count it.
    """
    ca = held.issuer.removeprefix("acme:")
    authority = desired.authorities.get(ca)
    if authority is None or ca == held.issuer:
        return ""
    limits = limits_of(authority.directory, public=authority.production)
    spent = [limit for limit in limits if limit.counted in _OF_ORDERS and Kind.RENEWAL not in limit.exempt]
    return "; it counted as one of " + " and of ".join(map(told, spent)) if spent else ""


def _revocable(wanted: str, look: Look) -> Held | Answer:
    """
    Return the certificate that is meant, or why it cannot be revoked.
    """
    name = _held_as(wanted, look)
    held = look.observed.held[name] if name is not None else None
    if held is None or held.placeholder:
        desired = find(wanted, look.gate.desired)
        if desired is None:
            return Answer(ok=False, message=_unknown(wanted, look.observed.held.keys() - {INTERNAL_HOST}))
        damage = look.observed.damaged.get(desired)
        why = f": {damage}" if damage else ""
        return Answer(ok=False, message=f"there is no certificate for {desired} that could be revoked{why}")
    if held.issuer not in look.gate.cas:
        return Answer(
            ok=False,
            message=f"{name} is of {held.issuer}; only what a CA of [acme] issued, and one that is still configured, can be revoked here",
        )
    return held


def _unknown(wanted: str, known: Iterable[str], *, kind: str = "certificate") -> str:
    names = sorted(known)
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names[:10])}" if names else "there are none"
    return f"no {kind} is called {wanted!r}; {hint}"


def _impossible(look: Look, spec: CertificateSpec) -> str | None:
    observed = look.observed
    if isinstance(spec.issuer, FileIssuer):
        return None
    if observed.doubt is not None:
        return observed.doubt.reason
    if not isinstance(spec.issuer, AcmeIssuer):
        return None
    if observed.nginx.missing is not None:
        return observed.nginx.missing
    if NGINX not in observed.jobs and (observed.nginx.running is None or observed.nginx.last_proven is None):
        return f"the CA looks for its proof at nginx: {_nginx_trouble(look)}"
    return None


def _nginx_failed(look: Look) -> bool:
    return look.observed.nginx.missing is not None or any(tries.startswith(NGINX) for tries in look.observed.attempts)


def _why_kept(name: str, look: Look) -> str:
    for tries in (f"delete:{name}", "prune"):
        if tries in look.observed.attempts:
            return str(look.observed.attempts[tries].problem)
    return f"nginx's last good configuration names it: {_nginx_trouble(look)}"


def _nginx_trouble(look: Look) -> str:
    """
    Say why nginx does not serve what is desired.
    """
    reasons = [str(each.problem) for tries, each in look.observed.attempts.items() if tries.startswith(NGINX)]
    if reasons or look.observed.nginx.missing is not None:
        return "; ".join(reasons) or str(look.observed.nginx.missing)
    if look.observed.nginx.running is None:
        return "nginx does not run"
    return "nginx does not serve what is asked for yet; see `gatelodge status`"


def _renewed(held: Held, *, served: bool, cost: str) -> Answer:
    until = f"{held.name} is renewed, good until {held.not_after:%Y-%m-%d %H:%M} UTC"
    return Answer(
        ok=True,
        message=(f"{until}, and served" if served else f"{until}; nginx does not serve it yet, see `gatelodge status`")
        + cost,
        fields={
            "certificate": held.name,
            "serial": held.serial,
            "not_after": held.not_after.isoformat(),
            "served": served,
        },
    )
