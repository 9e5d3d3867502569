"""
What a configuration may name without defining it: the CAs that everybody knows.

It is data, handed to `parse`, so that a test or a build can know others.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.model import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """
    `authorities` are the built-in CAs by name, all of them open to everybody. `closed` names well-known ones that take only
    customers (external account binding, RFC 8555 §7.3.4). `default` is used where nothing is said.
    """

    authorities: Mapping[str, CertificateAuthority]
    closed: Mapping[str, str]
    default: str

    def is_public(self, authority: CertificateAuthority) -> bool:
        """
        Tell whether a CA, under whatever name, is one of the built-in ones: it certifies only what the whole world can look up.
        """
        return any(authority.directory == known.directory for known in self.authorities.values())


#: Directories: https://letsencrypt.org/docs/acme-protocol-updates/ and https://letsencrypt.org/docs/staging-environment/.
_LETSENCRYPT = CertificateAuthority(name="letsencrypt", directory="https://acme-v02.api.letsencrypt.org/directory")
_LETSENCRYPT_STAGING = CertificateAuthority(
    name="letsencrypt-staging",
    directory="https://acme-staging-v02.api.letsencrypt.org/directory",
    production=False,
)

BUILT_IN = Catalog(
    authorities={authority.name: authority for authority in (_LETSENCRYPT, _LETSENCRYPT_STAGING)},
    closed={"zerossl": "ZeroSSL", "google": "Google Trust Services"},
    default=_LETSENCRYPT.name,
)
