"""
Decides which copies of certificates for other programs are to be made: those that are absent, or were changed, or are of another
certificate than the one that is held.

A placeholder is never copied: a program with its last certificate is better off than one with a self-signed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core.actions import ExportCertificate
from gatelodge.core.observed import Exported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Held, Observed
    from gatelodge.model import Export


def exporting(desired: Desired, observed: Observed) -> Iterator[ExportCertificate]:
    """
    Yield the copies to make now.
    """
    for spec in desired.certificates.values():
        held = observed.held.get(spec.name)
        if held is not None and not held.placeholder:
            for export in spec.exports:
                if not is_current(held, export, observed):
                    yield ExportCertificate(held=held, export=export)


def is_current(held: Held, export: Export, observed: Observed) -> bool:
    """
    Tell whether a copy is whole, of this certificate, and as it is asked for now.
    """
    return observed.exports.get(export.mark) == Exported(content=held.content, digest=export.digest)
