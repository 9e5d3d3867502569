"""
Takes the snapshot that a plan is made from. It looks, and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core.observed import Observed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Doubt, Job, Requests
    from gatelodge.ports import Adoption, Brought, Exporter, Nginx, Store
    from gatelodge.runtime.addresses import Addresses
    from gatelodge.runtime.journal import Journal
    from gatelodge.solvers.ledger import Ledger


async def observe(
    *,
    store: Store,
    nginx: Nginx,
    journal: Journal,
    ledger: Ledger,
    addresses: Addresses | None,
    adoption: Adoption | None,
    brought: Brought | None,
    exporter: Exporter | None,
    desired: Desired,
    jobs: Mapping[str, Job],
    requests: Requests,
    doubt: Doubt | None,
) -> Observed:
    """
    Return what is.

    Raises:
        StateError: the state directory cannot be read.
    """
    index = await store.index()
    found = await nginx.observe()
    wanted = {
        name: directory
        for name, directory in desired.adopted.items()
        if (held := index.held.get(name)) is None or held.placeholder or held.adopted
    }
    exports = [export for spec in desired.certificates.values() for export in spec.exports]
    return Observed(
        held=index.held,
        versions=index.versions,
        damaged=index.damaged,
        closed=index.closed,
        attempts=journal.standing_attempts(nginx_runs=found.running is not None),
        in_flight=dict(journal.in_flight),
        jobs=jobs,
        nginx=found,
        quarantines=journal.active_quarantines(),
        leftovers=ledger.leftovers,
        leftovers_due=ledger.due,
        addresses_looked_at=addresses.facts.looked_at if addresses else None,
        revoked=dict(journal.revoked),
        renewals=dict(journal.renewals.choices),
        offers=await adoption.offers(wanted) if adoption else {},
        brought=await brought.look(desired.brought) if brought else {},
        exports=await exporter.look(exports) if exporter and exports else {},
        requests=requests,
        doubt=doubt,
    )
