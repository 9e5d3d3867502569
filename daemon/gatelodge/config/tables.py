"""
The TOML as people write it: one dataclass for each table, one field for each key, every one of them optional.

Values here are read and normalised one by one. What must be there, and what fits together, is decided in `parse`.
"""

# ruff: noqa: RUF009 - `_key` and `_entries` make dataclass fields; no value is shared

import dataclasses
from typing import Annotated, Any

from gatelodge.config import leaves
from gatelodge.config.leaves import OneOrMore, Shorthand


def _key(description: str) -> Any:
    return dataclasses.field(default=None, metadata={"description": description})


def _entries(description: str) -> Any:
    return dataclasses.field(default_factory=dict, metadata={"description": description})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """
    A path of a site and the upstream behind it; its upstream's URL alone will do.
    """

    upstream: leaves.UpstreamUrl | None = _key(
        "The service behind this path. A path in it, even /, replaces the prefix."
    )
    timeout: leaves.Timeout | None = _key("How long the upstream may be silent. Default: the site's.")
    connect_timeout: leaves.Timeout | None = _key("How long connecting may take. Default: the site's.")
    body_size: leaves.Size | None = _key("The largest request body; 0 has no limit. Default: the site's.")
    websocket: leaves.WebsocketKind | None = _key("auto passes upgrades on when asked for, force always asks for one.")
    match: leaves.MatchKind | None = _key("How the path is compared. Default: prefix.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SiteTable:
    """
    A site, by its first host name; its upstream's URL alone will do.
    """

    hosts: tuple[leaves.HostName, ...] | None = _key("Further host names of this site.")
    listen: tuple[leaves.Listening, ...] | None = _key(
        'Ports or "ADDRESS:PORT". Default: nginx.https_port, with tls = "off" nginx.http_port.'
    )
    upstream: leaves.UpstreamUrl | None = _key("The service behind all paths that no route takes.")
    routes: dict[leaves.RoutePath, Annotated[RouteTable, Shorthand(key="upstream")]] = _entries(
        "Upstreams for some paths of this site."
    )
    certificate: leaves.Text | None = _key("The NAME of the entry of [certificates] that serves this site.")
    tls: leaves.TlsKind | None = _key(
        "acme: a CA's certificate (default). local: this machine's own CA. off: plain http."
    )
    key: leaves.Key | None = _key("The kind of private key. Default: acme.key.")
    challenge: Annotated[tuple[leaves.ChallengeKind, ...] | None, OneOrMore()] = _key(
        "How its hosts are proven; of several, the first that can. Default: acme.challenge."
    )
    timeout: leaves.Timeout | None = _key(
        "How long an upstream may be silent. Default: 1h, which idle websockets need."
    )
    connect_timeout: leaves.Timeout | None = _key("How long connecting to an upstream may take. Default: 5s.")
    body_size: leaves.Size | None = _key("The largest request body; 0 has no limit, and is the default.")
    websocket: leaves.WebsocketKind | None = _key("auto passes upgrades on when asked for, force always asks for one.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateTable:
    """
    A certificate asked for by itself. It serves every site whose hosts it covers.
    """

    names: tuple[leaves.HostName, ...] | None = _key("The host names it is for.")
    ca: Annotated[tuple[leaves.Text, ...] | None, OneOrMore()] = _key("The CA that issues it. Default: acme.ca.")
    key: leaves.Key | None = _key("The kind of private key. Default: acme.key.")
    profile: leaves.Profile | None = _key("One of the CA's certificate profiles. Default: acme.profile.")
    challenge: Annotated[tuple[leaves.ChallengeKind, ...] | None, OneOrMore()] = _key(
        "How its names are proven; of several, the first that can. Default: acme.challenge."
    )
    alias: leaves.DnsName | None = _key("Where _acme-challenge of its names leads by CNAME.")
    adopt: leaves.File | None = _key(
        "The folder of a certificate of another tool (fullchain.pem, privkey.pem), served until ours is there."
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityTable:
    """
    An ACME CA: one of your own, or more about a built-in one.
    """

    directory: leaves.DirectoryUrl | None = _key("The URL of its directory (RFC 8555 §7.1.1).")
    root: leaves.File | None = _key("The PEM file with the root that its own HTTPS is trusted by.")
    profile: leaves.Profile | None = _key("The certificate profile asked of it.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AcmeTable:
    """
    The account at a CA, and what all certificates inherit.
    """

    agree_tos: leaves.Flag | None = _key("true: you agree to the CA's terms of service. Nothing is issued without.")
    ca: Annotated[tuple[leaves.Text, ...] | None, OneOrMore()] = _key(
        "letsencrypt (default), letsencrypt-staging, or one of acme.cas."
    )
    email: leaves.Email | None = _key("Where the CA writes to, if it does.")
    key: leaves.Key | None = _key("The kind of private key of all certificates. Default: ecdsa-p256.")
    profile: leaves.Profile | None = _key("The certificate profile asked for. Default: the CA's own.")
    webroot: leaves.Folder | None = _key("Where http-01 tokens are put. Default: webroot in the state directory.")
    challenge: Annotated[tuple[leaves.ChallengeKind, ...] | None, OneOrMore()] = _key(
        'How names are proven: "http-01", "dns:NAME", or a list. Default: the only [dns] provider, else http-01.'
    )
    cas: dict[str, AuthorityTable] = _entries("CAs by name.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NginxTable:
    """
    nginx: how it is run, and what its ports are called from outside.
    """

    mode: leaves.NginxMode | None = _key(
        "managed (default): Gatelodge starts, watches and stops it. external: others do, and it includes our files."
    )
    reload: leaves.ReloadKind | None = _key(
        'How an external one is told to reload: commands, "mailbox", or "helper". Default: nginx -t, nginx -s reload.'
    )
    group: leaves.User | None = _key(
        "The group that may read certificates and trees, for an external one without root."
    )
    default_server: leaves.DefaultServer | None = _key(
        'Whether names that are no site\'s are refused by us. Default: "auto", unless an external nginx has a default server.'
    )
    binary: leaves.Program | None = _key("The program. Default: nginx.")
    address: leaves.Address | None = _key("Where the daemon reaches nginx. Default: 127.0.0.1.")
    http_port: leaves.PortOrNone | None = _key("The plain port; 0 opens none. Default: 80.")
    https_port: leaves.Port | None = _key("The TLS port. Default: 443.")
    public_http_port: leaves.Port | None = _key("What visitors type to reach http_port. Default: the same.")
    public_https_port: leaves.Port | None = _key("What visitors type to reach https_port. Default: the same.")
    user: leaves.User | None = _key("Whom nginx's workers run as when it is started by root.")
    access_log: leaves.AccessLog | None = _key(
        "Where visits are logged: off (default), a path, or stdout: the daemon's own, one line a visit, apart from its events."
    )
    drain: leaves.Timeout | None = _key("How long old connections may go on after a reload. Default: 1h.")
    reload_interval: leaves.Spacing | None = _key("The least time between two reloads. Default: 30s.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResolverTable:
    """
    The DNS servers that names are looked up at.
    """

    servers: tuple[leaves.Server, ...] | None = _key(
        "Addresses, with a port when it is not 53. Default: the machine's own."
    )
    doh: tuple[leaves.DohUrl, ...] | None = _key(
        "DNS-over-HTTPS services, asked where port 53 leads nowhere. Default: four well-known ones; [] for none."
    )
    port: leaves.Port | None = _key("Where authoritative name servers are asked. Another than 53 is for test set-ups.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DdnsTable:
    """
    Dynamic DNS: host names kept on this machine's public addresses.
    """

    dns: leaves.Text | None = _key("The NAME of the [dns.NAME] that has their zone. Default: the only one.")
    hosts: tuple[leaves.HostName, ...] | None = _key("Which host names. Default: the public ones of all sites.")
    ipv4: leaves.Source | None = _key("Where the IPv4 address is learned. Default: true, well-known services.")
    ipv6: leaves.Source | None = _key("Where the IPv6 address is learned. Default: false, AAAA records are left alone.")
    every: leaves.Often | None = _key("How often the address is looked at. Default: 5m.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdminTable:
    """
    The socket by which the other commands reach the daemon.
    """

    socket: leaves.Socket | None = _key("Its path. Default: /run/gatelodge/admin.sock.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """
    The configuration of Gatelodge.
    """

    state_directory: leaves.Folder | None = _key("Where everything is kept. Default: /var/lib/gatelodge.")
    check_every: leaves.Interval | None = _key("The longest time between two looks at all certificates. Default: 12h.")
    acme: AcmeTable | None = _key("The account at a CA, and what all certificates inherit.")
    certificates: dict[str, CertificateTable] = _entries("Certificates asked for by themselves, by NAME.")
    dns: dict[str, leaves.Raw] = _entries("DNS providers, by NAME.")
    ddns: DdnsTable | None = _key("Dynamic DNS: host names kept on this machine's public addresses.")
    sites: dict[str, Annotated[SiteTable, Shorthand(key="upstream")]] = _entries(
        "Sites, by their first host name in quotes."
    )
    nginx: NginxTable = dataclasses.field(
        default_factory=NginxTable, metadata={"description": "How nginx is run, and its ports."}
    )
    resolver: ResolverTable = dataclasses.field(
        default_factory=ResolverTable, metadata={"description": "Where upstream names are looked up."}
    )
    admin: AdminTable = dataclasses.field(
        default_factory=AdminTable, metadata={"description": "How the other commands reach the daemon."}
    )
