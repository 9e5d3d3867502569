"""
Decides whether what a CA sent is the certificate that was ordered. Pure.

A certificate that does not fit its key or its names would be refused by nginx or by every visitor, so it never gets that far.
Trust in the chain is not checked: which roots visitors trust is not known here.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gatelodge.errors import IssuanceError, Problem

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from gatelodge.model import Name


def check(pem: str, *, names: Iterable[Name], public_key: PublicKeyTypes, ca: str, now: dt.datetime) -> str:
    """
    Return the chain, leaf first, written anew: what stood between the certificates is dropped.

    Raises:
        IssuanceError: `badAnswer`: it is not what was ordered.
    """
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
        # RFC 8555 §9.1: the leaf comes first.
        leaf = chain[0]
        sans = _sans(leaf)
        theirs = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, x509.DuplicateExtension) as error:
        raise _wrong(ca, f"no certificate ({error})") from None
    if theirs != public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise _wrong(ca, "a certificate for another key")
    wanted = frozenset(names)
    if sans != wanted:
        raise _wrong(ca, f"a certificate for {_listed(sans)}, not for {_listed(wanted)}")
    if leaf.not_valid_after_utc <= now:
        raise _wrong(ca, f"a certificate that expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in chain)


def _sans(leaf: x509.Certificate) -> frozenset[str]:
    try:
        sans = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(_name(each) for each in sans)


def _name(name: x509.GeneralName) -> str:
    value = name.value
    return str(value) if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address) else str(value).lower()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "no name"


def _wrong(ca: str, what: str) -> IssuanceError:
    return IssuanceError(
        Problem(type="badAnswer", detail=f"{ca} sent {what}; the order is given up and made anew at the next try")
    )
