"""
Finds ports for servers that are about to be started, here and beside others who look for some at the same time.

Nothing holds a port between its being found and its server's start, so none is handed out that somebody else is likely to take:
they lie below those that the kernel gives to clients and to servers that ask for any (32768 and up, ip(7): `ip_local_port_range`),
and a process hands each out once, from a place of its own onwards, before any comes again.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket

_PORTS = range(10_000, 32_000)

#: From one process to the next: near the golden section of the range, so that neighbours begin far from each other.
_STRIDE = 13_597

_given = itertools.count(os.getpid() * _STRIDE)


def free_ports(count: int) -> list[int]:
    """
    Return ports that nothing listens on, on any address, by TCP or UDP.

    Raises:
        OSError: there are not so many.
    """
    walk = (_PORTS[next(_given) % len(_PORTS)] for _ in _PORTS)
    found = list(itertools.islice(filter(_is_free, walk), count))
    if len(found) < count:
        raise OSError(errno.EADDRINUSE, f"there are not {count} free ports from {_PORTS[0]} to {_PORTS[-1]}")
    return found


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("", port)), socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("", port))
    except OSError:
        return False
    return True
