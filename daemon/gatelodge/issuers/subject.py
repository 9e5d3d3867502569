"""
Decides what the local CA calls itself and what it signs (X.520 attributes, RFC 5280 §4.1.2.4).

People see these names in a list of roots that they trust, so they may choose them; nothing else reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from gatelodge import durable
from gatelodge.certificate_errors import UNREADABLE
from gatelodge.model import CaSubject

if TYPE_CHECKING:
    from pathlib import Path

#: From the widest to the narrowest, as openssl asks for them.
_ATTRIBUTES = (
    (NameOID.COUNTRY_NAME, "country"),
    (NameOID.STATE_OR_PROVINCE_NAME, "state"),
    (NameOID.LOCALITY_NAME, "locality"),
    (NameOID.ORGANIZATION_NAME, "organization"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "organizational_unit"),
    (NameOID.COMMON_NAME, "common_name"),
)


def root_name(subject: CaSubject, identifier: x509.SubjectKeyIdentifier) -> x509.Name:
    """
    Return the name of a root with this key.
    """
    # Two gates of one house are two roots in a device's list: the key tells them apart, where nobody chose names.
    usual = f"Gatelodge local CA {identifier.digest.hex()[:8]}"
    given = ((oid, getattr(subject, field)) for oid, field in _ATTRIBUTES)
    return x509.Name(
        [
            x509.NameAttribute(oid, value)
            for oid, text in given
            if (value := text or (usual if oid == NameOID.COMMON_NAME else None))
        ]
    )


def name_below(root: x509.Name, common_name: str) -> x509.Name:
    """
    Return the name of what a root signs: of the same house, with a common name of its own.
    """
    house = [each for each in root if each.oid != NameOID.COMMON_NAME]
    return x509.Name([*house, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def find_other_name(subject: CaSubject, file: Path) -> str | None:
    """
    Return the name of the root that lies in a file, when it is not what the configuration says; None when it says nothing, and when there
    is no root that can be read.
    """
    if subject == CaSubject():
        return None
    try:
        root = x509.load_pem_x509_certificate(durable.read(file))
        identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        found = root.subject
    except (OSError, x509.ExtensionNotFound, *UNREADABLE):
        return None  # whoever needs it says so
    same = set(found) == set(root_name(subject, identifier))
    return None if same else found.rfc4514_string()
