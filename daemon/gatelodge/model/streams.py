"""
Services that speak no HTTP: bytes of TCP or datagrams of UDP, passed on as they come, or taken out of TLS first.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import TYPE_CHECKING

from gatelodge.model.names import file_name

if TYPE_CHECKING:
    from gatelodge.model.names import Name
    from gatelodge.model.nginx import Listener
    from gatelodge.model.upstreams import Pool


#: What the names of streams begin with among the parts of a tree that can be kept back. No file name of a site holds a colon.
STREAM_PREFIX = "stream:"


class Protocol(enum.StrEnum):
    """
    What carries the bytes.
    """

    TCP = "tcp"
    UDP = "udp"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """
    Listeners whose visitors are passed on to an upstream whatever they say: `[streams.NAME]`.

    `certificates` are the NAMEs of the specs by which TLS is taken off here, one for each kind of key, and `hosts` the names that
    they are for; none for a stream that is passed on as it comes. `by_name` says where a TLS visitor goes by the name that he asks
    for, without taking anything off; a wildcard there stands for any number of labels. `upstream` is for everybody else; None
    refuses him.

    A visitor who is silent for `timeout` is let go. `responses` is how many datagrams answer one, after which nothing more is waited
    for; None when that is not known. With `proxy_protocol` each connection to an upstream begins with a PROXY header that says who
    the visitor is. With `allow` nobody else may come; `connections` is how many one address may hold at once. `key` is where it
    stands in the TOML.
    """

    name: str
    listeners: tuple[Listener, ...]
    upstream: Pool | None = None
    by_name: tuple[tuple[Name, Pool], ...] = ()
    hosts: tuple[Name, ...] = ()
    certificates: tuple[str, ...] = ()
    timeout: dt.timedelta = dt.timedelta(hours=1)
    connect_timeout: dt.timedelta = dt.timedelta(seconds=5)
    responses: int | None = None
    proxy_protocol: bool = False
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    connections: int | None = None
    snippet: str = ""
    key: str = ""

    @property
    def protocol(self) -> Protocol:
        """
        What carries the bytes: that of its listeners, which is one.
        """
        return Protocol.UDP if any(each.udp for each in self.listeners) else Protocol.TCP

    @property
    def file_name(self) -> str:
        """
        The stream's name as a file name.
        """
        return file_name(self.name)

    @property
    def part(self) -> str:
        """
        What the stream is called among the parts of a tree that can be kept back.
        """
        return f"{STREAM_PREFIX}{self.file_name}"

    @property
    def pools(self) -> tuple[Pool, ...]:
        """
        Everywhere that a visitor may be passed on to.
        """
        return (*(pool for _, pool in self.by_name), *((self.upstream,) if self.upstream else ()))
