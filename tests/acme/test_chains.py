"""
Choosing among a CA's chains.
"""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gatelodge.acme import chains

KEY = ec.generate_private_key(ec.SECP256R1())
DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def certificate(issuer: dict[x509.ObjectIdentifier, str]) -> str:
    """
    Make a certificate that somebody of that name issued.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in issuer.items()]))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(DAY)
        .not_valid_after(DAY + dt.timedelta(days=90))
        .sign(KEY, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


LEAF = certificate({NameOID.COMMON_NAME: "YE1", NameOID.ORGANIZATION_NAME: "Let's Encrypt"})
TOP = certificate({NameOID.COMMON_NAME: "ISRG Root X1", NameOID.ORGANIZATION_NAME: "Internet Security Research Group"})


@pytest.mark.parametrize(
    ("preferred", "fits"),
    [
        ("ISRG Root X1", True),
        ("isrg root x1", True),
        ("Internet Security Research Group", True),
        ("ISRG Root", False),
        ("YE1", False),
        (None, True),
    ],
)
def test_a_chain_is_known_by_the_issuer_of_its_top(preferred: str | None, *, fits: bool) -> None:
    """
    By common name or organisation, whole; an intermediate's name means nothing.
    """
    found = chains.read(LEAF + TOP, preferred=preferred)
    assert (found.preferred, found.root, found.pem) == (fits, "ISRG Root X1", LEAF + TOP)


def test_a_root_without_a_common_name_goes_by_its_organisation() -> None:
    """
    Old roots have none.
    """
    found = chains.read(certificate({NameOID.ORGANIZATION_NAME: "Old Trust"}), preferred="old trust")
    assert (found.preferred, found.root) == (True, "Old Trust")


@pytest.mark.parametrize("pem", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_chain_leads_nowhere(pem: str) -> None:
    """
    It fits no wish, and whoever takes it finds out.
    """
    assert chains.read(pem, preferred="ISRG Root X1") == chains.Chain(pem=pem, root="no root", preferred=False)


def test_a_roots_name_can_be_shown() -> None:
    """
    It ends up in logs.
    """
    assert "\x1b" not in chains.read(certificate({NameOID.COMMON_NAME: "a\x1b[31mb"}), preferred=None).root
