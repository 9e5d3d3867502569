"""
Decides of what class a failed issuance is, from its problem document alone: one table, each row with where it comes from.

The class says who can mend it, and so how soon another try is worth it and what people are told. A type that nobody knows yet is
judged by its status, and what is left is the CA's policy: it said no, and trying often will not change that.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatelodge.errors import Problem


class Failure(enum.StrEnum):
    """
    Classes of failures, by who or what stands in the way. Of several in one problem the first here counts: it is mended by people,
    and nothing comes of the others before.
    """

    #: A key, password or account that is not, or no longer, good: at the CA or at a DNS provider.
    CREDENTIALS = "credentials"
    #: A rule: of the CA about names, keys, profiles or terms, or of the configuration about how a name is proven.
    POLICY = "policy"
    #: A CAA record forbids it, or cannot be looked up.
    CAA = "caa"
    #: The DNS does not say, or not everywhere, what it must.
    DNS = "dns"
    #: Whoever asks for the name's tokens does not get here, or gets something else.
    REACHABILITY = "reachability"
    #: A defect of ours, or trouble on this machine.
    OURS = "ours"
    #: The CA has had enough for now.
    RATE_LIMIT = "rate_limit"
    #: The CA cannot be reached, or is in trouble itself.
    CA_DOWN = "ca_down"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    Problems of a type, and of all that have it, those whose detail matches `detail` when that is given.
    """

    type: str
    failure: Failure
    source: str
    detail: re.Pattern[str] | None = None


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_RFC = "RFC 8555 §6.7"
_OURS = "errors.Problem"
_DNS = "errors.DnsError"
_VA_DNS = "Boulder va/dns.go; pebble va/va.go"
_VA_HTTP = "Boulder va/http.go; pebble va/va.go"

#: The first row that fits counts.
ROWS = (
    # What one type is used for by the servers that are known, by the words they use.
    Row(type="dns", failure=Failure.CAA, source="Boulder va/caa.go, bdns/problem.go", detail=_words(r"looking up CAA|processing CAA|secondary CAA")),
    Row(type="unauthorized", failure=Failure.CREDENTIALS, source="Boulder wfe2/verify.go; pebble wfe/wfe.go", detail=_words(r"account is not valid|account .*(deactivated|revoked)")),
    Row(type="unauthorized", failure=Failure.RATE_LIMIT, source="Boulder wfe2/wfe.go, checkIdentifiersPaused", detail=_words(r"temporarily prevented from requesting")),
    Row(type="unauthorized", failure=Failure.DNS, source=_VA_DNS, detail=_words(r"\bTXT records?\b|DNS challenge")),
    Row(type="unauthorized", failure=Failure.REACHABILITY, source=_VA_HTTP, detail=_words(r"invalid response from|key authorization|reading HTTP response|non-200 status|challenge")),
    Row(type="incorrectResponse", failure=Failure.DNS, source=_VA_DNS, detail=_words(r"\bTXT records?\b|DNS challenge|_acme-challenge")),
    Row(type="malformed", failure=Failure.CREDENTIALS, source="Boulder wfe2/verify.go", detail=_words(r"JWS verification error")),
    # RFC 8555 §6.7, in its order.
    Row(type="accountDoesNotExist", failure=Failure.CREDENTIALS, source=_RFC),
    Row(type="alreadyRevoked", failure=Failure.OURS, source=_RFC),
    Row(type="badCSR", failure=Failure.POLICY, source=_RFC),
    Row(type="badNonce", failure=Failure.CA_DOWN, source=f"{_RFC}: thirty in a row, acme/transport.py"),
    Row(type="badPublicKey", failure=Failure.POLICY, source=_RFC),
    Row(type="badRevocationReason", failure=Failure.POLICY, source=_RFC),
    Row(type="badSignatureAlgorithm", failure=Failure.OURS, source=_RFC),
    Row(type="caa", failure=Failure.CAA, source=_RFC),
    Row(type="connection", failure=Failure.REACHABILITY, source=_RFC),
    Row(type="dns", failure=Failure.DNS, source=_RFC),
    Row(type="externalAccountRequired", failure=Failure.CREDENTIALS, source=_RFC),
    Row(type="incorrectResponse", failure=Failure.REACHABILITY, source=_RFC),
    Row(type="invalidContact", failure=Failure.POLICY, source=_RFC),
    Row(type="malformed", failure=Failure.OURS, source=_RFC),
    Row(type="orderNotReady", failure=Failure.OURS, source=_RFC),
    Row(type="rateLimited", failure=Failure.RATE_LIMIT, source=_RFC),
    Row(type="rejectedIdentifier", failure=Failure.POLICY, source=_RFC),
    Row(type="serverInternal", failure=Failure.CA_DOWN, source=_RFC),
    Row(type="tls", failure=Failure.REACHABILITY, source=_RFC),
    Row(type="unauthorized", failure=Failure.POLICY, source=_RFC),
    Row(type="unsupportedContact", failure=Failure.POLICY, source=_RFC),
    Row(type="unsupportedIdentifier", failure=Failure.POLICY, source=_RFC),
    Row(type="userActionRequired", failure=Failure.POLICY, source=_RFC),
    # Registered since, or used without.
    Row(type="alreadyReplaced", failure=Failure.OURS, source="RFC 9773 §5"),
    Row(type="invalidProfile", failure=Failure.POLICY, source="draft-ietf-acme-profiles; acme/client.py"),
    Row(type="onionCAARequired", failure=Failure.CAA, source="RFC 9799"),
    Row(type="invalidEmail", failure=Failure.POLICY, source="Boulder probs/probs.go"),
    Row(type="unknownHost", failure=Failure.DNS, source="Boulder probs/probs.go"),
    # Problems of our own, in which the CA was not asked or made no sense.
    Row(type="unreachable", failure=Failure.CA_DOWN, source=_OURS),
    Row(type="timeout", failure=Failure.CA_DOWN, source=_OURS),
    Row(type="badAnswer", failure=Failure.CA_DOWN, source=_OURS),
    Row(type="selfCheck", failure=Failure.REACHABILITY, source=_OURS),
    Row(type="noSolver", failure=Failure.POLICY, source=_OURS),
    Row(type="unsupported", failure=Failure.POLICY, source=_OURS),
    Row(type="externalAccount", failure=Failure.CREDENTIALS, source=_OURS),
    Row(type="budget", failure=Failure.RATE_LIMIT, source="core/budget.py"),
    Row(type="ephemeral", failure=Failure.POLICY, source="stores/mounts.py"),
    Row(type="internal", failure=Failure.OURS, source=_OURS),
    Row(type="state", failure=Failure.OURS, source="runtime/act.py"),
    Row(type="adopt", failure=Failure.POLICY, source="issuers/adopted.py"),
    Row(type="export", failure=Failure.OURS, source="errors.ExportError"),
    Row(type="files", failure=Failure.POLICY, source="issuers/files.py"),
    Row(type="dnsCredentials", failure=Failure.CREDENTIALS, source=_DNS),
    Row(type="dnsProvider", failure=Failure.DNS, source=_DNS),
    Row(type="dnsZone", failure=Failure.DNS, source=_DNS),
    Row(type="dnsRecord", failure=Failure.DNS, source=_DNS),
    Row(type="dnsDelegation", failure=Failure.DNS, source=_DNS),
    Row(type="propagation", failure=Failure.DNS, source=_DNS),
)  # fmt: skip

#: The type for reasons that differ; they stand in the subproblems (RFC 8555 §6.7).
_COMPOUND = "compound"

_TOO_MANY = 429
_SERVER_ERROR = 500


def classify(problem: Problem) -> Failure:
    """
    Say of what class a problem is.
    """
    if problem.type == _COMPOUND and problem.subproblems:
        found = {_class(each.type, each.detail, None) for each in problem.subproblems}
        return next(failure for failure in Failure if failure in found)
    return _class(problem.type, problem.detail, problem.status)


def _class(kind: str, detail: str, status: int | None) -> Failure:
    for row in ROWS:
        if row.type == kind and (row.detail is None or row.detail.search(detail)):
            return row.failure
    if status == _TOO_MANY:
        return Failure.RATE_LIMIT
    return Failure.CA_DOWN if status is not None and status >= _SERVER_ERROR else Failure.POLICY
