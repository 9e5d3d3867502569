"""
Decides what one stream's file says: its listeners, who may come, where visitors go by the name they ask for, and how they are passed
on.

It needs nothing of anybody else's: what a stream uses stands in its own file, so that it can be left out or kept back without touching
another. A name of an upstream is never looked up by nginx's master, as for sites.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

from gatelodge.model import Spread, is_ip
from gatelodge.nginx.writing.ground import addresses
from gatelodge.nginx.writing.manners import tls_parameters
from gatelodge.nginx.writing.quote import Directive, Expression, Raw, block, line, write
from gatelodge.nginx.writing.site import HEADER
from gatelodge.nginx.writing.units import seconds

if TYPE_CHECKING:
    from gatelodge.model import Pool, Server, Stream, Upstream
    from gatelodge.nginx.writing.ground import Ground, Place
    from gatelodge.nginx.writing.quote import Argument, Part
    from gatelodge.nginx.writing.site import Files

#: Room for an upstream's addresses and counts, which all workers share. nginx's own examples say 64k.
_ZONE_SIZE = "64k"

#: Room for the addresses of a limit, about 8 000, and for TLS sessions, about 4 000
#: (https://nginx.org/en/docs/stream/ngx_stream_limit_conn_module.html, ngx_stream_ssl_module.html#ssl_session_cache).
_LIMIT_SIZE = "1m"
_SESSIONS_SIZE = "1m"

#: nginx's own `fail_timeout`, which is not written.
_FAIL_SECONDS = 10

#: Where a visitor goes whom nobody takes: nginx closes his connection, and says so in its log.
_NOWHERE = ""


def streaming(stream: Stream, files: tuple[Files, ...], ground: Ground) -> str:
    """
    Write a stream as it was asked for. One that shows a certificate and has none yet opens no listener.

    Args:
        files: its certificates, one for each kind of key.

    Raises:
        ValueError: this nginx cannot do that, or something of it cannot be written.
    """
    _require(stream, ground)
    course = _Course(stream, ground)
    inside = [*_guard(stream), *_manners(stream, ground), *course.passing()]
    places = ground.places(stream.listeners) if files or not stream.certificates else []
    servers = [_server(stream, place, files, ground, inside) for place in places]
    return HEADER + write([*_zones(stream), *course.blocks.values(), *course.maps, *servers])


_LEFT_OUT = f"{HEADER}# Left out: "


def left_out(why: str) -> str:
    """
    Write what stands in place of a stream that is not served.
    """
    return f"{_LEFT_OUT}{''.join(each if each.isprintable() else ' ' for each in why)}\n"


def is_left_out(text: str) -> bool:
    """
    Tell whether a text only stands in place of a stream.
    """
    return text.startswith(_LEFT_OUT)


def _require(stream: Stream, ground: Ground) -> None:
    needed = {
        "stream_ssl_module": bool(stream.certificates) or any(pool.first.encrypted for pool in stream.pools),
        "stream_ssl_preread_module": bool(stream.by_name),
        "stream_realip_module": any(ground.terms(each).settings.proxy_protocol for each in stream.listeners),
    }
    for module, wanted in needed.items():
        if wanted and module not in ground.modules:
            raise ValueError(f"it needs nginx's {module}, which this one does not have")


def _server(
    stream: Stream, place: Place, files: tuple[Files, ...], ground: Ground, inside: list[Directive]
) -> Directive:
    """
    Write the server block of listeners that stand on the same terms.
    """
    trusted = place.terms.settings.proxy_protocol
    words = [*(["ssl"] if files else []), *(["proxy_protocol"] if trusted is not None else [])]
    # What one visitor sends must come to one worker, or he has a session with the upstream for each of them
    # (https://nginx.org/en/docs/stream/ngx_stream_core_module.html#udp). The master keeps each worker's socket over reloads.
    words += ["udp", "reuseport"] if any(each.udp for each in place.listeners) else []
    whole: list[Part] = [
        line("listen", address, *words)
        for each in place.listeners
        for address in addresses(dataclasses.replace(each, udp=False), ipv6=ground.ipv6)
    ]
    whole += [line("set_real_ip_from", network) for network in trusted or ()]
    if files:
        # Sessions are a stream's own: made at one, they let nobody into another.
        cache = f"gatelodge_stream_{_identity(stream.name, _SESSIONS_SIZE)}_tls:{_SESSIONS_SIZE}"
        whole += [each for one in files for each in one.directives()]
        whole += tls_parameters(ground.openssl, profile=place.terms.settings.tls_profile, cache=cache)
    whole += inside
    if stream.snippet:
        whole.append(Raw(stream.snippet, f"{stream.key}.snippet"))
    return block("server", inside=whole, remark=stream.key)


def _zones(stream: Stream) -> list[Directive]:
    if stream.connections is None:
        return []
    return [line("limit_conn_zone", Expression("$binary_remote_addr"), f"zone={_limit(stream)}:{_LIMIT_SIZE}")]


def _limit(stream: Stream) -> str:
    return f"gatelodge_stream_{_identity(stream.name, _LIMIT_SIZE)}_connections"


def _guard(stream: Stream) -> list[Directive]:
    """
    Return who may come, and how often at once.
    """
    lines = [line("deny", each) for each in stream.deny] + [line("allow", each) for each in stream.allow]
    lines += [line("deny", "all")] if stream.allow else []
    return (
        lines if stream.connections is None else [*lines, line("limit_conn", _limit(stream), str(stream.connections))]
    )


def _manners(stream: Stream, ground: Ground) -> list[Directive]:
    """
    Return how bytes are passed on.
    """
    lines = [line("ssl_preread", "on")] if stream.by_name else []
    lines += [
        line("proxy_connect_timeout", seconds(stream.connect_timeout)),
        line("proxy_timeout", seconds(stream.timeout)),
    ]
    lines += [line("proxy_responses", str(stream.responses))] if stream.responses is not None else []
    lines += [line("proxy_protocol", "on")] if stream.proxy_protocol else []
    encrypted = stream.upstream is not None and stream.upstream.first.encrypted
    return [*lines, *_encryption(stream.upstream, ground)] if encrypted and stream.upstream else lines


def _encryption(pool: Pool, ground: Ground) -> list[Directive]:
    """
    Return how a pool is spoken to over TLS: its certificate is checked against a name, which an address is not for nginx.
    """
    tls = pool.tls
    hosts = {each.upstream.host for each in pool.servers}
    name = tls.name or (hosts.pop() if len(hosts) == 1 else "")
    trusted = tls.ca or ground.ca_bundle
    verify = bool(name) and not is_ip(name) and trusted is not None if tls.verify is None else tls.verify
    lines = [line("proxy_ssl", "on")]
    lines += [line("proxy_ssl_server_name", "on"), line("proxy_ssl_name", name)] if name and not is_ip(name) else []
    lines.append(line("proxy_ssl_verify", "on" if verify else "off"))
    if verify:
        if trusted is None:
            raise ValueError("there are no roots on this machine to check its certificate by: write { ca = … }")
        lines += [line("proxy_ssl_trusted_certificate", trusted), line("proxy_ssl_verify_depth", "4")]
    if tls.certificate and tls.key:
        lines += [line("proxy_ssl_certificate", tls.certificate), line("proxy_ssl_certificate_key", tls.key)]
    return lines


class _Course:
    """
    Where a stream goes: its `upstream` blocks, each once, and its `map` if it has one.
    """

    def __init__(self, stream: Stream, ground: Ground) -> None:
        self.blocks: dict[str, Directive] = {}
        self.maps: list[Directive] = []
        self._stream = stream
        self._ground = ground

    def passing(self) -> list[Directive]:
        """
        Return the directive that passes a visitor on.

        Raises:
            ValueError: this nginx cannot do that.
        """
        stream = self._stream
        usual = self._destination(stream.upstream) if stream.upstream else _NOWHERE
        by_name = [(name, self._destination(pool)) for name, pool in stream.by_name]
        alone = [pool.first for pool in stream.pools if len(pool.servers) == 1 and not self._ground.resolve]
        looked_up = any(not _is_fixed(upstream) for upstream in alone)
        if not by_name and not looked_up:
            return [line("proxy_pass", usual)]
        # With a variable nginx's workers look a name up, each time that its address is no longer believed.
        variable = f"$gatelodge_stream_{_identity(stream.name)}"
        rows = [line("hostnames"), *(line(_row(name), to) for name, to in by_name)] if by_name else []
        source = Expression("$ssl_preread_server_name") if by_name else ""
        self.maps.append(block("map", source, Expression(variable), inside=[*rows, line("default", usual)]))
        return [*(self._ground.resolving if looked_up else ()), line("proxy_pass", Expression(variable))]

    def _destination(self, pool: Pool) -> str:
        """
        Return where a pool is: the name of its block, or the address of its only server.
        """
        named = [each.upstream for each in pool.servers if not _is_fixed(each.upstream)]
        if len(pool.servers) == 1 and not (named and self._ground.resolve):
            return _authority(pool.first)
        if named and not self._ground.resolve:
            names = ", ".join(each.host for each in named)
            raise ValueError(
                f"several servers by name ({names}) need nginx 1.27.3; give their addresses, or one server"
            )
        servers = [_server_words(each) for each in pool.servers]
        balance = _balance(pool.balance.spread)
        name = f"gatelodge_stream_{self._stream.file_name}_{_identity(repr((servers, balance)), _ZONE_SIZE)}"
        inside = [line("zone", name, _ZONE_SIZE), *balance, *(line("server", *words) for words in servers)]
        self.blocks[name] = block("upstream", name, inside=[*(self._ground.resolving if named else ()), *inside])
        return name


def _row(name: str) -> str:
    """
    Return a name as it stands in a `map`, where some words mean something else.
    """
    return f"\\{name}" if name in {"default", "include"} else name


def _identity(*parts: str) -> str:
    """
    Return a name for what depends on these: a shared zone is not taken at a reload with another size or use.
    """
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


def _is_fixed(upstream: Upstream) -> bool:
    """
    Tell whether there is nothing to look up. nginx's resolver knows no /etc/hosts, so `localhost` is written as its address.
    """
    return upstream.socket is not None or is_ip(upstream.host) or upstream.host == "localhost"


def _authority(upstream: Upstream) -> str:
    return f"127.0.0.1:{upstream.port}" if upstream.host == "localhost" else upstream.authority


def _server_words(server: Server) -> list[Argument]:
    words: list[Argument] = [_authority(server.upstream)]
    words += [] if _is_fixed(server.upstream) else ["resolve"]
    words += [f"weight={server.weight}"] if server.weight != 1 else []
    words += [f"max_fails={server.max_fails}"] if server.max_fails != 1 else []
    if server.fail_timeout.total_seconds() != _FAIL_SECONDS:
        words.append(f"fail_timeout={seconds(server.fail_timeout)}")
    return [*words, "backup"] if server.backup else words


def _balance(spread: Spread) -> list[Directive]:
    match spread:
        case Spread.LEAST_CONN:
            return [line("least_conn")]
        case Spread.HASH:
            return [line("hash", Expression("$remote_addr"), "consistent")]
        case _:
            return []
