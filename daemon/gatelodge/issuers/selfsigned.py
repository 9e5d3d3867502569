"""
The placeholder: a plain self-signed certificate, so that nginx starts and no site waits for issuance.

It is signed by itself, never by the local CA (whose root people import), and speaks for no CA. Its dates depend on no clock, so a
machine that woke up in 1970 can start its gate.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gatelodge.model import Secret, is_ip
from gatelodge.ports import Issued

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatelodge.model import Name

NOT_BEFORE = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
NOT_AFTER = dt.datetime(2099, 12, 31, tzinfo=dt.UTC)


def make(names: Sequence[Name]) -> Issued:
    """
    Return a new self-signed certificate for `names` with a new ECDSA P-256 key. Takes about a millisecond.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatelodge placeholder")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Issued(
        chain=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        private_key=Secret(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode()
        ),
    )


def general_name(name: Name) -> x509.GeneralName:
    """
    Return a name as it stands in a certificate's SAN (RFC 5280 §4.2.1.6).
    """
    return x509.IPAddress(ipaddress.ip_address(name)) if is_ip(name) else x509.DNSName(name)
