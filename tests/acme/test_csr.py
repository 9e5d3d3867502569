"""
Certificate signing requests.
"""

from __future__ import annotations

import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gatelodge.acme import csr
from gatelodge.model import Name


def test_names_stand_in_the_san_and_nowhere_else() -> None:
    """
    DNS names, wildcards and addresses of both kinds are SANs; the subject is empty; the signature is the key's.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    names = [Name("a.example"), Name("*.a.example"), Name("192.0.2.1"), Name("2001:db8::1")]
    found = x509.load_der_x509_csr(csr.make(key, names))
    sans = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(sans) == [
        x509.DNSName("a.example"),
        x509.DNSName("*.a.example"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
    ]
    assert not list(found.subject)
    assert found.is_signature_valid
    assert found.public_key() == key.public_key()
