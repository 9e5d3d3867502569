"""
Sites and their routes as people write them: one dataclass for each table, one field for each key, every one of them optional.

What a site says for all its routes stands in `ManyRoutes`, which a route has too.
"""

# ruff: noqa: RUF009 - `field` and `entries` make dataclass fields; no value is shared

import dataclasses
from typing import Annotated

from gatelodge.config.document.export_table import ExportTable
from gatelodge.config.document.fields import entries, field
from gatelodge.config.shape import Tls
from gatelodge.config.values import leaves, site_leaves
from gatelodge.config.values.leaf import OneOrMore, Or, Shorthand


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerTable:
    """
    One of several servers of an upstream; its URL alone will do.
    """

    url: site_leaves.UpstreamUrl | None = field("Where it listens.")
    weight: site_leaves.Weight | None = field("Its share of the requests. Default: 1.")
    backup: leaves.Flag | None = field("Whether it is asked only when no other can be. Default: false.")
    max_fails: site_leaves.Count | None = field("After so many failures it is left alone; 0 never. Default: 1.")
    fail_timeout: site_leaves.FailTimeout | None = field("Within that time, and for so long. Default: 10s.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTlsTable:
    """
    How an https or grpcs upstream is spoken to.
    """

    verify: leaves.Flag | None = field("Whether its certificate is checked. Default: true, unless it is an address.")
    name: leaves.HostName | None = field("What it is asked for, and checked against. Default: its host.")
    ca: site_leaves.File | None = field("The PEM file of roots to trust. Default: the machine's.")
    certificate: site_leaves.File | None = field("The PEM file of a certificate to show it.")
    key: site_leaves.File | None = field("The PEM file of that certificate's key.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StaticTable:
    """
    Files of a folder; the folder alone will do.
    """

    root: site_leaves.Folder | None = field("The folder, which stands for the route's path.")
    index: tuple[site_leaves.FileName, ...] | None = field('What answers for a folder. Default: ["index.html"].')
    fallback: site_leaves.PagePath | None = field("The path of the site that answers for what is not there.")
    listing: leaves.Flag | None = field("Whether a folder without an index is listed. Default: false.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RedirectTable:
    """
    Where visitors are sent; the URL alone will do.
    """

    url: site_leaves.RedirectTarget | None = field("A URL, or a path of the same host.")
    code: site_leaves.RedirectCode | None = field("301 (default), 302, 303, 307 or 308.")
    keep_path: leaves.Flag | None = field("Whether what follows the route's path is appended. Default: true.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RespondTable:
    """
    An answer of nginx's own.
    """

    status: site_leaves.Status | None = field("Its status. Default: 200.")
    body: site_leaves.Body | None = field("Its body. Default: none.")
    type: site_leaves.MediaType | None = field("The body's media type. Default: text/plain.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RateTable:
    """
    How many requests one address may make; "10/s" alone will do.
    """

    requests: site_leaves.RateText | None = field('Requests a second or a minute: "10/s", "300/m".')
    burst: site_leaves.Burst | None = field("How many more at once. Default: what comes in one such second or minute.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnippetTable:
    """
    A snippet in a file of its own.
    """

    file: site_leaves.File | None = field("Its path. It is read again when it changes.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ManyRoutes:
    """
    What a site says for all its routes, and a route for itself.
    """

    upstream: Annotated[tuple[Annotated[ServerTable, Shorthand(key="url")], ...] | None, OneOrMore()] = field(
        "The service behind it: a URL, or several servers. A path in it, even /, replaces the prefix."
    )
    balance: site_leaves.BalanceKind | None = field("How one of several servers is chosen. Default: round_robin.")
    upstream_tls: UpstreamTlsTable | None = field("How an https or grpcs upstream is spoken to.")
    script_root: site_leaves.Folder | None = field(
        "Where a fastcgi upstream finds its scripts, in its own file system."
    )
    script_index: site_leaves.FileName | None = field("The script that answers for a folder. Default: index.php.")
    static: Annotated[StaticTable, Shorthand(key="root")] | None = field("Files of a folder.")
    redirect_to: Annotated[RedirectTable, Shorthand(key="url")] | None = field("Another place: a URL, or a path.")
    respond: RespondTable | None = field("An answer of nginx's own.")
    timeout: leaves.Timeout | None = field(
        "How long an upstream may be silent. Default: 1h, which idle websockets need."
    )
    connect_timeout: leaves.Timeout | None = field("How long connecting to an upstream may take. Default: 5s.")
    body_size: leaves.Size | None = field("The largest request body; 0 has no limit. Default: 0.")
    websocket: site_leaves.WebsocketKind | None = field(
        "auto (default) passes upgrades on when asked for, force always asks for one."
    )
    buffering: leaves.Flag | None = field("Whether answers wait for slow visitors. Default: true.")
    request_buffering: leaves.Flag | None = field("Whether a request is whole before it is passed on. Default: true.")
    temp_file_limit: site_leaves.TempFileLimit | None = field(
        "How much of one answer may wait in a file; 0 is none. Default: 1g."
    )
    gzip: leaves.Flag | None = field("Whether text is compressed. Default: false, as the upstream does it.")
    auth: site_leaves.AuthName | None = field('The NAME of the [auth.NAME] that asks who a visitor is, or "off".')
    allow: Annotated[tuple[site_leaves.Network, ...] | None, OneOrMore()] = field(
        "Networks that may come, and no other; or their names: lan, cloudflare, all, those of [nets]."
    )
    deny: Annotated[tuple[site_leaves.Network, ...] | None, OneOrMore()] = field("Networks that may not come.")
    satisfy: site_leaves.SatisfyKind | None = field('"any": either `auth` or `allow` is enough. Default: "all".')
    rate: Annotated[RateTable, Shorthand(key="requests")] | None = field("How many requests one address may make.")
    connections: site_leaves.Connections | None = field("How many connections one address may hold.")
    headers: dict[site_leaves.HeaderName, site_leaves.HeaderValue] = entries("Headers said to the visitor.")
    request_headers: dict[site_leaves.HeaderName, site_leaves.HeaderValue] = entries(
        "Headers said to the upstream; an empty one is not sent."
    )
    hide_headers: tuple[site_leaves.HeaderName, ...] | None = field("Headers of the upstream that no visitor sees.")
    security_headers: leaves.Flag | None = field(
        "Whether the usual ones are added where the upstream sends none. Default: false."
    )
    error_pages: dict[site_leaves.ErrorStatus, site_leaves.File] = entries("Files to show, by status.")
    snippet: Annotated[str | SnippetTable, Or(other=site_leaves.SnippetText, table=SnippetTable)] | None = field(
        "nginx directives of your own."
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable(ManyRoutes):
    """
    A path of a site and what is done there; its upstream's URL alone will do. What it does not say is as the site says.
    """

    match: site_leaves.MatchKind | None = field("How the path is compared: prefix (default), exact or regex.")
    strip: leaves.Flag | None = field("Whether the path is taken away before the request is passed on. Default: false.")
    port: leaves.Port | None = field("The port of the site's upstream to which this path goes.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FilesTable:
    """
    A certificate of your own.
    """

    certificate: site_leaves.File | None = field(
        "The PEM file of the certificate, and of those between it and its root."
    )
    key: site_leaves.File | None = field("The PEM file of its key, without a password.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificatesTable:
    """
    Visitors show certificates; the CA's file alone will do.
    """

    ca: site_leaves.File | None = field("The PEM file of the CA that made them.")
    optional: leaves.Flag | None = field("Whether those who show none may come too. Default: false.")
    depth: site_leaves.Depth | None = field("How many CAs may stand between. Default: 1.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceTable:
    """
    The site is closed; true alone will do, or the path of a page.
    """

    page: site_leaves.File | None = field("A file to show. Default: words of our own.")
    allow: Annotated[tuple[site_leaves.Network, ...] | None, OneOrMore()] = field(
        "Networks that may come all the same."
    )
    retry_after: site_leaves.RetryAfter | None = field("When visitors should come again. Default: 10m.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SiteTable(ManyRoutes):
    """
    A site, by its first host name; its upstream's URL alone will do.
    """

    preset: leaves.Text | None = field("The name of an app whose needs are known: `gatelodge presets` lists them.")
    hosts: tuple[site_leaves.SiteHost, ...] | None = field(
        'Further host names of this site; one that begins with "~" is a regular expression.'
    )
    redirect_hosts: tuple[leaves.HostName, ...] | None = field("Host names that lead to the site's first one.")
    listen: tuple[leaves.Listening, ...] | None = field(
        'Ports or "ADDRESS:PORT". Default: nginx.https_port, with tls = "off" nginx.http_port.'
    )
    routes: dict[str, Annotated[RouteTable, Shorthand(key="upstream")]] = entries("Some paths of this site.")
    certificate: leaves.Text | None = field("The NAME of the entry of [certificates] that serves this site.")
    tls: Annotated[Tls | FilesTable, Or(other=site_leaves.TlsWord, table=FilesTable)] | None = field(
        "acme (default): a CA's certificate. local: this machine's own CA. off: plain http. Or { certificate, key }."
    )
    key: Annotated[tuple[leaves.Key, ...] | None, OneOrMore()] = field(
        "The kind of private key, or two: an ECDSA and an RSA one. Default: acme.key."
    )
    challenge: Annotated[tuple[leaves.ChallengeKind, ...] | None, OneOrMore()] = field(
        "How its hosts are proven; of several, the first that can. Default: acme.challenge."
    )
    export: Annotated[tuple[ExportTable, ...] | None, OneOrMore()] = field(
        "Copies of its certificate for other programs: one, or a list."
    )
    hsts: site_leaves.HstsKind | None = field(
        "Whether browsers are told to come by https alone: off (default), on, preload."
    )
    client_certificates: Annotated[ClientCertificatesTable, Shorthand(key="ca")] | None = field(
        "Visitors must show a certificate of this CA."
    )
    maintenance: (
        Annotated[str | bool | MaintenanceTable, Or(other=site_leaves.Closed, table=MaintenanceTable)] | None
    ) = field("Whether the site is closed for a while.")
