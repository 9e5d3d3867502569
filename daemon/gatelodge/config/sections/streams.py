"""
Turns the tables of `[streams]` into sections: fills in defaults, and refuses what cannot be within one entry, such as keys that its
protocol does not know.

What one entry means for others is not looked at here (`stream_conflicts`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.config.document.fields import given
from gatelodge.config.document.site_tables import FilesTable, UpstreamTlsTable
from gatelodge.config.document.stream_tables import NAME
from gatelodge.config.keys import written
from gatelodge.config.sections import certificates
from gatelodge.config.shape import SnippetFile, Tls
from gatelodge.config.values import snippets
from gatelodge.model import (
    Balance,
    FileIssuer,
    Listener,
    Pool,
    Protocol,
    Server,
    Spread,
    Stream,
    UpstreamTls,
    file_name,
    is_ip,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatelodge.config.document.stream_tables import StreamServerTable, StreamTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.values.networks import Networks
    from gatelodge.model import KeyKind, Name

#: How long both sides may be silent. Over TCP as for sites. UDP has no end of its own, and nginx holds two sockets for each visitor
#: that it waits for; every service that is used from behind a router reckons with two minutes (RFC 4787 §4.3).
_TIMEOUTS = {Protocol.TCP: dt.timedelta(hours=1), Protocol.UDP: dt.timedelta(minutes=2)}

#: Keys of one protocol alone, and why.
_OF_TCP: Mapping[str, str] = {
    "tls": "TLS is spoken over TCP",
    "by_name": "names are asked for by TLS, which is spoken over TCP",
    "upstream_tls": "TLS is spoken over TCP",
    "proxy_protocol": "a PROXY header stands before a connection of TCP",
}
_OF_UDP: Mapping[str, str] = {"udp_responses": "datagrams are counted with udp alone"}

#: What is said of a certificate, and means nothing where none is shown.
_OF_CERTIFICATES = ("hosts", "certificate", "key", "challenge")

_BAD_NAME = (
    "it cannot be the name of a file",
    'use letters, digits, ".", "-" and "_", at most 100 of them, beginning and ending with a letter or digit',
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StreamSection:
    """
    One entry of `[streams]`: the stream, without the certificates that serve it, and what is said of these. With `Tls.OFF` there are
    none; `files` are there with `Tls.FILES` alone.
    """

    stream: Stream
    tls: Tls = Tls.OFF
    files: FileIssuer | None = None
    certificate: str | None = None
    keys: tuple[KeyKind, ...] | None = None
    challenges: tuple[str, ...] | None = None

    @property
    def hosts(self) -> tuple[Name, ...]:
        """
        The names that its certificate is for, as they were given.
        """
        return self.stream.hosts

    @property
    def names(self) -> tuple[Name, ...]:
        """
        Every name by which visitors come.
        """
        return (*self.stream.hosts, *(name for name, _ in self.stream.by_name))


def read(
    tables: Mapping[str, StreamTable], networks: Networks, found: Mistakes
) -> tuple[dict[str, StreamSection], tuple[SnippetFile, ...]]:
    """
    Fill in the entries of `[streams]`, and return their snippets that stand in files beside them.
    """
    sections: dict[str, StreamSection] = {}
    files = []
    for key, table in tables.items():
        path: Path = ("streams", key)
        if not NAME.fullmatch(key):
            found.add_unread(path, *_BAD_NAME)
            continue
        at = (*path, "snippet")
        text, file = snippets.read(at, table.snippet, found)
        sections[key] = _section(key, table, networks, text, found)
        if file:
            files.append(SnippetFile(path=at, file=file, line=found.line(at), stream=key))
    return sections, tuple(files)


def _section(key: str, table: StreamTable, networks: Networks, snippet: str, found: Mistakes) -> StreamSection:
    path: Path = ("streams", key)
    protocol = table.protocol or Protocol.TCP
    tls, files = _tls(path, table, found)
    if not found.unread((*path, "protocol")):
        _protocol_keys_fit(path, table, protocol, found)
    certificates.no_name_twice(table.hosts or (), (*path, "hosts"), found)
    _certificate_keys_fit(path, table, tls, found)
    by_name = {
        name: _pool((*path, "by_name", name), servers, table, "tcp", found) for name, servers in table.by_name.items()
    }
    upstream = _upstream(path, table, protocol, found)
    _balance_fits(path, table, [*by_name.values(), upstream], found)
    return StreamSection(
        stream=Stream(
            name=key,
            listeners=_listeners(path, table, protocol, found),
            upstream=upstream,
            by_name=tuple((name, pool) for name, pool in by_name.items() if pool),
            hosts=tuple(dict.fromkeys(table.hosts or ())),
            timeout=table.timeout or _TIMEOUTS[protocol],
            responses=table.udp_responses,
            proxy_protocol=bool(table.proxy_protocol),
            allow=networks.resolved((*path, "allow"), table.allow or ()),
            deny=networks.resolved((*path, "deny"), table.deny or ()),
            snippet=snippet,
            key=written(path),
            **given(table, "connect_timeout", "connections"),
        ),
        tls=tls,
        files=files,
        certificate=file_name(table.certificate) if table.certificate else None,
        challenges=table.challenge,
        **certificates.keys((*path, "key"), table.key, found),
    )


def _tls(path: Path, table: StreamTable, found: Mistakes) -> tuple[Tls, FileIssuer | None]:
    if not isinstance(table.tls, FilesTable):
        return table.tls or Tls.OFF, None
    certificate, key = table.tls.certificate, table.tls.key
    if certificate is None or key is None:
        if not found.unread((*path, "tls")):
            lacking = "key" if certificate else "certificate"
            found.add((*path, "tls"), f"it has no {lacking}", 'write tls = { certificate = "/path", key = "/path" }')
        return Tls.FILES, None
    return Tls.FILES, FileIssuer(certificate=certificate, key=key)


def _protocol_keys_fit(path: Path, table: StreamTable, protocol: Protocol, found: Mistakes) -> None:
    strange = _OF_TCP if protocol is Protocol.UDP else _OF_UDP
    for key, why in strange.items():
        if getattr(table, key) not in (None, False, Tls.OFF, {}):
            found.add((*path, key), f"it means nothing with {protocol}: {why}", "leave it out")


def _certificate_keys_fit(path: Path, table: StreamTable, tls: Tls, found: Mistakes) -> None:
    if found.unread((*path, "tls")):
        return
    if tls is Tls.OFF:
        for key in _OF_CERTIFICATES:
            if getattr(table, key) is not None:
                problem = "it speaks of a certificate, and none is shown here"
                found.add((*path, key), problem, 'add tls = "acme", or leave it out')
        return
    said = "a certificate of your own" if tls is Tls.FILES else f'tls = "{tls}"'
    if table.by_name:
        found.add(
            (*path, "by_name"),
            "names are looked at in TLS that is passed on, and here it is taken off",
            "leave out either `by_name` or `tls`",
        )
    if table.certificate and tls is not Tls.ACME:
        found.add(
            (*path, "certificate"),
            f"a stream with {said} is not served by an entry of [certificates]",
            'write tls = "acme", or leave `certificate` out',
        )
    elif not table.hosts and not table.certificate and not found.unread((*path, "hosts"), (*path, "certificate")):
        found.add(path, "it is not said whose certificate is shown", 'write hosts = ["mqtt.example.com"]')
    if table.key and table.certificate:
        found.add((*path, "key"), "the key's kind belongs to the certificate that is named here", "move it there")
    elif table.key and tls is Tls.FILES:
        found.add((*path, "key"), "the kind of a key of your own is what it is", "leave it out")
    if table.challenge and table.certificate:
        problem = "the way to prove belongs to the certificate that is named here"
        found.add((*path, "challenge"), problem, "move it there")
    elif table.challenge and tls is not Tls.ACME:
        found.add((*path, "challenge"), f"a stream with {said} is proven to nobody", "leave it out")


def _listeners(path: Path, table: StreamTable, protocol: Protocol, found: Mistakes) -> tuple[Listener, ...]:
    listen = table.listen or ()
    if not listen and not found.unread((*path, "listen")):
        found.add(path, "it listens nowhere", "write listen = [8883], or the port that is meant")
    for position, listener in enumerate(listen):
        if any(listener.overlaps(other) for other in listen[:position]):
            found.add((*path, "listen"), f"{listener} is there twice", "leave one of them out")
    return tuple(dataclasses.replace(each, udp=protocol is Protocol.UDP) for each in dict.fromkeys(listen))


def _upstream(path: Path, table: StreamTable, protocol: Protocol, found: Mistakes) -> Pool | None:
    tls = table.upstream_tls
    if isinstance(tls, UpstreamTlsTable):
        how: UpstreamTls | None = UpstreamTls(**given(tls, "verify", "name", "ca", "certificate", "key"))
    else:
        how = UpstreamTls() if tls else None
    if table.upstream is not None:
        scheme = "udp" if protocol is Protocol.UDP else "tls" if how else "tcp"
        pool = _pool((*path, "upstream"), table.upstream, table, scheme, found)
        if pool and how and not found.unread((*path, "upstream_tls")):
            _tls_fits((*path, "upstream_tls"), how, pool, table, found)
        return dataclasses.replace(pool, tls=how) if pool and how else pool
    if not table.by_name and not found.unread((*path, "upstream"), (*path, "by_name")):
        found.add(path, "it leads nowhere", 'write upstream = "HOST:PORT"')
    elif how and not found.unread((*path, "upstream")):
        found.add((*path, "upstream_tls"), "there is no `upstream` that it is for", "leave it out")
    return None


def _pool(
    path: Path, servers: tuple[StreamServerTable, ...], table: StreamTable, scheme: str, found: Mistakes
) -> Pool | None:
    """
    Return the servers that a visitor may be passed on to; None when there are none.
    """
    if not servers and not found.unread(path):
        found.add(path, "it is empty", 'write "HOST:PORT"')
    for position, each in enumerate(servers):
        if each.server is None and not found.unread(path):
            found.add_unread((*path, position), "it says not where the server is", 'write server = "HOST:PORT"')
    there = [each for each in servers if each.server is not None]
    if there and all(each.backup for each in there):
        found.add(path, "all of its servers are backups, and nobody is left for whom", "leave out one `backup`")
    listed = tuple(
        Server(
            upstream=dataclasses.replace(each.server, scheme=scheme),
            **given(each, "weight", "backup", "max_fails", "fail_timeout"),
        )
        for each in servers
        if each.server is not None
    )
    return Pool(servers=listed, balance=table.balance or Balance()) if listed else None


def _balance_fits(path: Path, table: StreamTable, pools: Iterable[Pool | None], found: Mistakes) -> None:
    several = [pool for pool in pools if pool and len(pool.servers) > 1]
    if table.balance is None or found.unread((*path, "upstream"), (*path, "by_name")):
        return
    if not several:
        found.add((*path, "balance"), "there is one server, and nothing to choose", "leave it out, or add a server")
    elif table.balance.spread is Spread.HASH and any(each.backup for pool in several for each in pool.servers):
        found.add(
            (*path, "balance"),
            "nginx has no backup servers with hash",
            'leave out `backup`, or write "round_robin" or "least_conn"',
        )


def _tls_fits(path: Path, tls: UpstreamTls, pool: Pool, table: StreamTable, found: Mistakes) -> None:
    """
    An upstream's certificate is checked against one name.
    """
    if table.by_name:
        found.add(path, "what is passed on by name is TLS already", "make two streams of it")
    for one, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(tls, one) and not getattr(tls, other):
            found.add((*path, one), f"it is of no use without its {other}", f'write {other} = "/path" beside it')
    if tls.name or tls.verify is False:
        return
    hosts = {each.upstream.host for each in pool.servers}
    if len(hosts) > 1:
        found.add(
            path, "its servers have several names, and one is asked for", 'write { name = "service.example.com" }'
        )
    elif tls.verify and not any(host and not is_ip(host) for host in hosts):
        found.add(
            (*path, "verify"),
            f"nginx cannot check a certificate against an address, and {pool.first.authority} has no name",
            'write name = "service.example.com": a name that stands in the certificate',
        )
