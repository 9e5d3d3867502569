"""
Decides of whom a certificate is asked, of several CAs in order, and for which of its names.

What failed is remembered for each CA by itself. The first in order that is not held back is asked; one that failed for a reason of its
own gives way to the next at once, one that failed for a reason that another CA would meet as well does so at its third failure. An
order that was begun is finished where that was. A certificate that may lack some of its names is asked for without those that were
refused, while the whole of it is tried at the pace of its failures.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.core.actions import Obtain, Reason, certificate_key, tries
from gatelodge.core.failures import Failure, classify
from gatelodge.model import OnBadName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gatelodge.core.observed import Attempt, Held, InFlight
    from gatelodge.model import CertificateSpec, Name

#: Classes of failures that have nothing to do with the CA: it, or another one, did not find what it looked for.
_SHARED = frozenset({Failure.DNS, Failure.REACHABILITY})

#: So do these problems of our own, whatever their class.
_SHARED_TYPES = frozenset({"dnsCredentials"})

#: From this failure on another CA is asked all the same: it may look from elsewhere.
_AFTER_ALL = 3

#: This machine's trouble, in which no CA can help. What one has signed may be waiting for a disk with room.
_NOBODYS = frozenset({"state"})

#: What the name of a failure to get a part of a certificate ends in.
_PART = "/part"

#: Classes of failures for which single names are to blame.
_OF_NAMES = frozenset({Failure.DNS, Failure.REACHABILITY, Failure.CAA, Failure.POLICY})


def failed(attempts: Mapping[str, Attempt], certificate: str) -> tuple[Attempt, ...]:
    """
    Return what failed for a certificate, whoever was asked, the latest last.
    """
    key = certificate_key(certificate)
    of_an_issuer = f"{key}/"
    names = [name for name in attempts if name == key or name.startswith(of_an_issuer)]
    return tuple(sorted((attempts[name] for name in names), key=lambda attempt: attempt.at))


def latest(attempts: Mapping[str, Attempt], certificate: str) -> Attempt | None:
    """
    Return the last failure for a certificate as people should hear of it: with the earliest time at which somebody is asked again.
    """
    found = failed(attempts, certificate)
    if not found:
        return None
    return dataclasses.replace(found[-1], retry_at=min(attempt.retry_at for attempt in found))


def issuer_of(attempt: Attempt) -> str:
    """
    Return the issuer that a failure was met at.
    """
    _, _, rest = attempt.tries.partition("/")
    return rest.removesuffix(_PART)


def elsewhere(attempt: Attempt) -> bool:
    """
    Tell whether another CA is worth asking after a failure.
    """
    if attempt.problem.type in _NOBODYS:
        return False
    shared = attempt.problem.type in _SHARED_TYPES or classify(attempt.problem) in _SHARED
    return not shared or attempt.failures >= _AFTER_ALL


def choose(
    spec: CertificateSpec,
    attempts: Mapping[str, Attempt],
    begun: InFlight | None,
    *,
    waited: Callable[[Attempt], bool],
) -> CertificateSpec | None:
    """
    Return the spec as it is put to the CA whose turn it is; None when all are held back.

    Args:
        begun: an order that was begun and not closed.
        waited: tells whether the time to try again has come.
    """
    ways = spec.ways
    if begun is not None:
        for way in ways:
            here = begun.issuer == str(way.issuer) and begun.digest == way.digest
            if here and ((attempt := _attempt(way, attempts)) is None or waited(attempt)):
                return way
    for way in ways:
        attempt = _attempt(way, attempts)
        if attempt is None or waited(attempt):
            return way
        if not elsewhere(attempt):
            return None
    return None


def left(spec: CertificateSpec, asked: CertificateSpec, attempts: Mapping[str, Attempt]) -> Attempt | None:
    """
    Return the failure for which the CA before this one is not asked; None when this is the first.
    """
    before = None
    for way in spec.ways:
        if way.issuer == asked.issuer:
            return before
        before = _attempt(way, attempts) or before
    return None


def parts(spec: CertificateSpec, attempts: Mapping[str, Attempt]) -> Iterator[CertificateSpec]:
    """
    Yield, for each CA in order, the spec without the names for which it was refused there. Nothing where no part is wanted, and where
    none of the names is to blame, or each of them.
    """
    if spec.on_bad_name is not OnBadName.SUBSET:
        return
    for way in spec.ways:
        whole = _attempt(way, attempts)
        if whole is None or classify(whole.problem) not in _OF_NAMES:
            continue
        part = attempts.get(_tries(way, partial=True))
        blamed = _blamed(whole, way.names) | (_blamed(part, way.names) if part else frozenset())
        good = tuple(name for name in way.names if name not in blamed)
        if good and blamed:
            yield dataclasses.replace(way, names=good)


def will_do(held: Held, part: CertificateSpec, spec: CertificateSpec) -> bool:
    """
    Tell whether what is held is for all names of a part, and for none that the whole spec is not for.
    """
    names = frozenset(held.names)
    fits = held.satisfies(dataclasses.replace(spec, names=held.names))
    return fits and frozenset(part.names) <= names <= frozenset(spec.names)


def _attempt(way: CertificateSpec, attempts: Mapping[str, Attempt]) -> Attempt | None:
    """
    Return the failure at a CA, unless something else was asked of it then.
    """
    found = attempts.get(_tries(way))
    return found if found is not None and found.digest == way.digest else None


def _tries(way: CertificateSpec, *, partial: bool = False) -> str:
    return tries(Obtain(spec=way, reason=Reason.FAILED, partial=partial))


def _blamed(attempt: Attempt, names: tuple[Name, ...]) -> frozenset[Name]:
    """
    Return the names that a problem speaks of: as identifiers (RFC 8555 §6.7.1), or in quotes, as Boulder has a single one.
    """
    told = {sub.identifier for sub in attempt.problem.subproblems}
    return frozenset(name for name in names if name in told or f'"{name}"' in attempt.problem.detail)
