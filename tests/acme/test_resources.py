"""
Of what resource a request is, by what a server said: and that nothing it says can do harm.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gatelodge.acme import resources
from gatelodge.acme.resources import Resources
from gatelodge.ports import HttpResponse

DIRECTORY = "https://ca.example/dir"


def answer(document: object, *, location: str | None = None, kind: str = "application/json") -> HttpResponse:
    """
    Return an answer that holds a document.
    """
    headers = {"content-type": (kind,), **({"location": (location,)} if location else {})}
    return HttpResponse(status=200, headers=headers, body=json.dumps(document).encode())


def server() -> Resources:
    """
    One that said what it has, and made an account and an order.
    """
    found = Resources(DIRECTORY)
    services = {
        key: f"https://ca.example/{key}" for key in ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")
    }
    found.learn(DIRECTORY, answer({**services, "renewalInfo": "https://ca.example/ari", "meta": {"website": "x"}}))
    found.learn(
        "https://ca.example/newAccount",
        answer({"orders": "https://ca.example/list/1"}, location="https://ca.example/acct/1"),
    )
    order = {"finalize": "https://ca.example/f/7", "authorizations": ["https://ca.example/a/8"]}
    found.learn("https://ca.example/newOrder", answer(order, location="https://ca.example/o/7"))
    found.learn(
        "https://ca.example/a/8", answer({"challenges": [{"type": "http-01", "url": "https://ca.example/c/9"}]})
    )
    found.learn("https://ca.example/f/7", answer({**order, "certificate": "https://ca.example/crt/7"}))
    return found


def test_each_request_of_an_order() -> None:
    """
    Is known from what came before it.
    """
    found = server()

    assert {
        path: found.of(f"https://ca.example/{path}")
        for path in ("dir", "newNonce", "newAccount", "acct/1", "list/1", "newOrder", "o/7", "a/8", "c/9", "f/7", "crt/7", "ari/x.y", "z")
    } == {
        "dir": "directory", "newNonce": "new_nonce", "newAccount": "new_account", "acct/1": "account", "list/1": "orders",
        "newOrder": "new_order", "o/7": "order", "a/8": "authorization", "c/9": "challenge", "f/7": "finalization", "crt/7": "certificate",
        "ari/x.y": "renewal_info", "z": "other",
    }  # fmt: skip


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["finalize", "authorizations", "challenges", "url", "certificate", "newOrder", "renewalInfo"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(document=_JSON, url=st.sampled_from([DIRECTORY, "https://ca.example/newOrder", "https://ca.example/a/8"]))
def test_whatever_a_server_says(document: object, url: str) -> None:
    """
    Changes at most what is counted under which name, one of a few.
    """
    found = server()
    found.learn(url, answer(document, location="https://ca.example/made"))
    found.learn(url, HttpResponse(status=200, headers={"content-type": ("application/json",)}, body=b"{" * 5000))
    asked = ("https://ca.example/made", DIRECTORY, "https://ca.example/o/7")

    assert {found.of(each) for each in asked} <= {"directory", "order", "other", "account", "renewal_info"}


def test_a_server_that_says_too_much() -> None:
    """
    Is forgotten bit by bit, so that memory has an end.
    """
    found = server()
    links = [f"https://ca.example/more/{number}" for number in range(resources._MOST + 10)]
    found.learn("https://ca.example/newOrder", answer({"authorizations": links}))

    assert len(found._known) == resources._MOST
    assert found.of(links[-1]) == "authorization"
    assert found.of("https://ca.example/newOrder") == "other"
