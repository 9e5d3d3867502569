"""
Decides what one site's server blocks say: its plain listener, its TLS listeners, and what stands in each beside its routes.

The text depends on the site, its certificates' versions, who is asked about its visitors, and the ground alone, never on another
site, so that it is made once, remembered, and can be kept back without touching anybody else's.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.model import Listener, Match, is_ip, is_pattern
from gatelodge.nginx.writing import pages
from gatelodge.nginx.writing.ground import Ground, listens, speaks_http3, token_location
from gatelodge.nginx.writing.guard import Doorkeepers
from gatelodge.nginx.writing.location import hsts, locations, needs_unreachable
from gatelodge.nginx.writing.quote import Directive, Expression, Raw, Verbatim, block, line, write
from gatelodge.nginx.writing.upstreams import Upstreams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatelodge.model import Auth, Name, Site
    from gatelodge.nginx.writing.ground import Place
    from gatelodge.nginx.writing.quote import Argument, Part

HEADER = "# Written by Gatelodge. Changes made here are lost.\n"

#: How long a browser may remember that a site speaks HTTP/3 (RFC 7838 §3.1), in seconds.
_ALTERNATIVE_SECONDS = 86400

#: Who comes with a large body is told where to go, not that it is too large.
_ANY_BODY = line("client_max_body_size", "0")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """
    A certificate that a site shows: the folder of its version, and whether it only stands in for another.
    """

    directory: str
    placeholder: bool

    def directives(self) -> tuple[Directive, Directive]:
        """
        Return the directives that name it. nginx's workers cannot read keys, so the paths never hold a variable.
        """
        return (
            line("ssl_certificate", f"{self.directory}/fullchain.pem"),
            line("ssl_certificate_key", f"{self.directory}/privkey.pem"),
        )


def serving(site: Site, files: tuple[Files, ...], ground: Ground, auths: tuple[tuple[str, Auth], ...] = ()) -> str:
    """
    Write a site as it was asked for. Without a certificate its TLS listeners are left out.

    Args:
        files: its certificates, one for each kind of key.
        auths: those entries of `[auth]` that its routes name.

    Raises:
        ValueError: something of it cannot be written for nginx.
    """
    keepers = Doorkeepers(site=site, auths=auths, ground=ground)
    upstreams = Upstreams(site.file_name, ground)
    placeholder = any(each.placeholder for each in files)
    servers: list[Directive] = []
    if site.plain:
        for place in ground.places(site.listeners):
            servers.append(_server(site.hosts, place, ground, _inside(site, upstreams, keepers, ground)))
            servers += _elsewhere(site, place, ground)
    elif ground.http:
        redirect = _redirect(site, ground, placeholder=placeholder or not files)
        for place in ground.places([ground.http]):
            servers.append(_server(site.hosts, place, ground, [redirect]))
            servers += _elsewhere(site, place, ground, placeholder=placeholder or not files)
    for place in ground.places(site.listeners) if files else ():
        told = (*hsts(site, placeholder=placeholder), *_alternative(place, ground))
        inside = [*_certificates_of_visitors(site), *_inside(site, upstreams, keepers, ground, told=told)]
        servers.append(_server(site.hosts, place, ground, inside, files=files))
        servers += _elsewhere(site, place, ground, files=files, placeholder=placeholder)
    closing = pages.closing(site.maintenance, site)[0] if site.maintenance else []
    return HEADER + write([*closing, *keepers.before.values(), *upstreams.blocks.values(), *servers])


def refusing(site: Site, files: tuple[Files, ...], ground: Ground, *, closed: frozenset[Listener]) -> str:
    """
    Write a site that answers 503 and holds nothing of the user's but its hosts, its certificates and its listeners.

    Args:
        closed: listeners that cannot be opened, and are left out.
    """
    answer = [block("location", "/", inside=[line("return", "503")])]
    hosts = (*(host for host in site.hosts if not is_pattern(host)), *site.redirect_hosts)
    open_listeners = tuple(listener for listener in site.listeners if listener not in closed)
    plain = open_listeners if site.plain else (ground.http,) if ground.http else ()
    servers = [_server(hosts, place, ground, answer) for place in ground.places(plain)]
    if not site.plain and files:
        servers += [_server(hosts, place, ground, answer, files=files) for place in ground.places(open_listeners)]
    return HEADER + write(servers)


def server_name(host: Name) -> Argument:
    """
    Return a host as nginx compares it with a Host header: IPv6 addresses stand in brackets there (RFC 3986 §3.2.2).
    """
    if is_pattern(host):
        return Verbatim(host)
    return f"[{host}]" if ":" in host and is_ip(host) else host


def _inside(
    site: Site, upstreams: Upstreams, keepers: Doorkeepers, ground: Ground, *, told: Sequence[tuple[str, str]] = ()
) -> list[Part]:
    """
    Return a site's locations, and what else stands beside them.
    """
    closed = pages.closing(site.maintenance, site, told) if site.maintenance else ([], [], [])
    # What a location says itself takes the place of these; the others have them too.
    written: list[Part] = [line("add_header", name, value, "always") for name, value in told]
    written += [
        each
        for route in site.routes
        for each in locations(site, route, upstreams=upstreams, keepers=keepers, ground=ground, told=told)
    ]
    if not any(route.path == "/" and route.match is Match.PREFIX for route in site.routes):
        # nginx would look for files of its own here.
        written.append(block("location", "/", inside=[*closed[1], line("return", "404")]))
    written += keepers.locations(upstreams, told)
    written += pages.own_pages(site)
    written += [pages.unreachable()] if needs_unreachable(site.routes) else []
    written += closed[2]
    return [Raw(site.snippet, f"{site.key}.snippet"), *written] if site.snippet else written


def _server(
    hosts: tuple[Name, ...], place: Place, ground: Ground, inside: Sequence[Part], *, files: tuple[Files, ...] = ()
) -> Directive:
    """
    Write a server block, with TLS when there are certificates for it.
    """
    head = [
        *listens(place.listeners, ground, tls=bool(files)),
        line("server_name", *map(server_name, hosts)),
    ]
    head += ground.opening(place.terms, tls=bool(files))
    head += [directive for each in files for directive in each.directives()] if files else _tokens(place, ground)
    return block("server", inside=[*head, *inside])


def _elsewhere(
    site: Site, place: Place, ground: Ground, *, files: tuple[Files, ...] = (), placeholder: bool = False
) -> list[Directive]:
    """
    Return the server of the hosts that lead to the site's first one, if there are any.
    """
    if not site.redirect_hosts:
        return []
    scheme, port = (
        ("http", "$gatelodge_port_suffix") if site.plain else ("https", ground.public_authority(site.listeners[0]))
    )
    target = f"{scheme}://{server_name(site.hosts[0])}{port}$request_uri"
    told = hsts(site, placeholder=placeholder) if files else []
    said = [line("add_header", name, value, "always") for name, value in told]
    answer = line("return", "302" if placeholder else "301", Expression(target))
    everything = block("location", "/", inside=[*said, _ANY_BODY, answer])
    return [_server(site.redirect_hosts, place, ground, [everything], files=files)]


def _tokens(place: Place, ground: Ground) -> list[Directive]:
    here = any(listener.port == ground.http_port for listener in place.listeners)
    return [token_location(ground)] if here else []


def _redirect(site: Site, ground: Ground, *, placeholder: bool) -> Directive:
    # A browser remembers a 301 for ever; a site whose certificate is not there yet may still change its mind.
    status = "302" if placeholder else "301"
    target = f"https://$host{ground.public_authority(site.listeners[0])}$request_uri"
    return block("location", "/", inside=[_ANY_BODY, line("return", status, Expression(target))])


def _alternative(place: Place, ground: Ground) -> list[tuple[str, str]]:
    """
    Return the header by which browsers learn of HTTP/3 (RFC 9114 §3.1.1), on the port that they reach.
    """
    if not speaks_http3(place.terms, ground):
        return []
    return [("Alt-Svc", f'h3=":{ground.public_port(place.listeners[0])}"; ma={_ALTERNATIVE_SECONDS}')]


def _certificates_of_visitors(site: Site) -> list[Directive]:
    asked = site.client_certificates
    if asked is None:
        return []
    return [
        line("ssl_client_certificate", Verbatim(asked.ca)),
        line("ssl_verify_client", "optional" if asked.optional else "on"),
        line("ssl_verify_depth", str(asked.depth)),
    ]
