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


@pytest.mark.parametrize("text", ["\ud800-01", "\x1b]0;owned\x07-01", "a\nb", "x" * 5000])
def test_text_can_be_shown(text: str) -> None:
    """
    Whatever a server calls a status or a type, it can be printed, encoded and read.
    """
    challenge = AUTHORIZATION["challenges"][0] | {"type": text, "status": text}
    found = authorization(AUTHORIZATION | {"status": text, "challenges": [challenge]})
    asked = order(ORDER | {"status": text, "profile": text})
    for each in (found.status, found.challenges[0].type, found.challenges[0].status, asked.status, asked.profile or ""):
        assert each
        assert each.isprintable()
        assert each.encode()
        assert len(each) <= 1000


@pytest.mark.parametrize(
    "url",
    [
        "https://ca.test/\x1b]0;owned",
        "https://ca.test/a b",
        "https://ca.test/\n",
        "https://cä.test/",
        "https://ca.test/\ud800",
        "https://" + "a" * 3000,
        "https:///order",
        "https://[::1/order",
        "https://ca.test:99999/",
        "http://ca.test/order",
        "http://127.0.0.1.ca.test/order",
        "ftp://ca.test/",
        "",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """
    Only https, in printable ASCII and of a sane length, is asked for; and the refusal does not repeat what was sent.
    """
    for document in (ORDER | {"finalize": url}, ORDER | {"authorizations": [url]}):
        with pytest.raises(IssuanceError) as caught:
            order(document)
        assert caught.value.problem.type == "badAnswer"
        assert caught.value.problem.detail.isprintable()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:14000/x", "http://[::1]/x", "http://localhost/x", "https://ca.test/x"]
)
def test_a_ca_on_this_machine_may_do_without_tls(url: str) -> None:
    """
    Loopback is nobody's to listen in on.
    """
    assert order(ORDER | {"finalize": url}).finalize == url


@pytest.mark.parametrize("value", ["\x1b[2Ja.example", "a.example\x00", "ä.example", "a" * 254])
def test_a_name_that_is_none_is_refused(value: str) -> None:
    """
    A name is compared and shown, so nothing is cut off it to make it one of ours.
    """
    with pytest.raises(IssuanceError):
        order(ORDER | {"identifiers": [{"type": "dns", "value": value}]})


def test_lists_are_bounded() -> None:
    """
    More authorizations than names, or more of anything than any CA has, is work that nobody asked for.
    """
    url = "https://ca.test/x"
    challenge = AUTHORIZATION["challenges"][0]
    order(ORDER | {"authorizations": [url, url]})
    authorization(AUTHORIZATION | {"challenges": [challenge] * 100})
    for ask in (
        lambda: order(ORDER | {"authorizations": [url] * 3}),
        lambda: order(ORDER | {"identifiers": ORDER["identifiers"] * 501}),
        lambda: authorization(AUTHORIZATION | {"challenges": [challenge] * 101}),
        lambda: messages.order_list(response({"orders": [url] * 10_001}), url=URL),
    ):
        with pytest.raises(IssuanceError, match="which is more than"):
            ask()


DIRECTORY: dict[str, Any] = {
    "newNonce": "https://ca.test/nonce",
    "newAccount": "https://ca.test/account",
    "newOrder": "https://ca.test/order",
}


def directory(**more: object) -> messages.Directory:
    """
    Read a directory.
    """
    return messages.directory(response(DIRECTORY | more), url=URL)


def test_a_directory_says_what_the_server_can() -> None:
    """
    Its services, and what it says of itself.
    """
    found = directory(
        revokeCert="https://ca.test/revoke",
        keyChange="https://ca.test/key",
        renewalInfo="https://ca.test/ari",
        meta={
            "termsOfService": "https://ca.test/terms",
            "website": "https://ca.test",
            "caaIdentities": ["ca.test", "ca.example"],
            "externalAccountRequired": True,
            "profiles": {"classic": "As always", "bare": None},
        },
    )
    assert (found.revoke_cert, found.key_change) == ("https://ca.test/revoke", "https://ca.test/key")
    assert found.renewal_info == "https://ca.test/ari"
    assert found.meta == messages.Meta(
        terms_of_service="https://ca.test/terms",
        website="https://ca.test",
        caa_identities=("ca.test", "ca.example"),
        external_account_required=True,
        profiles={"classic": "As always", "bare": ""},
    )


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"revokeCert": 7, "keyChange": "/key", "renewalInfo": "http://ca.test/ari", "meta": None},
        {"renewalInfo": "", "meta": {"caaIdentities": "ca.test", "externalAccountRequired": "yes", "profiles": ["classic"]}},
        {"meta": {"termsOfService": 5, "website": {}, "caaIdentities": [7], "externalAccountRequired": 1, "profiles": {"": "x"}}},
    ],
)  # fmt: skip
def test_a_directory_without_what_can_be_done_without_is_read(more: dict[str, object]) -> None:
    """
    What is missing, or cannot be asked, is not there; certificates can still be had.
    """
    found = directory(**more)
    assert found == messages.directory(response(DIRECTORY), url=URL)
    assert (found.revoke_cert, found.key_change, found.renewal_info, found.meta) == (None, None, None, messages.Meta())


def test_an_account_says_how_it_stands() -> None:
    """
    Whether it is valid, and whom the CA writes to; what is missing is none.
    """
    found = messages.account(response({"status": "valid", "contact": ["mailto:me@example.com", 7]}), url=URL)
    assert (found.status, found.contact) == ("valid", ("mailto:me@example.com",))
    assert messages.account(response({}), url=URL) == messages.Account(url=URL)
