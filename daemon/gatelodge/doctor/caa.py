"""
CAA records: whether each CA that may be asked for a certificate is allowed to issue it, for every name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core.caa import Applicant
from gatelodge.errors import GatelodgeError
from gatelodge.issuers.acme import caa
from gatelodge.model import DNS_PREFIX, AcmeIssuer, is_ip

if TYPE_CHECKING:
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient
    from gatelodge.issuers.acme.caa import Looked
    from gatelodge.model import CertificateSpec


async def look(patient: Patient, findings: Findings) -> None:
    """
    Look the records up past all caches, and judge them as before an order.
    """
    specs = [
        spec
        for spec in patient.wanted.certificates.values()
        if any(isinstance(each, AcmeIssuer) for each in spec.issuers)
    ]
    names = sorted({name for spec in specs for name in spec.names if not is_ip(name)})
    if not names:
        return
    looked = await caa.look(patient.tools.resolver, names, fresh=True)
    unknown = {name: why for name in names if (why := looked.unknown(name)) is not None}
    if unknown:
        first, *more = unknown
        findings.unseen(
            f"{first} and {len(more)} more" if more else first,
            f"CAA records could not be looked up: {unknown[first]}",
            do="a CA that cannot either refuses: look at the name servers of the zone, and at this machine's network",
        )
    for ca in patient.wanted.asked:
        try:
            identities = await patient.tools.identities[ca]()
        except GatelodgeError as error:
            findings.unseen(ca, f"it was not asked by which names CAA records know it: {error}")
            continue
        asked = [spec for spec in specs if AcmeIssuer(ca=ca) in spec.issuers]
        if not identities:
            findings.ok(ca, "it does not say by which names CAA records know it, so none can be in the way")
            continue
        forbidden = [_judge(spec, looked, ca, identities, findings) for spec in asked]
        if not any(forbidden):
            findings.ok(
                ca,
                f"no CAA record of {len({n for spec in asked for n in spec.names} - unknown.keys())} names is in its way",
            )


def _judge(spec: CertificateSpec, looked: Looked, ca: str, identities: frozenset[str], findings: Findings) -> bool:
    """
    Tell what forbids a CA to certify names. Returns whether anything does.
    """
    methods = frozenset("dns-01" if way.startswith(DNS_PREFIX) else way for way in spec.challenges)
    applicant = Applicant(identities=identities, account=None, methods=methods)
    forbidden = {name: why for name in spec.names if not is_ip(name) and (why := caa.judged(looked, name, applicant))}
    for name, why in forbidden.items():
        findings.broken(
            name,
            f"the record {why.record} forbids {ca} to certify it, since {why.why}",
            why=f"{ca} refuses each order for it, and renewals fail",
            do=f"{why.remedy}, at the DNS provider of {why.record.owner}",
        )
    return bool(forbidden)
