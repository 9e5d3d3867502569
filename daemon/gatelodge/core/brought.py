"""
Decides when a certificate is held that somebody else got.

The user brings one in files: it is taken when what is held is not what lies there, or not enough for the names. It is never renewed by
us, and no clock matters: an expired one is what he wants served until he brings another. What another tool got only stands in for ours.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.core.actions import TAKING, Adopt, Reason, Take, certificate_key
from gatelodge.model import covers

if TYPE_CHECKING:
    from gatelodge.core.observed import Observed
    from gatelodge.model import CertificateSpec

#: Files that are being changed are looked at again after this.
STILL = dt.timedelta(seconds=2)


def take(spec: CertificateSpec, observed: Observed) -> Take | None:
    """
    Return how a certificate is taken from its files, None while it is held as they have it.
    """
    found = observed.brought.get(spec.name)
    reason = _reason(spec, observed)
    return Take(spec=spec, mark=found.mark, reason=reason) if found is not None and reason is not None else None


def adopt(spec: CertificateSpec, observed: Observed, now: dt.datetime) -> Adopt | None:
    """
    Return how another tool's certificate is held: in place of nothing, of a placeholder, or of an older one of its.
    """
    held, offer = observed.held.get(spec.name), observed.offers.get(spec.name)
    if offer is None or spec.adopt is None or offer.not_after <= now:
        return None
    if held is not None and spec.name in observed.damaged:
        return None  # ours is asked for anew
    older = held is not None and held.adopted and held.not_after < offer.not_after
    if held is None or held.placeholder or older:
        return Adopt(spec=spec, directory=spec.adopt, fingerprint=offer.fingerprint)
    return None


def _reason(spec: CertificateSpec, observed: Observed) -> Reason | None:
    held, found = observed.held.get(spec.name), observed.brought.get(spec.name)
    attempt = observed.attempts.get(certificate_key(spec.name))
    if spec.name in observed.requests.renew:
        return Reason.REQUESTED
    if spec.name in observed.damaged:
        return Reason.DAMAGED
    if held is None or held.placeholder:
        return Reason.MISSING
    if not held.brought or not all(any(covers(mine, name) for mine in held.names) for name in spec.names):
        return Reason.CHANGED
    if found is not None and held.chain != found.chain:
        return Reason.REPLACED
    # Files that were mended may hold just what is held: taking them says that they are well again.
    return Reason.FAILED if attempt is not None and attempt.digest.startswith(TAKING) else None
