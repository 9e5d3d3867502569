"""
Problem documents as values.
"""

from __future__ import annotations

import datetime as dt
import json

import pytest

from gatelodge.acme import problems
from gatelodge.ports import HttpResponse

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


def answer(status: int, body: bytes, **headers: str) -> HttpResponse:
    """
    Make an answer.
    """
    return HttpResponse(status=status, headers={k.replace("_", "-"): (v,) for k, v in headers.items()}, body=body)


def test_a_problem_document_keeps_everything_that_helps() -> None:
    """
    Type (shortened), detail, status, subproblems with their names, Retry-After and instance are kept.
    """
    document = {
        "type": "urn:ietf:params:acme:error:compound",
        "detail": "two things",
        "instance": "https://ca.test/why",
        "subproblems": [
            {
                "type": "urn:ietf:params:acme:error:dns",
                "detail": "no such name",
                "identifier": {"type": "dns", "value": "a.example"},
            },
            {"type": "https://vendor.test/odd", "detail": "odd"},
        ],
    }
    found = problems.from_answer(answer(429, json.dumps(document).encode(), retry_after="3600"), url="u", now=NOW)
    assert (found.type, found.detail, found.status) == ("compound", "two things", 429)
    assert found.retry_after == dt.timedelta(hours=1)
    assert found.instance == "https://ca.test/why"
    assert [(sub.type, sub.identifier) for sub in found.subproblems] == [
        ("dns", "a.example"),
        ("https://vendor.test/odd", None),
    ]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b"<html>", "rateLimited"),
        (500, b"", "serverInternal"),
        (503, b"[]", "serverInternal"),
        (404, b"{}", "badAnswer"),
        (302, b"null", "badAnswer"),
        (400, b'{"type": 5}', "badAnswer"),
        (502, b"[" * 100_000, "serverInternal"),
    ],
)
def test_an_answer_without_a_document_goes_by_its_status(status: int, body: bytes, kind: str) -> None:
    """
    A proxy's page, an empty body or hostile JSON still says what kind of trouble it is, and where it came from.
    """
    found = problems.from_answer(answer(status, body), url="https://ca.test/x", now=NOW)
    assert (found.type, found.status) == (kind, status)
    assert "https://ca.test/x" in found.detail


@pytest.mark.parametrize("document", [None, 7, [], {"detail": 5, "subproblems": [None, 3], "status": "x"}])
def test_malformed_documents_are_read_as_far_as_they_go(document: object) -> None:
    """
    Whatever stands where a problem should, a problem comes out.
    """
    assert problems.from_document(document).detail == "the server gave no reason"


def test_control_characters_do_not_reach_a_terminal() -> None:
    """
    A server's text is shown to people, so escapes and line ends in it are taken out, and its length is bounded.
    """
    found = problems.from_document({"type": "x", "detail": "a\x1b[31mb\nc" + "d" * 5000})
    assert "\x1b" not in found.detail
    assert "\n" not in found.detail
    assert len(found.detail) <= 1000


def test_surrogates_and_endless_reasons_are_left_out() -> None:
    """
    What cannot be encoded would stop the log; what has no end would fill it.
    """
    found = problems.from_document({"type": "\ud800x", "detail": "y\udfff", "subproblems": [{}] * 10_000})
    assert (found.type, found.detail, len(found.subproblems)) == ("x", "y", 100)
