"""
A name server that knows a few names, for an nginx that must look upstreams up.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclasses.dataclass(slots=True, kw_only=True)
class NameServer(asyncio.DatagramProtocol):
    """
    Answers A for the names in `addresses`, nothing for their other types, and NXDOMAIN for other names.
    """

    addresses: dict[str, str]
    port: int = 0
    transport: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        question = query.question[0]
        address = self.addresses.get(question.name.to_text(omit_final_dot=True))
        if address is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            answer.answer.append(dns.rrset.from_text(question.name, 1, "IN", "A", address))
        assert self.transport is not None
        self.transport.sendto(answer.to_wire(), addr)


@contextlib.asynccontextmanager
async def naming(**addresses: str) -> AsyncIterator[NameServer]:
    """
    Run a name server on a free port of 127.0.0.1 inside the context.
    """
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(addresses=addresses), local_addr=("127.0.0.1", 0)
    )
    server.transport = transport
    server.port = transport.get_extra_info("sockname")[1]
    try:
        yield server
    finally:
        transport.close()
