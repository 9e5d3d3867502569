"""
Certificates and keys that somebody else wrote down: what they are, and for which names.

Everything here says what it found, and nothing what is to be done about it. No text holds a part of a key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gatelodge import durable
from gatelodge.certificate_errors import UNREADABLE
from gatelodge.model import KeyKind, Name, Secret

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeAlias

    PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

#: No chain and no key is near this size.
MOST_BYTES = 1024 * 1024

#: Kinds by curve and by size of an RSA key, where ours has a word for them.
_KINDS = {"secp256r1": KeyKind.ECDSA_P256, "secp384r1": KeyKind.ECDSA_P384}
_SIZES = {2048: KeyKind.RSA_2048, 3072: KeyKind.RSA_3072, 4096: KeyKind.RSA_4096}

_KEY = re.compile(rb"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


class Encrypted(ValueError):
    """
    A private key that wants a password.
    """


class Unusual(ValueError):
    """
    A private key of a kind that servers do not use.
    """


def read(file: Path) -> bytes:
    """
    Return what a regular file holds, as far as it can be a certificate or key.

    Raises:
        OSError: it cannot be read, or is none.
    """
    return durable.read(file, most=MOST_BYTES)


def certificates(pem: bytes) -> list[x509.Certificate]:
    """
    Return the certificates in PEM text, in order, at least one.

    Raises:
        ValueError: there is none, or one that cannot be read.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
        for each in found:
            each.public_key()
    except UNREADABLE as error:
        raise ValueError(str(error)) from error
    return found


def private_key(pem: bytes) -> PrivateKey:
    """
    Return the first private key in PEM text, whatever else stands there.

    Raises:
        Encrypted: it wants a password.
        Unusual: servers do not use such a key.
        ValueError: there is none, or it cannot be read.
    """
    found = _KEY.search(pem)
    if found is None:
        raise ValueError("there is no private key")
    try:
        key = serialization.load_pem_private_key(found[0], None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        if b"ENCRYPTED" in found[0]:
            raise Encrypted from None
        raise ValueError("the private key cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise Unusual
    return key


def kind(key: PrivateKey) -> KeyKind | None:
    """
    Return a key's kind, None when ours has no word for it.
    """
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _KINDS.get(key.curve.name)
    return _SIZES.get(key.key_size) if isinstance(key, rsa.RSAPrivateKey) else None


def written(key: PrivateKey) -> Secret:
    """
    Write a key as unencrypted PKCS#8 PEM.
    """
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Secret(pem.decode())


def names(leaf: x509.Certificate) -> tuple[Name, ...]:
    """
    Return the hosts and addresses that a certificate is for (RFC 5280 §4.2.1.6); none when they cannot be read.
    """
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    addresses = [str(address) for address in san.get_values_for_type(x509.IPAddress)]
    return tuple(Name(name.lower()) for name in (*san.get_values_for_type(x509.DNSName), *addresses))
