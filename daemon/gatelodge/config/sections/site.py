"""
Turns one entry of `[sites]` into a section: its hosts, where it listens, whose certificate it shows, and what holds for all of it.

What one entry means for another is not looked at here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.config.document.fields import given
from gatelodge.config.document.site_tables import FilesTable, MaintenanceTable
from gatelodge.config.keys import written
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.sections import exports, routes
from gatelodge.config.sections.certificates import keys, no_name_twice
from gatelodge.config.shape import SiteSection, SnippetFile, Tls
from gatelodge.config.values import names, snippets
from gatelodge.config.values.networks import ALL
from gatelodge.model import (
    ClientCertificates,
    FileIssuer,
    Hsts,
    Listener,
    Maintenance,
    file_name,
    is_pattern,
    is_wildcard,
)

if TYPE_CHECKING:
    from gatelodge.config.document.site_tables import SiteTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.sections.levels import Known
    from gatelodge.model import Name, NginxSettings

#: NAME_MAX is 255 (limits.h); what we call files adds an ending to the name.
_LONGEST_FILE_NAME = 240

_HTTPS_PORT = 443

_SHORTER_FIRST = "use a shorter one of its hosts as the site's key"


def read(
    key: str, table: SiteTable, settings: NginxSettings, known: Known, found: Mistakes
) -> tuple[SiteSection, tuple[SnippetFile, ...]] | None:
    """
    Fill in one entry, and return its snippets that stand in files beside it; None when its key is no host.
    """
    path: Path = ("sites", key)
    first = _first(path, key, found)
    if first is None:
        return None
    tls, files = _tls(path, table, found)
    hosts = (first, *(table.hosts or ()))
    redirected = table.redirect_hosts or ()
    no_name_twice((*hosts, *redirected), (*path, "hosts"), found)
    _hosts_fit(path, table, first, tls, found)
    _certificate_keys_fit(path, table, tls, found)
    listed, route_files = routes.read(first, path, table, known, found)
    at = (*path, "snippet")
    snippet, file = snippets.read(at, table.snippet, found)
    own_file = [SnippetFile(path=at, file=file, line=found.line(at), site=first)] if file else []
    section = SiteSection(
        hosts=tuple(dict.fromkeys(hosts)),
        redirect_hosts=tuple(host for host in dict.fromkeys(redirected) if host not in hosts),
        listeners=_listeners(path, table, tls, settings, found),
        routes=listed,
        tls=tls,
        files=files,
        certificate=file_name(table.certificate) if table.certificate else None,
        challenges=table.challenge,
        exports=exports.read((*path, "export"), table.export, file_name(first), found),
        hsts=_hsts(path, table, tls, found),
        client_certificates=_client_certificates(path, table, tls, found),
        maintenance=_maintenance(path, table, known, found),
        preset=table.preset,
        snippet=snippet,
        key=written(path),
        **keys((*path, "key"), table.key, found),
    )
    _hsts_port(path, section, settings, found)
    return section, (*own_file, *route_files)


def _first(path: Path, key: str, found: Mistakes) -> Name | None:
    """
    Return the host by which a site is known; None when it is none.
    """
    if is_pattern(key):
        found.add_unread(
            path,
            "a site is known by a host, and this is a regular expression",
            'write a host here, such as "*.example.com", and the expression in `hosts`',
        )
        return None
    try:
        first = names.host(key)
    except Unreadable as error:
        found.add_unread(path, error.problem, error.remedy)
        return None
    if len(file_name(first)) > _LONGEST_FILE_NAME:
        found.add(path, f"it is longer than {_LONGEST_FILE_NAME} characters, the most for a file name", _SHORTER_FIRST)
    return first


def _tls(path: Path, table: SiteTable, found: Mistakes) -> tuple[Tls, FileIssuer | None]:
    at = (*path, "tls")
    if not isinstance(table.tls, FilesTable):
        return table.tls or Tls.ACME, None
    certificate, key = table.tls.certificate, table.tls.key
    if certificate is None or key is None:
        if not found.unread(at):
            lacking = "key" if certificate else "certificate"
            found.add(at, f"it has no {lacking}", 'write tls = { certificate = "/path", key = "/path" }')
        return Tls.FILES, None
    return Tls.FILES, FileIssuer(certificate=certificate, key=key)


def _hosts_fit(path: Path, table: SiteTable, first: Name, tls: Tls, found: Mistakes) -> None:
    patterns = [host for host in table.hosts or () if is_pattern(host)]
    covered = table.certificate is not None or tls in {Tls.OFF, Tls.FILES}
    if patterns and not covered and not found.unread((*path, "certificate"), (*path, "tls")):
        found.add(
            (*path, "hosts"),
            "no certificate can be asked for a regular expression",
            'write certificate = "NAME", an entry of [certificates] with a wildcard that covers its hosts',
        )
    if table.redirect_hosts and is_wildcard(first):
        found.add(
            (*path, "redirect_hosts"),
            f"they lead to the site's first host, and {first} stands for many",
            "use one host as the site's key, and the wildcard in `hosts`",
        )


def _certificate_keys_fit(path: Path, table: SiteTable, tls: Tls, found: Mistakes) -> None:
    if found.unread((*path, "tls")):
        return
    said = "tls = { certificate, key }" if tls is Tls.FILES else f'tls = "{tls}"'
    if table.certificate and tls is not Tls.ACME:
        found.add(
            (*path, "certificate"),
            f"a site with {said} is not served by an entry of [certificates]",
            "leave out either `certificate` or `tls`",
        )
    if table.key and table.certificate:
        found.add((*path, "key"), "the key's kind belongs to the certificate that is named here", "move it there")
    elif table.key and tls is Tls.OFF:
        found.add((*path, "key"), "a site without TLS has no key", "leave it out")
    elif table.key and tls is Tls.FILES:
        found.add((*path, "key"), "the kind of a key of your own is what it is", "leave it out")
    if table.challenge and table.certificate:
        found.add(
            (*path, "challenge"), "the way to prove belongs to the certificate that is named here", "move it there"
        )
    elif table.challenge and tls is not Tls.ACME:
        found.add((*path, "challenge"), f"a site with {said} is proven to nobody", "leave it out")
    if table.export and table.certificate:
        found.add((*path, "export"), "copies are made of the certificate that is named here", "move it there")
    elif table.export and tls is Tls.OFF:
        found.add((*path, "export"), "a site without TLS has no certificate", "leave it out")


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


def _hsts(path: Path, table: SiteTable, tls: Tls, found: Mistakes) -> Hsts:
    hsts, at = table.hsts or Hsts.OFF, (*path, "hsts")
    if hsts is Hsts.OFF or found.unread((*path, "tls")):
        return hsts
    if tls is Tls.OFF:
        found.add(at, "browsers take it over https alone, and this site has none (RFC 6797 §8.1)", "leave it out")
        return hsts
    if hsts is Hsts.PRELOAD:
        found.warn(
            at,
            "browsers remember for years that this host and every one below it must be https, and forget it slowly",
            'write "on" until all of them are, for good',
        )
    return hsts


def _hsts_port(path: Path, section: SiteSection, settings: NginxSettings, found: Mistakes) -> None:
    """
    Warn of HSTS on another port than 443: it is remembered for the host, whatever its port.
    """
    if section.hsts is Hsts.OFF or section.tls is Tls.OFF or not section.listeners:
        return
    first = section.listeners[0].port
    port = settings.public_https_port if first == settings.https_port else first
    unread = found.unread((*path, "listen"), (*path, "tls"), ("nginx", "https_port"), ("nginx", "public_https_port"))
    if port != _HTTPS_PORT and not unread:
        found.warn(
            (*path, "hsts"),
            f"visitors come by port {port}, and a browser will expect https on every other port of this host too "
            "(RFC 6797 §8.3)",
            "leave it out, unless nothing else answers there",
        )


def _client_certificates(path: Path, table: SiteTable, tls: Tls, found: Mistakes) -> ClientCertificates | None:
    asked, at = table.client_certificates, (*path, "client_certificates")
    if asked is None:
        return None
    if tls is Tls.OFF and not found.unread((*path, "tls")):
        found.add(at, "visitors show certificates over TLS alone, and this site has none", "leave it out")
    if asked.ca is None:
        if not found.unread(at):
            found.add(at, "it does not say whose certificates", 'write ca = "/path/ca.pem"')
        return None
    return ClientCertificates(ca=asked.ca, **given(asked, "optional", "depth"))


def _maintenance(path: Path, table: SiteTable, known: Known, found: Mistakes) -> Maintenance | None:
    closed = table.maintenance
    if isinstance(closed, MaintenanceTable):
        at = (*path, "maintenance", "allow")
        allow = known.networks.resolved(at, closed.allow or ())
        if not set(allow).isdisjoint(ALL):
            found.add(at, "everybody may come, and nothing is closed", "write maintenance = false, or fewer networks")
        return Maintenance(allow=allow, **given(closed, "page", "retry_after"))
    if isinstance(closed, str):
        return Maintenance(page=closed)
    return Maintenance() if closed else None
