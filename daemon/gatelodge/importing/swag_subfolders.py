"""
Decides which of SWAG's subfolders become routes of the site of URL. They lie within a server block of `site-confs`, so that what
guards that one guards them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gatelodge.importing import proxy_conf
from gatelodge.importing.found import FoundSite, Left
from gatelodge.importing.proxy_conf import Doubt
from gatelodge.importing.shared_files import included
from gatelodge.importing.toml_text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gatelodge.importing.nginx_syntax import Directive
    from gatelodge.importing.shared_files import Shared
    from gatelodge.importing.swag_sites import Confs, Sites
    from gatelodge.model import Name

_SUBFOLDERS = re.compile(r"(?:/config/nginx/)?proxy-confs/\*\.subfolder\.conf")

#: What SWAG's own server block has, and what makes no difference to a subfolder that is proxied.
_SHELL = frozenset(
    {"access_log", "error_log", "error_page", "http2", "http3", "index", "listen", "location", "root", "server_name"}
)

_TO_FOLDER = re.compile(r"\$scheme://\$(?:host|http_host)(?P<path>/[A-Za-z0-9._/-]+/)")


def read(
    files: Mapping[str, tuple[Directive, ...]], confs: Confs, shared: Shared, sites: Sites, url: Name
) -> Iterator[FoundSite | Left]:
    """
    Yield the site of URL with its routes, and what is none.
    """
    if not files:
        return
    try:
        size = _around(confs, shared, sites, url)
    except Doubt as doubt:
        yield from (Left(what=shown(file), why=doubt.why, guards=doubt.guards) for file in files)
        return
    routes: dict[str, str] = {}
    taken: list[str] = []
    for file, directives in files.items():
        try:
            more = _routes(directives, shared, taken=routes)
        except Doubt as doubt:
            yield Left(what=shown(file), why=doubt.why, guards=doubt.guards)
            continue
        routes.update(more)
        taken.append(file)
    if not routes:
        return
    www = [host for host in (f"www.{url}",) if sites.certified(host) and sites.winners(host) == sites.winners(url)]
    yield FoundSite(
        hosts=(url, *(type(url)(host) for host in www)),
        upstream=None,
        routes=routes,
        body_size=size,
        remarks=(f"From {', '.join(map(shown, taken))}. Files of www/ are not served: other paths answer 404.",),
        held=confs.blind,
    )


def _around(confs: Confs, shared: Shared, sites: Sites, url: Name) -> str | None:
    """
    Return the largest body in the server block that includes subfolders.

    Raises:
        Doubt: it is not known which that is, or it does more than SWAG's own.
    """
    if shared.everywhere:
        raise Doubt(shared.everywhere[0], guards=True)
    if not sites.certified(url):
        raise Doubt(f"it lies below {url}, which SWAG's certificate is not for")
    size = shared.body_size
    servers = [
        each
        for directives in confs.customs.values()
        for each in directives
        if each.name == "server" and any(map(_includes, each.block or ()))
    ]
    winners = sites.winners(url)
    if not confs.customs and not winners:
        return proxy_conf.body_size(size)  # SWAG writes its own default.conf where none is
    if not servers:
        raise Doubt("no server block of site-confs includes it")
    if len(servers) != 1 or len(winners) != 1 or winners[0].server.source is not servers[0]:
        files = ", ".join(dict.fromkeys(shown(claim.file) for claim in winners))
        raise Doubt(f"it is not sure that {url} leads to it: look into {files or 'site-confs'}")
    for each in servers[0].block or ():
        if each.name == "client_max_body_size" and len(each.args) == 1:
            size = each.args[0]
            continue
        file = included(each.args[0]) if each.name == "include" and len(each.args) == 1 else None
        if file is not None and file in shared.doubts:
            raise Doubt(shared.doubts[file], guards=True)
        if file is None and each.name not in _SHELL and not _includes(each):
            what = shown(" ".join((each.name, *each.args)))
            raise Doubt(f"the server block around it has {what}, which Gatelodge would not heed", guards=True)
    return proxy_conf.body_size(size)


def _includes(each: Directive) -> bool:
    return each.name == "include" and len(each.args) == 1 and bool(_SUBFOLDERS.fullmatch(each.args[0]))


def _routes(directives: tuple[Directive, ...], shared: Shared, *, taken: Mapping[str, str]) -> dict[str, str]:
    """
    Return the routes of a file.

    Raises:
        Doubt: it does more than lead to a service.
    """
    routes: dict[str, str] = {}
    redirected: list[str] = []
    for each in directives:
        if each.name != "location":
            raise Doubt(f"it has {shown(each.name)}, which Gatelodge does not take from it")
        if (path := _redirect(each)) is not None:
            redirected.append(path)
            continue
        place = proxy_conf.place(each, shared)
        if place.path in routes or place.path in taken:
            raise Doubt(f"{place.shown} is there twice")
        if place.way != "^~" or place.path == "/":
            raise Doubt(f"{place.shown} is compared in a way that is not taken over")
        routes[place.path] = str(proxy_conf.route(place))
    if lost := [path for path in redirected if path not in routes]:
        raise Doubt(f"it redirects to {shown(lost[0])}, which it does not have")
    return routes


def _redirect(location: Directive) -> str | None:
    """
    Return the folder that a location sends visitors to who left out its final slash, as nginx does by itself.
    """
    inside = location.block or []
    if len(inside) != 1 or inside[0].name != "return" or inside[0].args[:1] not in {("301",), ("302",)}:
        return None
    found = _TO_FOLDER.fullmatch(inside[0].args[-1])
    path = location.args[-1] if location.args else ""
    return found["path"] if found and location.args in {(path,), ("=", path)} and found["path"] == f"{path}/" else None
