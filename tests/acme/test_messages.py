"""
A server's answers as values.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from gatelodge.acme import messages
from gatelodge.errors import IssuanceError
from gatelodge.model import Name
from gatelodge.ports import HttpResponse

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
URL = "https://ca.test/thing"

ORDER: dict[str, Any] = {
    "status": "levitating",
    "identifiers": [{"type": "dns", "value": "A.example"}, {"type": "ip", "value": "2001:DB8:0::1"}],
    "authorizations": ["https://ca.test/authz/1"],
    "finalize": "https://ca.test/finalize/1",
}
AUTHORIZATION: dict[str, Any] = {
    "status": "pending",
    "identifier": {"type": "dns", "value": "example.com"},
    "challenges": [{"type": "http-01", "url": "https://ca.test/c/1", "token": "abc-_9", "status": "pending"}],
}


def response(document: object, **headers: str) -> HttpResponse:
    """
    Make an answer of a document.
    """
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return HttpResponse(status=200, headers={k.replace("_", "-"): (v,) for k, v in headers.items()}, body=body)


def order(document: object) -> messages.Order:
    """
    Read an order.
    """
    return messages.order(response(document, retry_after="3"), url=URL, now=NOW)


def authorization(document: object) -> messages.Authorization:
    """
    Read an authorization.
    """
    return messages.authorization(response(document), url=URL, now=NOW)


def test_an_order_bears_what_it_does_not_know() -> None:
    """
    Unknown statuses and fields pass; names come in our form; what is missing is None.
    """
    found = order(ORDER | {"expires": "2026-03-08T12:00:00Z", "sparkle": {"a": [1]}, "profile": 7})
    assert found.status == "levitating"
    assert found.names == {Name("a.example"), Name("2001:db8::1")}
    assert found.expires == dt.datetime(2026, 3, 8, 12, tzinfo=dt.UTC)
    assert found.retry_after == dt.timedelta(seconds=3)
    assert (found.certificate, found.error, found.profile) == (None, None, None)


@pytest.mark.parametrize(("text", "year"), [("2026-03-08T12:00:00", 2026), ("next week", None), (5, None)])
def test_an_orders_end_is_read_when_it_can_be(text: object, year: int | None) -> None:
    """
    A time without a zone is UTC, and nonsense counts as no end.
    """
    expires = order(ORDER | {"expires": text}).expires
    assert (expires.year if expires else None) == year
    assert expires is None or expires.tzinfo is dt.UTC


def test_a_wildcards_authorization_is_named_after_it() -> None:
    """
    The server says `example.com` and `wildcard: true` (RFC 8555 §7.1.4); we say `*.example.com`.
    """
    assert authorization(AUTHORIZATION | {"wildcard": True}).name == "*.example.com"
    assert authorization(AUTHORIZATION).name == "example.com"


def test_challenges_of_the_future_are_kept() -> None:
    """
    A type without a token is listed, so that an error can name it.
    """
    new = {"type": "dns-persist-01", "url": "https://ca.test/c/2", "issuer-domain-names": ["x"]}
    found = authorization(AUTHORIZATION | {"challenges": [new]})
    assert [(each.type, each.token, each.status) for each in found.challenges] == [("dns-persist-01", None, "pending")]


@pytest.mark.parametrize("token", ["../../etc/passwd", "a/b", "", "a b", "ü", 5, "a" * 201, "x\n"])
def test_a_token_that_is_no_token_is_refused(token: object) -> None:
    """
    A token becomes part of a path, so only base64url gets in.
    """
    lying = {"type": "http-01", "url": "https://ca.test/c/1", "token": token}
    with pytest.raises(IssuanceError) as caught:
        authorization(AUTHORIZATION | {"challenges": [lying]})
    assert caught.value.problem.type == "badAnswer"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        ORDER | {"status": None},
        ORDER | {"authorizations": "https://ca.test"},
        ORDER | {"authorizations": ["file:///etc/passwd"]},
        ORDER | {"finalize": "/finalize/1"},
        ORDER | {"identifiers": None},
        ORDER | {"identifiers": [{"type": "dns"}]},
        ORDER | {"certificate": "nowhere"},
    ],
)
def test_a_malformed_order_is_a_bad_answer_that_names_its_url(document: object) -> None:
    """
    What cannot be done without is missed by name, as a problem and not as a traceback.
    """
    with pytest.raises(IssuanceError) as caught:
        order(document)
    assert caught.value.problem.type == "badAnswer"
    assert URL in caught.value.problem.detail


def test_addresses_are_identifiers_of_their_own_kind() -> None:
    """
    RFC 8738: an address is of type `ip`.
    """
    assert messages.identifiers([Name("a.example"), Name("192.0.2.1"), Name("2001:db8::1")]) == [
        {"type": "dns", "value": "a.example"},
        {"type": "ip", "value": "192.0.2.1"},
        {"type": "ip", "value": "2001:db8::1"},
    ]
