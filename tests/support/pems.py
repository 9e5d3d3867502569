"""
Certificates as people bring them: of any kind of key, for any names and dates, by a CA of their own.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from gatelodge.issuers.selfsigned import general_name
from gatelodge.model import Name

if TYPE_CHECKING:
    from pathlib import Path

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

DAY = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """
    A leaf, the chain above it, and its key.
    """

    leaf: x509.Certificate
    above: tuple[x509.Certificate, ...]
    key: Key

    @property
    def chain(self) -> str:
        return "".join(map(pem, (self.leaf, *self.above)))

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    @property
    def fingerprint(self) -> str:
        return self.leaf.fingerprint(hashes.SHA256()).hex()

    def locked(self, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
        """
        The key, encrypted with a password.
        """
        how = serialization.BestAvailableEncryption(b"a password")
        return self.key.private_bytes(serialization.Encoding.PEM, form, how).decode()

    def lay(self, folder: Path, name: str = "site") -> tuple[Path, Path]:
        """
        Write both files, and return their paths.
        """
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_text(self.chain)
        key.write_text(self.key_pem)
        return certificate, key


def pem(certificate: x509.Certificate) -> str:
    """
    A certificate as PEM.
    """
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@functools.cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """
    An RSA key, made once a test run: that takes a while.
    """
    del number
    return rsa.generate_private_key(65537, bits)


@functools.cache
def authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """
    The intermediate of a CA, and its key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    return _signed("A CA", key, (), "A CA", key, ca=True), key


def buy(
    *names: str,
    key: Key | None = None,
    begins: dt.datetime = dt.datetime(2025, 12, 1, tzinfo=dt.UTC),
    ends: dt.datetime = dt.datetime(2026, 12, 1, tzinfo=dt.UTC),
    issuer_at: str | None = None,
) -> Bought:
    """
    A certificate for these names. `issuer_at` is where it says that its signer's lies.
    """
    mine = key or ec.generate_private_key(ec.SECP256R1())
    above, signer = authority()
    leaf = _signed("A site", mine, names, "A CA", signer, ca=False, begins=begins, ends=ends, issuer_at=issuer_at)
    return Bought(leaf=leaf, above=(above,), key=mine)


def _signed(
    subject: str,
    key: Key,
    names: tuple[str, ...],
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
    begins: dt.datetime = dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    ends: dt.datetime = dt.datetime(2040, 1, 1, tzinfo=dt.UTC),
    issuer_at: str | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        sans = x509.SubjectAlternativeName([general_name(Name(name)) for name in names])
        builder = builder.add_extension(sans, critical=False)
    if issuer_at:
        place = x509.UniformResourceIdentifier(issuer_at)
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
