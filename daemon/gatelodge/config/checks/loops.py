"""
Finds what leads in a circle: redirections to themselves, and upstreams that are the gate. And redirections to a port at which nobody
is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.config.keys import written
from gatelodge.config.shape import Tls
from gatelodge.config.values import names, urls
from gatelodge.model import Match, Pool, Redirect

if TYPE_CHECKING:
    from gatelodge.config.draft import Draft
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.shape import SiteSection
    from gatelodge.model import Route

_DEFAULT_PORTS = {"http": 80, "https": 443}


def find(draft: Draft, found: Mistakes) -> None:
    """
    Look at every route of every site.
    """
    _upstreams(draft, found)
    unread = found.unread(("nginx", "https_port"), ("nginx", "public_https_port"))
    for site, path in draft.sites(found, "tls", "listen", "hosts", "routes"):
        for route in site.routes:
            if isinstance(route.action, Redirect):
                where = _where(draft, site, path, route, "redirect_to")
                if not unread:
                    _ends(draft, site, route, where, found)
                    _port(draft, route.action, where, found)


def _where(draft: Draft, site: SiteSection, path: Path, route: Route, key: str) -> Path:
    """
    Return where an action of a route stands: in the route, or in the site from which it has it.
    """
    for text, table in draft.tables[site.hosts[0]].routes.items():
        if getattr(table, key) is not None and written((*path, "routes", text)) == route.key:
            return (*path, "routes", text, key)
    return (*path, key)


def _upstreams(draft: Draft, found: Mistakes) -> None:
    """
    Warn of upstreams that lead back to the gate.
    """
    own = {draft.config.nginx.http_port: ""}
    own |= {listener.port: listener.address for site in draft.config.sites.values() for listener in site.listeners}
    for site, path in draft.sites(found):
        for route in site.routes:
            for upstream in (each.upstream for each in route.action.servers) if isinstance(route.action, Pool) else ():
                if names.is_loopback(upstream.host) and own.get(upstream.port) in {"", upstream.host}:
                    found.warn(
                        _where(draft, site, path, route, "upstream"),
                        f"{upstream} is the gate itself, which would ask itself for ever",
                        "name the service's own port",
                    )


def _ends(draft: Draft, site: SiteSection, route: Route, where: Path, found: Mistakes) -> None:
    """
    Note a redirection to a path that the very same route answers.
    """
    target = _own_path(draft, site, route.action) if isinstance(route.action, Redirect) else None
    if target is None or route.match is Match.REGEX or any(each.match is Match.REGEX for each in site.routes):
        return
    target = target.partition("?")[0]
    exact = next((each for each in site.routes if each.match is Match.EXACT and each.path == target), None)
    prefixes = [each for each in site.routes if each.match is Match.PREFIX and target.startswith(each.path)]
    if (exact or max(prefixes, key=lambda each: len(each.path), default=None)) is route:
        found.add(
            where,
            f"it leads to {target}, which leads there again, for ever",
            "lead elsewhere, or give that path a route of its own",
        )


def _own_path(draft: Draft, site: SiteSection, redirect: Redirect) -> str | None:
    """
    Return the path on the same site to which a redirection leads; None when it leads elsewhere.
    """
    if redirect.url.startswith("/"):
        return redirect.url
    scheme, host, port, path = urls.place(redirect.url)
    own = "http" if site.tls is Tls.OFF else "https"
    here = host in site.hosts and scheme == own
    ports = {_public_port(draft, each.port) for each in site.listeners}
    return (path or "/") if here and (port or _DEFAULT_PORTS[scheme]) in ports else None


def _public_port(draft: Draft, port: int) -> int:
    nginx = draft.config.nginx
    return {nginx.http_port: nginx.public_http_port, nginx.https_port: nginx.public_https_port}.get(port, port)


def _port(draft: Draft, redirect: Redirect, where: Path, found: Mistakes) -> None:
    """
    Warn of a site of ours that is named without the port by which visitors come to it.
    """
    public = draft.config.nginx.public_https_port
    if redirect.url.startswith("/") or public == _DEFAULT_PORTS["https"]:
        return
    scheme, host, port, path = urls.place(redirect.url)
    ours = next((each for each in draft.config.sites.values() if host in each.all_hosts), None)
    if ours is None or port is not None or scheme != "https":
        return
    if any(each.port == draft.config.nginx.https_port for each in ours.listeners):
        found.warn(
            where,
            f"visitors come to {host} by port {public}, and this leads them to {_DEFAULT_PORTS['https']}",
            f'write "https://{host}:{public}{path}"',
        )
