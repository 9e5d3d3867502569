"""
The DNS providers: whether each has the zones of the names that it is to prove and the world asks its name servers, whether its credentials may
add and delete a record, how long that takes to be seen everywhere, and whether the key may do more than it should.
"""

from __future__ import annotations

import base64
import datetime as dt
import secrets
from typing import TYPE_CHECKING

from gatelodge.errors import DnsError, StateError
from gatelodge.model import DNS_PREFIX, is_ip
from gatelodge.ports import KeyHolder, TxtRecord
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient
    from gatelodge.errors import Problem
    from gatelodge.model import Name
    from gatelodge.ports import DnsProvider

#: The name of the record that is added and deleted where no name of a zone is proven by DNS, in front of the zone's.
LABEL = "_gatelodge-doctor"

#: How long it is waited for at the name servers: usual ones have it in a few seconds, slow ones are told of.
_PATIENCE = dt.timedelta(seconds=25)

#: What is so slow that it is worth a word.
_SLOW = 20.0

#: What helps, by the type of the problem (`errors.DnsError`). Its detail says more.
_WHY: Mapping[str, str] = {
    "dnsCredentials": "no certificate can be proven through it, and no address be kept",
    "dnsZone": "the names in it cannot be proven through it",
    "dnsRecord": "answers to the CA cannot stand there",
    "dnsDelegation": "what is added there is seen by nobody, and the CA does not find it",
    "dnsProvider": "until it answers, nothing can be proven through it",
    "propagation": "the CA asks any of the name servers, and fails at one that lacks the record",
}
_DO: Mapping[str, str] = {
    "dnsCredentials": "give it a key that is right, with the rights that docs/dns.md names",
    "dnsZone": "add the zone there, or prove the name through the provider that has it",
    "dnsRecord": "mend the record that is named",
    "dnsDelegation": "change the NS records at the registrar, or set `alias`",
    "dnsProvider": "see whether this machine reaches it; otherwise wait",
    "propagation": "raise `wait` of this provider in [dns] when the name server is only slow, otherwise have it mended",
}


async def look(patient: Patient, findings: Findings) -> None:
    """
    Look at all providers at once.
    """
    await together(_look_at(patient, name, provider, findings) for name, provider in patient.tools.providers.items())


async def _look_at(patient: Patient, name: str, provider: DnsProvider, findings: Findings) -> None:
    await together([_judge_key(name, provider, findings), _look_at_zones(patient, name, provider, findings)])


async def _judge_key(name: str, provider: DnsProvider, findings: Findings) -> None:
    if not isinstance(provider, KeyHolder):
        return
    try:
        excess = await provider.excess()
    except DnsError:
        return  # what is wrong with the key is told by what it is used for
    if excess is not None:
        findings.warn(
            f"dns.{name}",
            excess.seen,
            why="whoever gets at this machine gets at all that the key can do",
            do=excess.remedy,
        )


async def _look_at_zones(patient: Patient, name: str, provider: DnsProvider, findings: Findings) -> None:
    solver = patient.tools.solvers[name]
    proven = _names(patient, name)
    places: dict[str, str] = {}
    told: set[str] = set()

    async def find(each: Name, alias: Name | None) -> bool:
        try:
            zone, where = await solver.place(each, alias)
        except DnsError as error:
            _tell_once(findings, f"dns.{name}", each, error.problem, told)
            return False
        places.setdefault(zone, where)
        return True

    found = await together(find(each, alias) for each, alias in proven.items())
    good = [each for each, well in zip(proven, found, strict=True) if well]
    if good:
        findings.ok(f"dns.{name}", f"it has the zones of {_listed(good)}, and the world asks its name servers")
    kept = _kept(patient, name)
    for host in kept:
        try:
            zone = await provider.zone_of(host)
        except DnsError as error:
            _tell_once(findings, f"dns.{name}", host, error.problem, told)
        else:
            places.setdefault(zone, f"{LABEL}.{zone}")
    if not proven and not kept:
        findings.note(
            f"dns.{name}", "nothing is proven or kept through it", do="name it in `challenge`, or leave it out"
        )
    await together(
        _try_rights(patient, name, TxtRecord(zone=zone, name=where, value=_meaningless()), findings)
        for zone, where in places.items()
    )


def _tell_once(findings: Findings, provider: str, name: Name, problem: Problem, told: set[str]) -> None:
    """
    Tell what is wrong with a provider once, and not for each name.
    """
    shared = problem.type in {"dnsCredentials", "dnsProvider"}
    key = problem.type if shared else f"{problem.type} {name}"
    if key not in told:
        told.add(key)
        _tell(findings, provider if shared else name, problem)


def _names(patient: Patient, provider: str) -> dict[Name, Name | None]:
    """
    Return the names that are proven through a provider, with their aliases.
    """
    aliases: dict[Name, Name | None] = {}
    for spec in patient.wanted.certificates.values():
        if f"{DNS_PREFIX}{provider}" in spec.challenges:
            aliases |= {name: spec.alias for name in spec.names if not is_ip(name)}
    return aliases


def _kept(patient: Patient, provider: str) -> tuple[Name, ...]:
    ddns = patient.wanted.ddns
    return ddns.hosts if ddns is not None and ddns.dns == provider else ()


async def _try_rights(patient: Patient, name: str, record: TxtRecord, findings: Findings) -> None:
    """
    Add a record of no meaning where an answer to a CA would stand, look for it at all name servers, and delete it: through the ledger, so that it is gone in the end.
    """
    subject = f"dns.{name} {record.zone}"
    if not patient.write:
        findings.note(subject, "whether it may add and delete records was not tried", do="run it without --no-write")
        return
    ledger = patient.tools.ledger
    if ledger is None:
        findings.unseen(
            subject,
            f"no record was added to try its rights: {patient.tools.unwritable}",
            do="run it as root, or as the daemon's user",
        )
        return
    provider = patient.tools.providers[name]
    kind = patient.wanted.dns[name].provider
    seconds: float | None = None
    try:
        async with ledger.published(name, provider, [record], kind=kind):
            began = patient.clock.monotonic()
            await patient.tools.resolver.wait_for(
                {record.name: frozenset({record.value})}, kind="TXT", within=_PATIENCE
            )
            seconds = patient.clock.monotonic() - began
    except DnsError as error:
        _tell(findings, subject, error.problem)
    except StateError as error:
        findings.unseen(subject, f"no record was added to try its rights: {error}")
    if any(record.name in names for names in ledger.leftovers.values()):
        findings.broken(
            subject,
            f"{record.name} could be added and not deleted",
            why="answers to the CA pile up there, and providers take only so many of one name",
            do=f"give the key the right to delete records; this one, {record.value}, is swept by the daemon's next start",
        )
    elif seconds is not None and seconds > _SLOW:
        findings.warn(
            subject,
            f"a record took {seconds:.0f} s to be at all name servers",
            why="each certificate waits for that",
            do="see that `wait` of this provider is longer than that",
        )
    elif seconds is not None:
        findings.ok(subject, f"a record could be added and deleted; all name servers had it after {seconds:.1f} s")


def _meaningless() -> str:
    """
    Return a value of the form that an answer to dns-01 has (RFC 8555 §8.4), which is all that some servers take.
    """
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def _tell(findings: Findings, subject: str, problem: Problem) -> None:
    kind = problem.type
    do = _DO.get(kind, "see docs/dns.md")
    why = _WHY.get(kind, "nothing can be proven through it")
    if kind in {"dnsProvider", "propagation"}:
        findings.warn(subject, problem.detail, why=why, do=do)
    else:
        findings.broken(subject, problem.detail, why=why, do=do)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004 - enough to recognise
