"""
Placeholders: good enough for nginx to start, and good for nothing else.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.support.certificates import private_key

from gatelodge.issuers import selfsigned
from gatelodge.model import Name

if TYPE_CHECKING:
    from pathlib import Path


def leaf_of(*names: str) -> x509.Certificate:
    """
    A placeholder's certificate.
    """
    return x509.load_pem_x509_certificate(selfsigned.make([Name(name) for name in names]).chain.encode())


def test_names_and_key() -> None:
    """
    It holds every name, of either kind, and its key is a new one that fits.
    """
    names = [Name("wiki.example.com"), Name("*.example.com"), Name("192.0.2.7"), Name("2001:db8::7")]
    one, two = selfsigned.make(names), selfsigned.make(names)
    leaf = x509.load_pem_x509_certificate(one.chain.encode())
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(san) == [selfsigned.general_name(name) for name in names]
    assert private_key(one.private_key).public_key() == leaf.public_key()
    assert one.private_key != two.private_key


def test_signed_by_itself_and_no_authority() -> None:
    """
    It is signed by its own key, not by a CA that people import, and signs nothing itself.
    """
    leaf = leaf_of("wiki.example.com")
    leaf.verify_directly_issued_by(leaf)
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_dates_depend_on_no_clock() -> None:
    """
    It is valid on a machine that believes to be in 2000 and on one from the end of the century.
    """
    leaf = leaf_of("wiki.example.com")
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (selfsigned.NOT_BEFORE, selfsigned.NOT_AFTER)
    assert (leaf.not_valid_before_utc.year, leaf.not_valid_after_utc.year) == (2000, 2099)


def test_long_name() -> None:
    """
    A host name longer than a subject may be (64 characters, RFC 5280 appendix A.1) is no hindrance.
    """
    name = f"{'a' * 60}.{'b' * 60}.example.com"
    san = leaf_of(name).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == [name]


def test_servers_take_it(tmp_path: Path) -> None:
    """
    OpenSSL loads it as a server's certificate.
    """
    issued = selfsigned.make([Name("wiki.example.com")])
    (tmp_path / "chain").write_text(issued.chain)
    (tmp_path / "key").write_text(issued.private_key.reveal())
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "chain", tmp_path / "key")
    (tmp_path / "key").write_text(selfsigned.make([Name("wiki.example.com")]).private_key.reveal())
    with pytest.raises(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "chain", tmp_path / "key")


def test_secret_is_blind() -> None:
    """
    Its key shows in no repr.
    """
    issued = selfsigned.make([Name("wiki.example.com")])
    assert "PRIVATE" not in repr(issued)
