"""
The TOML as people write it: one dataclass for each table, one field for each key, every one of them optional.

Values here are read and normalised one by one. What must be there, and what fits together, is decided in `parse`.
"""

# ruff: noqa: RUF009 - `field` and `entries` make dataclass fields; no value is shared

import dataclasses
from typing import Annotated

from gatelodge.config.document.export_table import ExportTable
from gatelodge.config.document.fields import entries, field
from gatelodge.config.document.outbox_tables import HookTable, NotifyTable
from gatelodge.config.document.site_tables import SiteTable, SnippetTable
from gatelodge.config.document.stream_tables import StreamTable
from gatelodge.config.values import auth_leaves, leaves, site_leaves
from gatelodge.config.values.leaf import OneOrMore, Or, Shorthand


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateTable:
    """
    A certificate asked for by itself. It serves every site whose hosts it covers.
    """

    names: tuple[leaves.HostName, ...] | None = field("The host names it is for.")
    ca: Annotated[tuple[leaves.Text, ...] | None, OneOrMore()] = field(
        "The CA that issues it; of several, the first that can. Default: acme.ca."
    )
    key: Annotated[tuple[leaves.Key, ...] | None, OneOrMore()] = field(
        "The kind of private key, or two: an ECDSA and an RSA one. Default: acme.key."
    )
    profile: leaves.Profile | None = field("One of the CA's certificate profiles. Default: acme.profile.")
    challenge: Annotated[tuple[leaves.ChallengeKind, ...] | None, OneOrMore()] = field(
        "How its names are proven; of several, the first that can. Default: acme.challenge."
    )
    alias: leaves.DnsName | None = field("Where _acme-challenge of its names leads by CNAME.")
    adopt: leaves.File | None = field(
        "The folder of a certificate of another tool (fullchain.pem, privkey.pem), served until ours is there."
    )
    on_bad_name: leaves.BadName | None = field(
        "What becomes of it when some names are refused: fail, or subset: one for the others. Default: acme.on_bad_name."
    )
    reuse_key: leaves.Flag | None = field("Whether renewals keep the private key. Default: acme.reuse_key.")
    export: Annotated[tuple[ExportTable, ...] | None, OneOrMore()] = field(
        "Copies for other programs, made anew whenever it is renewed: one, or a list."
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CustomerTable:
    """
    What a CA knows its customer by (external account binding).
    """

    kid: leaves.Word | None = field("The name of the key that the CA made for you.")
    hmac_key: leaves.Hidden | None = field("That key, base64url: in a file, in the environment, or here.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityTable:
    """
    An ACME CA: one of your own, or more about a built-in one.
    """

    directory: leaves.DirectoryUrl | None = field("The URL of its directory (RFC 8555 §7.1.1).")
    root: leaves.File | None = field("The PEM file with the root that its own HTTPS is trusted by.")
    eab: CustomerTable | None = field("What the CA knows you by, where it makes accounts for its customers only.")
    profile: leaves.Profile | None = field("The certificate profile asked of it.")
    preferred_chain: leaves.Word | None = field(
        "The root that its chains should lead to, by common name or organisation, where it offers several."
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AcmeTable:
    """
    The account at a CA, and what all certificates inherit.
    """

    agree_tos: leaves.Flag | None = field("true: you agree to the CA's terms of service. Nothing is issued without.")
    ca: Annotated[tuple[leaves.Text, ...] | None, OneOrMore()] = field(
        "letsencrypt (default), letsencrypt-staging, zerossl, google, or one of acme.cas; several are tried in order."
    )
    email: leaves.Email | None = field("Where the CA writes to, if it does.")
    key: Annotated[tuple[leaves.Key, ...] | None, OneOrMore()] = field(
        "The kind of private key of all certificates, or two. Default: ecdsa-p256."
    )
    profile: leaves.Profile | None = field("The certificate profile asked for. Default: the CA's own.")
    webroot: leaves.Folder | None = field("Where http-01 tokens are put. Default: webroot in the state directory.")
    challenge: Annotated[tuple[leaves.ChallengeKind, ...] | None, OneOrMore()] = field(
        'How names are proven: "http-01", "dns:NAME", or a list. Default: the only [dns] provider, else http-01.'
    )
    proxy: leaves.ProxyUrl | None = field("An HTTP proxy through which the CAs are asked.")
    on_bad_name: leaves.BadName | None = field(
        "What becomes of a certificate when some of its names are refused: fail (default): none is had; subset: one for the others."
    )
    reuse_key: leaves.Flag | None = field("Whether renewals keep the private key. Default: false.")
    allow_ephemeral_state: leaves.Flag | None = field(
        "Whether a public CA is asked although the state directory does not survive a restart. Default: false."
    )
    cas: dict[str, AuthorityTable] = entries("CAs by name.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NginxTable:
    """
    nginx: how it is run, and what its ports are called from outside.
    """

    mode: leaves.NginxMode | None = field(
        "managed (default): Gatelodge starts, watches and stops it. external: others do, and it includes our files."
    )
    reload: leaves.ReloadKind | None = field(
        'How an external one is told to reload: commands, "mailbox", or "helper". Default: nginx -t, nginx -s reload.'
    )
    group: leaves.User | None = field(
        "The group that may read certificates and trees, for an external one without root."
    )
    default_server: leaves.DefaultServer | None = field(
        'Whether names that are no site\'s are refused by us. Default: "auto", unless an external nginx has a default server.'
    )
    binary: leaves.Program | None = field("The program. Default: nginx.")
    address: leaves.Address | None = field("Where the daemon reaches nginx. Default: 127.0.0.1.")
    http_port: leaves.PortOrNone | None = field("The plain port; 0 opens none. Default: 80.")
    https_port: leaves.Port | None = field("The TLS port. Default: 443.")
    public_http_port: leaves.Port | None = field("What visitors type to reach http_port. Default: the same.")
    public_https_port: leaves.Port | None = field("What visitors type to reach https_port. Default: the same.")
    user: leaves.User | None = field("Whom nginx's workers run as when it is started by root.")
    access_log: leaves.AccessLog | None = field(
        "Where visits are logged: off (default), a path, or stdout: the daemon's own, one line a visit, apart from its events."
    )
    drain: leaves.Timeout | None = field("How long old connections may go on after a reload. Default: 1h.")
    reload_interval: leaves.Spacing | None = field("The least time between two reloads. Default: 30s.")
    trusted_proxies: Annotated[tuple[site_leaves.Network, ...] | None, OneOrMore()] = field(
        "Networks from which a CDN or another proxy comes, which says who the visitor is."
    )
    real_ip_header: leaves.HeaderName | None = field("The header in which it says so. Default: X-Forwarded-For.")
    http_snippet: Annotated[str | SnippetTable, Or(other=site_leaves.SnippetText, table=SnippetTable)] | None = field(
        "nginx directives of your own inside http {}, of a managed nginx."
    )
    stream_snippet: Annotated[str | SnippetTable, Or(other=site_leaves.SnippetText, table=SnippetTable)] | None = field(
        "nginx directives of your own inside stream {}, of a managed nginx."
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ListenTable:
    """
    What holds for all sites on one listener.
    """

    tls_profile: leaves.Profiles | None = field(
        "How old a client may be: intermediate (default: TLS 1.2 and 1.3) or modern (1.3 alone)."
    )
    proxy_protocol: Annotated[tuple[site_leaves.Network, ...] | None, OneOrMore()] = field(
        "Every connection begins with a PROXY header; that of these networks is believed."
    )
    http3: leaves.Flag | None = field("Whether HTTP/3 is spoken too, on the UDP port of this number. Default: false.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuthTable:
    """
    Who asks visitors who they are: passwords of our own, or a service.
    """

    provider: auth_leaves.Provider | None = field("basic, authelia, authentik, tinyauth or oauth2-proxy.")
    users: dict[auth_leaves.UserName, auth_leaves.PasswordHash] = entries(
        "For basic: users, and the hashes of their passwords, as `gatelodge hash` prints them."
    )
    users_file: leaves.NginxFile | None = field("For basic: a file of them, as htpasswd makes it.")
    realm: auth_leaves.Realm | None = field("For basic: what the browser shows. Default: the NAME.")
    url: auth_leaves.ServiceUrl | None = field("For a service: where nginx asks it.")
    sign_in: auth_leaves.PageUrl | None = field("For a service: the public URL of its login page.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SubjectTable:
    """
    What the local CA calls itself.
    """

    common_name: leaves.CommonName | None = field("Its name. Default: Gatelodge local CA, and a part of its key.")
    organization: leaves.Attribute | None = field("Whose it is.")
    organizational_unit: leaves.Attribute | None = field("The part of the organization.")
    country: leaves.Country | None = field("Two letters (ISO 3166).")
    state: leaves.LongAttribute | None = field("State or province.")
    locality: leaves.LongAttribute | None = field("City.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResolverTable:
    """
    The DNS servers that names are looked up at.
    """

    servers: tuple[leaves.Server, ...] | None = field(
        "Addresses, with a port when it is not 53. Default: the machine's own."
    )
    doh: tuple[leaves.DohUrl, ...] | None = field(
        "DNS-over-HTTPS services, asked where port 53 leads nowhere. Default: four well-known ones; [] for none."
    )
    valid: leaves.Validity | None = field("How long nginx believes the address of an upstream's name. Default: 10s.")
    port: leaves.Port | None = field("Where authoritative name servers are asked. Another than 53 is for test set-ups.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DdnsTable:
    """
    Dynamic DNS: host names kept on this machine's public addresses.
    """

    dns: leaves.Text | None = field("The NAME of the [dns.NAME] that has their zone. Default: the only one.")
    hosts: tuple[leaves.HostName, ...] | None = field("Which host names. Default: the public ones of all sites.")
    ipv4: leaves.Source | None = field("Where the IPv4 address is learned. Default: true, well-known services.")
    ipv6: leaves.Source | None = field(
        "Where the IPv6 address is learned. Default: false, AAAA records are left alone."
    )
    every: leaves.Often | None = field("How often the address is looked at. Default: 5m.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdminTable:
    """
    The admin service: a socket by which the other commands reach the daemon, and addresses for programs elsewhere.
    """

    socket: leaves.Socket | None = field("The path of its socket. Default: /run/gatelodge/admin.sock.")
    listen: Annotated[tuple[leaves.TcpAddress, ...] | None, OneOrMore()] = field(
        "Addresses with ports on which it answers too, in plain http, whoever sends the token. Default: none."
    )
    token: leaves.Hidden | None = field("What is to be sent there as `Authorization: Bearer`: 16 characters at least.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogTable:
    """
    How events are kept, and how they are shown on stderr.
    """

    format: leaves.LogForm | None = field(
        "What stderr gets: text, json, or auto (default): text at a terminal, JSON elsewhere."
    )
    level: leaves.LogLevel | None = field("The least that is shown on stderr; all is kept. Default: info.")
    keep: leaves.Kept | None = field("How long events are kept in the state directory. Default: 90d.")
    max_size: leaves.LogSize | None = field(
        "How large they may be together; the oldest go. Never more than a tenth of the file system. Default: 24m."
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """
    The configuration of Gatelodge.
    """

    state_directory: leaves.Folder | None = field("Where everything is kept. Default: /var/lib/gatelodge.")
    check_every: leaves.Interval | None = field("The longest time between two looks at all certificates. Default: 12h.")
    acme: AcmeTable | None = field("The account at a CA, and what all certificates inherit.")
    certificates: dict[str, CertificateTable] = entries("Certificates asked for by themselves, by NAME.")
    dns: dict[str, leaves.Raw] = entries("DNS providers, by NAME.")
    ddns: DdnsTable | None = field("Dynamic DNS: host names kept on this machine's public addresses.")
    sites: dict[str, Annotated[SiteTable, Shorthand(key="upstream")]] = entries(
        "Sites, by their first host name in quotes."
    )
    streams: dict[str, StreamTable] = entries("Services that speak no HTTP, by NAME: TCP or UDP on ports of their own.")
    auth: dict[str, AuthTable] = entries("Who asks visitors who they are, by NAME.")
    nets: dict[leaves.NetworkName, tuple[site_leaves.Network, ...]] = entries("Names for networks.")
    listen: dict[leaves.ListenKey, ListenTable] = entries('What holds for a listener, by its port or "ADDRESS:PORT".')
    ca: SubjectTable | None = field("What the local CA calls itself.")
    notify: tuple[NotifyTable, ...] | None = field("Services that messages are sent to.")
    hook: tuple[HookTable, ...] | None = field("Programs that are run when something happens.")
    nginx: NginxTable = dataclasses.field(
        default_factory=NginxTable, metadata={"description": "How nginx is run, and its ports."}
    )
    resolver: ResolverTable = dataclasses.field(
        default_factory=ResolverTable, metadata={"description": "Where upstream names are looked up."}
    )
    admin: AdminTable = dataclasses.field(
        default_factory=AdminTable, metadata={"description": "How the other commands reach the daemon."}
    )
    log: LogTable = dataclasses.field(
        default_factory=LogTable, metadata={"description": "How events are kept and shown."}
    )
