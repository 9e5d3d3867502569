"""
Looks, before an order is made, at what would make it fail: names that nobody can prove, and records that forbid the CA.

All at once, and in a few seconds at most: finding out costs the CA nothing, and a certificate little time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatelodge.core.caa import Applicant
from gatelodge.errors import IssuanceError, Problem
from gatelodge.issuers.acme import caa
from gatelodge.issuers.acme.choice import choose
from gatelodge.model import is_ip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gatelodge.issuers.acme.caa import Looked
    from gatelodge.model import CertificateSpec, Name
    from gatelodge.ports import Resolver, Solver

#: What a CA says of a name whose records it could not read, or did not like.
_OF_RECORDS = frozenset({"caa", "dns", "compound"})


async def look(
    spec: CertificateSpec,
    ways: Sequence[Solver],
    *,
    ca: str,
    identities: frozenset[str],
    account: str,
    resolver: Callable[[], Resolver] | None,
) -> Mapping[Name, str]:
    """
    Refuse an order that cannot succeed. Returns what could not be found out, by name: to be told beside what the CA says.

    Args:
        ways: how names may be proven.
        identities: what the CA is called in CAA records; when it does not say, none are looked up (RFC 8659 §4.2).

    Raises:
        IssuanceError: as `choose`; `caa`.
    """
    names = [name for name in spec.names if not is_ip(name)]
    if resolver is None or not identities or not names:
        await choose(spec.names, ways, alias=spec.alias)
        return {}
    looked, chosen = await _both(resolver(), spec, names, ways)
    applicants = {
        name: Applicant(identities=identities, account=account, methods=frozenset({chosen[name].type}))
        for name in names
    }
    await caa.check(resolver(), looked, applicants, ca=ca)
    unknown = {name: looked.unknown(name) for name in names}
    return {name: why for name, why in unknown.items() if why is not None}


async def _both(
    resolver: Resolver, spec: CertificateSpec, names: Sequence[Name], ways: Sequence[Solver]
) -> tuple[Looked, Mapping[Name, Solver]]:
    failure: IssuanceError | None = None
    chosen: Mapping[Name, Solver] = {}
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(caa.look(resolver, names))
        try:
            chosen = await choose(spec.names, ways, alias=spec.alias)
        except IssuanceError as error:
            # Handed over as a value: before Python 3.13 a group that fails while it is cancelled forgets that it was.
            failure = error
            looking.cancel()
    if failure is not None:
        raise failure
    return looking.result(), chosen


def ephemeral(lies_on: str, *, ca: str) -> Problem:
    """
    Say that nothing is ordered while all that is kept would be gone at the next start.
    """
    return Problem(
        type="ephemeral",
        detail=f"the state directory lies on {lies_on}, and is gone at the next start, with the account, the certificates and what is "
        f"known of the limits of {ca}; restarts would soon use those up. Mount a volume or a disk there, or, if that is meant, "
        "write `allow_ephemeral_state = true` in [acme]; the CA was not asked",
    )


def of_records(kind: str) -> bool:
    """
    Tell whether a problem of a type may come from records that could not be looked up.
    """
    return kind in _OF_RECORDS
