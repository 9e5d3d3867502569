"""
Fields of JSON objects and links of headers.
"""

from __future__ import annotations

import datetime as dt

import pytest

from gatelodge.acme import fields
from gatelodge.errors import IssuanceError
from gatelodge.ports import HttpResponse

URL = "https://ca.test/thing"


def answer(*links: str) -> HttpResponse:
    """
    Make an answer with `Link` headers.
    """
    return HttpResponse(status=200, headers={"link": links}, body=b"{}")


def test_a_link_is_read_as_a_url() -> None:
    """
    Headers point to places as fields do: relative to the answer's, and no less checked.
    """
    assert fields.link(URL, "/order/1") == "https://ca.test/order/1"
    for target in ("http://ca.test/order/1", "https://[", "mailto:x"):
        with pytest.raises(IssuanceError) as caught:
            fields.link(URL, target)
        assert caught.value.problem.type == "badAnswer"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (['<https://ca.test/1>;rel="alternate"'], ["https://ca.test/1"]),
        (['<https://ca.test/1>; rel=alternate; title="a, b"'], ["https://ca.test/1"]),
        (['<https://ca.test/1>; title="<x>; rel=index" ; rel="up ALTERNATE"'], ["https://ca.test/1"]),
        (['</0>;rel="index", </1>;rel="alternate", </2>;rel="alternate"'], ["https://ca.test/1", "https://ca.test/2"]),
        (['</1>;rel="alternate"', '</2>;rel="alternate"', '</1>;rel="alternate"'], ["https://ca.test/1", "https://ca.test/2"]),
        (['<http://ca.test/1>;rel="alternate"', "<https://[>;rel=alternate", "rel=alternate", "<x"], []),
        (['</1>;relation="alternate"', '</1>;rel="alternates"', "</1>", "</1>;rel"], []),
    ],
)  # fmt: skip
def test_links_are_found_by_their_relation(headers: list[str], found: list[str]) -> None:
    """
    RFC 8288 §3: many in one header or one in each, quoted or not, several relations in one; each target once; what is no
    https URL is left out.
    """
    assert list(fields.links(answer(*headers), URL, relation="alternate")) == found


def test_a_header_without_end_is_no_burden() -> None:
    """
    What looks like a link and never becomes one takes no time to speak of.
    """
    assert fields.links(answer("<" + "; a = " * 20_000, "<x>" + " ;" * 20_000), URL, relation="next") == ()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-03-08T12:00:00Z", dt.datetime(2026, 3, 8, 12, tzinfo=dt.UTC)),
        ("2026-03-08T20:00:00.5+08:00", dt.datetime(2026, 3, 8, 12, 0, 0, 500_000, tzinfo=dt.UTC)),
        ("2026-03-08T12:00:00", dt.datetime(2026, 3, 8, 12, tzinfo=dt.UTC)),
        ("0001-01-01T00:00:00+23:00", None),
        ("soon", None),
        (7, None),
    ],
)
def test_times_are_utc(value: object, found: dt.datetime | None) -> None:
    """
    Whatever their zone; without one they are UTC; nonsense is none.
    """
    assert fields.time(value) == found


def test_lists_of_text_keep_what_is_text() -> None:
    """
    In their order, bounded, fit to be shown.
    """
    assert fields.texts({"a": ["x", 7, None, "", "y\n", "z"]}, "a", most=5) == ("x", "y")
    assert fields.texts({"a": "x"}, "a", most=5) == ()
