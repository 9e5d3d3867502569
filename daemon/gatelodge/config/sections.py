"""
Turns tables into the sections of a `Config`: fills in defaults, inherits, and refuses what cannot be within one entry.

What one entry means for another is not looked at here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatelodge.config import names, texts
from gatelodge.config.keys import quoted, written
from gatelodge.config.leaves import Mode
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.shape import AcmeSection, CertificateSection, SiteSection, Tls
from gatelodge.config.suggest import nearest
from gatelodge.model import (
    INTERNAL_HOST,
    ByCommands,
    ByHelper,
    ByMailbox,
    CertificateAuthority,
    Listener,
    NginxSettings,
    Pool,
    Route,
    Transport,
    file_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.catalog import Catalog
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.tables import AcmeTable, AuthorityTable, CertificateTable, NginxTable, RouteTable, SiteTable
    from gatelodge.model import KeyKind, Name, Upstream

#: What a route inherits from its site.
_INHERITED = ("timeout", "connect_timeout", "body_size", "websocket")

#: NAME_MAX is 255 (limits.h); what we call files adds an ending to the name.
_LONGEST_FILE_NAME = 240


#: Keys of `[nginx]` that mean nothing for an nginx of that kind, and why.
_OF_OTHERS: Mapping[str, str] = {
    "user": "write it into the nginx.conf of that nginx",
    "drain": "write worker_shutdown_timeout into the nginx.conf of that nginx",
}
_OF_OURS: Mapping[str, str] = {
    "reload": 'write mode = "external" when others run nginx',
    "group": 'write mode = "external" when others run nginx',
    "default_server": 'write mode = "external" when others run nginx',
}

_OF_THE_HELPERS: Mapping[str, str] = {
    "binary": "leave it out: the helper is told which nginx it is (docs/helper.md)",
    "group": "leave it out: the helper and nginx's master are root, and read what they must",
}


def nginx(table: NginxTable, found: Mistakes) -> NginxSettings:
    """
    Fill in `[nginx]`: the public ports are the ports themselves, unless others are given.
    """
    external = table.mode is Mode.EXTERNAL
    binary = table.binary or NginxSettings().binary
    usual = ByCommands(commands=((binary, "-t"), (binary, "-s", "reload")))
    reload = (table.reload or usual) if external else None
    if not found.unread(("nginx", "mode")):
        idle = dict(_OF_OTHERS if external else _OF_OURS)
        if isinstance(reload, ByMailbox):
            idle["binary"] = "leave it out: the script in the other place asks the nginx that is there"
        if isinstance(reload, ByHelper):
            idle |= _OF_THE_HELPERS
        if external and table.access_log == "stdout":
            found.add(("nginx", "access_log"), "the nginx is others', and does not write to us", "write a path")
        for key, remedy in idle.items():
            if getattr(table, key) is not None:
                whose = "that others run" if external else "that Gatelodge runs"
                found.add(("nginx", key), f"it means nothing for an nginx {whose}", remedy)
    ports: dict[str, Any] = {}
    for name in ("http_port", "https_port"):
        given = _given(table, f"public_{name}", name)
        if given:
            ports[f"public_{name}"] = next(iter(given.values()))
    kept = (
        *("binary", "address", "http_port", "https_port", "user", "access_log", "drain", "reload_interval"),
        *("group", "default_server"),
    )
    return NginxSettings(reload=reload, **_given(table, *kept), **ports)


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
        **_given(table, "email", "profile", "webroot"),
        **_keys(table.key),
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
    _no_name_twice(table.names or (), (*path, "names"), found)
    return CertificateSection(
        names=table.names or (),
        ca=_one_ca((*path, "ca"), table.ca, known, catalog, found),
        challenges=table.challenge,
        alias=table.alias,
        adopt=table.adopt,
        **_given(table, "profile"),
        **_keys(table.key),
    )


def site(key: str, table: SiteTable, settings: NginxSettings, found: Mistakes) -> SiteSection | None:
    """
    Fill in one entry of `[sites]`; None when its key is no host.
    """
    path = ("sites", key)
    try:
        first = names.host(key)
    except Unreadable as error:
        found.add_unread(path, error.problem, error.remedy)
        return None
    if len(file_name(first)) > _LONGEST_FILE_NAME:
        found.add(path, f"it is longer than {_LONGEST_FILE_NAME} characters, the most for a file name", _SHORTER_FIRST)
    hosts = (first, *(table.hosts or ()))
    tls = table.tls or Tls.ACME
    _no_name_twice(hosts, (*path, "hosts"), found)
    _certificate_keys_fit(path, table, tls, found)
    return SiteSection(
        hosts=tuple(dict.fromkeys(hosts)),
        listeners=_listeners(path, table, tls, settings, found),
        routes=_routes(path, table, found),
        tls=tls,
        certificate=file_name(table.certificate) if table.certificate else None,
        challenges=table.challenge,
        key=written(path),
        **_keys(table.key),
    )


_SHORTER_FIRST = "use a shorter one of its hosts as the site's key"

_BAD_NAME = (
    "it cannot be the name of a file",
    'use letters, digits, ".", "-" and "_", at most 200 of them, beginning and ending with a letter or digit',
)


def _given(table: object, *keys: str) -> dict[str, Any]:
    """
    Return those of a table's keys that the person wrote.
    """
    return {key: value for key in keys if (value := getattr(table, key)) is not None}


def _keys(given: KeyKind | None) -> dict[str, Any]:
    return {"keys": (given,)} if given else {}


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


def _no_name_twice(hosts: tuple[Name, ...], path: Path, found: Mistakes) -> None:
    for host in dict.fromkeys(host for host in hosts if hosts.count(host) > 1):
        found.add(path, f"{host} is there twice", "leave one of them out")


def _certificate_keys_fit(path: Path, table: SiteTable, tls: Tls, found: Mistakes) -> None:
    if found.unread((*path, "tls")):
        return
    if table.certificate and tls is not Tls.ACME:
        found.add(
            (*path, "certificate"),
            f'a site with tls = "{tls}" is not served by an entry of [certificates]',
            "leave out either `certificate` or `tls`",
        )
    if table.key and table.certificate:
        found.add((*path, "key"), "the key's kind belongs to the certificate that is named here", "move it there")
    elif table.key and tls is Tls.OFF:
        found.add((*path, "key"), "a site without TLS has no key", "leave it out")
    if table.challenge and table.certificate:
        found.add(
            (*path, "challenge"), "the way to prove belongs to the certificate that is named here", "move it there"
        )
    elif table.challenge and tls is not Tls.ACME:
        found.add((*path, "challenge"), f'a site with tls = "{tls}" is proven to nobody', "leave it out")


def _listeners(
    path: Path, table: SiteTable, tls: Tls, settings: NginxSettings, found: Mistakes
) -> tuple[Listener, ...]:
    if table.listen is None:
        port = settings.http_port if tls is Tls.OFF else settings.https_port
        if not port and not found.unread((*path, "listen"), (*path, "tls")):
            found.add(path, "it has no port: nginx.http_port is 0", "write listen = [8080], or the port that is meant")
        return (Listener(port=port),)
    if not table.listen and not found.unread((*path, "listen")):
        found.add((*path, "listen"), "it is empty", "write a port: [443]; or leave it out")
    for listener in dict.fromkeys(each for each in table.listen if table.listen.count(each) > 1):
        found.add((*path, "listen"), f"{listener} is there twice", "leave one of them out")
    return tuple(dict.fromkeys(table.listen))


def _routes(path: Path, table: SiteTable, found: Mistakes) -> tuple[Route, ...]:
    routes = [_route("/", table.upstream, None, table)] if table.upstream else []
    if table.upstream and "/" in table.routes:
        found.add((*path, "routes", "/"), "the site has an upstream for / already", "leave out one of the two")
    for prefix, inner in table.routes.items():
        if inner.upstream:
            routes.append(_route(prefix, inner.upstream, inner, table))
        elif not found.unread((*path, "routes", prefix, "upstream")):
            found.add((*path, "routes", prefix), "it has no upstream", 'write upstream = "http://…"')
    if not table.upstream and not table.routes and not found.unread((*path, "upstream"), (*path, "routes")):
        found.add(path, "it leads nowhere", 'write upstream = "http://…", or routes')
    return tuple(routes)


def _route(prefix: str, upstream: Upstream, table: RouteTable | None, around: SiteTable) -> Route:
    options = _given(around, *_INHERITED) | (_given(table, *_INHERITED) if table else {})
    return Route(path=prefix, action=Pool.of(upstream), transport=Transport(**options))
