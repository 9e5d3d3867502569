"""
Finds ports for servers that are about to be started, here and beside others who look for some at the same time.

Nothing holds a port between its being found and its server's start, so none is handed out that somebody else is likely to take:
they lie below those that the kernel gives to clients and to servers that ask for any (32768 and up, ip(7): `ip_local_port_range`),
and a process hands each out once, from a place of its own onwards, before any comes again.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket

_PORTS = range(10_000, 32_000)

#: From one process to the next: a prime, so that neighbours begin far from each other.
_STRIDE = 7919

_given = itertools.count(os.getpid() * _STRIDE)


def free_ports(count: int) -> list[int]:
    """
    Return ports that nothing listens on, on any address, by TCP or UDP.
    """
    found: list[int] = []
    while len(found) < count:
        port = _PORTS[next(_given) % len(_PORTS)]
        with (
            contextlib.suppress(OSError),
            socket.create_server(("", port)),
            socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        ):
            datagrams.bind(("", port))
            found.append(port)
    return found
