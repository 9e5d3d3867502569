"""
When a CA's suggestion has a certificate renewed, and when the CA is asked again.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.core import ari, renewal
from gatelodge.model import RenewalInfo, RenewalWindow

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
END = BEGIN + dt.timedelta(days=100)
NOW = BEGIN + dt.timedelta(days=10)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def window(start: float, end: float) -> RenewalWindow:
    """
    Make a window, in days of the certificate's life.
    """
    return RenewalWindow(start=BEGIN + DAY * start, end=BEGIN + DAY * end)


def learn(
    before: ari.Choice | None,
    found: RenewalWindow | None,
    *,
    now: dt.datetime = NOW,
    spread: float = 0.5,
    retry_after: dt.timedelta | None = None,
    certificate: str = "aki.1",
) -> ari.Choice:
    """
    Hear the CA.
    """
    info = RenewalInfo(
        certificate=certificate, window=found, explanation="https://ca.test/why", retry_after=retry_after
    )
    return ari.learn(before, info, not_before=BEGIN, not_after=END, now=now, spread=spread)


def renew_at(choice: ari.Choice | None, *, certificate: str = "aki.1", stored: float = 0) -> dt.datetime | None:
    """
    Say when to renew.
    """
    return ari.renew_at(
        choice, certificate=certificate, not_before=BEGIN, not_after=END, stored_at=BEGIN + DAY * stored
    )


@pytest.mark.parametrize(("spread", "day"), [(0.0, 60), (0.5, 61), (0.25, 60.5)])
def test_a_moment_is_chosen_within_the_window(spread: float, day: float) -> None:
    """
    By chance, so that not everybody comes at once.
    """
    assert renew_at(learn(None, window(60, 62), spread=spread)) == BEGIN + DAY * day


def test_the_moment_is_kept_while_the_window_stays() -> None:
    """
    However often the CA is asked: choosing again each time would make the earliest of many the likely one.
    """
    choice = learn(None, window(60, 62), spread=0.9)
    for hours in range(1, 50):
        choice = learn(choice, window(60, 62), now=NOW + HOUR * hours, spread=0.01)
    assert renew_at(choice) == BEGIN + DAY * 61.8
    assert choice.ask_at == NOW + HOUR * 49 + ari.USUAL


def test_another_window_has_another_moment() -> None:
    """
    The CA has changed its mind.
    """
    choice = learn(learn(None, window(60, 62)), window(70, 72))
    assert renew_at(choice) == BEGIN + DAY * 71


def test_another_certificate_has_another_moment() -> None:
    """
    What was remembered of the one before says nothing of it, in both directions.
    """
    before = learn(None, window(60, 62), spread=0.1)
    after = learn(before, window(60, 62), spread=0.9, certificate="aki.2")
    assert renew_at(after, certificate="aki.2") == BEGIN + DAY * 61.8
    assert renew_at(before, certificate="aki.2") is None
    assert ari.missed(before, certificate="aki.2", now=NOW) == ari.Choice(certificate="aki.2", ask_at=NOW + ari.USUAL)


def test_a_window_in_the_past_means_now() -> None:
    """
    Before a revocation: its moment is past, and the certificate due at once.
    """
    choice = learn(learn(None, window(60, 62)), window(9, 9.5))
    moment = renew_at(choice)
    assert moment
    assert moment < NOW


def test_never_right_after_it_was_stored() -> None:
    """
    A CA whose windows always lie behind is not asked for ever.
    """
    choice = learn(None, window(0, 0.01), now=NOW)
    assert renew_at(choice, stored=10) == NOW + renewal.LEAST_REST


@pytest.mark.parametrize(("start", "end", "day"), [(94, 99, 95), (97, 120, 95), (90, 96, 93)])
def test_no_suggestion_lets_a_certificate_expire(start: float, end: float, day: float) -> None:
    """
    With a twentieth of its life left it is renewed, whatever was suggested.
    """
    assert renew_at(learn(None, window(start, end))) == BEGIN + DAY * day


@pytest.mark.parametrize(
    "found",
    [
        None,
        window(62, 60),
        window(60, 60),
        window(100, 102),
        window(500, 502),
        window(-10, -2),
        window(-20_000, -19_000),
        window(0, 101),
    ],
)
def test_a_window_that_cannot_be_meant_is_no_answer(found: RenewalWindow | None) -> None:
    """
    It ends before it starts, begins when the certificate has expired, lay there before it was made, or is longer than its life: the
    dates decide, or what was said before.
    """
    assert renew_at(learn(None, found)) is None
    before = learn(None, window(60, 62))
    assert renew_at(learn(before, found, now=NOW + HOUR)) == renew_at(before)
    assert learn(before, found, now=NOW + HOUR).ask_at == NOW + HOUR + ari.USUAL


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        (None, 6 * HOUR),
        (dt.timedelta(0), dt.timedelta(minutes=1)),
        (dt.timedelta(seconds=-5), dt.timedelta(minutes=1)),
        (3 * HOUR, 3 * HOUR),
        (30 * DAY, DAY),
    ],
)
def test_the_ca_says_when_to_ask_again(retry_after: dt.timedelta | None, wait: dt.timedelta) -> None:
    """
    Between a minute and a day; six hours when it does not say. So too when its window makes no sense.
    """
    assert learn(None, window(60, 62), retry_after=retry_after).ask_at == NOW + wait
    assert learn(None, None, retry_after=retry_after).ask_at == NOW + wait


def ask_at(choice: ari.Choice | None, *, now: dt.datetime = NOW, certificate: str = "aki.1") -> dt.datetime | None:
    """
    Say when to ask.
    """
    return ari.ask_at(choice, certificate=certificate, not_after=END, now=now)


def test_a_new_certificate_is_asked_about_at_once() -> None:
    """
    Nothing is known of it.
    """
    choice = learn(None, window(60, 62))
    assert ask_at(None) == NOW
    assert ask_at(choice, certificate="aki.2") == NOW
    assert ask_at(choice) == NOW + ari.USUAL


def test_an_expired_certificate_is_not_asked_about() -> None:
    """
    RFC 9773 §4.3; nor one that will have expired by then.
    """
    assert ask_at(None, now=END) is None
    assert ask_at(learn(None, window(60, 62)), now=END + HOUR) is None
    assert ask_at(learn(None, window(60, 62), now=END - HOUR), now=END - HOUR) is None


def test_a_time_that_a_wrong_clock_wrote_does_not_count() -> None:
    """
    A machine that woke up in 2099 asks again once it knows better.
    """
    choice = learn(None, window(60, 62), now=NOW + 20_000 * DAY)
    assert ask_at(choice) == NOW


def test_people_hear_of_a_window_that_moved_into_the_past() -> None:
    """
    Once, and not of one that came closer, or that time itself has passed.
    """
    before = learn(None, window(60, 62))
    after = learn(before, window(9, 9.5))
    assert ari.hurried(before, after, now=NOW)
    assert after.explanation == "https://ca.test/why"
    assert not ari.hurried(after, learn(after, window(9, 9.5)), now=NOW)
    assert not ari.hurried(after, learn(after, window(9, 9.6)), now=NOW)
    assert not ari.hurried(before, learn(before, window(20, 22)), now=NOW)
    assert not ari.hurried(before, learn(before, window(60, 62)), now=BEGIN + DAY * 70)
    assert not ari.hurried(None, after, now=NOW)
    assert not ari.hurried(before, learn(before, window(9, 9.5), certificate="aki.2"), now=NOW)


@pytest.mark.parametrize("choice", [learn(None, window(60, 62)), learn(None, None)])
def test_what_is_remembered_survives_the_disk(choice: ari.Choice) -> None:
    """
    As JSON, and back.
    """
    assert ari.from_document(json.loads(json.dumps(dict(choice.document())))) == choice


@pytest.mark.parametrize(
    "change",
    [
        {"certificate": 7},
        {"ask_at": None},
        {"ask_at": "soon"},
        {"ask_at": 7},
        {"moment": "2026-03-01T00:00:00"},
        {"explanation": 7},
        {"start": [1]},
    ],
)
def test_what_makes_no_sense_is_forgotten(change: dict[str, Any]) -> None:
    """
    The CA is asked again, and that is all.
    """
    document = {**learn(None, window(60, 62)).document(), **change}
    assert ari.from_document(document) is None
    assert ari.from_document({}) is None


DAYS = st.floats(min_value=-50_000, max_value=50_000)


@given(start=DAYS, end=DAYS, spread=st.floats(min_value=0, max_value=1, exclude_max=True), now=st.floats(0, 100))
def test_no_suggestion_is_ever_too_late(start: float, end: float, spread: float, now: float) -> None:
    """
    Whatever a CA says, the moment lies before the last twentieth, and the next question between a minute and a day ahead.
    """
    at = BEGIN + DAY * now
    choice = learn(None, window(start, end), spread=spread, now=at)
    moment = renew_at(choice)
    assert moment is None or moment <= END - (END - BEGIN) * ari.LEFT
    assert ari.SOONEST <= choice.ask_at - at <= ari.LATEST
    assert ari.from_document(choice.document()) == choice
