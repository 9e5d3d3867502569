"""
Ports for servers that are about to be started: free ones, none twice, and an end to the search.
"""

from __future__ import annotations

import contextlib
import socket

import pytest

from gatelodge.demo import ports
from gatelodge.demo.ports import free_ports


def test_what_somebody_listens_on_is_left_out_and_a_search_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    By TCP or UDP; without enough of them it is an error, not a search for ever.
    """
    tcp, udp, free = free_ports(3)
    monkeypatch.setattr(ports, "_PORTS", (tcp, udp, free))
    with contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server(("127.0.0.1", tcp)))
        stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)).bind(("127.0.0.1", udp))

        assert free_ports(1) == [free]
        with pytest.raises(OSError, match="not 2 free ports"):
            free_ports(2)


def test_none_is_handed_out_twice() -> None:
    """
    Though nobody has taken it yet.
    """
    found = [port for _ in range(10) for port in free_ports(5)]

    assert len(set(found)) == len(found)
