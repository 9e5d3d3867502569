"""
Where the world's DNS says that each host is, against what this machine's public address is: the record that is missing, private, or somebody
else's, and the AAAA record that everybody prefers and that leads elsewhere.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
from typing import TYPE_CHECKING

from gatelodge.config.shape import Tls
from gatelodge.config.values.names import is_private
from gatelodge.dns.public_address import own_addresses
from gatelodge.errors import DnsError, GatelodgeError
from gatelodge.model import DNS_PREFIX, HTTP_01, is_ip, is_pattern, is_wildcard
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gatelodge.config.sections.streams import StreamSection
    from gatelodge.config.shape import SiteSection
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient

_KINDS: Mapping[str, int] = {"A": 4, "AAAA": 6}

#: Stands for the first label of a wildcard: what a visitor may type there.
_ANY_LABEL = "gatelodge-doctor"

#: Hosts that are looked up. The others of a thousand are of the same zones.
_MOST = 200

_NAT_RANGE = ipaddress.ip_network("100.64.0.0/10")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """
    A host of the world's: `by_http` when its certificate is proven by http-01, for which the CA must come here.
    """

    name: str
    by_http: bool

    @property
    def asked(self) -> str:
        """
        The name that is looked up.
        """
        return self.name.replace("*", _ANY_LABEL, 1)


def public_hosts(patient: Patient) -> tuple[Host, ...]:
    """
    Return the hosts that the world should find here, each once: none of the LAN's own, no address, no regular expression.
    """
    return tuple({host.name: host for host in _hosts(patient)}.values())


def _hosts(patient: Patient) -> Iterator[Host]:
    config = patient.config
    if config is None:
        return
    sections: list[SiteSection | StreamSection] = [*config.sites.values(), *config.streams.values()]
    for section in sections:
        if section.tls is Tls.LOCAL:
            continue
        for name in section.names:
            if not (is_ip(name) or is_pattern(name) or is_private(name)):
                ways = config.challenges(section.challenges)
                by_dns = is_wildcard(name) or any(way.startswith(DNS_PREFIX) for way in ways)
                yield Host(name=name, by_http=section.tls is Tls.ACME and HTTP_01 in ways and not by_dns)


async def look(patient: Patient, findings: Findings) -> None:
    """
    Find the public addresses, and compare each host's with them.
    """
    hosts = public_hosts(patient)
    if not hosts:
        findings.ok("hosts", "none is for the world: no address of it is needed")
        return
    own: dict[str, str] = {}
    troubles: dict[str, str] = {}

    async def find(kind: str) -> None:
        try:
            own[kind] = await patient.tools.public[_KINDS[kind]]()
        except GatelodgeError as error:
            troubles[kind] = str(error).removeprefix("dnsProvider: ")

    async with asyncio.TaskGroup() as group:
        for kind in _KINDS:
            group.create_task(find(kind))
    for kind, address in own.items():
        findings.ok(f"public IPv{_KINDS[kind]} address", address)
    if not own:
        findings.unseen(
            "public address",
            f"it could not be found out: {troubles['A']}",
            do="say in [ddns] ipv4 where it is learned, or compare the records by hand",
        )
    unknown = [
        each for each in await together(_compare(patient, host, own, findings) for host in hosts[:_MOST]) if each
    ]
    if unknown:
        names = [name for name, _ in unknown]
        findings.unseen(
            names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more",
            f"no address could be looked up: {unknown[0][1]}",
            do="look at this machine's network, or name other servers in [resolver]",
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Records:
    """
    The addresses of a host by kind of record, where its CNAMEs end when it has some, this machine's public addresses, and those of its
    interfaces.
    """

    host: Host
    found: Mapping[str, tuple[str, ...]]
    end: str
    own: Mapping[str, str]
    here: frozenset[str]

    @property
    def through(self) -> str:
        """
        What is told of CNAMEs.
        """
        return f" (through the CNAME {self.end})" if self.end != self.host.asked else ""

    def wrong(self, kind: str) -> list[str]:
        """
        Return the addresses that are not known to be this machine's.
        """
        return [
            value
            for value in self.found[kind]
            if value != self.own.get(kind) and not (value in self.here and ipaddress.ip_address(value).is_global)
        ]


async def _compare(patient: Patient, host: Host, own: Mapping[str, str], findings: Findings) -> tuple[str, str] | None:
    """
    Compare a host's addresses with this machine's. Returns it and the reason when they could not be looked up.
    """
    resolver = patient.tools.resolver
    try:
        end = await resolver.canonical(host.asked)
        found = {kind: await resolver.addresses(host.asked, kind) for kind in _KINDS}
    except DnsError as error:
        return host.name, error.problem.detail
    records = _Records(host=host, found=found, end=end, own=own, here=own_addresses())
    if not any(found.values()):
        _tell_missing(records, findings)
        return None
    told = ", ".join(f"{kind} {' '.join(values)}" for kind, values in found.items() if values) + records.through
    if patient.wanted.nginx.trusted_proxies is not None:
        findings.ok(host.name, f"{told}; a proxy stands before this gate, so that it need not be this machine's")
        return None
    before = len(findings.all)
    for kind in _KINDS:
        _judge(records, kind, findings)
    if len(findings.all) == before:
        known = [kind for kind, values in found.items() if values and kind in own]
        findings.ok(host.name, f"{told}, {'this machine' if known else 'not compared with this machine'}")
    return None


def _tell_missing(records: _Records, findings: Findings) -> None:
    host = records.host
    seen = f"the public DNS has no address for {host.asked}{records.through}"
    wanted = " and ".join(f"{kind} {address}" for kind, address in records.own.items())
    do = (
        f"add {wanted or 'an A record with the public address of this machine'} at the DNS provider of the zone; [ddns] keeps it on an "
        "address that changes"
    )
    if host.by_http:
        findings.broken(host.name, seen, why="visitors do not find it, and no CA can prove it by http-01", do=do)
    elif is_wildcard(host.name):
        findings.note(host.name, seen, why="names below it are found only where they have records of their own", do=do)
    else:
        findings.warn(host.name, seen, why="visitors find it only where another DNS, such as the LAN's, has it", do=do)


def _judge(records: _Records, kind: str, findings: Findings) -> None:
    """
    Say what is wrong with the records of one kind.
    """
    wrong, mine = records.wrong(kind), records.own.get(kind)
    private = [value for value in wrong if not ipaddress.ip_address(value).is_global]
    if private:
        _tell_private(records, kind, private, findings)
    elif wrong and mine is not None:
        _tell_elsewhere(records, kind, wrong, findings)
    elif wrong and kind == "AAAA" and records.own.get("A") in records.found["A"]:
        findings.broken(
            records.host.name,
            f"AAAA {', '.join(wrong)} leads elsewhere: this machine has no public IPv6 address, and its A record is right",
            why="browsers and CAs prefer IPv6 (RFC 6724, RFC 8305), and meet somebody else or nobody there",
            do="take the AAAA record away, or give this machine that address",
        )


def _tell_private(records: _Records, kind: str, private: list[str], findings: Findings) -> None:
    host = records.host
    seen = f"{kind} {', '.join(private)}{records.through} is no address of the internet"
    do = f"write {records.own.get(kind, 'the public address')} there"
    if any(ipaddress.ip_address(each) in _NAT_RANGE for each in private if ":" not in each):
        do = "the provider of this line shares one address among customers: ask it for a public one, or use IPv6"
    if host.by_http:
        findings.broken(host.name, seen, why="no CA and no visitor from outside gets here", do=do)
    else:
        findings.note(host.name, seen, why="visitors find it in one network only; that may be meant", do=do)


def _tell_elsewhere(records: _Records, kind: str, wrong: list[str], findings: Findings) -> None:
    host, mine = records.host, records.own[kind]
    seen = f"{kind} {', '.join(wrong)}{records.through} leads elsewhere: this machine is {mine}"
    do = f"change it to {mine}; [ddns] keeps it on an address that changes; behind a CDN, name it in [nginx] trusted_proxies"
    if host.by_http:
        findings.broken(
            host.name, seen, why="the CA and visitors ask another machine: it cannot be proven, nor served", do=do
        )
    else:
        findings.warn(host.name, seen, why="visitors come to another machine", do=do)
