"""
Publishes records by dynamic updates (RFC 2136), signed with TSIG (RFC 8945): BIND, Knot, PowerDNS, Windows.

Each change is one update, sent by TCP to the primary server. Adding what is there and deleting what is not are no errors there
(RFC 2136 §3.4.2), so that a lost answer only means sending it again. An address is changed under prerequisites (§2.4), so that
nothing which a person put there meanwhile is overwritten. Questions are signed too: a wrong key shows before anything is changed,
and what is read is what the key's view of the zone holds.
"""

from __future__ import annotations

import asyncio
import binascii
import ipaddress
import socket
from typing import TYPE_CHECKING, Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
from dns.rdtypes.ANY.TXT import TXT

from gatelodge.credentials import fetch
from gatelodge.errors import DnsError, Problem, SecretMissing
from gatelodge.model import SecretRef
from gatelodge.ports import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.dns.providers import Parts
    from gatelodge.model import DnsSettings
    from gatelodge.ports import Clock, TxtRecord

#: Seconds that a resolver may keep a record, where nothing else is configured.
_TTL = 60

#: Seconds for one question or update, and how often it is sent when no answer comes.
_SECONDS = 10.0
_TRIES = 2

#: How long the zone of a name is remembered. Seconds.
_FRESH = 600.0

#: A TXT value is cut into strings of at most so many bytes (RFC 1035 §3.3).
_STRING = 255

#: What a refusal means: the problem's type, and what helps.
_REFUSALS: Mapping[int, tuple[str, str]] = {
    dns.rcode.REFUSED: (
        "dnsCredentials",
        "let the key change this zone (BIND: allow-update, update-policy; Knot: acl; PowerDNS: TSIG-ALLOW-DNSUPDATE) at its primary",
    ),
    dns.rcode.NOTAUTH: ("dnsZone", "name the zone's primary in `server`, and compare the key with the server's"),
    dns.rcode.NOTZONE: ("dnsZone", "look at `zone`: the name is not within it"),
    dns.rcode.NOTIMP: ("dnsProvider", "it takes no updates; name the zone's primary in `server`"),
    dns.rcode.SERVFAIL: ("dnsProvider", "look at the server's log: it cannot read or write the zone"),
}

#: A prerequisite of an update does not hold (RFC 2136 §2.2).
_CHANGED = frozenset({dns.rcode.YXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXRRSET, dns.rcode.NXDOMAIN})

#: Answers about a name, whether it is there or not.
_USABLE = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})

_KEY_TROUBLE = (
    dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadKey, dns.tsig.BadAlgorithm, dns.message.UnknownTSIGKey,
)  # fmt: skip
_COMPARE = "compare key_name, key_secret and key_algorithm with the server's"


def make(settings: DnsSettings, parts: Parts) -> Rfc2136:
    """
    Make the provider of a `[dns.NAME]`.
    """
    return Rfc2136(settings=settings, clock=parts.clock)


class Rfc2136:
    """
    Implements `ports.AddressProvider`.
    """

    def __init__(self, *, settings: DnsSettings, clock: Clock) -> None:
        self._name = settings.name
        self._options = settings.options
        self._clock = clock
        self._ttl = settings.ttl or _TTL
        self._zones: dict[str, tuple[float, str]] = {}

    async def zone_of(self, name: str) -> str:
        """
        Return the zone that the server has a SOA for, as `ports.DnsProvider` says.
        """
        given = self._options.get("zone")
        if given is not None:
            if _within(name, str(given)):
                return str(given)
            raise _zoneless(name, f"`zone` of {self._name} is {given}")
        kept = self._zones.get(name)
        if kept is not None and self._clock.monotonic() - kept[0] < _FRESH:
            return kept[1]
        zone = await self._found_zone(name)
        self._zones[name] = (self._clock.monotonic(), zone)
        return zone

    async def name_servers(self, zone: str) -> frozenset[str] | None:
        """
        Return None: a primary may be hidden behind others, as `ports.DnsProvider` allows.
        """
        del zone
        return None

    async def add(self, record: TxtRecord) -> str | None:
        """
        Add one value, as `ports.DnsProvider` says.
        """
        update = self._update(record.zone)
        update.add(_absolute(record.name), self._ttl, _txt(record.value))
        await self._send(update, record.name)
        return None

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        """
        Remove exactly one value, as `ports.DnsProvider` says.
        """
        del known_as
        update = self._update(record.zone)
        update.delete(_absolute(record.name), _txt(record.value))
        await self._send(update, record.name)

    async def standing(self, zone: str, name: str) -> Standing:
        """
        Return what the server has under a name, as `ports.AddressProvider` says.
        """
        values = {kind: await self._values(name, kind) for kind in ("A", "AAAA", "CNAME")}
        if any(values.values()) and await self._unused(zone, name):
            return Standing()  # a wildcard answers for it
        return Standing(
            ipv4=frozenset(str(ipaddress.ip_address(value)) for value in values["A"]),
            ipv6=frozenset(str(ipaddress.ip_address(value)) for value in values["AAAA"]),
            cname=next((value.rstrip(".").lower() for value in values["CNAME"]), None),
        )

    async def set_address(self, zone: str, name: str, address: str, *, instead_of: str | None) -> None:
        """
        Make an address the only one of its family, as `ports.AddressProvider` says.
        """
        kind = "AAAA" if ":" in address else "A"
        where = _absolute(name)
        update = self._update(zone)
        update.absent(where, "CNAME")
        if instead_of is None:
            update.absent(where, kind)
        else:
            update.present(where, kind, instead_of)  # exactly this set of values (RFC 2136 §2.4.2)
            update.delete(where, kind, instead_of)
        update.add(where, self._ttl, kind, address)
        if await self._send(update, name):
            return
        here = await self.standing(zone, name)
        if (here.ipv6 if kind == "AAAA" else here.ipv4) == {address} and here.cname is None:
            return
        stands = ", ".join(sorted({*here.ipv4, *here.ipv6, *filter(None, [here.cname])})) or "nothing"
        raise DnsError(
            Problem(
                type="dnsRecord",
                detail=f"{name}: somebody else changed what stands there (now {stands}), so {address} was not written",
            )
        )

    async def _found_zone(self, name: str) -> str:
        """
        Find the zone by its SOA: of the name, or of one above it when a CNAME is in the way, which no zone's own name can be.
        """
        asked = name
        said = await self._ask(asked, "SOA", about=name)
        while any(rrset.rdtype in {dns.rdatatype.CNAME, dns.rdatatype.DNAME} for rrset in said.answer):
            asked = asked.partition(".")[2]
            said = await self._ask(asked, "SOA", about=name)
        owners = [
            rrset.name.to_text(omit_final_dot=True).lower()
            for rrset in (*said.answer, *said.authority)
            if rrset.rdtype == dns.rdatatype.SOA
        ]
        fit = [owner for owner in owners if _within(asked, owner)]
        if not fit or not said.flags & dns.flags.AA:
            code = said.rcode()
            why = f" (it answers {dns.rcode.to_text(code)})" if code not in _USABLE else ""
            raise _zoneless(name, f"{self._server} has no zone for it{why}")
        return fit[0]

    async def _values(self, name: str, kind: str) -> list[str]:
        said = await self._ask(name, kind, about=name)
        if said.rcode() not in _USABLE:
            raise self._refused(said.rcode(), name, f"did not tell the {kind} records")
        where = _absolute(name)
        return [
            str(rdata)
            for rrset in said.answer
            if rrset.name == where and rrset.rdtype == dns.rdatatype.from_text(kind)
            for rdata in rrset
        ]

    async def _unused(self, zone: str, name: str) -> bool:
        """
        Tell whether a name has no records of its own (RFC 2136 §2.4.5), by an update that changes nothing.
        """
        update = self._update(zone)
        update.absent(_absolute(name))
        return await self._send(update, name)

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(zone, **self._key())

    def _key(self) -> dict[str, Any]:
        """
        Return the TSIG key, read anew each time; none when none is configured.
        """
        ref, name = self._options.get("key_secret"), str(self._options.get("key_name") or "")
        if not isinstance(ref, SecretRef):
            return {}
        try:
            secret = fetch(ref).reveal()
            algorithm = dns.name.from_text(str(self._options.get("key_algorithm") or "hmac-sha256"))
            binascii.a2b_base64(secret, strict_mode=True)
            ring = {dns.name.from_text(name): dns.tsig.Key(name, secret, algorithm)}
        except SecretMissing as error:
            raise DnsError(Problem(type="dnsCredentials", detail=f"{self._name}: key_secret: {error}")) from error
        except (binascii.Error, ValueError, dns.exception.DNSException):
            raise DnsError(
                Problem(
                    type="dnsCredentials",
                    detail=f"{self._name}: key_secret is not a TSIG key in base64; copy it from `tsig-keygen` as it stands, "
                    "and look at key_name",
                )
            ) from None
        return {"keyring": ring}

    async def _send(self, update: dns.update.UpdateMessage, name: str) -> bool:
        """
        Send an update. Returns whether it was done: False when a prerequisite does not hold.

        Raises:
            DnsError: it was refused, or no answer came.
        """
        code = (await self._exchange(update, name)).rcode()
        if code == dns.rcode.NOERROR:
            return True
        if update.prerequisite and code in _CHANGED:
            return False
        raise self._refused(code, name, "refused the update")

    def _refused(self, code: dns.rcode.Rcode, name: str, what: str) -> DnsError:
        kind, remedy = _REFUSALS.get(code, ("dnsProvider", "look at the server's log"))
        return DnsError(
            Problem(type=kind, detail=f"{name}: {self._server} {what} ({dns.rcode.to_text(code)}); {remedy}")
        )

    async def _ask(self, name: str, kind: str, *, about: str) -> dns.message.Message:
        query = dns.message.make_query(_absolute(name), kind)
        query.flags &= ~dns.flags.RD
        if key := self._key():
            query.use_tsig(**key)
        said = await self._exchange(query, about)
        if said.rcode() == dns.rcode.NOTAUTH:
            raise self._key_refused(about, _COMPARE)  # of a question it says nothing else (RFC 8945 §5.2)
        return said

    async def _exchange(self, message: dns.message.Message, name: str) -> dns.message.Message:
        """
        Send a message by TCP and return the answer; once more when none came.
        """
        host, port = self._place
        why = remedy = ""
        for _ in range(_TRIES):
            try:
                async with asyncio.timeout(_SECONDS):
                    return await _told(message, host, port)
            except (dns.tsig.PeerBadTime, dns.tsig.BadTime) as error:
                raise self._key_refused(name, "the clocks differ: set this machine's, or the server's") from error
            except _KEY_TROUBLE as error:
                raise self._key_refused(name, _COMPARE) from error
            except _Unsigned:
                raise self._key_refused(name, f"its answer is not signed; {_COMPARE}") from None
            except TimeoutError:
                why, remedy = f"it did not answer within {_SECONDS:g} s", "is it running, and the port open?"
            except socket.gaierror as error:
                why, remedy = f"its name is not found here ({error.strerror})", "mend the name, or write an address"
            except OSError as error:
                why, remedy = error.strerror or str(error), "is it running, and the port open?"
            except (dns.exception.DNSException, EOFError) as error:
                why, remedy = f"it did not answer with DNS ({type(error).__name__})", "is that a name server's port?"
        raise DnsError(
            Problem(type="dnsProvider", detail=f"{name}: {self._server} cannot be asked by TCP: {why}; {remedy}")
        )

    def _key_refused(self, name: str, remedy: str) -> DnsError:
        return DnsError(
            Problem(
                type="dnsCredentials",
                detail=f"{name}: {self._server} does not accept the key of {self._name}; {remedy}",
            )
        )

    @property
    def _place(self) -> tuple[str, int]:
        return cast("tuple[str, int]", self._options["server"])

    @property
    def _server(self) -> str:
        host, port = self._place
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Unsigned(Exception):
    """
    A signed message got an answer that anybody may have sent.
    """


async def _told(message: dns.message.Message, host: str, port: int) -> dns.message.Message:
    """
    Send a message by TCP (RFC 1035 §4.2.2) and return the answer.

    Raises:
        OSError: the server cannot be reached.
        EOFError: it hung up.
        dns.exception.DNSException: it did not answer with DNS, or refused the key.
        _Unsigned: it did as asked, but did not sign its answer.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(message.to_wire(prepend_length=True))
        await writer.drain()
        size = int.from_bytes(await reader.readexactly(2), "big")
        answer = await reader.readexactly(size)
    finally:
        writer.close()
    try:
        said = dns.message.from_wire(answer, keyring=message.keyring, request_mac=message.mac)
    except dns.exception.FormError:
        # dnspython takes no answer without the signature that is due. A refusal often has none: who does not know a key, or a
        # zone, signs nothing (RFC 8945 §5.2.1).
        said = dns.message.from_wire(answer, keyring=False)
    if not message.is_response(said):
        raise dns.query.BadResponse
    if message.keyring and not said.had_tsig and said.rcode() in _USABLE:
        raise _Unsigned
    return said


def _absolute(name: str) -> dns.name.Name:
    return dns.name.from_text(name)


def _within(name: str, zone: str) -> bool:
    return name == zone or name.endswith(f".{zone}")


def _txt(value: str) -> TXT:
    data = value.encode()
    strings = [data[at : at + _STRING] for at in range(0, len(data), _STRING)] or [b""]
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)


def _zoneless(name: str, why: str) -> DnsError:
    return DnsError(
        Problem(
            type="dnsZone",
            detail=f"{name}: {why}; name the server that has the zone, or another provider for this name",
        )
    )
