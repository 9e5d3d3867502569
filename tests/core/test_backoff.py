"""
How long to wait after a failure.
"""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.core import actions, backoff
from gatelodge.core.failures import Failure, classify
from gatelodge.errors import Problem

TABLES = [backoff.REFUSED, backoff.TRANSIENT, backoff.LIMITED, backoff.NGINX, backoff.QUARANTINE, backoff.BEGUN]
WIKI = actions.certificate_key("wiki.example.com")
TRIES = st.sampled_from([WIKI, "prune", actions.NGINX, f"{actions.NGINX}/apply", f"{actions.NGINX}/start"])
TYPES = st.sampled_from(
    [*sorted(backoff.UNASKED), "unreachable", "badAnswer", "dns", "rateLimited", "unauthorized", "", "neverHeardOf"]
)
FAILURES = st.integers(min_value=1, max_value=10_000)
SPREADS = st.floats(min_value=0, max_value=1, exclude_max=True)
WAITS = st.timedeltas(min_value=dt.timedelta(0), max_value=dt.timedelta(days=30))


@pytest.mark.parametrize("table", TABLES)
def test_tables_only_rise(table: tuple[dt.timedelta, ...]) -> None:
    """
    No table is empty, none falls, and none waits for ever: at most a day.
    """
    assert table
    assert list(table) == sorted(table)
    assert dt.timedelta(0) <= table[0]
    assert dt.timedelta(0) < table[-1] <= dt.timedelta(days=1)


def test_a_crash_costs_nobody_time() -> None:
    """
    What a dying daemon had begun is taken up at once the first time.
    """
    assert backoff.wait(backoff.BEGUN, 1, spread=0.9) == dt.timedelta(0)


def test_a_refused_name_is_tried_once_a_day() -> None:
    """
    After a few refusals a name is tried daily, which no CA's limits mind.
    """
    problem = Problem(type="dns", detail="no TXT record")
    waits = [backoff.delay(WIKI, failures, problem, spread=0) for failures in range(1, 7)]
    assert waits == [dt.timedelta(minutes=minutes) for minutes in (1, 10, 100, 1440, 1440, 1440)]


@given(tries=TRIES, kind=TYPES, failures=FAILURES, spread=SPREADS)
def test_total_and_bounded(tries: str, kind: str, failures: int, spread: float) -> None:
    """
    There is a wait for every work, type, number of failures and chance: never none, never more than a day and its jitter.
    """
    wait = backoff.delay(tries, failures, Problem(type=kind, detail=""), spread=spread)
    least = backoff.NGINX[0] if tries.startswith(actions.NGINX) else dt.timedelta(minutes=1)
    assert least <= wait <= dt.timedelta(days=1) * (1 + backoff.JITTER)


@given(tries=TRIES, kind=TYPES, failures=FAILURES, spread=SPREADS)
def test_more_failures_wait_longer(tries: str, kind: str, failures: int, spread: float) -> None:
    """
    One more failure never shortens the wait.
    """
    problem = Problem(type=kind, detail="")
    assert backoff.delay(tries, failures, problem, spread=spread) <= backoff.delay(
        tries, failures + 1, problem, spread=spread
    )


@given(tries=TRIES, kind=TYPES, failures=FAILURES, spread=SPREADS, retry_after=WAITS)
def test_retry_after_wins(tries: str, kind: str, failures: int, spread: float, retry_after: dt.timedelta) -> None:
    """
    The CA is never asked before it wants to be. What it says shortens no wait but that for a limit, which it knows better.
    """
    wait = backoff.delay(tries, failures, Problem(type=kind, detail="", retry_after=retry_after), spread=spread)
    own = backoff.delay(tries, failures, Problem(type=kind, detail=""), spread=spread)
    limited = classify(Problem(type=kind, detail="")) is Failure.RATE_LIMIT and kind not in backoff.UNASKED
    if limited and not tries.startswith("nginx"):
        least = max(retry_after, dt.timedelta(minutes=1))
        assert least <= wait <= least + dt.timedelta(minutes=12)
    else:
        assert wait == max(own, retry_after)


@given(kind=TYPES, failures=FAILURES)
def test_nginx_is_tried_soon(kind: str, failures: int) -> None:
    """
    What nginx refuses is tried again within a quarter of an hour, whatever the reason: a person is mending it.
    """
    wait = backoff.delay(f"{actions.NGINX}/apply", failures, Problem(type=kind, detail=""), spread=0)
    assert wait <= dt.timedelta(minutes=15)


@given(table=st.sampled_from(TABLES), failures=FAILURES, spread=SPREADS)
def test_jitter(table: tuple[dt.timedelta, ...], failures: int, spread: float) -> None:
    """
    Chance lengthens a wait by up to its share and never shortens it.
    """
    least = backoff.wait(table, failures, spread=0)
    assert least in table
    assert least <= backoff.wait(table, failures, spread=spread) <= least * (1 + backoff.JITTER)


@pytest.mark.parametrize("kind", [*sorted(backoff.UNASKED), "unreachable", "timeout", "badNonce", "serverInternal"])
def test_what_cost_the_ca_nothing_is_tried_sooner(kind: str) -> None:
    """
    Trouble on the way is tried again at least hourly.
    """
    assert backoff.delay(WIKI, 100, Problem(type=kind, detail=""), spread=0) == dt.timedelta(hours=1)


def test_every_class_has_its_waits() -> None:
    """
    None is forgotten, and each comes to try once a day or more often.
    """
    assert backoff.BY_FAILURE.keys() == set(Failure)
    assert all(waits[-1] <= dt.timedelta(days=1) for waits in backoff.BY_FAILURE.values())


def test_a_ca_that_has_had_enough_is_left_alone_for_an_hour() -> None:
    """
    When it does not say for how long; also one that answers with a bare 429.
    """
    for problem in (Problem(type="rateLimited", detail=""), Problem(type="neverHeardOf", detail="", status=429)):
        assert backoff.delay(WIKI, 1, problem, spread=0) == dt.timedelta(hours=1)


def test_an_answer_that_makes_no_sense_is_not_asked_for_often() -> None:
    """
    Each try may have cost a certificate, of which Let's Encrypt gives five a week for the same names.
    """
    problem = Problem(type="badAnswer", detail="", status=500)
    assert sum(backoff.delay(WIKI, n, problem, spread=0) <= dt.timedelta(hours=2) for n in range(1, 20)) == 3
