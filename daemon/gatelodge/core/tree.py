"""
The values that speak of nginx trees: what an nginx can do, a tree that was rendered, one that lies on disk, a part kept back.

They hold text and numbers only. Rendering them is `nginx.render`'s work, writing and proving them an adapter's.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from gatelodge.model import Listener, Name, Secret

#: Stands for the generation's number in `Rendered.entry` until it is known. Control characters are refused in every value
#: that comes from a person, so it cannot occur by accident.
GENERATION = "\x00generation\x00"

#: A version of a certificate: NAME and number.
VersionRef: TypeAlias = tuple[str, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """
    What the nginx that was found can do, and the machine it listens on.

    `modules` are the names of `nginx -V`'s `--with-…` arguments without `--with-`; `dynamic` the paths of dynamic modules
    that exist by the same names, `without` those of its `--without-…` arguments. `user` and `group` are what its workers run
    as when its master is root, None when it is not. `resolvers` are the machine's name servers as nginx writes addresses,
    `ca_bundle` the path of its trusted roots, if it has them. `openssl` is the version that it was built with, `cpus` how many
    workers it will have, and `connections` how many each of them may hold. `strangers` are the addresses, as
    nginx writes them, on which a configuration that is not ours has a default server.
    """

    binary: str
    version: tuple[int, int, int]
    modules: frozenset[str] = frozenset()
    dynamic: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without: frozenset[str] = frozenset()
    ipv6: bool = False
    user: str | None = None
    group: str | None = None
    resolvers: tuple[str, ...] = ()
    ca_bundle: str | None = None
    openssl: tuple[int, int] = (0, 0)
    cpus: int = 1
    connections: int = 8192
    strangers: frozenset[str] = frozenset()

    def at_least(self, *version: int) -> bool:
        """
        Tell whether this nginx is of the given version or newer.
        """
        return self.version >= version


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """
    A certificate as a visitor meets it: which listener, which name he sends (None for an IP host, which sends none), and the
    SHA-256 fingerprint (lower-case hex) of the leaf he must be shown.

    `rsa` is set for a certificate that stands beside another one: it is shown to who takes RSA alone. `proxy_protocol` is set where
    every connection begins with a PROXY header. Without a certificate the visit is only that somebody listens there.
    """

    listener: Listener
    server_name: Name | None
    certificate: str
    fingerprint: str
    rsa: bool = False
    proxy_protocol: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """
    A whole tree as text.

    `entry` is nginx.conf, with `GENERATION` where the number goes; `prelude` what all sites stand on; `sites` one text for
    each site by its file name, in order, and `streams` one for each stream by `Stream.part`; `fresh` the digest of each part's own
    text, before a quarantine replaced it; `unwritten` says of parts why they could not be written as they were asked for;
    `references` every version that the text names; `listeners` what it opens; `served` what the proof reads back;
    `proof` is the URL origin (`http://127.0.0.1:80`) where nginx tells its generation, `proof_proxied` whether connections there begin
    with a PROXY header; `digest` is the same for the same text, whatever the number. `snippets` are files for hand-written
    blocks, by their path in the tree. `whole` is true when `entry` is all of nginx.conf, false when it stands inside `http {}` of
    somebody else's; then `stream_entry` stands inside his `stream {}`, if there are any. `without_streams` is the entry of a tree
    that has none, where `entry` has some.
    """

    digest: str
    proof: str
    entry: str
    prelude: str
    sites: Mapping[str, str]
    fresh: Mapping[str, str]
    references: frozenset[VersionRef]
    listeners: frozenset[Listener]
    served: tuple[Served, ...] = ()
    snippets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    whole: bool = True
    proof_proxied: bool = False
    passwords: Mapping[str, Secret] = dataclasses.field(default_factory=dict)
    unwritten: Mapping[str, str] = dataclasses.field(default_factory=dict)
    streams: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stream_entry: str = ""
    without_streams: str = ""

    @property
    def parts(self) -> Mapping[str, str]:
        """
        The text of everything that can be kept back alone, by its name: a site's is its file name, a stream's `Stream.part`.
        """
        return {**self.sites, **self.streams}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """
    A tree on disk. `proven` once nginx was seen to serve it.
    """

    number: int
    digest: str
    proven: bool
    created_at: dt.datetime
    references: frozenset[VersionRef]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """
    A site or stream (by the name of its part) that nginx refused, by the digest of the text it refused.

    While its own text has this digest and `retry_at` has not come, the tree holds `kept` (its last proven text) instead; when there
    is none, a site's 503, and nothing for a stream.
    """

    site: str
    digest: str
    error: str
    since: dt.datetime
    retry_at: dt.datetime
    failures: int = 1
    kept: str | None = None
