"""
Which CAA records are in whose way.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.core.caa import Applicant, Record, climb, judge

ACCOUNT = "https://acme.example/acct/1"
APPLICANT = Applicant(identities=frozenset({"letsencrypt.org"}), account=ACCOUNT, methods=frozenset({"dns-01"}))


def records(*said: tuple[int, str, str]) -> list[Record]:
    """
    Return records of example.com.
    """
    return [Record(owner="example.com", flags=flags, tag=tag, value=value) for flags, tag, value in said]


@pytest.mark.parametrize(
    ("said", "wildcard", "why"),
    [
        ([], False, None),
        ([(0, "iodef", "mailto:x@example.com")], False, None),
        ([(0, "issue", "letsencrypt.org")], False, None),
        ([(0, "ISSUE", " LetsEncrypt.org ")], False, None),
        ([(0, "issue", "other.example"), (0, "issue", "letsencrypt.org")], False, None),
        ([(0, "issue", "other.example")], False, "it does not name letsencrypt.org"),
        ([(0, "issue", ";")], False, "it does not name letsencrypt.org"),
        ([(0, "issue", "")], False, "it does not name letsencrypt.org"),
        ([(0, "issue", "letsencrypt.org"), (0, "issuewild", ";")], True, "it does not name letsencrypt.org"),
        ([(0, "issue", "letsencrypt.org"), (0, "issuewild", ";")], False, None),
        ([(0, "issue", ";"), (0, "issuewild", "letsencrypt.org")], True, None),
        ([(0, "issue", ";"), (0, "issuewild", "letsencrypt.org")], False, "it does not name letsencrypt.org"),
        ([(0, "issuewild", ";")], False, None),
        ([(0, "issue", "letsencrypt.org")], True, None),
        ([(128, "tbs", "x")], False, "it is critical, and no CA knows what it means"),
        ([(0, "tbs", "x")], False, None),
        ([(128, "issue", "letsencrypt.org")], False, None),
        ([(0, "issue", f"letsencrypt.org; accounturi={ACCOUNT}")], False, None),
        (
            [(0, "issue", f"letsencrypt.org; accounturi={ACCOUNT}2")],
            False,
            f"its accounturi is not this account's, {ACCOUNT}",
        ),
        ([(0, "issue", "letsencrypt.org; validationmethods=http-01,dns-01")], False, None),
        (
            [(0, "issue", "other.example"), (0, "issue", "letsencrypt.org;validationmethods=http-01")],
            False,
            "its validationmethods do not have dns-01",
        ),
        ([(0, "issue", "letsencrypt.org; %%%; validationmethods=dns-01")], False, None),
    ],
)
def test_a_record_is_in_the_way_or_not(said: list[tuple[int, str, str]], wildcard: bool, why: str | None) -> None:  # noqa: FBT001 - a parameter of the test
    """
    RFC 8659's own cases, and RFC 8657's.
    """
    found = judge(records(*said), APPLICANT, wildcard=wildcard)
    assert (found.why if found else None) == why
    assert found is None or str(found.record).startswith("example.com CAA ")


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (";", 'write example.com CAA 0 issue "letsencrypt.org" in its place'),
        ("other.example", 'write example.com CAA 0 issue "letsencrypt.org" beside it'),
        (
            "letsencrypt.org; accounturi=https://x.example/2; validationmethods=dns-01",
            f'write example.com CAA 0 issue "letsencrypt.org; accounturi={ACCOUNT}; validationmethods=dns-01" in its place',
        ),
        (
            "letsencrypt.org; validationmethods=http-01",
            'write example.com CAA 0 issue "letsencrypt.org; validationmethods=http-01,dns-01" in its place, or choose another `challenge`',
        ),
    ],
)
def test_what_to_write_is_said(value: str, remedy: str) -> None:
    """
    And it would do.
    """
    found = judge(records((0, "issue", value)), APPLICANT, wildcard=False)
    assert found is not None
    assert found.remedy == remedy
    written = found.remedy.split('"')[1]
    assert judge(records((0, "issue", written)), APPLICANT, wildcard=False) is None


def test_records_are_looked_for_upwards() -> None:
    """
    The name itself first, and never below the top.
    """
    assert climb("*.www.example.com") == ("www.example.com", "example.com", "com")


def test_who_says_not_what_it_is_called_is_not_judged() -> None:
    """
    A private CA names itself nowhere; what is in its way it says itself.
    """
    nobody = Applicant(identities=frozenset(), account=None, methods=frozenset())
    assert judge(records((0, "issue", ";")), nobody, wildcard=False) is None


@given(st.lists(st.tuples(st.integers(0, 255), st.text(max_size=20), st.text(max_size=60)), max_size=5), st.booleans())
def test_no_record_breaks_it(said: list[tuple[int, str, str]], wildcard: bool) -> None:  # noqa: FBT001 - as above
    """
    Anybody may write anything into their zone.
    """
    found = judge(records(*said), APPLICANT, wildcard=wildcard)
    assert found is None or found.why
