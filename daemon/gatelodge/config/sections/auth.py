"""
Reads `[auth]`: who asks visitors who they are, and which of its keys are for whom.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gatelodge.config.values.auth_leaves import Kind
from gatelodge.model import BasicAuth, ForwardAuth, ForwardKind, Pool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.document.tables import AuthTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.shape import Config
    from gatelodge.model import Auth

#: It becomes a part of names in nginx's files.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

_OF_BASIC = ("users", "users_file", "realm")
_OF_SERVICES = ("url", "sign_in")


def read(tables: Mapping[str, AuthTable], found: Mistakes) -> dict[str, Auth]:
    """
    Return the entries of `[auth]` by NAME, as far as they could be read.
    """
    entries: dict[str, Auth] = {}
    for name, table in tables.items():
        path: Path = ("auth", name)
        if not _NAME.fullmatch(name) or name == "off":
            found.add_unread(path, "it cannot be a NAME", 'use letters, digits, "-" and "_", and not "off"')
            continue
        entry = _entry(path, name, table, found)
        if entry is not None:
            entries[name] = entry
    return entries


def exposed(entries: Mapping[str, Auth]) -> tuple[str, ...]:
    """
    Return the keys under which hashes of passwords stand in the configuration itself.
    """
    return tuple(f"auth.{name}.users" for name, each in entries.items() if isinstance(each, BasicAuth) and each.users)


def unused(config: Config, found: Mistakes) -> None:
    """
    Warn of entries by which nobody is asked anything.
    """
    if found.unread(("sites",)):
        return
    asked = {route.guard.auth for site in config.sites.values() for route in site.routes}
    for name in config.auth:
        if name not in asked:
            found.warn(
                ("auth", name), "no site asks visitors by it", f'write auth = "{name}" in a site, or leave it out'
            )


def _entry(path: Path, name: str, table: AuthTable, found: Mistakes) -> Auth | None:
    if table.provider is None:
        if not found.unread((*path, "provider")):
            found.add_unread(path, "it has no provider", 'write provider = "basic", "authelia", "authentik", …')
        return None
    foreign = _OF_SERVICES if table.provider is Kind.BASIC else _OF_BASIC
    for key in foreign:
        if getattr(table, key):
            found.add((*path, key), f"{table.provider} has no such key", "leave it out, or write another provider")
    return _basic(path, name, table, found) if table.provider is Kind.BASIC else _service(path, table, found)


def _basic(path: Path, name: str, table: AuthTable, found: Mistakes) -> BasicAuth:
    if table.users and table.users_file:
        found.add((*path, "users_file"), "it has users beside a file of them", "leave out one of the two")
    elif not table.users and not table.users_file and not found.unread((*path, "users"), (*path, "users_file")):
        found.add(path, "it lets nobody in", 'write users = { alice = "HASH" }, with what `gatelodge hash` prints')
    return BasicAuth(realm=table.realm or name, users=tuple(table.users.items()), file=table.users_file)


def _service(path: Path, table: AuthTable, found: Mistakes) -> ForwardAuth | None:
    kind = table.provider
    if kind is None:
        raise AssertionError("only entries with a provider come here")
    if table.url is None:
        if not found.unread((*path, "url")):
            found.add_unread(path, "it is not said where nginx asks it", 'write url = "http://authelia:9091"')
        return None
    return ForwardAuth(kind=ForwardKind(kind.value), service=Pool.of(table.url), sign_in=table.sign_in)
