"""
Asks one DNS server, or one DNS-over-HTTPS service, one question, and says what came back in a few words and values.

It decides nothing about what an answer proves. UDP first, TCP when that is cut short or lost (RFC 7766 §5); over HTTPS as RFC 8484.
"""

from __future__ import annotations

import dataclasses
import errno
import ipaddress
from typing import TYPE_CHECKING

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from gatelodge.errors import HttpDisconnected, HttpUnreachable

if TYPE_CHECKING:
    from gatelodge.ports import Http

#: Seconds for an answer by UDP, then by TCP, and by HTTPS.
_UDP_SECONDS = 2.0
_TCP_SECONDS = 3.0
_DOH_SECONDS = 5.0

#: What goes through without being cut into pieces (RFC 9715 §3.2).
_PAYLOAD = 1232

_OK = 200

#: This machine has no way to an address, as most have none by IPv6.
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What a server said of a name. Names are lower case without a final dot.

    `values` are those of the type asked for under exactly that name, `cname` where the name leads instead; `zone` is the owner of
    a SOA record in it. `authoritative` is the AA flag (RFC 1035 §4.1.1).
    """

    rcode: str
    authoritative: bool
    values: frozenset[str]
    cname: str | None
    zone: str | None

    @property
    def usable(self) -> bool:
        """
        True for an answer about the name, also when there is no such name.
        """
        return self.rcode in {"NOERROR", "NXDOMAIN"}

    def __str__(self) -> str:
        if self.rcode != "NOERROR":
            return self.rcode
        if self.cname:
            return f"a CNAME to {self.cname}"
        return f"{len(self.values)} other value{'s' * (len(self.values) != 1)}" if self.values else "no such record"


class NoAnswer(Exception):
    """
    Nothing usable came back. `unreachable`: this machine has no way there.
    """

    def __init__(self, why: str, *, unreachable: bool = False) -> None:
        super().__init__(why)
        self.unreachable = unreachable


async def ask_server(address: str, port: int, name: str, kind: str, *, recursive: bool) -> Answer:
    """
    Ask a server by UDP, then TCP.

    Raises:
        NoAnswer: it did not answer in time, or not with DNS.
    """
    query = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD)
    if not recursive:
        query.flags &= ~dns.flags.RD
    try:
        try:
            said, _ = await dns.asyncquery.udp_with_fallback(
                query, address, timeout=_UDP_SECONDS, port=port, ignore_unexpected=True, ignore_errors=True
            )
        except dns.exception.Timeout:
            said = await dns.asyncquery.tcp(query, address, timeout=_TCP_SECONDS, port=port)
    except dns.exception.Timeout:
        raise NoAnswer("it did not answer") from None
    except OSError as error:
        raise NoAnswer(error.strerror or "it cannot be reached", unreachable=error.errno in _NO_ROUTE) from None
    except (dns.exception.DNSException, EOFError, ValueError) as error:
        raise NoAnswer(f"it did not answer with DNS ({type(error).__name__})") from None
    return _read(said, name, kind)


async def ask_service(http: Http, url: str, name: str, kind: str) -> Answer:
    """
    Ask a DNS-over-HTTPS service.

    Raises:
        NoAnswer: it did not answer in time, or not with DNS.
    """
    query = dns.message.make_query(name, kind)
    query.id = 0  # RFC 8484 §4.1: so that caches can be of use
    headers = {"Content-Type": "application/dns-message", "Accept": "application/dns-message"}
    try:
        answer = await http.request("POST", url, headers=headers, body=query.to_wire(), timeout=_DOH_SECONDS)
        if answer.status != _OK:
            raise NoAnswer(f"it answered with status {answer.status}")
        said = dns.message.from_wire(answer.body)
    except (HttpUnreachable, HttpDisconnected) as error:
        raise NoAnswer(str(error)) from None
    except (dns.exception.DNSException, ValueError) as error:
        raise NoAnswer(f"it did not answer with DNS ({type(error).__name__})") from None
    return _read(said, name, kind)


def _read(said: dns.message.Message, name: str, kind: str) -> Answer:
    owner, wanted = dns.name.from_text(name), dns.rdatatype.from_text(kind)
    values: set[str] = set()
    cname = zone = None
    for rrset in said.answer:
        if rrset.rdtype == wanted and rrset.name == owner:
            values |= {_text(kind, rdata) for rdata in rrset}
        if rrset.rdtype == dns.rdatatype.CNAME and rrset.name == owner:
            cname = _plain(rrset[0].target)
    for rrset in (*said.answer, *said.authority):
        if rrset.rdtype == dns.rdatatype.SOA:
            zone = _plain(rrset.name)
    return Answer(
        rcode=dns.rcode.to_text(said.rcode()),
        authoritative=bool(said.flags & dns.flags.AA),
        values=frozenset(values),
        cname=cname if kind != "CNAME" else next(iter(values), None),
        zone=zone,
    )


def _text(kind: str, rdata: object) -> str:
    if kind == "TXT":
        # RFC 8555 §8.4 compares the whole; a value is cut into strings of 255 bytes at most (RFC 1035 §3.3.14).
        return b"".join(rdata.strings).decode(errors="replace")  # type: ignore[attr-defined]
    if kind in {"A", "AAAA"}:
        return str(ipaddress.ip_address(str(rdata)))
    return str(rdata).rstrip(".").lower()


def _plain(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
