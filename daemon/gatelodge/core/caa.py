"""
Decides whether CAA records let a CA issue for a name (RFC 8659), for an account and by a way to prove it (RFC 8657). Pure: who
looks the records up hands them in.

A CA looks again itself, and its word is the last: this only spares an order that cannot succeed, and says which record is in the
way. So what cannot be read here forbids nothing, but for a critical property that nobody knows, which forbids everything (§4.5).
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Bit 0 of the flags: who does not know the property must not issue (RFC 8659 §4.1).
_CRITICAL = 128

#: Properties that are known and say nothing about issuance (RFC 8659 §4.4; RFC 9495; CA/Browser Forum's contacts).
_OTHERS = frozenset({"iodef", "issuemail", "contactemail", "contactphone", "issuevmc"})

#: RFC 8659 §4.2: an issuer's domain name, then parameters. Labels may hold what DNS holds.
_ISSUER = re.compile(r"\s*(?P<issuer>[^;\s]*)\s*(?:;(?P<parameters>.*))?", re.DOTALL)
_PARAMETER = re.compile(r"\s*(?P<tag>[A-Za-z0-9-]+)\s*=\s*(?P<value>[\x21-\x3a\x3c-\x7e]*)\s*")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    A CAA record: where it stands, and what it says.
    """

    owner: str
    flags: int
    tag: str
    value: str

    def __str__(self) -> str:
        return f'{self.owner} CAA {self.flags} {self.tag} "{self.value}"'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """
    Who would issue, and for whom: the names by which the CA knows itself in CAA records (`caaIdentities`, RFC 8555 §7.1.1), the
    account's URL where it is known, and the ways by which the name may be proven (`http-01`, `dns-01`).
    """

    identities: frozenset[str]
    account: str | None
    methods: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """
    Why a name may not be certified: the record that is in the way, and what to do about it.
    """

    record: Record
    why: str
    remedy: str


def climb(name: str) -> tuple[str, ...]:
    """
    Return where records are looked for, the first that has some counts: the name, then its parents (RFC 8659 §3). The `*.` of a
    wildcard is left out.
    """
    labels = name.removeprefix("*.").split(".")
    return tuple(".".join(labels[at:]) for at in range(len(labels)))


def judge(records: Iterable[Record], applicant: Applicant, *, wildcard: bool) -> Forbidden | None:
    """
    Say whether the records that count for a name forbid it; None when they do not.

    Args:
        wildcard: whether it is one; then `issuewild` counts, if there is any, in place of `issue` (RFC 8659 §4.3).
    """
    listed = [dataclasses.replace(record, tag=record.tag.lower()) for record in records]
    for record in listed:
        if record.flags & _CRITICAL and record.tag not in {"issue", "issuewild", *_OTHERS}:
            return Forbidden(record=record, why="it is critical, and no CA knows what it means", remedy="take it away")
    wild = [record for record in listed if record.tag == "issuewild"]
    counting = wild if wildcard and wild else [record for record in listed if record.tag == "issue"]
    if not counting or not applicant.identities:
        return None
    refused = [why for record in counting if (why := _refuses(record, applicant))]
    if len(refused) < len(counting):
        return None
    # Of several, one that names this CA says more than one that names another.
    return min(refused, key=lambda each: _NOT_THIS_CA in each.why)


_NOT_THIS_CA = "it does not name"


def _refuses(record: Record, applicant: Applicant) -> Forbidden | None:
    found = _ISSUER.fullmatch(record.value)
    issuer = found["issuer"].lower().rstrip(".") if found else ""
    if issuer not in {each.lower() for each in applicant.identities}:
        first, *_ = wanted = sorted(applicant.identities)
        # An empty issuer stands for nobody, and beside another it says nothing.
        place = "in its place" if not issuer else "beside it"
        remedy = f"write {_written(record, first)} {place}"
        return Forbidden(record=record, why=f"{_NOT_THIS_CA} {' or '.join(wanted)}", remedy=remedy)
    parameters = _parameters(found["parameters"] or "") if found else {}
    account = parameters.get("accounturi")
    if account is not None and applicant.account is not None and account != applicant.account:
        remedy = f"write {_written(record, issuer, parameters | {'accounturi': applicant.account})} in its place"
        return Forbidden(record=record, why=f"its accounturi is not this account's, {applicant.account}", remedy=remedy)
    allowed = parameters.get("validationmethods")
    if allowed is not None and applicant.methods.isdisjoint(allowed.lower().split(",")):
        used = sorted(applicant.methods)
        methods = ",".join(filter(None, [allowed, *used]))
        remedy = (
            f"write {_written(record, issuer, parameters | {'validationmethods': methods})} in its place, or choose another "
            "`challenge`"
        )
        return Forbidden(record=record, why=f"its validationmethods do not have {' or '.join(used)}", remedy=remedy)
    return None


def _written(record: Record, issuer: str, parameters: Mapping[str, str] | None = None) -> str:
    """
    Write a record that would do.
    """
    value = "; ".join([issuer, *(f"{tag}={value}" for tag, value in (parameters or {}).items())])
    return str(dataclasses.replace(record, value=value))


def _parameters(text: str) -> dict[str, str]:
    """
    Read what follows an issuer's name. What cannot be read is left out.
    """
    found = (_PARAMETER.fullmatch(each) for each in text.split(";"))
    return {each["tag"].lower(): each["value"] for each in found if each}
