"""
Small values to render: sites, certificates that are said to be held, and an nginx of any version.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.core.desired import Desired
from gatelodge.core.observed import Held, Observed
from gatelodge.core.observed import Nginx as NginxObserved
from gatelodge.core.tree import Capabilities
from gatelodge.model import (
    INTERNAL_HOST,
    KeyKind,
    Listener,
    Name,
    NginxSettings,
    Pool,
    Route,
    Site,
    Upstream,
    file_name,
)

if TYPE_CHECKING:
    from gatelodge.core.tree import Quarantine

STATE = "/var/lib/gatelodge"

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def nginx(*version: int, ca_bundle: str | None = "/etc/ssl/certs/ca-certificates.crt") -> Capabilities:
    """
    Return what an nginx of this version can do, on a machine with IPv6.
    """
    major, minor, patch = version
    return Capabilities(
        binary="/usr/sbin/nginx",
        version=(major, minor, patch),
        modules=frozenset({"http_ssl_module", "http_v2_module", "http_stub_status_module"}),
        ipv6=True,
        user="www-data",
        group="www-data",
        resolvers=("127.0.0.11",),
        ca_bundle=ca_bundle,
    )


def held(name: str, *names: str, version: int = 1, issuer: str = "acme:letsencrypt") -> Held:
    """
    Return a certificate that is said to be held.
    """
    return Held(
        name=name,
        version=version,
        names=tuple(Name(each) for each in names or (name,)),
        issuer=issuer,
        key=KeyKind.ECDSA_P256,
        profile=None,
        serial="01",
        fingerprint=f"{version:064x}",
        not_before=NOW,
        not_after=NOW + dt.timedelta(days=90),
        stored_at=NOW,
        directory=f"{STATE}/certificates/{name}/versions/{version}",
    )


def site(*hosts: str, listen: tuple[Listener, ...] = (), routes: tuple[Route, ...] = (), tls: bool = True) -> Site:
    """
    Return a site; without routes, everything goes to one service.
    """
    return Site(
        hosts=tuple(Name(host) for host in hosts),
        listeners=listen or (Listener(port=443 if tls else 80),),
        routes=routes or (Route(path="/", action=Pool.of(Upstream(scheme="http", host="192.0.2.7", port=3000))),),
        certificates=(file_name(hosts[0]),) if tls else (),
    )


def desired(*sites: Site, settings: NginxSettings | None = None, webroot: str = f"{STATE}/webroot") -> Desired:
    """
    Return what asks for these sites.
    """
    return Desired(
        certificates={},
        sites=sites,
        nginx=settings or NginxSettings(),
        state_directory=STATE,
        webroot=webroot,
    )


def observed(
    *certificates: Held, found: Capabilities | None = None, quarantines: tuple[Quarantine, ...] = ()
) -> Observed:
    """
    Return a world with these certificates, and the one of the default servers.
    """
    every = (*certificates, held(INTERNAL_HOST, issuer="selfsigned"))
    return Observed(
        held={each.name: each for each in every},
        nginx=NginxObserved(capabilities=found or nginx(1, 28, 0)),
        quarantines={each.site: each for each in quarantines},
    )
