"""
Reads `[acme]` and `[certificates]`: which CAs there are, what certificates are asked of them, and with which keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatelodge.config import texts
from gatelodge.config.fields import given
from gatelodge.config.keys import quoted
from gatelodge.config.shape import AcmeSection, CertificateSection
from gatelodge.config.suggest import nearest
from gatelodge.model import INTERNAL_HOST, CertificateAuthority, file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.catalog import Catalog
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.tables import AcmeTable, AuthorityTable, CertificateTable
    from gatelodge.model import KeyKind, Name

_BAD_NAME = (
    "it cannot be the name of a file",
    'use letters, digits, ".", "-" and "_", at most 200 of them, beginning and ending with a letter or digit',
)


def authorities(
    tables: Mapping[str, AuthorityTable], catalog: Catalog, found: Mistakes
) -> dict[str, CertificateAuthority]:
    """
    Return the built-in CAs, completed, and those of `[acme.cas]`.
    """
    known = dict(catalog.authorities)
    for name, table in tables.items():
        path = ("acme", "cas", name)
        if name in catalog.closed:
            found.add_unread(path, *_closed(name, catalog))
        elif not texts.NAME.fullmatch(name):
            found.add_unread(path, *_BAD_NAME)
        elif not found.unread((*path, "directory")):
            built_in = catalog.authorities.get(name)
            if built_in and table.directory not in {None, built_in.directory}:
                found.add(
                    (*path, "directory"),
                    f"{name} is built in, with the directory {built_in.directory}",
                    "leave the directory out, or give your CA another name",
                )
            elif built_in or table.directory:
                known[name] = _authority(name, table, built_in, catalog)
            else:
                found.add_unread(
                    path, "it has no directory", 'write directory = "https://…" with the CA\'s directory URL'
                )
    return known


def _authority(
    name: str, table: AuthorityTable, built_in: CertificateAuthority | None, catalog: Catalog
) -> CertificateAuthority:
    directory = table.directory or (built_in.directory if built_in else "")
    public = built_in or next((each for each in catalog.authorities.values() if each.directory == directory), None)
    return CertificateAuthority(
        name=name,
        directory=directory,
        root=table.root,
        production=public.production if public else False,
        profile=table.profile,
    )


def acme(table: AcmeTable, known: Mapping[str, CertificateAuthority], catalog: Catalog, found: Mistakes) -> AcmeSection:
    """
    Fill in `[acme]`.
    """
    return AcmeSection(
        agree_tos=bool(table.agree_tos),
        ca=_one_ca(("acme", "ca"), table.ca, known, catalog, found) or catalog.default,
        challenges=table.challenge,
        **given(table, "email", "profile", "webroot"),
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
        found.add_unread(path, *_BAD_NAME)
        return None
    if not table.names and not found.unread((*path, "names")):
        found.add(path, "it is for no names", 'write names = ["example.com", "www.example.com"]')
    no_name_twice(table.names or (), (*path, "names"), found)
    return CertificateSection(
        names=table.names or (),
        ca=_one_ca((*path, "ca"), table.ca, known, catalog, found),
        challenges=table.challenge,
        alias=table.alias,
        adopt=table.adopt,
        **given(table, "profile"),
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


def _closed(name: str, catalog: Catalog) -> tuple[str, str]:
    return (
        f"{catalog.closed[name]} wants external account binding, which this release does not have",
        f"use {quoted(catalog.default)}",
    )


def _one_ca(
    path: Path,
    given: tuple[str, ...] | None,
    known: Mapping[str, CertificateAuthority],
    catalog: Catalog,
    found: Mistakes,
) -> str | None:
    """
    Return the one CA that was given, None when none was, or several were. That it is not known is noted.
    """
    if given is None or found.unread(path):
        return None
    if len(given) != 1:
        problem = "several CAs, tried in order, are not in this release yet" if given else "it is empty"
        found.add_unread(path, problem, f"write one, such as {quoted(catalog.default)}")
        return None
    (name,) = given
    if name in catalog.closed:
        found.add_unread(path, *_closed(name, catalog))
    elif name not in known and not found.unread(("acme", "cas", name)):
        meant = nearest(name, known)
        found.add_unread(
            path,
            f"there is no CA called {quoted(name)}",
            f"did you mean {quoted(meant)}?" if meant else "define it in [acme.cas], or use letsencrypt",
        )
    return name
