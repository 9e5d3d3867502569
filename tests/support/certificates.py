"""
Certificate specs and what was issued for them, made up in a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.b64 import b64encode

from gatelodge.issuers import selfsigned
from gatelodge.model import AcmeIssuer, CertificateSpec, KeyKind, Name, Secret, SelfSigned

if TYPE_CHECKING:
    from gatelodge.ports import Issued


def spec(name: str = "wiki.example.com", *more: str) -> CertificateSpec:
    """
    A spec for an ACME certificate of that NAME and those names.
    """
    return CertificateSpec(name=name, names=(Name(name), *map(Name, more)), issuer=AcmeIssuer(ca="letsencrypt"))


def placeholder(name: str = "wiki.example.com") -> CertificateSpec:
    """
    A spec for a placeholder of that NAME.
    """
    return CertificateSpec(name=name, names=(Name(name),), issuer=SelfSigned())


def issued(wanted: CertificateSpec) -> Issued:
    """
    A new certificate and key that fit a spec.
    """
    return selfsigned.make(wanted.names)


def private_key(secret: Secret) -> object:
    """
    The key that a secret holds.
    """
    return serialization.load_pem_private_key(secret.reveal().encode(), password=None)


class QuickKeys:
    """
    Implements `ports.Keys` without waiting: every RSA kind is 2048 bits.
    """

    async def new(self, kind: KeyKind) -> Secret:
        key = {
            KeyKind.ECDSA_P256: lambda: ec.generate_private_key(ec.SECP256R1()),
            KeyKind.ECDSA_P384: lambda: ec.generate_private_key(ec.SECP384R1()),
        }.get(kind, lambda: rsa.generate_private_key(65537, 2048))()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Secret(pem.decode())


def certificate_id(chain: str) -> str:
    """
    Work out of a chain by what its CA knows its first certificate (RFC 9773 §4.1).
    """
    leaf = x509.load_pem_x509_certificate(chain.encode())
    issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier or b""
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    return f"{b64encode(issuer).decode()}.{b64encode(serial).decode()}"
