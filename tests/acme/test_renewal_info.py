"""
What a CA says of a certificate's renewal.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from gatelodge.acme import renewal_info
from gatelodge.errors import IssuanceError
from gatelodge.model import RenewalWindow
from gatelodge.ports import HttpResponse

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
URL = "https://ca.test/renewal-info/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
AKI = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
WINDOW = {"start": "2026-04-01T00:00:00Z", "end": "2026-04-03T00:00:00Z"}


def read(document: object, **headers: str) -> Any:
    """
    Read an answer.
    """
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = {name.replace("_", "-"): (value,) for name, value in headers.items()}
    response = HttpResponse(status=200, headers=found, body=body)
    return renewal_info.read(response, url=URL, certificate="aki.serial", now=NOW)


def test_an_answer_is_read() -> None:
    """
    The window, a page for people, and when to ask again.
    """
    found = read({"suggestedWindow": WINDOW, "explanationURL": "https://ca.test/why", "more": 1}, retry_after="21600")
    assert found.window == RenewalWindow(
        start=dt.datetime(2026, 4, 1, tzinfo=dt.UTC), end=dt.datetime(2026, 4, 3, tzinfo=dt.UTC)
    )
    assert (found.certificate, found.explanation) == ("aki.serial", "https://ca.test/why")
    assert found.retry_after == dt.timedelta(hours=6)


@pytest.mark.parametrize(
    "window",
    [
        {"start": WINDOW["end"], "end": WINDOW["start"]},
        {"start": WINDOW["end"], "end": WINDOW["end"]},
        {"start": WINDOW["start"]},
        {"start": "soon", "end": WINDOW["end"]},
        {"start": 1, "end": 2},
        None,
        [],
    ],
)
def test_a_window_that_makes_no_sense_is_none(window: object) -> None:
    """
    RFC 9773 §4.2: one that ends before it starts is to be taken as no answer. When to ask again still counts.
    """
    found = read({"suggestedWindow": window}, retry_after="60")
    assert (found.window, found.retry_after) == (None, dt.timedelta(minutes=1))


@pytest.mark.parametrize("page", [None, 7, "javascript:alert(1)", "", "ca.test/why"])
def test_a_page_that_is_none_is_left_out(page: object) -> None:
    """
    It is shown to people, who may follow it.
    """
    assert read({"suggestedWindow": WINDOW, "explanationURL": page}).explanation is None


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"[" * 100_000])
def test_what_is_no_answer_is_a_bad_one(body: bytes) -> None:
    """
    As everywhere.
    """
    with pytest.raises(IssuanceError) as caught:
        read(body)
    assert caught.value.problem.type == "badAnswer"
