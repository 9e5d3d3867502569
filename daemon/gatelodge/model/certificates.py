"""
Certificates that must be held, the keys they have, and who makes them.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
from typing import TYPE_CHECKING, TypeAlias

from gatelodge.model.names import is_ip

if TYPE_CHECKING:
    from gatelodge.model.exports import Export
    from gatelodge.model.names import Name
    from gatelodge.model.secret import SecretRef

#: So many digests are kept in memory.
_KNOWN = 20_000


class KeyKind(enum.StrEnum):
    """
    The kinds of private key a certificate can have.
    """

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"

    @property
    def is_rsa(self) -> bool:
        """
        True for RSA, false for elliptic curves: of each of the two, nginx shows one certificate for a name.
        """
        return self.startswith("rsa-")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AcmeIssuer:
    """
    An ACME certificate authority, by its name in the configuration.
    """

    ca: str

    def __str__(self) -> str:
        return f"acme:{self.ca}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LocalIssuer:
    """
    The certificate authority of this machine, for names of the LAN.
    """

    def __str__(self) -> str:
        return "local"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SelfSigned:
    """
    Nobody: the placeholder, a plain self-signed certificate for `INTERNAL_HOST`.
    """

    def __str__(self) -> str:
        return SELF_SIGNED


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """
    Another tool: a certificate of its, served until ours is there.
    """

    def __str__(self) -> str:
        return ADOPTED


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileIssuer:
    """
    The user: a certificate with its chain, and its key, in files that he keeps.
    """

    certificate: str
    key: str

    def __str__(self) -> str:
        return FILES


#: The issuer text of a certificate that the user brings.
FILES = "files"

#: The issuer text of a certificate that another tool got.
ADOPTED = "adopted"

#: The issuer text of a placeholder.
SELF_SIGNED = "selfsigned"

#: Where a certificate comes from. Its text is what the store writes down.
IssuerRef: TypeAlias = AcmeIssuer | LocalIssuer | SelfSigned | Adopted | FileIssuer

#: Ways to prove a name: the challenge type (RFC 8555 §8.3), and what stands before the NAME of a `[dns.NAME]` for dns-01 (§8.4).
HTTP_01 = "http-01"

DNS_PREFIX = "dns:"


class OnBadName(enum.StrEnum):
    """
    What becomes of a certificate when some of its names are refused: none is had, or one for the others.
    """

    FAIL = "fail"
    SUBSET = "subset"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """
    A CA that is asked when those before it cannot help, and the profile that is asked of it.
    """

    issuer: AcmeIssuer
    profile: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSpec:
    """
    A certificate that must be held.

    `name` is its NAME: the key in `[certificates]`, else its site's first host. `names` keep the order of the TOML; two
    specs with the same names in another order are the same certificate. `challenges` are the ways to prove a name, the first
    that can is used: `http-01`, or `dns:NAME` for dns-01 through the provider `[dns.NAME]`. `alias` is the name under which
    answers to dns-01 are put, since `_acme-challenge` of every name is a CNAME to it (RFC 8555 §8.4). `adopt` is the folder of another
    tool's certificate, which is served until ours is there. `beside` is the NAME of the certificate whose sites show this one too, to
    visitors who take no other kind of key: they can do without it, so that nothing stands in for it. `others` are the CAs that are asked,
    in this order, when `issuer` cannot help. With `reuse_key` a renewal keeps the private key. `exports` are the copies for other programs.
    """

    name: str
    names: tuple[Name, ...]
    issuer: IssuerRef
    key: KeyKind = KeyKind.ECDSA_P256
    profile: str | None = None
    challenges: tuple[str, ...] = (HTTP_01,)
    alias: Name | None = None
    adopt: str | None = None
    beside: str | None = None
    others: tuple[Alternative, ...] = ()
    reuse_key: bool = False
    on_bad_name: OnBadName = OnBadName.FAIL
    exports: tuple[Export, ...] = ()

    @property
    def issuers(self) -> tuple[IssuerRef, ...]:
        """
        Whoever may be asked for it, in order. A certificate of any of them will do.
        """
        return (self.issuer, *(each.issuer for each in self.others))

    @property
    def ways(self) -> tuple[CertificateSpec, ...]:
        """
        This spec as it is put to each of its issuers alone.
        """
        alone = dataclasses.replace(self, others=()) if self.others else self
        return (
            alone,
            *(dataclasses.replace(alone, issuer=each.issuer, profile=each.profile) for each in self.others),
        )

    @property
    def needs_nginx(self) -> bool:
        """
        True when some name can be proven by what nginx shows alone: an IP address, or any when no DNS provider is named.
        """
        by_dns = any(challenge.startswith(DNS_PREFIX) for challenge in self.challenges)
        return HTTP_01 in self.challenges and (not by_dns or any(map(is_ip, self.names)))

    @property
    def digest(self) -> str:
        """
        A short hash of everything that getting it from its first issuer depends on: when that changes, what was begun or failed is out of
        date.
        """
        parts: list[object] = [tuple(sorted(self.names)), str(self.issuer), self.key, self.profile]
        if (self.challenges, self.alias) != ((HTTP_01,), None):
            parts += [self.challenges, self.alias]
        return _digest(tuple(parts))


@functools.lru_cache(maxsize=_KNOWN)
def _digest(parts: tuple[object, ...]) -> str:
    """
    Hash what a certificate depends on; kept, since a pass wants it again and again.
    """
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def name_beside(name: str) -> str:
    """
    Return the NAME of the certificate with an RSA key that stands beside the one called NAME.
    """
    return f"{name}.rsa"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaSubject:
    """
    What the local CA calls itself (RFC 5280 §4.1.2.4, X.520 attribute types); None and nothing are left out.
    """

    common_name: str | None = None
    organization: str | None = None
    organizational_unit: str | None = None
    country: str | None = None
    state: str | None = None
    locality: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """
    What a CA knows its customer by (RFC 8555 §7.3.4): the name of a key, and where the key is found.
    """

    kid: str
    hmac_key: SecretRef


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAuthority:
    """
    An ACME CA: its directory URL (RFC 8555 §7.1.1) and, for a private one, the PEM file with its TLS root.

    `eab` is what it knows us by, where it makes accounts for customers only; `eab_service` a URL that gives such for an e-mail address
    when there is none. `preferred_chain` is the root that its chains should lead to, by common name or organisation.
    """

    name: str
    directory: str
    root: str | None = None
    production: bool = True
    profile: str | None = None
    preferred_chain: str | None = None
    eab: Customer | None = None
    eab_service: str | None = None
