"""
What may be asked of a CA, and when: its buckets, by the numbers that it publishes.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.core import backoff
from gatelodge.core.bucket import _DOUBT, LONGEST, Level
from gatelodge.core.budget import SHORT, Budget, from_document
from gatelodge.core.charges import of_certificates, of_failures, of_order, set_of
from gatelodge.core.limits import GENEROUS, LIMITS, Counted, Kind, limits_of, refused
from gatelodge.errors import Problem
from gatelodge.model import Name

if TYPE_CHECKING:
    from gatelodge.core.charges import Bucket
    from gatelodge.core.limits import Limit

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LETSENCRYPT = LIMITS["https://acme-v02.api.letsencrypt.org/directory"]
NAMES = (Name("www.example.com"), Name("*.example.com"), Name("example.org"))


ACCOUNT = "https://ca.example/account/1"


def order(
    kind: Kind | None, names: tuple[Name, ...] = NAMES, limits: tuple[Limit, ...] = LETSENCRYPT
) -> frozenset[Bucket]:
    """
    Return what an order costs.
    """
    return of_order(names, kind, limits, account=ACCOUNT, registered=registered)


def registered(name: str) -> str:
    """
    Return the last two labels of a name.
    """
    return ".".join(name.split(".")[-2:])


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        (Kind.NEW, {Counted.ORDERS, Counted.CERTIFICATES_PER_DOMAIN, Counted.CERTIFICATES_PER_SET}),
        (Kind.RENEWAL, {Counted.CERTIFICATES_PER_SET}),
        (Kind.REPLACEMENT, set()),
    ],
)
def test_renewals_and_replacements_cost_less(kind: Kind, counted: set[Counted]) -> None:
    """
    As Let's Encrypt counts: a replacement within its window nothing at all, a renewal only its set of names.
    """
    costs = order(kind)
    assert {each for each, _ in costs} == counted
    if kind is Kind.NEW:
        assert {whose for each, whose in costs if each is Counted.CERTIFICATES_PER_DOMAIN} == {
            "example.com",
            "example.org",
        }
    assert bool(of_failures(NAMES, kind, LETSENCRYPT, account=ACCOUNT)) is (kind is not Kind.REPLACEMENT)


def test_five_of_a_set_a_week_and_one_more_after_36_hours() -> None:
    """
    The wall that restarts ran into: the sixth waits, and for as long as the bucket needs to hold one again by any clock that we believe.
    """
    costs = order(Kind.RENEWAL)
    budget = Budget(limits=LETSENCRYPT)
    for _ in range(5):
        assert budget.shortage(costs, NOW) is None
        budget = budget.spend(costs, NOW)
    shortage = budget.shortage(costs, NOW)
    assert shortage is not None
    assert shortage.limit.counted is Counted.CERTIFICATES_PER_SET
    assert shortage.until == NOW + dt.timedelta(days=7) / 5 + _DOUBT
    assert budget.shortage(costs, shortage.until - dt.timedelta(seconds=1)) is not None
    assert budget.shortage(costs, shortage.until) is None
    [cost] = costs
    assert (budget.left(cost, NOW), budget.left(cost, shortage.until)) == (0, 1)
    other = order(Kind.RENEWAL, NAMES[:1])
    assert budget.shortage(other, NOW) is None


@given(
    st.lists(
        st.tuples(
            st.floats(0, 60), st.floats(-1, 1), st.sampled_from(("order", "order", "order", "postpone", "restart"))
        ),
        min_size=8,
        max_size=60,
    )
)
def test_a_clock_that_is_believed_orders_nothing_too_early(moments: list[tuple[float, float, str]]) -> None:
    """
    Ours may be an hour before the CA's now, and an hour behind it later: what our count allows, the CA's has, whatever happens in between. What
    waits is let through when it was said to be.
    """
    costs = order(Kind.RENEWAL)
    ours, theirs = Budget(limits=LETSENCRYPT), 5.0
    right = NOW
    for hours, error, event in moments:
        right += dt.timedelta(hours=hours)
        theirs = min(5.0, theirs + hours * 5 / (7 * 24))
        now = right + dt.timedelta(hours=error)
        shortage = ours.shortage(costs, now)
        if event == "restart":
            ours = from_document(json.loads(json.dumps(ours.settled(now).document())), LETSENCRYPT)
        elif shortage is not None:
            assert ours.shortage(costs, shortage.until - dt.timedelta(seconds=1)) is not None
            assert ours.shortage(costs, shortage.until) is None
        elif event == "postpone":
            ours, theirs = ours.spend(costs, now).postpone(costs, now), theirs - 1
        else:
            ours, theirs = ours.spend(costs, now), theirs - 1
        assert theirs > -1e-6


def test_what_is_counted_later_refills_later() -> None:
    """
    A CA counts a certificate when it signs it. Of a full bucket nothing has refilled before; of another one all has, whenever it was spent.
    """
    names = frozenset({(Counted.CERTIFICATES_PER_SET, "a.example")})
    later = NOW + dt.timedelta(hours=17)
    full = Budget(limits=LETSENCRYPT)
    first = full.spend(names, NOW).postpone(names, later)
    assert first == full.spend(names, later)
    second = first.spend(names, later).spend(names, later)
    much_later = later + dt.timedelta(hours=17)
    (level,) = second.postpone(names, much_later).levels.values()
    assert (level.left, level.at) == (pytest.approx(2 + 5 * 17 / 168), much_later)


def test_the_cas_own_word_wins() -> None:
    """
    Others may share the account: what it refused is closed until the time that it named, however full our bucket is.
    """
    costs = order(Kind.NEW)
    until = NOW + dt.timedelta(hours=30)
    budget = Budget(limits=LETSENCRYPT).close(costs, NOW, until=until)
    shortage = budget.shortage(costs, NOW)
    assert shortage is not None
    assert shortage.until == until
    assert {budget.left(cost, NOW) for cost in costs} == {0}
    assert budget.spend(costs, NOW).shortage(costs, NOW) == shortage
    assert budget.shortage(costs, until) is None


def test_a_private_ca_has_no_limits_and_an_unknown_public_one_generous_ones() -> None:
    """
    Nothing is counted where nothing is limited.
    """
    assert limits_of("https://ca.lan/acme", public=False) == ()
    assert limits_of("https://ca.example/acme", public=True) == GENEROUS
    assert order(Kind.NEW, limits=()) == frozenset()
    assert Budget(limits=()).left((Counted.ORDERS, ""), NOW) is None


def test_every_limit_says_where_it_is_published() -> None:
    """
    Numbers change; whoever doubts one looks there.
    """
    for limits in LIMITS.values():
        assert {limit.counted for limit in limits} == set(Counted)
        assert all(limit.source.startswith("https://letsencrypt.org/docs/") for limit in limits)


TIMES = st.datetimes(min_value=dt.datetime(2020, 1, 1), max_value=dt.datetime(2040, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(st.lists(st.tuples(TIMES, st.booleans()), max_size=30), TIMES)
def test_a_bucket_is_never_less_than_empty_nor_more_than_full(
    spent: list[tuple[dt.datetime, bool]], now: dt.datetime
) -> None:
    """
    Whatever the clock does between: forwards, back, by years.
    """
    costs = order(Kind.NEW)
    counts = {limit.counted: limit.count for limit in LETSENCRYPT}
    budget = Budget(limits=LETSENCRYPT)
    for at, closes in spent:
        budget = budget.close(costs, at, until=at + dt.timedelta(days=1)) if closes else budget.spend(costs, at)
        budget = budget.settled(at)
    for cost in costs:
        left = budget.left(cost, now)
        assert left is not None
        assert 0 <= left <= counts[cost[0]]
    shortage = budget.shortage(costs, now)
    assert shortage is None or shortage.until > now


def test_what_is_full_again_is_forgotten() -> None:
    """
    Years of names leave nothing behind.
    """
    costs = order(Kind.NEW)
    budget = Budget(limits=LETSENCRYPT).spend(costs, NOW)
    assert budget.settled(NOW).levels.keys() == costs
    assert budget.settled(NOW + dt.timedelta(days=7)).levels == {}
    negative = Budget(limits=LETSENCRYPT, levels={cost: Level(left=-3.0, at=NOW, since=NOW) for cost in costs})
    assert {negative.left(cost, NOW) for cost in costs} == {0}


def test_what_was_taken_for_nothing_is_put_back() -> None:
    """
    An order that was refused, or that was never signed: as if it had not been, and never more than full.
    """
    costs = order(Kind.NEW)
    spent = Budget(limits=LETSENCRYPT).spend(costs, NOW)
    assert {cost[0] for cost in of_certificates(costs)} == {
        Counted.CERTIFICATES_PER_DOMAIN,
        Counted.CERTIFICATES_PER_SET,
    }
    assert spent.give_back(costs, NOW).give_back(costs, NOW).settled(NOW).levels == {}
    part = spent.give_back(of_certificates(costs), NOW).settled(NOW)
    assert part.levels.keys() == {(Counted.ORDERS, ACCOUNT)}


def test_the_cas_word_holds_for_orders_that_no_limit_counts_too() -> None:
    """
    An order may be exempt by our table, and by force: what the CA closed is closed for it all the same.
    """
    everything = order(None)
    budget = Budget(limits=LETSENCRYPT).close(everything, NOW, until=NOW + dt.timedelta(hours=1))
    assert order(Kind.REPLACEMENT) == frozenset()
    closure = budget.closure(everything, NOW)
    assert closure is not None
    problem = closure.problem("letsencrypt", NOW)
    assert (problem.type, problem.retry_after) == ("budget", dt.timedelta(hours=1))
    assert "asked to be left alone until 2026-01-01 01:00 UTC" in problem.detail
    empty = Budget(limits=LETSENCRYPT, levels={cost: Level(left=0, at=NOW, since=NOW) for cost in everything})
    assert empty.closure(everything, NOW) is None
    assert empty.shortage(everything, NOW) is not None


def test_a_shortage_says_which_limit_for_whom_and_until_when() -> None:
    """
    So that nobody needs to look it up.
    """
    costs = order(Kind.RENEWAL)
    budget = Budget(limits=LETSENCRYPT, levels={cost: Level(left=0.5, at=NOW, since=NOW) for cost in costs})
    shortage = budget.shortage(costs, NOW)
    assert shortage is not None
    problem = shortage.problem("letsencrypt", NOW)
    assert problem.retry_after == dt.timedelta(days=7) / 10 + _DOUBT
    assert problem.detail.startswith(
        "letsencrypt allows 5 certificates per set of names in 7 days for *.example.com, example.org, www.example.com, and "
        "none is left by our own count; the next is free at 2026-01-01 18:48 UTC (https://letsencrypt.org/docs/rate-limits/"
    )


@pytest.mark.parametrize(
    ("detail", "counted"),
    [
        ("too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after …", Counted.CERTIFICATES_PER_SET),
        ("too many certificates (5) already issued for this exact set of domains in the last 168h0m0s", Counted.CERTIFICATES_PER_SET),
        ('too many certificates (50) already issued for "example.com" in the last 168h0m0s', Counted.CERTIFICATES_PER_DOMAIN),
        ("too many new orders (300) from this account in the last 3h0m0s", Counted.ORDERS),
        ('too many failed authorizations (5) for "a.example" in the last 1h0m0s', Counted.FAILURES_PER_NAME),
        ("too many new registrations (10) from this IP address in the last 3h0m0s", Counted.ACCOUNTS),
        ("too many of them, see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-exact-set-of-identifiers", Counted.CERTIFICATES_PER_SET),
        ("slow down", None),
    ],
)  # fmt: skip
def test_a_refusal_names_its_limit(detail: str, counted: Counted | None) -> None:
    """
    So that one certificate's limit does not close the CA to all others.
    """
    assert refused(detail) is counted


def test_a_limit_is_known_by_its_place_on_the_page_too() -> None:
    """
    Words change more often.
    """
    for limit in LETSENCRYPT:
        assert refused(f"no more: see {limit.source}") is limit.counted


def test_a_clock_that_was_wrong_closes_nothing_for_years() -> None:
    """
    A machine whose clock stood in 2030 spends, is refused, and is set right: what it wrote counts from now on.
    """
    costs = order(Kind.RENEWAL)
    future = NOW + dt.timedelta(days=2000)
    budget = Budget(
        limits=LETSENCRYPT, levels={cost: Level(left=0, at=future, since=future, closed_until=future) for cost in costs}
    )
    settled = budget.settled(NOW)
    shortage = settled.shortage(costs, NOW)
    assert shortage is not None
    assert not shortage.closed
    assert settled.shortage(costs, shortage.until) is None
    closed = Budget(limits=LETSENCRYPT).close(costs, NOW, until=future).shortage(costs, NOW)
    assert closed is not None
    assert closed.until == NOW + LONGEST


@given(st.lists(st.tuples(TIMES, st.booleans()), max_size=10), TIMES)
def test_what_is_kept_is_read_again(spent: list[tuple[dt.datetime, bool]], now: dt.datetime) -> None:
    """
    The same levels, closures and sets, through JSON.
    """
    budget = Budget(limits=LETSENCRYPT)
    for at, closes in spent:
        budget = (
            budget.close(order(None), at, until=at + dt.timedelta(days=1)) if closes else budget.spend(order(None), at)
        )
        budget = budget.certify(NAMES, at)
    kept = json.loads(json.dumps(budget.document()))
    assert from_document(kept, LETSENCRYPT) == budget
    assert {entry["limit"] for entry in map(dict, budget.shown(now))} <= set(Counted)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"buckets": None, "certified": 3},
        {
            "buckets": [1, {}, {"counted": "BIRDS", "whose": "", "left": 1, "at": NOW.isoformat()}],
            "certified": {"a": "x"},
        },
        {"buckets": [{"counted": "ORDERS", "whose": "", "left": "NaN", "at": NOW.isoformat()}]},
        {"buckets": [{"counted": "ORDERS", "whose": "", "left": 1, "at": "2026-01-01T00:00:00"}]},
    ],
)
def test_what_makes_no_sense_is_full(document: dict[str, Any]) -> None:
    """
    A bucket that nobody can read keeps no certificate from being renewed.
    """
    assert from_document(document, LETSENCRYPT) == Budget(limits=LETSENCRYPT)


def test_a_set_is_named_by_its_names_when_they_are_few() -> None:
    """
    And in any case shortly, whatever their order.
    """
    many = [Name(f"host-{number}.example.com") for number in range(100)]
    assert set_of(NAMES) == set_of(reversed(NAMES)) == "*.example.com, example.org, www.example.com"
    assert set_of(many) == set_of(reversed(many))
    assert set_of(many).startswith("host-0.example.com and 99 more (")
    assert set_of(many) != set_of([*many[:-1], Name("other.example.com")])


def test_a_shortage_is_waited_for_and_no_longer() -> None:
    """
    The CA was not asked, so that it costs nothing: it is tried when the bucket holds one again, however often that was so before.
    """
    problem = Problem(type=SHORT, detail="", retry_after=dt.timedelta(minutes=12))
    assert backoff.delay("certificate/a", 1, problem, spread=0.0) == dt.timedelta(minutes=12)
    assert backoff.delay("certificate/a", 50, problem, spread=0.0) == dt.timedelta(hours=1)
