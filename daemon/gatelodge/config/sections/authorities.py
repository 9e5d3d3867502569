"""
Reads `[acme.cas]`, and which CAs are asked for a certificate, in order.

A CA that makes accounts for its customers only is refused where nothing says whose customer we are: it would refuse every order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.config.document.fields import given
from gatelodge.config.keys import quoted
from gatelodge.config.suggest import nearest
from gatelodge.config.values import texts
from gatelodge.model import CertificateAuthority, Customer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gatelodge.config.catalog import Catalog
    from gatelodge.config.document.tables import AuthorityTable, CustomerTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes

#: What is wrong with a NAME that cannot be a file's, and the remedy.
BAD_NAME = (
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
        if name in catalog.ended and table.directory is None:
            found.add_unread(path, *_ended(name, catalog))
        elif not texts.NAME.fullmatch(name):
            found.add_unread(path, *BAD_NAME)
        elif not found.unread((*path, "directory")):
            built_in = catalog.authorities.get(name)
            if built_in and table.directory not in {None, built_in.directory}:
                found.add(
                    (*path, "directory"),
                    f"{name} is built in, with the directory {built_in.directory}",
                    "leave the directory out, or give your CA another name",
                )
            elif built_in or table.directory:
                known[name] = _authority(name, table, built_in, catalog, found)
            else:
                found.add_unread(
                    path, "it has no directory", 'write directory = "https://…" with the CA\'s directory URL'
                )
    return known


def _authority(
    name: str, table: AuthorityTable, built_in: CertificateAuthority | None, catalog: Catalog, found: Mistakes
) -> CertificateAuthority:
    directory = table.directory or (built_in.directory if built_in else "")
    public = built_in or next((each for each in catalog.authorities.values() if each.directory == directory), None)
    return CertificateAuthority(
        name=name,
        directory=directory,
        root=table.root,
        production=public.production if public else False,
        eab=_customer(("acme", "cas", name, "eab"), table.eab, found),
        eab_service=public.eab_service if public else None,
        **given(table, "profile", "preferred_chain"),
    )


def _customer(path: Path, table: CustomerTable | None, found: Mistakes) -> Customer | None:
    if table is None:
        return None
    for key in ("kid", "hmac_key"):
        if getattr(table, key) is None and not found.unread((*path, key)):
            found.add(path, f"it has no {key}", 'write { kid = "…", hmac_key = { file = "/…" } }, as the CA shows them')
    return Customer(kid=table.kid, hmac_key=table.hmac_key) if table.kid and table.hmac_key else None


def exposed(known: Mapping[str, CertificateAuthority]) -> Iterator[str]:
    """
    Yield the keys under which a secret stands in the file itself.
    """
    for name, authority in known.items():
        if authority.eab is not None and authority.eab.hmac_key.literal is not None:
            yield f"acme.cas.{name}.eab.hmac_key"


def asked(
    path: Path,
    names: tuple[str, ...] | None,
    known: Mapping[str, CertificateAuthority],
    catalog: Catalog,
    found: Mistakes,
) -> tuple[str, ...] | None:
    """
    Return the CAs that were given, None when none were. What is not known is noted.
    """
    if names is None or found.unread(path):
        return None
    if not names:
        found.add_unread(path, "it is empty", f"write one, such as {quoted(catalog.default)}")
        return None
    for name in dict.fromkeys(names):
        if name not in known and not found.unread(("acme", "cas", name)):
            found.add_unread(path, *_unknown(name, known, catalog))
        elif names.count(name) > 1:
            found.add(path, f"{name} is there twice", "leave one of them out: the others are asked in this order")
    good = [known[name] for name in names if name in known]
    for other in good[1:]:
        if good[0].production and catalog.is_public(other) and not other.production:
            found.add(
                path,
                f"no visitor trusts what {other.name} signs, and it would stand in for a certificate of {good[0].name}",
                f"leave {other.name} out",
            )
    return names


def bound(path: Path, authority: CertificateAuthority, *, email: str | None, catalog: Catalog, found: Mistakes) -> None:
    """
    Note a CA that is asked, makes accounts for its customers only, and does not know us by anything.

    Args:
        path: where it says that it is asked.
    """
    known = next((each.name for each in catalog.authorities.values() if each.directory == authority.directory), "")
    eab = ("acme", "cas", authority.name, "eab")
    if known not in catalog.customers or authority.eab is not None or found.unread(eab):
        return
    if authority.eab_service is not None and (email is not None or found.unread(("acme", "email"))):
        return
    found.add(
        path,
        f"{authority.name} makes accounts for its customers only (external account binding)",
        f'{catalog.customers[known]}; eab = {{ kid = "…", hmac_key = "…" }} belongs under [acme.cas.{authority.name}]',
    )


def _ended(name: str, catalog: Catalog) -> tuple[str, str]:
    return catalog.ended[name], f"use {quoted(catalog.default)}"


def _unknown(name: str, known: Mapping[str, CertificateAuthority], catalog: Catalog) -> tuple[str, str]:
    if name in catalog.ended:
        return _ended(name, catalog)
    meant = nearest(name, known)
    return (
        f"there is no CA called {quoted(name)}",
        f"did you mean {quoted(meant)}?" if meant else "define it in [acme.cas], or use letsencrypt",
    )
