"""
What a valid configuration is once it is read: defaults filled in, names normalised, times and sizes as values.

Nothing here checks anything; `parse` is the only maker of a `Config`. Nothing below `runtime` sees it whole:
`core.desired` takes from it what must be held and served.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import TYPE_CHECKING

from gatelodge.config.values import names
from gatelodge.model import (
    DNS_PREFIX,
    HTTP_01,
    AdminSettings,
    CaSubject,
    Hsts,
    KeyKind,
    NginxSettings,
    OnBadName,
    is_ip,
    is_pattern,
)
from gatelodge.model.log import LogSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.keys import Path
    from gatelodge.config.sections.streams import StreamSection
    from gatelodge.model import (
        Auth,
        CertificateAuthority,
        ClientCertificates,
        DdnsSettings,
        DnsSettings,
        Export,
        FileIssuer,
        Hook,
        Listener,
        Maintenance,
        Mistake,
        Name,
        Notify,
        Route,
    )

STATE_DIRECTORY = "/var/lib/gatelodge"
ADMIN_SOCKET = "/run/gatelodge/admin.sock"


class Tls(enum.StrEnum):
    """
    Who makes a site's certificate, or that it has none. `FILES` are written as a table, never as this word.
    """

    ACME = "acme"
    LOCAL = "local"
    OFF = "off"
    FILES = "files"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AcmeSection:
    """
    `[acme]`: the account and what specs inherit. `webroot` None means the state directory's own, `challenges` None the only
    `[dns.NAME]` when there is exactly one, else http-01. `keys` are one kind, or an ECDSA and an RSA one. `cas` are tried in order;
    `proxy` is asked for all that they are asked.
    """

    agree_tos: bool
    cas: tuple[str, ...]
    email: str | None = None
    keys: tuple[KeyKind, ...] = (KeyKind.ECDSA_P256,)
    profile: str | None = None
    webroot: str | None = None
    challenges: tuple[str, ...] | None = None
    proxy: str | None = None
    on_bad_name: OnBadName = OnBadName.FAIL
    reuse_key: bool = False
    allow_ephemeral_state: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSection:
    """
    `[certificates.NAME]`: a certificate asked for by itself. None means: as in `[acme]`.
    """

    names: tuple[Name, ...]
    cas: tuple[str, ...] | None = None
    keys: tuple[KeyKind, ...] | None = None
    profile: str | None = None
    challenges: tuple[str, ...] | None = None
    alias: Name | None = None
    adopt: str | None = None
    on_bad_name: OnBadName | None = None
    reuse_key: bool | None = None
    exports: tuple[Export, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SiteSection:
    """
    One entry of `[sites]`. `hosts` begins with the entry's key, and may hold regular expressions after it; `redirect_hosts` lead
    to the first. `routes` always has one for `/`, unless none was given. `files` are there with `Tls.FILES` alone. `key` is where
    the entry stands, as people write it.
    """

    hosts: tuple[Name, ...]
    listeners: tuple[Listener, ...]
    routes: tuple[Route, ...]
    redirect_hosts: tuple[Name, ...] = ()
    tls: Tls = Tls.ACME
    files: FileIssuer | None = None
    certificate: str | None = None
    keys: tuple[KeyKind, ...] | None = None
    challenges: tuple[str, ...] | None = None
    exports: tuple[Export, ...] = ()
    hsts: Hsts = Hsts.OFF
    client_certificates: ClientCertificates | None = None
    maintenance: Maintenance | None = None
    preset: str | None = None
    snippet: str = ""
    key: str = ""

    @property
    def all_hosts(self) -> tuple[Name, ...]:
        """
        Every host by which visitors come, those that are redirected too.
        """
        return (*self.hosts, *self.redirect_hosts)

    @property
    def names(self) -> tuple[Name, ...]:
        """
        Every host that a certificate can be for: all but the regular expressions.
        """
        return tuple(host for host in self.all_hosts if not is_pattern(host))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnippetFile:
    """
    A snippet that stands in a file: it is read when the parts of a gate are made, not here.

    It belongs to a site, to the route with that position of it, to a stream, or with none of these to what the last key of `path` names.
    """

    path: Path
    file: str
    line: int | None = None
    site: Name | None = None
    route: int | None = None
    stream: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """
    A whole configuration. `authorities` holds the built-in CAs and those of `[acme.cas]`; `resolver` is `HOST:PORT`
    addresses, empty for the machine's own; `doh` are URLs of DNS-over-HTTPS services, None for the built-in ones; `dns_port` is where
    authoritative name servers are asked. `auth` says by NAME who asks visitors who they are. What stands in `snippet_files` is in no
    `snippet` yet. `exposed` are the keys under which secrets stand in the file itself; `warnings` are what
    `check` tells besides.
    """

    state_directory: str = STATE_DIRECTORY
    check_every: dt.timedelta = dt.timedelta(hours=12)
    acme: AcmeSection | None = None
    authorities: Mapping[str, CertificateAuthority] = dataclasses.field(default_factory=dict)
    certificates: Mapping[str, CertificateSection] = dataclasses.field(default_factory=dict)
    sites: Mapping[str, SiteSection] = dataclasses.field(default_factory=dict)
    streams: Mapping[str, StreamSection] = dataclasses.field(default_factory=dict)
    nginx: NginxSettings = dataclasses.field(default_factory=NginxSettings)
    resolver: tuple[str, ...] = ()
    doh: tuple[str, ...] | None = None
    dns_port: int = 53
    dns: Mapping[str, DnsSettings] = dataclasses.field(default_factory=dict)
    ddns: DdnsSettings | None = None
    auth: Mapping[str, Auth] = dataclasses.field(default_factory=dict)
    ca_subject: CaSubject = dataclasses.field(default_factory=CaSubject)
    log: LogSettings = dataclasses.field(default_factory=LogSettings)
    notify: tuple[Notify, ...] = ()
    hooks: tuple[Hook, ...] = ()
    snippet_files: tuple[SnippetFile, ...] = ()
    admin: AdminSettings = dataclasses.field(default_factory=AdminSettings)
    admin_socket: str = ADMIN_SOCKET
    exposed: tuple[str, ...] = ()
    warnings: tuple[Mistake, ...] = ()

    @property
    def dynamic_hosts(self) -> tuple[Name, ...]:
        """
        The hosts that `[ddns]` keeps: those given, else those of all sites and streams that the world's DNS can hold an address for.
        """
        given = self.ddns.hosts if self.ddns else ()
        entries: list[SiteSection | StreamSection] = [*self.sites.values(), *self.streams.values()]
        hosts = (
            host
            for each in entries
            if each.tls is not Tls.LOCAL
            for host in each.names
            if not is_ip(host) and not names.is_private(host)
        )
        return given or tuple(dict.fromkeys(hosts))

    def challenges(self, own: tuple[str, ...] | None) -> tuple[str, ...]:
        """
        Return the ways to prove a certificate's names: its own, those of `[acme]`, the only DNS provider, else http-01.
        """
        inherited = self.acme.challenges if self.acme else None
        only = tuple(f"{DNS_PREFIX}{name}" for name in self.dns) if len(self.dns) == 1 else None
        return own or inherited or only or (HTTP_01,)
