"""
What a configuration may name without defining it: the CAs that everybody knows, and DNS providers with the keys they have.

It is data, handed to `parse`, so that a test or a build can know others.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.model import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gatelodge.config.values.leaf import Leaf


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """
    A key of `[dns.NAME]` that belongs to one provider: what it holds, and what an editor is told about it.
    """

    leaf: Leaf
    description: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKind:
    """
    A DNS provider that may be named. `needs` are sets of keys of which one must be there whole; empty when nothing must.

    `heeds` are the common keys that make a difference to it, beside those that do for all; others are refused, since nothing
    would come of them. `addresses` says whether it keeps A and AAAA records too. `check` finds what is wrong with options that were read: each as
    key (`options.auth_token` for one in a table), problem and remedy.
    """

    options: Mapping[str, Option]
    needs: tuple[tuple[str, ...], ...] = ()
    heeds: frozenset[str] = frozenset()
    addresses: bool = False
    check: Callable[[Mapping[str, object]], Iterable[tuple[str, str, str]]] = lambda _: ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """
    `authorities` are the built-in CAs by name. `customers` says of those that make accounts for their customers only (external account
    binding, RFC 8555 §7.3.4) how to become one; `ended` says what became of well-known ones that are no more. `default` is used where nothing
    is said. `providers` are the DNS
    providers by the word that `[dns.NAME] provider` has for them; `presets` are parts of a site by the name of the app that wants them,
    `upstreams` where such an app usually listens.
    """

    authorities: Mapping[str, CertificateAuthority]
    ended: Mapping[str, str]
    default: str
    customers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    providers: Mapping[str, ProviderKind] = dataclasses.field(default_factory=dict)
    presets: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)
    upstreams: Mapping[str, str] = dataclasses.field(default_factory=dict)

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

#: https://zerossl.com/documentation/acme/, also for the service that makes a key for an e-mail address.
_ZEROSSL = CertificateAuthority(
    name="zerossl",
    directory="https://acme.zerossl.com/v2/DV90",
    eab_service="https://api.zerossl.com/acme/eab-credentials-email",
)

#: https://docs.cloud.google.com/certificate-manager/docs/public-ca-tutorial
_GOOGLE = CertificateAuthority(name="google", directory="https://dv.acme-v02.api.pki.goog/directory")

BUILT_IN = Catalog(
    authorities={each.name: each for each in (_LETSENCRYPT, _LETSENCRYPT_STAGING, _ZEROSSL, _GOOGLE)},
    ended={"buypass": "Buypass ended its ACME service for TLS certificates on 2025-10-31"},
    default=_LETSENCRYPT.name,
    customers={
        "zerossl": "write email under [acme], for which a key is fetched, or take one from its page for developers",
        "google": "make a key with `gcloud publicca external-account-keys create` (its keyId is the kid, its b64MacKey the hmac_key)",
    },
)
