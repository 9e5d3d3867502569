"""
Finds what sites and certificates cannot have together: one host twice, a port that is both TLS and plain, one NAME for two
things. Each of these nginx would refuse, or worse, resolve by the order of its files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.config.keys import quoted
from gatelodge.config.shape import Tls
from gatelodge.config.suggest import nearest
from gatelodge.model import Listener, covers, file_name, is_ip, name_beside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gatelodge.config.draft import Draft
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.shape import SiteSection
    from gatelodge.model import KeyKind, Name


def find(draft: Draft, found: Mistakes) -> None:
    """
    Note every conflict.
    """
    for check in (
        _no_host_twice,
        _one_protocol,
        _plain_port,
        _ip_hosts_agree,
        _named,
        _file_names,
        _beside,
    ):
        check(draft, found)


def _listening(draft: Draft, found: Mistakes) -> Iterator[tuple[SiteSection, Path]]:
    """
    Yield the sites of which it is known where they listen.
    """
    for site, path in draft.sites(found, "listen", "tls"):
        port = "http_port" if site.tls is Tls.OFF else "https_port"
        if draft.tables[site.hosts[0]].listen is not None or not found.unread(("nginx", port)):
            yield site, path


class _Claims:
    """
    Who listens where, to be told who was there first.
    """

    def __init__(self) -> None:
        self._by_port: dict[int, dict[Listener, SiteSection]] = {}

    def add(self, site: SiteSection, listeners: Iterable[Listener]) -> list[tuple[Listener, Listener, SiteSection]]:
        """
        Let a site listen, and return what is another's already: the listener, the other's, and whose that is. `443` and
        `127.0.0.1:443` are one place to who visits that address, and each site is to be reached wherever its own says.
        """
        taken = []
        for listener in listeners:
            there = self._by_port.setdefault(listener.port, {})
            # Who is on the very same listener answered for it towards the others when he came.
            first = {listener: there[listener]} if listener in there else there
            taken += [
                (listener, theirs, other)
                for theirs, other in first.items()
                if other is not site and listener.overlaps(theirs)
            ]
            there.setdefault(listener, site)
        return taken


def _no_host_twice(draft: Draft, found: Mistakes) -> None:
    """
    Every host has one site wherever a visitor can come. On the plain port a site with TLS has a redirect, and so a claim.
    """
    owners: dict[Name, _Claims] = {}
    plain = draft.config.nginx.http_port
    redirects = (Listener(port=plain),) if plain and not found.unread(("nginx", "http_port")) else ()
    for site, path in _listening(draft, found):
        claimed = (*site.listeners, *(redirects if site.tls is not Tls.OFF else ()))
        for host in site.all_hosts:
            taken = owners.setdefault(host, _Claims()).add(site, claimed)
            if taken:
                listener, theirs, owner = taken[0]
                found.add(
                    path,
                    f"{host} on {listener} belongs to {owner.hosts[0]} already"
                    + (f", which is reached there by its {theirs}" if theirs != listener else ""),
                    "name a host in one site only, and what lies below it in its routes"
                    + (
                        f"; on {plain} every site with TLS has its redirect"
                        if {listener, theirs}.intersection(redirects)
                        else ""
                    ),
                )


def _one_protocol(draft: Draft, found: Mistakes) -> None:
    claims = _Claims()
    for site, path in _listening(draft, found):
        others = [
            each for each in claims.add(site, site.listeners) if (each[2].tls is Tls.OFF) is not (site.tls is Tls.OFF)
        ]
        if others:
            listener, _, other = others[0]
            found.add(
                (*path, "listen"),
                f"{listener} is {'plain' if site.tls is Tls.OFF else 'TLS'} here and not so for {other.hosts[0]}",
                "let them listen on different ports, or give both the same kind of tls",
            )


def _plain_port(draft: Draft, found: Mistakes) -> None:
    plain = draft.config.nginx.http_port
    if not plain or found.unread(("nginx", "http_port"), ("nginx", "https_port")):
        return
    if plain == draft.config.nginx.https_port:
        found.add(
            ("nginx", "https_port"), f"{plain} is http_port too, and cannot be both", "give one of them another port"
        )
        return
    for site, path in _listening(draft, found):
        if site.tls is not Tls.OFF and any(listener.port == plain for listener in site.listeners):
            found.add(
                (*path, "listen"),
                f"{plain} is nginx.http_port, the plain one",
                'listen elsewhere, or write tls = "off" to serve it without TLS',
            )


def _ip_hosts_agree(draft: Draft, found: Mistakes) -> None:
    """
    Visitors of an IP send no name (RFC 6066 §3), so a listener has one certificate for all its IP hosts.
    """
    claims = _Claims()
    for site, path in _listening(draft, found):
        if (
            site.tls is Tls.OFF
            or not any(map(is_ip, site.names))
            or found.unread((*path, "certificate"), (*path, "key"))
        ):
            continue
        ways = (site.tls, site.certificate, site.keys, site.files)
        others = [
            each
            for each in claims.add(site, site.listeners)
            if (each[2].tls, each[2].certificate, each[2].keys, each[2].files) != ways
        ]
        if others:
            listener, _, other = others[0]
            found.add(
                path,
                f"its certificate differs from that of {other.hosts[0]}, and visitors of an address on {listener} "
                "cannot choose between two",
                "give both the same `tls`, `certificate` and `key`, or different ports",
            )


def _named(draft: Draft, found: Mistakes) -> None:
    """
    A certificate that a site names is there, and good for all its hosts.
    """
    known = draft.config.certificates
    for site, path in draft.sites(found, "certificate", "tls"):
        name = site.certificate
        if name is None or site.tls is not Tls.ACME:
            continue
        key = draft.tables[site.hosts[0]].certificate or name
        if found.unread(("certificates", key), draft.certificate_paths.get(name, ("certificates", name))):
            continue
        if name not in known:
            meant = nearest(name, known)
            found.add(
                (*path, "certificate"),
                f"there is no {quoted(key)} in [certificates]",
                f"did you mean {quoted(meant)}?" if meant else "add it there, or leave this key out",
            )
            continue
        bare = [host for host in site.names if not any(covers(pattern, host) for pattern in known[name].names)]
        if bare:
            found.add(
                (*path, "certificate"),
                f"{quoted(key)} is not for {', '.join(bare)}",
                "add that to the names of the certificate, or leave this key out",
            )


def _file_names(draft: Draft, found: Mistakes) -> None:
    """
    What is stored or written under a NAME belongs to one thing only.
    """
    first: dict[str, str] = {}
    for site, path in draft.sites(found):
        name = file_name(site.hosts[0])
        other = first.setdefault(name, site.hosts[0])
        if other != site.hosts[0]:
            found.add(path, f"its files would have the name of {other}'s, {name}", "put another of its hosts first")
    for site, path in draft.sites(found, "tls", "certificate"):
        name = file_name(site.hosts[0])
        if name not in draft.config.certificates or site.tls is Tls.OFF or site.certificate:
            continue
        if found.unread((*draft.certificate_paths[name], "names")):
            continue
        if draft.has_own_certificate(site) or any(map(is_ip, site.names)):
            found.add(
                path,
                f"its own certificate would have the NAME of another in [certificates], {name}",
                f"rename that one, or add the site's hosts to it and write certificate = {quoted(name)} here",
            )


def _beside(draft: Draft, found: Mistakes) -> None:
    """
    Of two kinds of key the RSA one is a certificate beside the first, under a NAME that is nobody else's.
    """
    usual = draft.config.acme.keys if draft.config.acme and not found.unread(("acme", "key")) else ()
    keys: dict[str, tuple[tuple[KeyKind, ...], Path]] = {
        name: (section.keys or usual, draft.certificate_paths[name])
        for name, section in draft.config.certificates.items()
    }
    for site, path in draft.sites(found, "tls", "certificate"):
        if draft.has_own_certificate(site):
            inherited = usual if site.tls is Tls.ACME else ()
            keys.setdefault(file_name(site.hosts[0]), (site.keys or inherited, path))
    for name, (kinds, path) in keys.items():
        other = name_beside(name)
        if len({kind.is_rsa for kind in kinds}) > 1 and other in keys and not found.unread((*path, "key")):
            found.add(
                keys[other][1],
                f"its certificate would have the NAME {other}, which is that of {name}'s second one, with an RSA key",
                "rename it, or put another of its hosts first",
            )
