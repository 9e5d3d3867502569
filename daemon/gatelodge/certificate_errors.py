"""
What the library raises for a certificate that is none, or of a kind that nobody uses. It looks at a part when it is asked for: the public key, the
subject and the extensions are read where these are caught.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

UNREADABLE = (
    *(ValueError, TypeError, UnsupportedAlgorithm),
    *(x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType),
)
