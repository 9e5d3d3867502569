"""
Services behind the gate: their servers, how requests are spread over them, and how nginx speaks to them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """
    The URL of a server behind the gate.

    `scheme` is http, https, grpc, grpcs or fastcgi; behind a stream it is tcp, tls or udp. `host` is an IP address or a name as
    nginx's resolver will see it (container names may hold underscores); both it and the port are empty when `socket` is the path
    of a unix socket. `path`, when given, replaces the matched prefix of the request, as in nginx's `proxy_pass`.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str | None = None
    socket: str | None = None

    @property
    def authority(self) -> str:
        """
        `host:port` in URL form, or `unix:` and the path of a socket, as nginx writes it.
        """
        if self.socket is not None:
            return f"unix:{self.socket}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def encrypted(self) -> bool:
        """
        True when it is spoken to over TLS.
        """
        return self.scheme in {"https", "grpcs", "tls"}

    def __str__(self) -> str:
        path = self.path or ""
        return f"{self.scheme}://{self.authority}{':' if self.socket is not None and path else ''}{path}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """
    One server of a pool (https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server).

    After `max_fails` failures within `fail_timeout` it is left alone for as long; 0 never does that. A `backup` is asked when no
    other server can be.
    """

    upstream: Upstream
    weight: int = 1
    backup: bool = False
    max_fails: int = 1
    fail_timeout: dt.timedelta = dt.timedelta(seconds=10)


class Spread(enum.StrEnum):
    """
    How requests are spread over the servers of a pool: nginx's own words, `hash` being its consistent one (ketama).
    """

    ROUND_ROBIN = "round_robin"
    LEAST_CONN = "least_conn"
    IP_HASH = "ip_hash"
    HASH = "hash"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """
    How a server is chosen. `by` is what `hash` looks at: "uri", "address", "cookie:NAME" or "header:NAME".
    """

    spread: Spread = Spread.ROUND_ROBIN
    by: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """
    How an encrypted upstream is spoken to.

    `verify` None checks its certificate wherever nginx can, which is never for an address. `name` is what it is asked for and
    checked against, its host by default; `ca` a file of roots to trust in place of the machine's; `certificate` and `key` are
    what we show.
    """

    verify: bool | None = None
    name: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """
    The servers that a route passes requests to: one at least, all of one scheme and path.

    `script_root` is where a FastCGI server finds its scripts, in its own file system; `index` the script that answers for a folder.
    """

    servers: tuple[Server, ...]
    balance: Balance = Balance()
    tls: UpstreamTls = UpstreamTls()
    script_root: str = ""
    index: str = "index.php"

    @classmethod
    def of(cls, upstream: Upstream) -> Pool:
        """
        Return the pool of one server.
        """
        return cls(servers=(Server(upstream=upstream),))

    @property
    def first(self) -> Upstream:
        """
        The first server, whose scheme and path are those of all.
        """
        return self.servers[0].upstream

    def __str__(self) -> str:
        return ", ".join(str(each.upstream) for each in self.servers)
