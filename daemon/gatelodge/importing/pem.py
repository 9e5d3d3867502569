"""
Reads a certificate: its names and the kind of its key. Private keys are never opened.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gatelodge.certificate_errors import UNREADABLE
from gatelodge.model import KeyKind

if TYPE_CHECKING:
    import datetime as dt


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    What a certificate says. `key` is None for a kind that Gatelodge does not make; `kind` says which it is.
    """

    names: tuple[str, ...]
    key: KeyKind | None
    kind: str
    ends: dt.datetime


def read(text: str) -> Seen | None:
    """
    Return what the first certificate of a PEM file says, None when it holds none that can be read.
    """
    try:
        with warnings.catch_warnings():
            # What is odd in a certificate of theirs was the business of the CA that made it.
            warnings.simplefilter("ignore")
            certificate = x509.load_pem_x509_certificate(text.encode())
            kind, key = _key(certificate)
            return Seen(names=_names(certificate), key=key, kind=kind, ends=certificate.not_valid_after_utc)
    except UNREADABLE:
        return None


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(address) for address in value.get_values_for_type(x509.IPAddress))
    return (*value.get_values_for_type(x509.DNSName), *addresses)


def _key(certificate: x509.Certificate) -> tuple[str, KeyKind | None]:
    match certificate.public_key():
        case ec.EllipticCurvePublicKey(curve=curve):
            kinds = {"secp256r1": KeyKind.ECDSA_P256, "secp384r1": KeyKind.ECDSA_P384}
            return f"ecdsa {curve.name}", kinds.get(curve.name)
        case rsa.RSAPublicKey(key_size=size):
            return f"rsa {size}", rsa_kind(size)
        case other:
            return type(other).__name__, None


def rsa_kind(bits: int) -> KeyKind | None:
    """
    Return the kind of RSA keys of a length, None when Gatelodge makes none.
    """
    return next((kind for kind in KeyKind if kind == f"rsa-{bits}"), None)
