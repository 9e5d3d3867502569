"""
Turns an upstream as it is written into a pool of servers, and refuses what nginx, or a server, could make nothing of.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from gatelodge.config.document.fields import given
from gatelodge.model import Balance, Pool, Server, Spread, UpstreamTls, is_ip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatelodge.config.document.site_tables import ManyRoutes, ServerTable, UpstreamTlsTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.model import Upstream

#: Ways to choose a server that know no spare one (https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server).
_WITHOUT_BACKUP = frozenset({Spread.IP_HASH, Spread.HASH})

_SCRIPTS = ("script_root", "script_index")


def pool(path: Path, table: ManyRoutes, around: ManyRoutes | None, found: Mistakes) -> Pool | None:
    """
    Return the upstream of a site or route; None when it has none that can be read.

    Args:
        around: the site of a route, whose words about an upstream hold for it too.
    """
    if not table.upstream:
        if table.upstream is not None and not found.unread((*path, "upstream")):
            found.add((*path, "upstream"), "it is empty", 'write upstream = "http://…"')
        return None
    servers = _servers((*path, "upstream"), table.upstream, found)
    if not servers:
        return None
    balance = _balance(path, table, servers, found)
    read = Pool(servers=servers, balance=balance)
    if read.first.scheme == "fastcgi":
        read = _with_scripts(path, read, table, around, found)
    if read.first.encrypted:
        tls = table.upstream_tls or (around.upstream_tls if around else None)
        read = dataclasses.replace(read, tls=_tls(tls) if tls else UpstreamTls())
        if not found.unread((*path, "upstream"), (*path, "upstream_tls")):
            _one_name((*path, "upstream"), read, found)
    return read


def fits(path: Path, table: ManyRoutes, pools: Sequence[Pool], found: Mistakes) -> None:
    """
    Note what a table says of its upstreams, when it has none of that kind.

    Args:
        pools: those to which the table's words apply.
    """
    if found.unread((*path, "upstream"), (*path, "routes")):
        return
    if table.upstream_tls is not None and not found.unread((*path, "upstream_tls")):
        _tls_fits((*path, "upstream_tls"), table.upstream_tls, [each for each in pools if each.first.encrypted], found)
    for key in _SCRIPTS:
        if getattr(table, key) is not None and not any(each.first.scheme == "fastcgi" for each in pools):
            found.add((*path, key), "it is for a fastcgi upstream, and there is none", "leave it out")
    if table.balance is not None and table.upstream is None:
        found.add((*path, "balance"), "there is no upstream beside it", 'write upstream = ["http://…", "http://…"]')


def _servers(path: Path, tables: Sequence[ServerTable], found: Mistakes) -> tuple[Server, ...]:
    servers = []
    for position, table in enumerate(tables):
        if table.url is not None:
            options: dict[str, Any] = given(table, "weight", "backup", "max_fails", "fail_timeout")
            servers.append(Server(upstream=table.url, **options))
        elif not found.unread(path):
            found.add_unread((*path, position), "it has no url", 'write { url = "http://…" }')
    if found.unread(path):
        return tuple(servers)
    first = servers[0].upstream
    for position, each in enumerate(servers):
        if (each.upstream.scheme, each.upstream.path) != (first.scheme, first.path):
            found.add(
                (*path, position),
                f"{each.upstream} differs from {first} in more than its place",
                "give all servers of an upstream the same scheme and path",
            )
    if all(each.backup for each in servers):
        found.add(path, "all of its servers are backups, and nobody is left for whom", "leave out one `backup`")
    return tuple(servers)


def _balance(path: Path, table: ManyRoutes, servers: tuple[Server, ...], found: Mistakes) -> Balance:
    balance = table.balance
    if balance is None:
        return Balance()
    if not found.unread((*path, "upstream")):
        if len(servers) == 1:
            found.add((*path, "balance"), "there is one server, and nothing to choose", "leave it out, or add a server")
        elif balance.spread in _WITHOUT_BACKUP and any(each.backup for each in servers):
            found.add(
                (*path, "balance"),
                f"nginx has no backup servers with {balance.spread}",
                'leave out `backup`, or write "round_robin" or "least_conn"',
            )
    return balance


def _with_scripts(path: Path, read: Pool, table: ManyRoutes, around: ManyRoutes | None, found: Mistakes) -> Pool:
    said = {**(given(around, *_SCRIPTS) if around else {}), **given(table, *_SCRIPTS)}
    if "script_root" not in said and not found.unread((*path, "script_root")):
        found.add(
            (*path, "upstream"),
            "a fastcgi upstream is told where its scripts are, in its own file system",
            'write script_root = "/var/www/html" beside it',
        )
    return dataclasses.replace(
        read, script_root=said.get("script_root", ""), index=said.get("script_index", read.index)
    )


def _tls(table: UpstreamTlsTable) -> UpstreamTls:
    return UpstreamTls(**given(table, "verify", "name", "ca", "certificate", "key"))


def _tls_fits(path: Path, table: UpstreamTlsTable, pools: Sequence[Pool], found: Mistakes) -> None:
    if not pools:
        found.add(path, "no upstream here is spoken to by TLS", "write https:// or grpcs:// there, or leave it out")
    for one, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(table, one) is not None and getattr(table, other) is None and not found.unread((*path, other)):
            found.add((*path, one), f"it is of no use without its {other}", f'write {other} = "/path" beside it')
    nameless = [server.upstream for pool in pools for server in pool.servers if not _has_name(server.upstream)]
    if table.verify and table.name is None and nameless and not found.unread((*path, "name")):
        found.add(
            (*path, "verify"),
            f"nginx cannot check a certificate against an address, and {nameless[0].authority} has no name",
            'write name = "service.example.com": a name that stands in the certificate',
        )


def _one_name(path: Path, read: Pool, found: Mistakes) -> None:
    """
    Note servers that would each be checked against the name of the first.
    """
    hosts = {each.upstream.host for each in read.servers}
    named = any(_has_name(each.upstream) for each in read.servers)
    if len(hosts) > 1 and named and read.tls.name is None and read.tls.verify is not False:
        found.add(
            path,
            "its servers have several names, and nginx asks for one and checks all against it",
            'write upstream_tls.name = "service.example.com", which the certificates of all are for',
        )


def _has_name(upstream: Upstream) -> bool:
    return upstream.socket is None and not is_ip(upstream.host)
