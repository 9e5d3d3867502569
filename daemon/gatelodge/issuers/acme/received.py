"""
Decides whether what a CA sent is the certificate that was ordered. Pure.

A certificate that does not fit its key, its names or the time would be refused by nginx or by every visitor, so it never gets
that far; and what the store would refuse is refused here.
Trust in the chain is not checked: which roots visitors trust is not known here.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gatelodge.acme import problems
from gatelodge.certificate_errors import UNREADABLE
from gatelodge.errors import IssuanceError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from gatelodge.model import Name

#: What a clock of ours may be slow by. CAs date certificates back, Let's Encrypt by an hour, for clocks like that.
SLOW = dt.timedelta(hours=1)

#: One that comes with less than this share of its life, and less than a clock of ours may be slow by, may have expired.
_END = 1 / 20

#: A chain of this length is none: a real one is below 10 kB, and nginx would send it at every handshake.
_MOST_CHARACTERS = 200_000

#: Lines with dashes of a certificate: where it begins and where it ends.
_EDGES = 2


def check(pem: str, *, names: Iterable[Name], public_key: PublicKeyTypes, ca: str, now: dt.datetime) -> str:
    """
    Return the chain, leaf first, written anew: what stood between the certificates is dropped.

    Raises:
        IssuanceError: `badAnswer`: it is not what was ordered.
    """
    if len(pem) > _MOST_CHARACTERS:
        raise _wrong(ca, f"a chain of {len(pem)} characters")
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
        # RFC 8555 §9.1: the leaf comes first.
        leaf = chain[0]
        sans = _sans(leaf)
        theirs = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        rewritten = "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in chain)
    except UNREADABLE as error:
        raise _wrong(ca, f"no certificate ({error})") from None
    if sum(line.startswith("-") for line in pem.splitlines()) != _EDGES * len(chain):
        # The library passes over a certificate without an end, and without the one in the middle no visitor believes the first.
        raise _wrong(ca, "a chain that is cut off")
    if theirs != public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise _wrong(ca, "a certificate for another key")
    wanted = frozenset(names)
    if sans != wanted:
        raise _wrong(ca, f"a certificate for {_listed(sans)}, not for {_listed(wanted)}")
    if ends <= now:
        raise _wrong(ca, f"a certificate that expired on {ends:%Y-%m-%d %H:%M} UTC")
    if ends - min(SLOW, (ends - begins) * _END) <= now:
        # By a clock that is right it may be over.
        raise _wrong(ca, f"a certificate that expires on {ends:%Y-%m-%d %H:%M} UTC already")
    if begins > now + SLOW:
        raise _wrong(ca, f"a certificate that begins on {begins:%Y-%m-%d %H:%M} UTC")
    return rewritten


def _sans(leaf: x509.Certificate) -> frozenset[str]:
    try:
        sans = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(_name(each) for each in sans)


def _name(name: x509.GeneralName) -> str:
    match name:
        case x509.DNSName(value=str(value)):
            return value.lower()
        case x509.IPAddress(value=ipaddress.IPv4Address() | ipaddress.IPv6Address() as value):
            return str(value)
        case _:
            raise ValueError(f"it has a name that is neither a host's nor an address: {type(name).__name__}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "no name"


def _wrong(ca: str, what: str) -> IssuanceError:
    return IssuanceError(
        Problem(
            type="badAnswer",
            detail=f"{ca} sent {problems.shown(what)}; the order is given up and made anew at the next try",
        )
    )
