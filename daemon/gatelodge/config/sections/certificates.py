"""
Reads `[acme]` and `[certificates]`: what certificates are asked of CAs, and with which keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatelodge.config.document.fields import given
from gatelodge.config.sections import authorities, exports
from gatelodge.config.shape import AcmeSection, CertificateSection
from gatelodge.config.values import texts
from gatelodge.model import INTERNAL_HOST, file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.catalog import Catalog
    from gatelodge.config.document.tables import AcmeTable, CertificateTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.model import CertificateAuthority, KeyKind, Name


def acme(table: AcmeTable, known: Mapping[str, CertificateAuthority], catalog: Catalog, found: Mistakes) -> AcmeSection:
    """
    Fill in `[acme]`.
    """
    return AcmeSection(
        agree_tos=bool(table.agree_tos),
        cas=authorities.asked(("acme", "ca"), table.ca, known, catalog, found) or (catalog.default,),
        challenges=table.challenge,
        **given(table, "email", "profile", "webroot", "proxy", "on_bad_name", "reuse_key", "allow_ephemeral_state"),
        **keys(("acme", "key"), table.key, found),
    )


def certificate(
    key: str, table: CertificateTable, known: Mapping[str, CertificateAuthority], catalog: Catalog, found: Mistakes
) -> CertificateSection | None:
    """
    Fill in one entry of `[certificates]`; None when it has no name to be known by.
    """
    path = ("certificates", key)
    if not texts.NAME.fullmatch(key) or file_name(key) == INTERNAL_HOST:
        found.add_unread(path, *authorities.BAD_NAME)
        return None
    if not table.names and not found.unread((*path, "names")):
        found.add(path, "it is for no names", 'write names = ["example.com", "www.example.com"]')
    no_name_twice(table.names or (), (*path, "names"), found)
    return CertificateSection(
        names=table.names or (),
        cas=authorities.asked((*path, "ca"), table.ca, known, catalog, found),
        challenges=table.challenge,
        alias=table.alias,
        adopt=table.adopt,
        exports=exports.read((*path, "export"), table.export, file_name(key), found),
        **given(table, "profile", "on_bad_name", "reuse_key"),
        **keys((*path, "key"), table.key, found),
    )


def keys(path: Path, kinds: tuple[KeyKind, ...] | None, found: Mistakes) -> dict[str, Any]:
    """
    Return the kinds of key that were asked for. nginx shows one certificate of each family at a time, and so there is one of each.
    """
    if kinds is None or found.unread(path):
        return {}
    if not kinds:
        found.add(path, "it is empty", 'write key = "ecdsa-p256", or leave it out')
        return {}
    families = [kind.partition("-")[0] for kind in kinds]
    for family in dict.fromkeys(each for each in families if families.count(each) > 1):
        found.add(
            path,
            f"it has two kinds of {family.upper()} keys, and nginx shows one certificate of each family",
            'write one kind, or two such as ["ecdsa-p256", "rsa-2048"]',
        )
    return {"keys": kinds}


def no_name_twice(hosts: tuple[Name, ...], path: Path, found: Mistakes) -> None:
    """
    Note hosts that are listed more than once.
    """
    for host in dict.fromkeys(host for host in hosts if hosts.count(host) > 1):
        found.add(path, f"{host} is there twice", "leave one of them out")
