"""
Finds what streams cannot be beside one another and beside sites: on a port that is somebody's already, with a certificate that is not
for their hosts or would have another's NAME, before themselves.

Which certificate serves a stream is `core`'s to say; what is asked of a CA for it, `issuance`'s.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

from gatelodge.config.keys import quoted
from gatelodge.config.shape import Tls
from gatelodge.config.suggest import nearest
from gatelodge.config.values import names
from gatelodge.model import ByHelper, Listener, ListenSettings, covers, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.config.draft import Draft
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.sections.streams import StreamSection
    from gatelodge.config.shape import Config, SiteSection
    from gatelodge.model import Name, NginxSettings


def find(draft: Draft, found: Mistakes) -> None:
    """
    Note what streams cannot have beside one another, sites, and this nginx.
    """
    config = draft.config
    if config.streams and isinstance(config.nginx.reload, ByHelper):
        found.add(
            ("streams",),
            "the helper of root's has nginx read nothing but http (docs/helper.md)",
            'leave the streams out, or choose another `reload`, or mode = "managed"',
        )
    _ports(draft, found)
    _certificates(draft, found)
    _circles(config, found)


def _ports(draft: Draft, found: Mistakes) -> None:
    """
    A port is one stream's alone: nginx has no second name for a stream by which to tell visitors apart.
    """
    taken = list(_taken(draft, found))
    for name, section in draft.config.streams.items():
        path, stream = ("streams", name), section.stream
        if found.unread((*path, "listen"), (*path, "protocol")):
            continue
        for listener in stream.listeners:
            owner = next((who for other, who in taken if other.overlaps(listener)), None)
            if owner is not None:
                found.add(
                    (*path, "listen"),
                    f"{listener} belongs to {owner} already",
                    "listen elsewhere; several names on one port are what `by_name` is for",
                )
        taken += [(listener, f"the stream {name}") for listener in stream.listeners]


def _taken(draft: Draft, found: Mistakes) -> Iterator[tuple[Listener, str]]:
    """
    Yield what nginx listens on besides streams, and for whom.
    """
    settings = draft.config.nginx
    if found.unread(("nginx", "http_port"), ("nginx", "https_port")):
        return
    if settings.http_port:
        yield Listener(port=settings.http_port), "nginx.http_port"
    for site, _ in draft.sites(found, "listen", "tls"):
        for listener in site.listeners:
            yield listener, f"the site {site.hosts[0]}"
            if site.tls is not Tls.OFF and _settings(settings, listener).http3:
                yield dataclasses.replace(listener, udp=True), f"the site {site.hosts[0]}, for HTTP/3"


def _settings(nginx: NginxSettings, listener: Listener) -> ListenSettings:
    return next((each for place, each in nginx.listen if place.includes(listener)), ListenSettings())


def _certificates(draft: Draft, found: Mistakes) -> None:
    """
    A certificate that a stream names is there, and good for its hosts; one of its own has a NAME of its own.
    """
    config = draft.config
    owners: dict[str, str] = {
        file_name(site.hosts[0]): site.hosts[0] for site, _ in draft.sites(found) if draft.has_own_certificate(site)
    }
    for name, section in config.streams.items():
        path = ("streams", name)
        if section.tls is Tls.OFF or found.unread((*path, "tls"), (*path, "hosts"), (*path, "certificate")):
            continue
        if section.certificate is not None:
            _named(path, section, draft, found)
        elif has_own_certificate(section, draft):
            own = file_name(section.hosts[0])
            if own in config.certificates:
                found.add(
                    path,
                    f"its own certificate would have the NAME of another in [certificates], {own}",
                    f"rename that one, or add the stream's hosts to it and write certificate = {quoted(own)} here",
                )
            elif own in owners:
                found.add(
                    path,
                    f"its own certificate would have the NAME of that of {owners[own]}, {own}",
                    "put another of its hosts first, or make one certificate for both in [certificates]",
                )
            else:
                owners[own] = f"the stream {name}"


def _named(path: Path, section: StreamSection, draft: Draft, found: Mistakes) -> None:
    name, known = section.certificate or "", draft.config.certificates
    if section.tls is not Tls.ACME or found.unread(draft.certificate_paths.get(name, ("certificates", name))):
        return
    if name not in known:
        meant = nearest(name, known)
        found.add(
            (*path, "certificate"),
            f"there is no {quoted(name)} in [certificates]",
            f"did you mean {quoted(meant)}?" if meant else "add it there, or leave this key out",
        )
        return
    bare = [host for host in section.hosts if not _covered((host,), known[name].names)]
    if bare:
        found.add(
            (*path, "certificate"),
            f"{quoted(name)} is not for {', '.join(bare)}",
            "add that to the names of the certificate, or leave this key out",
        )


def has_own_certificate(section: StreamSection, draft: Draft) -> bool:
    """
    Tell whether a stream gets a certificate of its own: it shows one, names none, and neither one that was asked for, nor that of a
    site or of a stream before it, is good for its hosts and as it wants its own to be.
    """
    hosts = section.hosts
    if section.tls is Tls.OFF or section.certificate or not hosts:
        return False
    if section.tls is Tls.ACME and any(_covered(hosts, each.names) for each in draft.config.certificates.values()):
        return False
    sites = (site for site in draft.config.sites.values() if _lends(site, section) and draft.has_own_certificate(site))
    before = itertools.takewhile(lambda each: each is not section, draft.config.streams.values())
    streams = (each for each in before if _lends(each, section) and has_own_certificate(each, draft))
    return not [*sites, *streams]


def _lends(owner: SiteSection | StreamSection, section: StreamSection) -> bool:
    return (
        (owner.tls, owner.files) == (section.tls, section.files)
        and section.keys in {None, owner.keys}
        and section.challenges in {None, owner.challenges}
        and _covered(section.hosts, owner.names)
    )


def _covered(hosts: tuple[Name, ...], by: tuple[Name, ...]) -> bool:
    return all(any(covers(name, host) for name in by) for host in hosts)


def _circles(config: Config, found: Mistakes) -> None:
    """
    Warn of streams that lead to themselves.
    """
    for name, section in config.streams.items():
        stream = section.stream
        own = {listener.port: listener.address for listener in stream.listeners}
        for upstream in (server.upstream for pool in stream.pools for server in pool.servers):
            here = upstream.host and names.is_loopback(upstream.host)
            if here and own.get(upstream.port) in {"", upstream.host}:
                found.warn(
                    ("streams", name, "upstream"),
                    f"{upstream.authority} is the stream itself, which would ask itself for ever",
                    "name the service's own port",
                )
