"""
Small streams to render.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from gatelodge.model import Listener, Pool, Server, Stream, Upstream


def pool(*servers: str, scheme: str = "tcp", **more: Any) -> Pool:
    """
    Return a pool of servers written as `HOST:PORT` or `unix:/path`.
    """
    return Pool(servers=tuple(Server(upstream=upstream(each, scheme)) for each in servers), **more)


def upstream(text: str, scheme: str = "tcp") -> Upstream:
    """
    Return an upstream written as `HOST:PORT` or `unix:/path`.
    """
    if text.startswith("unix:"):
        return Upstream(scheme=scheme, socket=text.removeprefix("unix:"))
    host, _, port = text.rpartition(":")
    return Upstream(scheme=scheme, host=host.strip("[]"), port=int(port))


def stream(
    name: str = "mqtt", *, to: str | Pool | None = "192.0.2.5:1883", port: int = 8883, udp: bool = False, **more: Any
) -> Stream:
    """
    Return a stream; without more, TCP to one address.
    """
    where = pool(to, scheme="udp" if udp else "tcp") if isinstance(to, str) else to
    made = Stream(name=name, listeners=(Listener(port=port, udp=udp),), upstream=where, key=f"streams.{name}")
    return dataclasses.replace(made, **more)
