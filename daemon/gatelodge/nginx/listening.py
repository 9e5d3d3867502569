"""
Decides which sockets nginx opens for listeners, which of them it could not open beside those that it holds, and tries the others
by opening them: `nginx -t` passes on a taken port.

Only what a running nginx does not hold already is tried: for TCP with the socket options of nginx's own, for UDP without those by
which nginx would take a port that another program has, and half of what comes to it.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from typing import TYPE_CHECKING

from gatelodge.nginx.process import UNSEEN, holder
from gatelodge.nginx.writing.render import CANNOT_LISTEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatelodge.model import Listener
    from gatelodge.nginx.process import Process, Socket

_PRIVILEGED = 1024

_ANY = {4: ipaddress.ip_address("0.0.0.0"), 6: ipaddress.ip_address("::")}  # noqa: S104 - what nginx itself opens


def sockets(listeners: Iterable[Listener], *, ipv6: bool) -> frozenset[Socket]:
    """
    Return the sockets that nginx opens: for a port with and without an address it is one, and nginx tells the addresses apart
    itself (ngx_http_init_listening).
    """
    spelled = {each for listener in listeners for each in _spelled(listener, ipv6=ipv6)}
    return frozenset(each for each in spelled if not _within(each, spelled))


def _spelled(listener: Listener, *, ipv6: bool) -> list[Socket]:
    if listener.address:
        return [(ipaddress.ip_address(listener.address), listener.port, listener.udp)]
    return [(_ANY[version], listener.port, listener.udp) for version in ((4, 6) if ipv6 else (4,))]


def _within(narrow: Socket, others: Iterable[Socket]) -> bool:
    address, port, udp = narrow
    return not address.is_unspecified and (_ANY[address.version], port, udp) in others


def find_clashes(wanted: frozenset[Socket], held: frozenset[Socket]) -> frozenset[Socket]:
    """
    Return what nginx cannot open while it holds what it holds, which it does until a reload is over: a port without an address
    beside the same with one, or the other way round.
    """
    any_of_held = {(address.version, port, udp) for address, port, udp in held}
    return frozenset(
        each
        for each in wanted - held
        if _within(each, held) or (each[0].is_unspecified and (each[0].version, *each[1:]) in any_of_held)
    )


def find_closed(
    listeners: Iterable[Listener], *, ipv6: bool, held: frozenset[Socket] = frozenset(), master: Process | None = None
) -> dict[Listener, str]:
    """
    Return the listeners that cannot be opened, and why.

    Args:
        held: what the running nginx holds open now.
        master: that nginx, which would be replaced for what it cannot open beside its own.
    """
    wanted = set(listeners)
    opened = sockets(wanted, ipv6=ipv6)
    clashes = find_clashes(opened, held)
    closed = {}
    for listener in sorted(wanted):
        new = (opened - held).intersection(_spelled(listener, ipv6=ipv6))
        problem = _try(listener, sorted(new - clashes, key=str))
        if not problem and new & clashes:
            problem = _tell_holder(listener, master)
        if problem:
            closed[listener] = CANNOT_LISTEN.format(listener=listener) + problem
    return closed


def _try(listener: Listener, new: list[Socket]) -> str | None:
    try:
        with contextlib.ExitStack() as stack:
            for address, port, udp in new:
                family = socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
                trial = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM))
                if not udp:  # for UDP it means that others may have the same port
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.bind((str(address), port))
    except OSError as error:
        return _explained(listener, error)
    return None


def _tell_holder(listener: Listener, master: Process | None) -> str | None:
    """
    Say who else than nginx itself listens on a port that cannot be tried, because nginx does.
    """
    by = holder(listener.port, address=listener.address, udp=listener.udp, besides=master)
    return _HELD.format(port=_port(listener), by=by) if by else None


def _port(listener: Listener) -> str:
    return f"{listener.port}/udp" if listener.udp else f"{listener.port}"


_HELD = "port {port} is held by {by}; stop that, or choose another port"


def _explained(listener: Listener, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            by = holder(listener.port, address=listener.address, udp=listener.udp) or UNSEEN
            return _HELD.format(port=_port(listener), by=by)
        case errno.EACCES if listener.port < _PRIVILEGED:
            return (
                f"ports below {_PRIVILEGED} need root or CAP_NET_BIND_SERVICE; grant it (systemd: "
                "AmbientCapabilities=CAP_NET_BIND_SERVICE), or choose a higher port"
            )
        case errno.EADDRNOTAVAIL:
            return f"{listener.address} is not an address of this machine; use one that it has, or the port alone"
        case _:
            return f"{error.strerror}; choose another port or address"
