"""
Of what class a failed issuance is.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.core.failures import ROWS, Failure, classify
from gatelodge.errors import Problem, Subproblem

PACKAGE = Path(__file__).parents[2] / "daemon" / "gatelodge"

#: RFC 8555 §6.7, but `compound`.
RFC_TYPES = [
    "accountDoesNotExist",
    "alreadyRevoked",
    "badCSR",
    "badNonce",
    "badPublicKey",
    "badRevocationReason",
    "badSignatureAlgorithm",
    "caa",
    "connection",
    "dns",
    "externalAccountRequired",
    "incorrectResponse",
    "invalidContact",
    "malformed",
    "orderNotReady",
    "rateLimited",
    "rejectedIdentifier",
    "serverInternal",
    "tls",
    "unauthorized",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
]

TEXT = st.text(max_size=50)
PROBLEMS = st.builds(
    Problem,
    type=st.one_of(TEXT, st.sampled_from([row.type for row in ROWS]), st.just("compound")),
    detail=TEXT,
    status=st.one_of(st.none(), st.integers(0, 999)),
    subproblems=st.lists(st.builds(Subproblem, type=TEXT, detail=TEXT), max_size=3).map(tuple),
)


def problem(kind: str, detail: str = "no", status: int | None = None) -> Problem:
    """
    Make a problem.
    """
    return Problem(type=kind, detail=detail, status=status)


def own_types() -> set[str]:
    """
    The types that our own code gives to problems, where they are written out.
    """
    calls = [
        node
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"Problem", "Subproblem"}
    ]
    values = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "type"]
    return {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}


@pytest.mark.parametrize("kind", RFC_TYPES)
def test_every_type_of_the_rfc_has_a_row_of_its_own(kind: str) -> None:
    """
    One that holds whatever the detail says.
    """
    assert [row for row in ROWS if row.type == kind and row.detail is None and row.source.startswith("RFC 8555")]


def test_every_type_of_our_own_has_a_row() -> None:
    """
    Whatever our code calls a problem is in the table.
    """
    found = own_types()
    assert len(found) > 8
    assert found <= {row.type for row in ROWS}


def test_no_row_is_hidden() -> None:
    """
    A type has one row without words, and those with words stand before it.
    """
    seen: set[str] = set()
    for row in ROWS:
        assert row.type not in seen
        assert row.source
        if row.detail is None:
            seen.add(row.type)
    assert seen == {row.type for row in ROWS}


@pytest.mark.parametrize(
    ("kind", "detail", "failure"),
    [
        ("dns", "DNS problem: NXDOMAIN looking up TXT for _acme-challenge.a.example - check that a DNS record exists for this domain", Failure.DNS),
        ("dns", "During secondary validation: DNS problem: networking error looking up A for a.example", Failure.DNS),
        ("dns", "While processing CAA for a.example: DNS problem: SERVFAIL looking up CAA for a.example - the domain's nameservers may be malfunctioning", Failure.CAA),
        ("caa", "CAA record for example prevents issuance", Failure.CAA),
        ("connection", "192.0.2.1: Fetching http://a.example/.well-known/acme-challenge/x: Timeout during connect (likely firewall problem)", Failure.REACHABILITY),
        ("unauthorized", "192.0.2.1: Invalid response from http://a.example/.well-known/acme-challenge/x: 404", Failure.REACHABILITY),
        ("unauthorized", 'The key authorization file from the server did not match this challenge. Expected "x" (got "y")', Failure.REACHABILITY),
        ("unauthorized", "No TXT record found at _acme-challenge.a.example", Failure.DNS),
        ("unauthorized", 'Incorrect TXT record "x" (and 1 more) found at _acme-challenge.a.example', Failure.DNS),
        ("unauthorized", "Correct value not found for DNS challenge", Failure.DNS),
        ("unauthorized", 'Unable to validate JWS :: Account is not valid, has status "deactivated"', Failure.CREDENTIALS),
        ("unauthorized", "Your account is temporarily prevented from requesting certificates for a.example and possibly others.", Failure.RATE_LIMIT),
        ("unauthorized", "we do not like you", Failure.POLICY),
        ("incorrectResponse", "the token was another", Failure.REACHABILITY),
        ("incorrectResponse", "no TXT record at _acme-challenge.a.example", Failure.DNS),
        ("malformed", "JWS verification error", Failure.CREDENTIALS),
        ("malformed", "NotBefore and NotAfter are not supported", Failure.OURS),
        ("rateLimited", "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s", Failure.RATE_LIMIT),
        ("rejectedIdentifier", "The ACME server refuses to issue a certificate for this domain name, because it is forbidden by policy", Failure.POLICY),
        ("serverInternal", "Service busy; retry later.", Failure.CA_DOWN),
        ("externalAccount", "the binding by the key named kid-1 was refused", Failure.CREDENTIALS),
        ("dnsCredentials", "the key is unknown", Failure.CREDENTIALS),
        ("selfCheck", "404", Failure.REACHABILITY),
        ("unreachable", "letsencrypt (ca.test): refused", Failure.CA_DOWN),
        ("internal", "KeyError", Failure.OURS),
    ],
)  # fmt: skip
def test_what_servers_say_has_a_class(kind: str, detail: str, failure: Failure) -> None:
    """
    In the words of Boulder and pebble, and in ours.
    """
    assert classify(problem(kind, detail)) is failure


@pytest.mark.parametrize(
    ("status", "failure"),
    [(None, Failure.POLICY), (400, Failure.POLICY), (429, Failure.RATE_LIMIT), (500, Failure.CA_DOWN), (599, Failure.CA_DOWN)],
)  # fmt: skip
def test_types_of_the_future_go_by_their_status(status: int | None, failure: Failure) -> None:
    """
    Nothing is known of them but how they came.
    """
    assert classify(problem("https://vendor.test/odd", status=status)) is failure


@pytest.mark.parametrize(
    ("types", "failure"),
    [
        (["dns", "connection"], Failure.DNS),
        (["connection", "caa", "dns"], Failure.CAA),
        (["rateLimited", "neverHeardOf"], Failure.POLICY),
        (["serverInternal", "accountDoesNotExist"], Failure.CREDENTIALS),
        (["serverInternal", "rateLimited"], Failure.RATE_LIMIT),
        ([], Failure.POLICY),
    ],
)
def test_several_reasons_count_by_who_mends_them(types: list[str], failure: Failure) -> None:
    """
    What people must mend comes before what passes; a `compound` that names no reason is judged as itself.
    """
    several = tuple(Subproblem(type=kind, detail="no") for kind in types)
    assert classify(Problem(type="compound", detail="several", subproblems=several)) is failure


@given(PROBLEMS)
def test_everything_has_a_class(found: Problem) -> None:
    """
    No document is without one, and none raises.
    """
    assert classify(found) in Failure
