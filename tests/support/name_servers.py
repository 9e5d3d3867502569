"""
DNS servers on loopback addresses: several BINDs that publish one zone, and small ones of Python that misbehave as told.

A small server answers by a function from a query to a message, to raw bytes, or to nothing at all. `Records` are zones of which such
a function can be made: as a name server, as a resolver, or as a cache with a memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import struct
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from aiohttp import web
from tests.support import bind
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from tests.support.bind import Bind

    from gatelodge.ports import Clock

    #: From a query and the way it came (`udp`, `tcp`, `https`).
    Behaviour = Callable[[dns.message.Message, str], dns.message.Message | bytes | None]


def silence(_: dns.message.Message, __: str) -> None:
    """
    Behave as if nobody were there.
    """


def refusing(rcode: dns.rcode.Rcode, *, authoritative: bool = False) -> Behaviour:
    """
    Return the behaviour of a server that answers everything with a code.
    """

    def answer(query: dns.message.Message, _: str) -> dns.message.Message:
        said = reply(query, authoritative=authoritative)
        said.set_rcode(rcode)
        return said

    return answer


def reply(query: dns.message.Message, *records: dns.rrset.RRset, authoritative: bool = True) -> dns.message.Message:
    """
    Return an answer with these records.
    """
    said = dns.message.make_response(query)
    if authoritative:
        said.flags |= dns.flags.AA
    said.answer.extend(records)
    return said


class Records:
    """
    Some zones. Names are written without a final dot.
    """

    def __init__(self, *zones: str, minimum: int = 1) -> None:
        """
        Args:
            minimum: for how many seconds a "no" may be remembered.
        """
        self.zones = zones
        self.held: dict[tuple[str, str], list[str]] = {}
        self.minimum = minimum

    def add(self, name: str, kind: str, *values: str) -> None:
        """
        Put records there, in the form of a zone file; texts need no quotes.
        """
        shown = [f'"{value}"' if kind == "TXT" else value for value in values]
        self.held.setdefault((name, kind), []).extend(shown)

    def served_by(self, **servers: str) -> None:
        """
        Give all zones these name servers: by the first label of their name, their addresses.
        """
        for zone in self.zones:
            for label, address in servers.items():
                self.add(zone, "NS", f"{label}.{zone}.")
                self.add(f"{label}.{zone}", "AAAA" if ":" in address else "A", address)

    def of_authority(self, query: dns.message.Message, _: str = "") -> dns.message.Message:
        """
        Answer as their name server.
        """
        said = reply(query)
        name, kind = _asked(query)
        zone = self._zone(name)
        if zone is None:
            said.flags &= ~dns.flags.AA
            said.set_rcode(dns.rcode.REFUSED)
            return said
        self._fill(said, name, kind, zone)
        return said

    def of_resolver(self, query: dns.message.Message, _: str = "") -> dns.message.Message:
        """
        Answer as a resolver that found it out.
        """
        said = reply(query, authoritative=False)
        said.flags |= dns.flags.RA
        name, kind = _asked(query)
        for _ in range(10):
            said.set_rcode(dns.rcode.NOERROR)
            self._fill(said, name, kind, self._zone(name) or ".")
            target = self.held.get((name, "CNAME"))
            if target is None or kind == "CNAME":
                break
            name = target[0].rstrip(".")
        return said

    def _zone(self, name: str) -> str | None:
        return max((zone for zone in self.zones if name == zone or name.endswith(f".{zone}")), key=len, default=None)

    def _fill(self, said: dns.message.Message, name: str, kind: str, zone: str) -> None:
        soa = f"ns.invalid. host.invalid. 1 60 60 3600 {self.minimum}"
        own = {**self.held, **({(zone, "SOA"): [soa]} if zone != "." else {})}
        for found in ("CNAME", kind) if kind != "CNAME" else (kind,):
            if (name, found) in own:
                said.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", found, *own[name, found]))
                return
        exists = any(each == name or each.endswith(f".{name}") for each, _ in own)
        said.set_rcode(dns.rcode.NOERROR if exists else dns.rcode.NXDOMAIN)
        said.authority.append(dns.rrset.from_text(f"{zone}.".replace("..", "."), self.minimum, "IN", "SOA", soa))


class Cache:
    """
    A resolver that remembers what was not there.
    """

    def __init__(self, records: Records, clock: Clock) -> None:
        self.records = records
        self.clock = clock
        self.denied: dict[str, float] = {}

    def answer(self, query: dns.message.Message, way: str) -> dns.message.Message:
        """
        Answer, from memory where it said no before (RFC 8020: to a name, whatever the type).
        """
        name, _ = _asked(query)
        now = self.clock.monotonic()
        if now < self.denied.get(name, 0):
            said = Records(*self.records.zones, minimum=int(self.denied[name] - now) or 1).of_resolver(query, way)
            said.set_rcode(dns.rcode.NXDOMAIN)
            return said
        said = self.records.of_resolver(query, way)
        if said.rcode() == dns.rcode.NXDOMAIN:
            self.denied[name] = now + self.records.minimum
        return said


@dataclasses.dataclass(kw_only=True)
class NameServer:
    """
    A small server that runs: what it was asked, as name, type and way. Its behaviour may be changed.
    """

    behave: Behaviour
    address: str = ""
    port: int = 0
    url: str = ""
    asked: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    most: int = 0
    connections: set[asyncio.StreamWriter] = dataclasses.field(default_factory=set)

    @property
    def server(self) -> str:
        """
        `ADDRESS:PORT`.
        """
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def names(self, kind: str) -> list[str]:
        """
        Return the names that it was asked for, of a type, in order.
        """
        return [name for name, asked, _ in self.asked if asked == kind]

    def answer(self, wire: bytes, way: str) -> bytes | None:
        """
        Return what goes back for a query.
        """
        query = dns.message.from_wire(wire)
        self.asked.append((*_asked(query), way))
        said = self.behave(query, way)
        if isinstance(said, dns.message.Message):
            return said.to_wire(max_size=65535)
        return said

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Serve a TCP connection.
        """
        self.connections.add(writer)
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                said = self.answer(await reader.readexactly(length), "tcp")
                if said == b"":
                    return
                if said is not None:
                    writer.write(struct.pack("!H", len(said)) + said)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.connections.discard(writer)


class _Udp(asyncio.DatagramProtocol):
    _transport: asyncio.DatagramTransport

    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        said = self._server.answer(data, "udp")
        if said is not None:
            self._transport.sendto(said, addr)


@contextlib.asynccontextmanager
async def running(
    behave: Behaviour, *, address: str = "127.0.0.1", port: int | None = None, udp: bool = True, tcp: bool = True
) -> AsyncIterator[NameServer]:
    """
    Serve inside the context. Without `udp` or `tcp` that port is closed.
    """
    server = NameServer(behave=behave, address=address, port=port or free_ports(1)[0])
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        if udp:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(server), local_addr=(address, server.port))
            stack.callback(transport.close)
        if tcp:
            listener = await asyncio.start_server(server.converse, address, server.port)
            stack.push_async_callback(_closed, listener, server)
        yield server


async def _closed(listener: asyncio.Server, server: NameServer) -> None:
    listener.close()
    for writer in list(server.connections):
        writer.close()
    await until(lambda: not server.connections)


@contextlib.asynccontextmanager
async def over_https(behave: Behaviour, *, status: int = 200) -> AsyncIterator[NameServer]:
    """
    Serve RFC 8484 inside the context; in plain HTTP, since who trusts whom is the HTTP client's affair. It is deaf while its
    behaviour returns nothing.
    """
    server = NameServer(behave=behave)

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Content-Type"] == "application/dns-message"
        said = server.answer(await request.read(), "https")
        if said is None:
            await asyncio.get_running_loop().create_future()
        return web.Response(status=status, body=said, content_type="application/dns-message")

    app = web.Application()
    app.router.add_post("/dns-query", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.port = runner.addresses[0][1]
        server.url = f"http://127.0.0.1:{server.port}/dns-query"
        yield server
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def binds(folder: Path, addresses: Mapping[str, str], *zones: str) -> AsyncIterator[dict[str, Bind]]:
    """
    Run a BIND for each address (by the first label of its name), all on one port, that publish the same zones and name servers.

    BIND listens only where an interface has an address; for others of 127.0.0.0/8 there is a relay.
    """
    (port,) = free_ports(1)
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for label, address in addresses.items():
            own = address in {"127.0.0.1", "::1"}
            found[label] = await stack.enter_async_context(
                bind.running(
                    folder, zones=zones, address=address if own else "127.0.0.1", port=port if own else None, hosts=None
                )
            )
            if not own:
                await stack.enter_async_context(_relay(address, port, found[label].port))
        for server in found.values():
            for zone in zones:
                await server.update(zone, *_name_servers(zone, addresses))
        yield found


def _name_servers(zone: str, addresses: Mapping[str, str]) -> list[tuple[str, ...]]:
    """
    Return the changes that replace BIND's own name server of a zone, `ns1`.
    """
    changes = [("add", f"{zone}.", "60", "NS", f"{label}.{zone}.") for label in addresses]
    if "ns1" not in addresses:
        changes.append(("delete", f"{zone}.", "NS", f"ns1.{zone}."))
    changes.append(("delete", f"ns1.{zone}."))
    return changes + [
        ("add", f"{label}.{zone}.", "60", "AAAA" if ":" in address else "A", address)
        for label, address in addresses.items()
    ]


@contextlib.asynccontextmanager
async def _relay(address: str, port: int, to: int) -> AsyncIterator[None]:
    """
    Carry what comes to an address to a port of 127.0.0.1, and back.
    """
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        transport, _ = await loop.create_datagram_endpoint(lambda: _Carrier(to, stack), local_addr=(address, port))
        stack.callback(transport.close)

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                there, back = await asyncio.open_connection("127.0.0.1", to)
                with contextlib.closing(back):
                    for source, target in ((reader, back), (there, writer)):
                        length = await source.readexactly(2)
                        target.write(length + await source.readexactly(struct.unpack("!H", length)[0]))
                        await target.drain()

        listener = await asyncio.start_server(carry, address, port)
        stack.callback(listener.close)
        yield


class _Carrier(_Udp):
    """
    Carries each datagram through a socket of its own, so that answers find back.
    """

    def __init__(self, to: int, stack: contextlib.AsyncExitStack) -> None:
        self._to = to
        self._stack = stack

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        back = self._transport
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect(("127.0.0.1", self._to))
        sock.send(data)

        def answered() -> None:
            loop.remove_reader(sock)
            with contextlib.suppress(OSError):
                back.sendto(sock.recv(65535), addr)

        loop.add_reader(sock, answered)
        self._stack.callback(sock.close)
        self._stack.callback(loop.remove_reader, sock)


def _asked(query: dns.message.Message) -> tuple[str, str]:
    question = query.question[0]
    return question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
