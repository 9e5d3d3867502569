"""
Publishes records by dynamic updates (RFC 2136), signed with TSIG (RFC 8945): BIND, Knot, PowerDNS, Windows.

Each change is one update, sent by TCP to the primary server. Adding what is there and deleting what is not are no errors there
(RFC 2136 §3.4.2), so that a lost answer only means sending it again. An address is changed under prerequisites (§2.4), so that
nothing which a person put there meanwhile is overwritten.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING, Any, cast

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.update

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
    dns.rcode.REFUSED: ("dnsCredentials", "let the key update this zone (BIND: allow-update or update-policy)"),
    dns.rcode.NOTAUTH: ("dnsZone", "ask the zone's primary server, and look at the key's name"),
    dns.rcode.NOTZONE: ("dnsZone", "look at `zone`: the name is not within it"),
    dns.rcode.NOTIMP: ("dnsProvider", "this server takes no updates; name the primary in `server`"),
    dns.rcode.SERVFAIL: ("dnsProvider", "look at the server's log: it cannot write the zone"),
}

_CHANGED = frozenset({dns.rcode.YXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXRRSET, dns.rcode.NXDOMAIN})


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
            if name == given or name.endswith(f".{given}"):
                return str(given)
            raise _zoneless(name, f"`zone` of {self._name} is {given}")
        kept = self._zones.get(name)
        if kept is not None and self._clock.monotonic() - kept[0] < _FRESH:
            return kept[1]
        said = await self._ask(name, "SOA")
        owners = [
            rrset.name.to_text(omit_final_dot=True).lower()
            for rrset in (*said.answer, *said.authority)
            if rrset.rdtype == dns.rdatatype.SOA
        ]
        fit = [owner for owner in owners if name == owner or name.endswith(f".{owner}")]
        if not fit or not said.flags & dns.flags.AA:
            raise _zoneless(name, f"{self._server} has no zone for it ({dns.rcode.to_text(said.rcode())})")
        self._zones[name] = (self._clock.monotonic(), fit[0])
        return fit[0]

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
        update.add(_absolute(record.name), self._ttl, "TXT", _quoted(record.value))
        await self._send(update, record.name)
        return None

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        """
        Remove exactly one value, as `ports.DnsProvider` says.
        """
        del known_as
        update = self._update(record.zone)
        update.delete(_absolute(record.name), "TXT", _quoted(record.value))
        await self._send(update, record.name)

    async def standing(self, zone: str, name: str) -> Standing:
        """
        Return what the server has under a name, as `ports.AddressProvider` says.
        """
        del zone
        values = {kind: await self._values(name, kind) for kind in ("A", "AAAA", "CNAME")}
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
        with contextlib.suppress(_Changed):
            await self._send(update, name)
            return
        here = await self.standing(zone, name)
        if (here.ipv6 if kind == "AAAA" else here.ipv4) == {address} and here.cname is None:
            return
        stands = ", ".join(sorted({*here.ipv4, *here.ipv6, *filter(None, [here.cname])})) or "nothing"
        raise DnsError(
            Problem(type="dnsRecord", detail=f"{name}: something else stands there by now ({stands}); it is left alone")
        )

    async def _values(self, name: str, kind: str) -> list[str]:
        said = await self._ask(name, kind)
        where = _absolute(name)
        return [
            str(rdata)
            for rrset in said.answer
            if rrset.name == where and rrset.rdtype == dns.rdatatype.from_text(kind)
            for rdata in rrset
        ]

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(zone, **self._key())

    def _key(self) -> dict[str, Any]:
        """
        Return the TSIG key, read anew each time; none when none is configured.
        """
        ref, name = self._options.get("key_secret"), self._options.get("key_name")
        if not isinstance(ref, SecretRef):
            return {}
        try:
            secret = fetch(ref).reveal()
            algorithm = dns.name.from_text(str(self._options.get("key_algorithm") or "hmac-sha256"))
            ring = {dns.name.from_text(str(name or "")): dns.tsig.Key(str(name or ""), secret, algorithm)}
        except SecretMissing as error:
            raise DnsError(Problem(type="dnsCredentials", detail=f"{self._name}: key_secret: {error}")) from error
        except (binascii.Error, ValueError, dns.exception.DNSException):
            raise DnsError(
                Problem(
                    type="dnsCredentials",
                    detail=f"{self._name}: key_secret is not a TSIG key in base64; copy it from `tsig-keygen` as it stands",
                )
            ) from None
        return {"keyring": ring}

    async def _send(self, update: dns.update.UpdateMessage, name: str) -> None:
        said = await self._exchange(update)
        code = said.rcode()
        if code == dns.rcode.NOERROR:
            return
        if code in _CHANGED:
            raise _Changed
        kind, remedy = _REFUSALS.get(code, ("dnsProvider", "look at the server's log"))
        raise DnsError(
            Problem(
                type=kind, detail=f"{name}: {self._server} refused the update ({dns.rcode.to_text(code)}); {remedy}"
            )
        )

    async def _ask(self, name: str, kind: str) -> dns.message.Message:
        query = dns.message.make_query(_absolute(name), kind)
        query.flags &= ~dns.flags.RD
        return await self._exchange(query)

    async def _exchange(self, message: dns.message.Message) -> dns.message.Message:
        """
        Send a message by TCP and return the answer; once more when none came.
        """
        host, port = self._place
        why = "it did not answer"
        for _ in range(_TRIES):
            try:
                address = await _resolved(host)
                return await dns.asyncquery.tcp(message, address, port=port, timeout=_SECONDS)
            except dns.tsig.PeerBadTime as error:
                raise self._key_refused("the clocks differ: set this machine's, or the server's") from error
            except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.message.UnknownTSIGKey) as error:
                raise self._key_refused("compare key_name, key_secret and key_algorithm with the server's") from error
            except dns.exception.Timeout:
                why = f"it did not answer within {_SECONDS:g} s"
            except OSError as error:
                why = error.strerror or str(error)
            except (dns.exception.DNSException, EOFError) as error:
                why = f"it did not answer with DNS ({type(error).__name__})"
        raise DnsError(
            Problem(
                type="dnsProvider",
                detail=f"{self._server} cannot be asked by TCP: {why}; is it running, and the port open?",
            )
        )

    def _key_refused(self, remedy: str) -> DnsError:
        return DnsError(
            Problem(type="dnsCredentials", detail=f"{self._server} does not accept the key of {self._name}; {remedy}")
        )

    @property
    def _place(self) -> tuple[str, int]:
        return cast("tuple[str, int]", self._options["server"])

    @property
    def _server(self) -> str:
        host, port = self._place
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Changed(Exception):
    """
    A prerequisite does not hold: something else stands there.
    """


async def _resolved(host: str) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


def _absolute(name: str) -> dns.name.Name:
    return dns.name.from_text(name)


def _quoted(value: str) -> str:
    parts = [value[at : at + _STRING] for at in range(0, len(value), _STRING)] or [""]
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)


def _zoneless(name: str, why: str) -> DnsError:
    return DnsError(
        Problem(
            type="dnsZone",
            detail=f"{name}: {why}; name the server that has the zone, or another provider for this name",
        )
    )
