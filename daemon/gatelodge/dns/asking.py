"""
Asks one DNS server, or one DNS-over-HTTPS service, one question, and says what came back in a few words and values.

It decides nothing about what an answer proves, and whatever comes back ends in an `Answer` or in `NoAnswer`. UDP first, TCP when that
is cut short, lost or refused (RFC 7766 §5); over HTTPS as RFC 8484. Only so many questions are on their way at once, and who kept one
waiting for nothing is not waited for by all the others.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import errno
import ipaddress
import os
import socket
from typing import TYPE_CHECKING

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from gatelodge.errors import HttpDisconnected, HttpUnreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatelodge.ports import Clock, Http

#: Seconds for an answer by UDP, then by TCP, and by HTTPS.
_UDP_SECONDS = 2.0
_TCP_SECONDS = 3.0
_DOH_SECONDS = 5.0

#: Questions on their way at once.
AT_ONCE = 50

#: Who did not answer is not asked for what another may know, for so many seconds.
_DEAF_SECONDS = 30.0

#: What goes through without being cut into pieces (RFC 9715 §3.2).
_PAYLOAD = 1232

_OK = 200

#: This machine has no way to an address, as most have none by IPv6.
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

# dnspython finds out how to read a type when it first meets it. A record of that type in a nonsensical class, if it came first, would
# have it read all others of this process as unknown; so these are met here.
for _kind in (
    dns.rdatatype.A,
    dns.rdatatype.AAAA,
    dns.rdatatype.CAA,
    dns.rdatatype.CNAME,
    dns.rdatatype.NS,
    dns.rdatatype.SOA,
    dns.rdatatype.TXT,
):
    dns.rdata.get_rdata_class(dns.rdataclass.IN, _kind)  # type: ignore[no-untyped-call]

#: What codes mean that people meet (RFC 1035 §4.1.1).
_MEANINGS = {
    "NXDOMAIN": "no such name",
    "SERVFAIL": "it cannot tell",
    "REFUSED": "it does not serve that zone, or not to us",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What a server said of a name. Names are lower case without a final dot.

    `values` are those of the type asked for under exactly that name, `cname` where the name leads instead; `zone` is the owner of a
    SOA record in it that may hold the name. `authoritative` is the AA flag (RFC 1035 §4.1.1). `lasts` is for how many seconds a cache
    says the same again (RFC 2308 §5).
    """

    rcode: str
    authoritative: bool
    values: frozenset[str]
    cname: str | None
    zone: str | None
    lasts: int = 0

    @property
    def usable(self) -> bool:
        """
        True for an answer about the name, also when there is no such name.
        """
        return self.rcode in {"NOERROR", "NXDOMAIN"}

    def __str__(self) -> str:
        if self.rcode != "NOERROR":
            return f"{self.rcode} ({_MEANINGS[self.rcode]})" if self.rcode in _MEANINGS else self.rcode
        if self.cname:
            return f"a CNAME to {self.cname}"
        return f"{len(self.values)} other value{'s' * (len(self.values) != 1)}" if self.values else "no such record"


class NoAnswer(Exception):
    """
    Nothing usable came back. `unreachable`: this machine has no way there. `late`: it cost time to learn that.
    """

    def __init__(self, why: str, *, unreachable: bool = False, late: bool = False) -> None:
        super().__init__(why)
        self.unreachable = unreachable
        self.late = late


class Asker:
    """
    Asks for everybody, a limited number of questions at once.
    """

    def __init__(self, *, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._deaf: dict[str, tuple[float, str]] = {}
        self._heard: collections.Counter[str] = collections.Counter()

    async def server(
        self, address: str, port: int, name: str, kind: str, *, recursive: bool = False, hurried: bool = False
    ) -> Answer:
        """
        Ask a server.

        Args:
            recursive: let it ask others.
            hurried: do not wait for one that kept somebody waiting a moment ago.

        Raises:
            NoAnswer: it did not answer in time, or not with DNS.
        """
        return await self._ask(
            f"{address} {port}", lambda: ask_server(address, port, name, kind, recursive=recursive), hurried=hurried
        )

    async def service(self, url: str, name: str, kind: str, *, hurried: bool = False) -> Answer:
        """
        Ask a DNS-over-HTTPS service.

        Raises:
            NoAnswer: as above.
        """
        return await self._ask(url, lambda: ask_service(self._http, url, name, kind), hurried=hurried)

    async def _ask(self, who: str, question: Callable[[], Awaitable[Answer]], *, hurried: bool) -> Answer:
        async with self._slots:
            # Seen here, not before: others may have waited in vain while this question had no slot.
            until, why = self._deaf.get(who, (0, ""))
            if hurried and self._clock.monotonic() < until:
                raise NoAnswer(why)
            heard = self._heard[who]
            try:
                answer = await question()
            except NoAnswer as error:
                # One question that is lost among many that are answered makes nobody deaf.
                if error.late and self._heard[who] == heard:
                    self._deaf[who] = (self._clock.monotonic() + _DEAF_SECONDS, str(error))
                raise
            self._heard[who] += 1
            self._deaf.pop(who, None)
            return answer


async def ask_server(address: str, port: int, name: str, kind: str, *, recursive: bool) -> Answer:
    """
    Ask a server by UDP, then TCP.

    Raises:
        NoAnswer: it did not answer in time, or not with DNS.
    """
    query = _query(name, kind, recursive=recursive)
    said = await _exchange(query, address, port)
    if said.rcode() in {dns.rcode.FORMERR, dns.rcode.NOTIMP} and said.opt is None:
        # It is older than EDNS (RFC 6891 §7).
        query.use_edns(False)
        said = await _exchange(query, address, port)
    return _read(said, query)


async def ask_service(http: Http, url: str, name: str, kind: str) -> Answer:
    """
    Ask a DNS-over-HTTPS service.

    Raises:
        NoAnswer: it did not answer in time, or not with DNS.
    """
    query = _query(name, kind, recursive=True)
    query.id = 0  # RFC 8484 §4.1: so that caches can be of use
    headers = {"Content-Type": "application/dns-message", "Accept": "application/dns-message"}
    try:
        answer = await http.request("POST", url, headers=headers, body=query.to_wire(), timeout=_DOH_SECONDS)
    except HttpUnreachable as error:
        raise NoAnswer(str(error), unreachable=True, late=True) from None
    except HttpDisconnected as error:
        raise NoAnswer(str(error), late=True) from None
    if answer.status != _OK:
        raise NoAnswer(f"it answered with status {answer.status}")
    return read(answer.body, query)


def read(wire: bytes, query: dns.message.Message) -> Answer:
    """
    Read what came back for a question.

    Raises:
        NoAnswer: it is no answer to it.
    """
    try:
        said = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError) as error:
        raise _not_dns(error) from None
    if not query.is_response(said):
        raise NoAnswer("it answered something else than what it was asked")
    return _read(said, query)


def _query(name: str, kind: str, *, recursive: bool) -> dns.message.Message:
    try:
        query = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD)
        query.to_wire()
    except (dns.exception.DNSException, ValueError):
        raise NoAnswer(f"{name} is no name that the DNS can hold (RFC 1035 §2.3.4)") from None
    if not recursive:
        query.flags &= ~dns.flags.RD
    return query


async def _exchange(query: dns.message.Message, address: str, port: int) -> dns.message.Message:
    """
    Send a question by UDP, then TCP.
    """
    # The limits are asyncio's, not dnspython's: before Python 3.12 the `wait_for` that it uses may forget a cancellation.
    try:
        async with asyncio.timeout(_UDP_SECONDS):
            return await _by_udp(query, address, port)
    except dns.message.Truncated:
        first = "an answer that was cut short"
    except TimeoutError:
        first = f"nothing within {_UDP_SECONDS:g} s"
    except OSError as error:
        if error.errno in _NO_ROUTE - {errno.EHOSTUNREACH}:
            raise NoAnswer(f"this machine has no way to it ({_words(error)})", unreachable=True) from None
        first = _words(error)
    except (dns.exception.DNSException, EOFError, ValueError) as error:
        raise _not_dns(error) from None
    try:
        async with asyncio.timeout(_TCP_SECONDS):
            return await dns.asyncquery.tcp(query, address, port=port)
    except TimeoutError:
        raise NoAnswer(f"no answer (UDP: {first}; TCP: nothing within {_TCP_SECONDS:g} s)", late=True) from None
    except OSError as error:
        unreachable, late = error.errno in _NO_ROUTE, first.startswith("nothing")
        raise NoAnswer(f"no answer (UDP: {first}; TCP: {_words(error)})", unreachable=unreachable, late=late) from None
    except EOFError:
        raise NoAnswer(f"no answer (UDP: {first}; TCP: it hung up)", late=first.startswith("nothing")) from None
    except (dns.exception.DNSException, ValueError) as error:
        raise _not_dns(error) from None


async def _by_udp(query: dns.message.Message, address: str, port: int) -> dns.message.Message:
    # A connected socket hears from nobody else, and at once when a port is closed.
    backend = dns.asyncbackend.get_backend("asyncio")
    family = dns.inet.af_for_address(address)
    opening = backend.make_socket(family, socket.SOCK_DGRAM, 0, None, (address, port))  # type: ignore[no-untyped-call]
    async with await opening as sock:
        await sock.sendto(query.to_wire(), None, None)
        said: dns.message.Message
        # Whatever is no answer to this question may be somebody else's: the server's own may still come.
        said, *_ = await dns.asyncquery.receive_udp(sock, raise_on_truncation=True, ignore_errors=True, query=query)
        return said


def _read(said: dns.message.Message, query: dns.message.Message) -> Answer:
    try:
        return _gist(said, query.question[0].name, query.question[0].rdtype)
    except (dns.exception.DNSException, ValueError) as error:
        raise _not_dns(error) from None


def _gist(said: dns.message.Message, owner: dns.name.Name, wanted: dns.rdatatype.RdataType) -> Answer:
    values: set[str] = set()
    cname = zone = None
    lasts: list[int] = []
    for rrset in said.answer:
        if rrset.name != owner or rrset.rdclass != dns.rdataclass.IN:
            continue
        if rrset.rdtype == dns.rdatatype.CNAME:
            cname = _plain(rrset[0].target)
        if rrset.rdtype == wanted:
            values |= {_text(wanted, rdata) for rdata in rrset}
            lasts.append(rrset.ttl)
    for rrset in (*said.answer, *said.authority):
        # One that lies elsewhere is of where a CNAME leads, or made up.
        if rrset.rdtype == dns.rdatatype.SOA and rrset.rdclass == dns.rdataclass.IN and owner.is_subdomain(rrset.name):
            zone = _plain(rrset.name)
            if not values:
                lasts.append(min(rrset.ttl, rrset[0].minimum))
    return Answer(
        rcode=dns.rcode.to_text(said.rcode()),
        authoritative=bool(said.flags & dns.flags.AA),
        values=frozenset(values),
        cname=cname,
        zone=zone,
        lasts=max(lasts, default=0),
    )


def _text(kind: dns.rdatatype.RdataType, rdata: object) -> str:
    if kind == dns.rdatatype.TXT:
        # RFC 8555 §8.4 compares the whole; a value is cut into strings of 255 bytes at most (RFC 1035 §3.3.14).
        return b"".join(rdata.strings).decode(errors="replace")  # type: ignore[attr-defined]
    if kind == dns.rdatatype.CAA:
        # RFC 8659 §4.1: a tag has letters and digits alone.
        value = rdata.value.decode(errors="replace")  # type: ignore[attr-defined]
        return f"{rdata.flags} {rdata.tag.decode()} {value}"  # type: ignore[attr-defined]
    if kind in {dns.rdatatype.A, dns.rdatatype.AAAA}:
        return str(ipaddress.ip_address(str(rdata)))
    return str(rdata).rstrip(".").lower()


def _plain(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _words(error: OSError) -> str:
    """
    Return the system's words for an error; asyncio's repeat the address.
    """
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _not_dns(error: Exception) -> NoAnswer:
    return NoAnswer(f"what it answered is no DNS ({type(error).__name__})")
