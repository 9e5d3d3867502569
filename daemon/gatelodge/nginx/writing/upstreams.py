"""
Decides how nginx reaches the servers behind a route: the `upstream` blocks of a site, and the directive that passes a request on.

A name is never looked up by nginx's master: it would wait for it at every start and reload, and keep what it found. Either nginx
goes on looking it up (`resolve`), or a variable makes its workers do so.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import quote as percent_encode
from urllib.parse import unquote

from gatelodge.model import Match, Spread, is_ip
from gatelodge.nginx.writing.quote import Directive, Expression, Verbatim, block, line, spell_dollar
from gatelodge.nginx.writing.units import seconds

if TYPE_CHECKING:
    from gatelodge.model import Balance, Pool, Route, Server, Upstream
    from gatelodge.nginx.writing.ground import Ground
    from gatelodge.nginx.writing.quote import Argument

#: How long an idle connection to an upstream is kept. Node.js and uvicorn close theirs after 5 s, and a POST that is sent at that
#: very moment is lost; so ours go first.
_KEEPALIVE_SECONDS = "4s"

#: Room for an upstream's addresses and counts, which all workers share. nginx's own examples say 64k.
_ZONE_SIZE = "64k"

#: The directive that passes a request on, and what stands before the server in it.
_PASSING = {
    "http": ("proxy_pass", "http://"),
    "https": ("proxy_pass", "https://"),
    "grpc": ("grpc_pass", "grpc://"),
    "grpcs": ("grpc_pass", "grpcs://"),
    "fastcgi": ("fastcgi_pass", ""),
}

#: What a consistent hash is made of, by the word for it.
_HASHED = {"uri": "$request_uri", "address": "$remote_addr", "cookie": "$cookie_{name}", "header": "$http_{name}"}

#: Characters that stay as they are in the path of a URL (RFC 3986 §3.3), less `$`, which nginx would take for a variable.
_PATH_CHARACTERS = "/%:@!&'()*+,;=-._~"


class Upstreams:
    """
    The upstream blocks that a site needs, each once.
    """

    def __init__(self, site: str, ground: Ground) -> None:
        self.blocks: dict[str, Directive] = {}
        self._site = site
        self._ground = ground

    def passing(self, route: Route, pool: Pool, *, variable: str = "$gatelodge_upstream") -> list[Directive]:
        """
        Return the directives that pass a request on to a pool.

        Args:
            variable: the one that makes nginx look a name up. A request and those that it makes nginx ask by the way share them all.

        Raises:
            ValueError: this nginx cannot do that.
        """
        directive, before = _PASSING[pool.first.scheme]
        path = url_path(pool.first) if directive == "proxy_pass" else ""
        if not (_by_variable(pool) and not self._ground.resolve):
            return [line(directive, f"{before}{self._block(pool)}{path}")]
        if len(pool.servers) > 1:
            names = ", ".join(each.upstream.host for each in pool.servers if not _is_fixed(each.upstream))
            raise ValueError(
                f"several servers by name ({names}) need nginx 1.27.3; give their addresses, or one server"
            )
        # Before 1.27.3 only a variable makes nginx look a name up again, and then it replaces no prefix. The rewrite does
        # that, on the decoded path as nginx would; `(?s)` since a decoded path may hold a newline.
        return [
            line("set", Expression(variable), pool.first.authority),
            *_replaced(route, pool.first),
            line(directive, Expression(f"{before}{variable}")),
        ]

    def _block(self, pool: Pool) -> str:
        """
        Add the block of a pool, and return its name, which changes with everything that the shared zone depends on, and with how the
        servers are spoken to: nginx takes up a kept connection by its address alone, whatever was spoken on it or checked.
        """
        servers = [_server(each) for each in pool.servers]
        balance = _balance(pool.balance)
        named = any("resolve" in each for each in servers)
        shared = len(servers) > 1 or named
        kept = (line("keepalive", str(self._ground.keepalive)), line("keepalive_timeout", _KEEPALIVE_SECONDS))
        spoken = (pool.first.scheme, pool.tls)
        identity = hashlib.sha256(repr((servers, balance, _ZONE_SIZE, kept, spoken)).encode()).hexdigest()[:8]
        name = f"gatelodge_{self._site}_{identity}"
        zone = [line("zone", name, _ZONE_SIZE)] if shared else []
        # Somebody else's `http {}` need not say where names are looked up, and an upstream does not ask its servers' blocks.
        resolving = self._ground.resolving if named and self._ground.shared else ()
        self.blocks[name] = block(
            "upstream", name, inside=[*zone, *resolving, *balance, *(line(*each) for each in servers), *kept]
        )
        return name


def _by_variable(pool: Pool) -> bool:
    return not all(_is_fixed(each.upstream) for each in pool.servers)


def _is_fixed(upstream: Upstream) -> bool:
    """
    Tell whether there is nothing to look up. nginx's resolver knows no /etc/hosts, so `localhost` is written as its address.
    """
    return upstream.socket is not None or is_ip(upstream.host) or upstream.host == "localhost"


def _server(server: Server) -> list[Argument]:
    upstream = server.upstream
    authority = f"127.0.0.1:{upstream.port}" if upstream.host == "localhost" else upstream.authority
    words: list[Argument] = ["server", authority if upstream.socket is None else Verbatim(authority)]
    words += [] if _is_fixed(upstream) else ["resolve"]
    words += [f"weight={server.weight}"] if server.weight != 1 else []
    words += [f"max_fails={server.max_fails}"] if server.max_fails != 1 else []
    if server.fail_timeout.total_seconds() != _FAIL_SECONDS:
        words.append(f"fail_timeout={seconds(server.fail_timeout)}")
    return [*words, "backup"] if server.backup else words


#: nginx's own `fail_timeout`, which is not written.
_FAIL_SECONDS = 10


def _balance(balance: Balance) -> list[Directive]:
    match balance.spread:
        case Spread.ROUND_ROBIN:
            return []
        case Spread.LEAST_CONN | Spread.IP_HASH:
            return [line(balance.spread.value)]
        case Spread.HASH:
            word, _, name = balance.by.partition(":")
            variable = _HASHED[word].format(name=name.lower().replace("-", "_"))
            return [line("hash", Expression(variable), "consistent")]


def _replaced(route: Route, upstream: Upstream) -> list[Directive]:
    """
    Replace the prefix where nginx does not, because it passes on to a variable.
    """
    if upstream.path is None:
        return []
    target = unquote(url_path(upstream), errors="strict")
    if "?" in target:
        raise ValueError(f"the path of {upstream} has a ?, which this nginx would take for a query")
    rest = "()$" if route.match is Match.EXACT else "(.*)"
    regex = f"(?s)^{re.escape(route.path)}{rest}"
    return [line("rewrite", Verbatim(regex), Expression(f"{spell_dollar(target)}$1"), "break")]


def escape_path(path: str) -> str:
    """
    Write the path of a route as it stands in a URL.
    """
    return percent_encode(path, safe=_PATH_CHARACTERS.replace("%", ""))


def url_path(upstream: Upstream) -> str:
    """
    Return an upstream's path as it stands in `proxy_pass`; nothing when it has none.
    """
    return percent_encode(upstream.path, safe=_PATH_CHARACTERS) if upstream.path else ""
