"""
Tries whether new listeners can be opened, by opening them: `nginx -t` passes on a taken port.

Only those that a running nginx does not hold already are tried, with the same socket options as nginx's own.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING

from gatelodge.nginx.process import holder
from gatelodge.nginx.render import CANNOT_LISTEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatelodge.model import Listener

_PRIVILEGED = 1024


def find_closed(listeners: Iterable[Listener], *, held: frozenset[Listener], ipv6: bool) -> dict[Listener, str]:
    """
    Return the listeners that cannot be opened, and why.

    Args:
        held: what nginx holds open now.
    """
    wanted = set(listeners)
    closed = {}
    for listener in sorted(wanted - held):
        wide = {each.port for each in wanted if not each.address}
        if listener.address and listener.port in wide:
            # nginx opens one socket for the port then, and tells the addresses apart itself.
            continue
        problem = _try(listener, ipv6=ipv6)
        if problem:
            closed[listener] = CANNOT_LISTEN.format(listener=listener) + problem
    return closed


def _try(listener: Listener, *, ipv6: bool) -> str | None:
    try:
        with contextlib.ExitStack() as stack:
            for family, address in _sockets(listener, ipv6=ipv6):
                trial = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.bind((address, listener.port))
    except OSError as error:
        return _explained(listener, error)
    return None


def _sockets(listener: Listener, *, ipv6: bool) -> list[tuple[socket.AddressFamily, str]]:
    if listener.address:
        return [(socket.AF_INET6 if ":" in listener.address else socket.AF_INET, listener.address)]
    return [(socket.AF_INET, ""), *([(socket.AF_INET6, "::")] if ipv6 else [])]


def _explained(listener: Listener, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            by = holder(listener.port) or "another program (look with: ss -ltnp)"
            return f"port {listener.port} is held by {by}; stop that, or choose another port"
        case errno.EACCES if listener.port < _PRIVILEGED:
            return (
                f"ports below {_PRIVILEGED} need root or CAP_NET_BIND_SERVICE; grant it (systemd: "
                "AmbientCapabilities=CAP_NET_BIND_SERVICE), or choose a higher port"
            )
        case errno.EADDRNOTAVAIL:
            return f"{listener.address} is not an address of this machine; use one that it has, or the port alone"
        case _:
            return f"{error.strerror}; choose another port or address"
