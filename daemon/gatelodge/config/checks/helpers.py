"""
Finds what root's helper would not take: it renders nothing itself, and lets through only lines that Gatelodge makes, with no path in
them but its own. A daemon that was broken into must not have root's nginx read any file of the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.config.document.site_tables import ClientCertificatesTable, MaintenanceTable
from gatelodge.model import BasicAuth, ByHelper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.config.document.site_tables import ManyRoutes, SiteTable
    from gatelodge.config.draft import Draft
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes

_PROBLEM = "root's helper has nginx read no file but Gatelodge's own, and no line of anybody else's"
_REMEDY = 'leave it out, or write another `reload` than "helper" under [nginx] (docs/helper.md)'


def find(draft: Draft, found: Mistakes) -> None:
    """
    Note everything that names a file, or is a directive of the user's own, when root's helper is the one who reloads nginx.
    """
    if not isinstance(draft.config.nginx.reload, ByHelper):
        return
    for name, entry in draft.config.auth.items():
        if isinstance(entry, BasicAuth):
            found.add(("auth", name), f"nginx would read passwords from a file: {_PROBLEM}", "ask by a service instead")
        elif entry.service.first.socket is not None:
            found.add(("auth", name, "url"), _PROBLEM, _REMEDY)
    for site, path in draft.sites(found):
        table = draft.tables[site.hosts[0]]
        for at in (*_of_site(path, table), *_of_all(path, table)):
            found.add(at, _PROBLEM, _REMEDY)
        for text, route in table.routes.items():
            for at in _of_all((*path, "routes", text), route):
                found.add(at, _PROBLEM, _REMEDY)


def _of_site(path: Path, table: SiteTable) -> Iterator[Path]:
    if isinstance(table.client_certificates, ClientCertificatesTable):
        yield (*path, "client_certificates")
    if isinstance(table.maintenance, str):
        yield (*path, "maintenance")
    elif isinstance(table.maintenance, MaintenanceTable) and table.maintenance.page is not None:
        yield (*path, "maintenance", "page")


def _of_all(path: Path, table: ManyRoutes) -> Iterator[Path]:
    yield from ((*path, key) for key in ("static", "script_root", "snippet") if getattr(table, key) is not None)
    if table.error_pages:
        yield (*path, "error_pages")
    tls = table.upstream_tls
    if tls is not None:
        yield from ((*path, "upstream_tls", key) for key in ("ca", "certificate") if getattr(tls, key) is not None)
    if any(server.url is not None and server.url.socket is not None for server in table.upstream or ()):
        yield (*path, "upstream")
