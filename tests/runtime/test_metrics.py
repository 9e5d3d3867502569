"""
The numbers that are read off a report, without a daemon.
"""

from __future__ import annotations

from typing import Any

from tests.support.clock import START

from gatelodge.config.read import read
from gatelodge.core.desired import desired
from gatelodge.runtime.standing.measures import BOUNDS, Durations, Measures
from gatelodge.runtime.standing.metrics import Metric, Seen, metrics

NOTHING: dict[str, Any] = {
    "clock": None,
    "nginx": {
        "version": None, "running": False, "proven": False, "up_to_date": False, "generation": None, "draining_workers": 2,
        "missing": "there is none", "failure": None,
    },
    "certificates": [], "budgets": [], "sites": [], "streams": [], "ddns": None,
}  # fmt: skip


def told(document: dict[str, Any], measures: Measures | None = None) -> dict[str, Metric]:
    """
    Return all metrics by their names.
    """
    seen = Seen(
        document={**NOTHING, **document},
        desired=desired(read("")),
        measures=measures or Measures(),
        connections=None,
        began_at=START,
    )
    return {each.name: each for each in metrics(seen)}


def test_an_nginx_that_is_not_there() -> None:
    """
    Has no generation, and 0 of all else.
    """
    found = told({"clock": "the clock is wrong"})

    assert found["gatelodge_nginx_generation"].samples == ()
    assert found["gatelodge_nginx_up"].samples == (((), 0.0),)
    assert found["gatelodge_nginx_draining_workers"].samples == (((), 2.0),)
    assert found["gatelodge_ready"].samples == (((), 0.0),)
    assert found["gatelodge_clock_doubted"].samples == (((), 1.0),)
    assert found["gatelodge_start_timestamp_seconds"].samples == (((), START.timestamp()),)


def test_certificates_in_all_their_states() -> None:
    """
    One that is not there has no times; one that is not asked for is not told of.
    """
    nothing = {"not_before": None, "not_after": None, "renew_at": None, "failure": None}
    at = "2026-01-01T00:00:00+00:00"
    failure = {"failures": 3, "retry_at": at, "error.detail": "no"}
    found = told(
        {
            "certificates": [
                {"certificate": "a", "state": "valid", "not_before": at, "not_after": at, "renew_at": at, "failure": None},
                {"certificate": "b", "state": "missing", **nothing, "failure": failure},
                {"certificate": "c", "state": "unused", "not_before": at, "not_after": at, "renew_at": None, "failure": None},
            ]
        }
    )  # fmt: skip
    states = {labels for labels, value in found["gatelodge_certificate_state"].samples if value}

    assert states == {("a", "valid"), ("b", "missing")}
    assert found["gatelodge_certificate_not_after_timestamp_seconds"].samples == ((("a",), START.timestamp()),)
    assert found["gatelodge_certificate_retry_timestamp_seconds"].samples == ((("b",), START.timestamp()),)
    assert dict(found["gatelodge_certificate_failures_in_a_row"].samples) == {("a",): 0.0, ("b",): 3.0}


def test_dynamic_dns() -> None:
    """
    Where it is not asked for, there is nothing; where it never looked, no time.
    """
    at = "2026-01-01T00:00:00+00:00"
    host = {"host": "home.example.org", "type": "A", "address": "192.0.2.1"}
    kept = {"looked_at": at, "hosts": [{**host, "changed_at": at, "problem": None}]}
    left = {"looked_at": None, "hosts": [{**host, "changed_at": None, "problem": "somebody else set it"}]}
    names = ("last_success_timestamp_seconds", "last_change_timestamp_seconds", "kept")

    def values(document: dict[str, Any] | None) -> list[tuple[float, ...]]:
        found = told({"ddns": document})
        return [tuple(value for _, value in found[f"gatelodge_ddns_{name}"].samples) for name in names]  # type: ignore[misc]

    assert values(None) == [(), (), ()]
    assert values(kept) == [(START.timestamp(),), (START.timestamp(),), (1.0,)]
    assert values(left) == [(), (), (0.0,)]


def test_streams_that_are_kept_back() -> None:
    """
    As sites are.
    """
    found = told({"streams": [{"stream": "mail", "state": "quarantined"}, {"stream": "ssh", "state": "passing"}]})

    assert found["gatelodge_stream_quarantined"].samples == ((("mail",), 1.0), (("ssh",), 0.0))


def test_durations_fall_into_classes() -> None:
    """
    A bound is the longest of its class; what is longer than all has one of its own.
    """
    durations = Durations()
    for seconds in (0, BOUNDS[0], BOUNDS[0] + 0.001, BOUNDS[-1], BOUNDS[-1] + 1):
        durations.add(seconds)

    assert durations.counts == [2, 1, 0, 0, 0, 0, 0, 0, 1, 1]
    assert durations.total > 60


def test_a_copy_stays_as_it_was() -> None:
    """
    While the counts go on.
    """
    measures = Measures()
    measures.request("ca", "directory", 200, 0.1)
    before = measures.copied()
    measures.request("ca", "directory", 200, 0.1)

    assert sum(before.durations["ca", "directory"].counts) == before.requests["ca", "directory", "2xx"] == 1
    assert sum(measures.durations["ca", "directory"].counts) == 2
