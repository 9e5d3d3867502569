"""
Decides which of SWAG's sites are taken over, with which hosts: a name that nginx might have given to another server is not.

What nginx does with a name is known only when all server blocks are; so one file that cannot be read holds every site back.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import names
from gatelodge.importing import proxy_conf
from gatelodge.importing.found import FoundSite, Left
from gatelodge.importing.toml_text import shown
from gatelodge.model import covers, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gatelodge.importing.nginx_syntax import Directive
    from gatelodge.importing.shared_files import Shared
    from gatelodge.model import Name

#: SWAG has some 370 samples. Each name is compared with each.
_MOST_NAMES = 1000

_HTTPS = "it is spoken to by https: Gatelodge checks its certificate where it knows a name; see `gatelodge plan`"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Confs:
    """
    SWAG's server blocks by file: those of `proxy-confs`, and those of `site-confs`. `blind` says why some are not known.
    """

    proxies: Mapping[str, tuple[Directive, ...]]
    customs: Mapping[str, tuple[Directive, ...]]
    blind: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """
    A server block, and the file that it stands in.
    """

    file: str
    server: proxy_conf.Server
    proxy: bool


class Sites:
    """
    The sites of a SWAG whose certificate has these names, `bases` being what its subdomains are below of.
    """

    def __init__(self, confs: Confs, shared: Shared, certified: tuple[Name, ...], bases: Iterable[str]) -> None:
        self._certified = certified
        self._bases = tuple(dict.fromkeys((*bases, *(name[2:] for name in certified if is_wildcard(name)))))
        self._blind = confs.blind
        self.claims = [
            _Claim(file=file, server=server, proxy=proxy)
            for files, proxy in ((confs.customs, False), (confs.proxies, True))
            for file, directives in files.items()
            for server in proxy_conf.read(directives, shared)
            if not server.redirects
        ]
        self._crowded = sum(len(claim.server.names) for claim in self.claims) > _MOST_NAMES

    def read(self) -> Iterator[FoundSite | Left]:
        """
        Yield the sites, and what is none.
        """
        for claim in self.claims:
            if not claim.proxy:
                continue
            server = claim.server
            if self._crowded:
                yield Left(what=shown(claim.file), why=f"there are more than {_MOST_NAMES} names to compare")
                continue
            hosts, uncertain = self._hosts(claim)
            if server.plain is None:
                names_of = f" ({', '.join(hosts)})" if hosts else f" ({shown(' '.join(server.names))})"
                yield Left(what=f"{shown(claim.file)}{names_of}", why=server.why, guards=server.guards)
            elif not hosts:
                yield Left(what=shown(claim.file), why=uncertain or self._nameless(server))
            else:
                yield self._site(claim.file, server.plain, hosts, uncertain)

    def _site(self, file: str, plain: proxy_conf.Plain, hosts: tuple[Name, ...], uncertain: str | None) -> FoundSite:
        covered = tuple(host for host in hosts if self.certified(host))
        remarks = [f"From {shown(file)}."]
        if plain.dropped:
            remarks.append(f"Not taken from it, since Gatelodge has settings of its own: {', '.join(plain.dropped)}.")
        if any(url.startswith("https:") for url in (plain.upstream, *plain.routes.values())):
            remarks.append(f"{plain.upstream}: {_HTTPS}.")
        held = self._blind or uncertain
        if not covered and not held:
            held = "SWAG's certificate is not for it; take the # away and it gets one of its own"
        return FoundSite(
            hosts=covered or hosts,
            upstream=plain.upstream,
            routes=plain.routes,
            body_size=plain.body_size,
            remarks=tuple(remarks),
            held=held,
        )

    def certified(self, host: str) -> bool:
        """
        Tell whether SWAG's certificate is good for a host.
        """
        return any(covers(name, host) for name in self._certified)

    def winners(self, host: str) -> list[_Claim]:
        """
        Return the servers that nginx may take for a name, more than one when that is not sure
        (https://nginx.org/en/docs/http/server_names.html).
        """
        ranks: dict[tuple[int, int], list[_Claim]] = {}
        for claim in self.claims:
            for pattern in claim.server.names:
                rank = _rank(pattern.lower(), host)
                if rank is not None and claim not in ranks.setdefault(rank, []):
                    ranks[rank].append(claim)
        return ranks[max(ranks)] if ranks else [claim for claim in self.claims if claim.server.default]

    def _hosts(self, claim: _Claim) -> tuple[tuple[Name, ...], str | None]:
        """
        Return the hosts that a server has, and why that is not sure.
        """
        found: dict[Name, None] = {}
        lost = doubled = None
        for pattern in claim.server.names:
            for text in self._candidates(pattern.lower()):
                host = _host(text)
                if host is None:
                    continue
                winners = self.winners(host)
                if claim not in winners:
                    lost = f"{host} is that of {shown(winners[0].file)}, for nginx too"
                    continue
                if len(winners) > 1:
                    other = next(each for each in winners if each is not claim)
                    doubled = f"{shown(other.file)} has the name {host} too, and only one of them is served"
                found[host] = None
        hosts = tuple(host for host in found if self.certified(host)) or tuple(found)
        return hosts, doubled or (None if found else lost)

    def _candidates(self, pattern: str) -> Iterator[str]:
        """
        Yield the hosts that a `server_name` can stand for here.
        """
        if pattern.endswith(".*"):
            first = pattern.removesuffix("*")
            yield from (f"{first}{base}" for base in self._bases)
            yield from (name for name in self._certified if name.startswith(first))
        elif pattern and pattern != "_" and not pattern.startswith(("~", "*", ".")):
            yield pattern

    @staticmethod
    def _nameless(server: proxy_conf.Server) -> str:
        return f"its names cannot be listed: server_name {shown(' '.join(server.names))}"


def _rank(pattern: str, host: str) -> tuple[int, int] | None:
    """
    Return how strongly a `server_name` takes a host, None when it does not: exact, the longest `*.X`, the longest `X.*`, regex.
    """
    if pattern in {host, f".{host}"}:
        return (4, 0)
    if pattern.startswith(("*.", ".")) and host.endswith(pattern.removeprefix("*")):
        return (3, len(pattern))
    if pattern.endswith(".*") and host.startswith(pattern.removesuffix("*")):
        return (2, len(pattern))
    # Whether a regex matches is not looked at: it may.
    return (1, 0) if pattern.startswith("~") else None


def _host(text: str) -> Name | None:
    try:
        host = names.host(text)
    except Unreadable:
        return None
    return None if is_wildcard(host) else host
