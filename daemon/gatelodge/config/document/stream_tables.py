"""
`[streams.NAME]` as people write it: its tables, and the kinds of value that no other table has.

What must be there, and what fits together, is decided in `streams`.
"""

# ruff: noqa: RUF009 - `field` and `entries` make dataclass fields; no value is shared

import dataclasses
import re
from typing import Annotated, TypeAlias

from gatelodge.config.document.fields import entries, field
from gatelodge.config.document.site_tables import FilesTable, SnippetTable, UpstreamTlsTable
from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.shape import Tls
from gatelodge.config.suggest import choices
from gatelodge.config.values import leaves, names, site_leaves, texts, urls
from gatelodge.config.values.leaf import OneOrMore, Or, Shorthand, choice, text, whole
from gatelodge.model import Balance, Name, Protocol, Spread, Upstream, is_ip

#: How connections are spread, as it is written. nginx's `hash` is the consistent one.
_BALANCES = {
    "round_robin": Balance(),
    "least_conn": Balance(spread=Spread.LEAST_CONN),
    "hash:address": Balance(spread=Spread.HASH, by="address"),
}

#: A stream's name is a file's too.
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")

#: nginx counts datagrams in a machine word; more than this nobody waits for.
_MOST = 1_000_000


def _server(given: str) -> Upstream:
    """
    Read where a service is: a host with its port, or the path of a socket.
    """
    if not given.startswith(f"{urls.SOCKET}:"):
        host, port = urls.authority(given)
        return Upstream(scheme="tcp", host=host, port=port)
    path = texts.socket(given.removeprefix(f"{urls.SOCKET}:"))
    if "$" in path:
        raise Unreadable(f"{quoted(given)} holds a $, which nginx takes for a variable", "choose a path without it")
    return Upstream(scheme="tcp", socket=path)


def _asked_for(given: str) -> Name:
    """
    Read a name that TLS visitors ask for, or a wildcard for all names below one.
    """
    name = names.host(given)
    if is_ip(name):
        raise Unreadable(
            f"{quoted(given)} is an address, and nobody asks for one by name (RFC 6066 §3)",
            "write `upstream` for visitors without a name",
        )
    return name


def _balance(given: str) -> Balance:
    if given not in _BALANCES:
        raise Unreadable(f"{quoted(given)} is no way to choose a server of a stream", f"write {choices(_BALANCES)}")
    return _BALANCES[given]


ServerAddress: TypeAlias = Annotated[
    Upstream,
    text(
        _server,
        '"HOST:PORT" or "unix:/path"',
        pattern="^unix:/|:[0-9]+$",
        examples=["192.168.1.5:1883", "unix:/run/app.sock"],
    ),
]
AskedName: TypeAlias = Annotated[Name, text(_asked_for, "a host name", examples=["vpn.example.com"])]
ProtocolKind: TypeAlias = Annotated[Protocol, choice(Protocol)]
BalanceKind: TypeAlias = Annotated[
    Balance, text(_balance, choices(_BALANCES), enum=list(_BALANCES), examples=["least_conn"])
]
Responses: TypeAlias = Annotated[int, whole(least=0, most=_MOST)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StreamServerTable:
    """
    One of several servers behind a stream; where it is will do.
    """

    server: ServerAddress | None = field('Where it listens: "HOST:PORT" or "unix:/path".')
    weight: site_leaves.Weight | None = field("Its share of the connections. Default: 1.")
    backup: leaves.Flag | None = field("Whether it is asked only when no other can be. Default: false.")
    max_fails: site_leaves.Count | None = field("After so many failures it is left alone; 0 never. Default: 1.")
    fail_timeout: site_leaves.FailTimeout | None = field("Within that time, and for so long. Default: 10s.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StreamTable:
    """
    A service that speaks no HTTP: TCP or UDP on ports of its own.
    """

    listen: tuple[leaves.Listening, ...] | None = field('Ports or "ADDRESS:PORT".')
    protocol: ProtocolKind | None = field("What carries the bytes: tcp (default) or udp.")
    upstream: Annotated[tuple[Annotated[StreamServerTable, Shorthand(key="server")], ...] | None, OneOrMore()] = field(
        'The service behind it: "HOST:PORT", "unix:/path", or several servers. With by_name, for everybody else.'
    )
    by_name: dict[
        AskedName, Annotated[tuple[Annotated[StreamServerTable, Shorthand(key="server")], ...], OneOrMore()]
    ] = entries(
        "Services by the name that a TLS visitor asks for; TLS is passed on as it comes. Others go to `upstream`, or are refused."
    )
    balance: BalanceKind | None = field(
        "How one of several servers is chosen: round_robin (default), least_conn, or hash:address, by which a visitor keeps his."
    )
    tls: Annotated[Tls | FilesTable, Or(other=site_leaves.TlsWord, table=FilesTable)] | None = field(
        "TLS is taken off here, by a CA's certificate (acme), this machine's own (local), or { certificate, key }. Default: off."
    )
    hosts: tuple[leaves.HostName, ...] | None = field("With tls: the host names that the certificate is for.")
    certificate: leaves.Text | None = field("The NAME of the entry of [certificates] that is shown.")
    key: Annotated[tuple[leaves.Key, ...] | None, OneOrMore()] = field(
        "The kind of private key, or two: an ECDSA and an RSA one. Default: acme.key."
    )
    challenge: Annotated[tuple[leaves.ChallengeKind, ...] | None, OneOrMore()] = field(
        "How its hosts are proven; of several, the first that can. Default: acme.challenge."
    )
    timeout: leaves.Timeout | None = field("How long both sides may be silent. Default: 1h, with udp 2m.")
    connect_timeout: leaves.Timeout | None = field("How long connecting to the service may take. Default: 5s.")
    proxy_protocol: leaves.Flag | None = field(
        "Whether the service is told who the visitor is, by a PROXY header. Default: false."
    )
    upstream_tls: Annotated[bool | UpstreamTlsTable, Or(other=leaves.Flag, table=UpstreamTlsTable)] | None = field(
        "Whether the service is spoken to over TLS, or how. Default: false."
    )
    udp_responses: Responses | None = field(
        "How many datagrams answer one; then nothing more is waited for. Default: not known."
    )
    allow: Annotated[tuple[site_leaves.Network, ...] | None, OneOrMore()] = field(
        "Networks that may come, and no other; or their names: lan, cloudflare, all, those of [nets]."
    )
    deny: Annotated[tuple[site_leaves.Network, ...] | None, OneOrMore()] = field("Networks that may not come.")
    connections: site_leaves.Connections | None = field("How many connections one address may hold.")
    snippet: Annotated[str | SnippetTable, Or(other=site_leaves.SnippetText, table=SnippetTable)] | None = field(
        "nginx directives of your own."
    )
