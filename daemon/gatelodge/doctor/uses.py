"""
Where the configuration has nginx pass requests on to, and on whose behalf.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatelodge.model import ForwardAuth, Match, Pool
from gatelodge.runtime.standing.report import url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.core.desired import Desired
    from gatelodge.model import Upstream

#: What a visitor may type in place of a wildcard's first label.
_ANY_LABEL = "gatelodge-doctor"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """
    An upstream, and the first that needs it: `subject` in words, the path that it is asked for, and the URL of the site as a visitor types
    it (empty for what is no site of TLS).
    """

    upstream: Upstream
    pool: Pool
    subject: str
    path: str = "/"
    visited: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """
        What nginx says that the visitor typed: the host, with the port when it is not the usual one.
        """
        return urlsplit(self.visited).netloc.replace("*", _ANY_LABEL) or self.upstream.authority


def find_uses(wanted: Desired) -> Iterator[Use]:
    """
    Yield each server of each pool, as often as it is used: by sites, by logins, by streams.
    """
    for site in wanted.sites:
        for route in site.routes:
            if isinstance(route.action, Pool):
                for server in route.action.servers:
                    yield Use(
                        upstream=server.upstream,
                        pool=route.action,
                        subject=f"{site.name}{route.path if route.match is not Match.REGEX else ' (' + route.path + ')'}",
                        path=server.upstream.path or (route.path if route.match is not Match.REGEX else "/"),
                        visited=url(site, wanted),
                        hosts=site.hosts,
                    )
    for name, auth in wanted.auth.items():
        if isinstance(auth, ForwardAuth):
            yield from (
                Use(upstream=each.upstream, pool=auth.service, subject=f"auth.{name}") for each in auth.service.servers
            )
    for stream in wanted.streams:
        for pool in stream.pools:
            yield from (
                Use(upstream=each.upstream, pool=pool, subject=f"streams.{stream.name}") for each in pool.servers
            )
