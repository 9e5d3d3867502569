"""
Decides which of the chains that a CA offers for a certificate is taken (RFC 8555 §7.4.2). Pure.

A chain is known by who issued its topmost certificate: the root that a visitor must trust.
"""

from __future__ import annotations

import dataclasses

from cryptography import x509
from cryptography.x509.oid import NameOID

from gatelodge.acme import problems
from gatelodge.certificate_errors import UNREADABLE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """
    A certificate with its chain, as the server wrote it; the root it leads to, for people; whether that is the root that was
    asked for, true when none was.
    """

    pem: str
    root: str
    preferred: bool = True


def read(pem: str, *, preferred: str | None) -> Chain:
    """
    Read a chain. One that makes no sense leads to no root; who uses it finds out.

    Args:
        preferred: the common name or the organisation of the root that is asked for. Letter case does not matter.
    """
    names = _names(pem)
    return Chain(
        pem=pem,
        root=names[0] if names else "no root",
        preferred=preferred is None or preferred.casefold() in {name.casefold() for name in names},
    )


def _names(pem: str) -> list[str]:
    try:
        # RFC 8555 §9.1: each certificate is followed by its issuer's.
        issuer = x509.load_pem_x509_certificates(pem.encode())[-1].issuer
        found = [
            value
            for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
            for each in issuer.get_attributes_for_oid(oid)
            if isinstance(value := each.value, str)
        ]
    except UNREADABLE:
        return []
    return [shown for name in found if (shown := problems.shown(name))]
