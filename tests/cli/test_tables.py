"""
Reports and events as text.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import click
import pytest
from tests.support.clock import START

from gatelodge.cli import tables

NOW = START.isoformat()
DAY = dt.timedelta(days=1)


def at(distance: dt.timedelta) -> str:
    """
    Return a moment at a distance from now, as a report has it.
    """
    return (START + distance).isoformat()


def certificate(state: str, **more: Any) -> dict[str, Any]:
    """
    Return a certificate of a report.
    """
    return {
        "certificate": f"{state}.example.com", "state": state, "ca": "acme:letsencrypt", "not_after": at(80 * DAY),
        "renew_at": at(50 * DAY), "damaged": None, "doing": None, "failure": None, **more,
    }  # fmt: skip


def site(state: str, **more: Any) -> dict[str, Any]:
    """
    Return a site of a report.
    """
    return {
        "site": f"{state}.example.com", "urls": [f"https://{state}.example.com/"], "state": state,
        "upstreams": {"/": "http://127.0.0.1:3000"}, "error": None, "retry_at": None, **more,
    }  # fmt: skip


def report(**more: Any) -> dict[str, Any]:
    """
    Return a report of a gate where all is well.
    """
    nginx = {
        "running": True, "pid": 7, "version": "1.28.0", "generation": 3, "proven": True, "draining_workers": 0,
        "missing": None, "failure": None,
    }  # fmt: skip
    return {
        "time": NOW, "clock": None, "daemon": True, "nginx": {**nginx, **more.pop("nginx", {})},
        "sites": [site("serving")], "certificates": [certificate("valid")], **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (dt.timedelta(0), "in 0 s"),
        (dt.timedelta(seconds=59), "in 59 s"),
        (dt.timedelta(seconds=61), "in 1 min"),
        (dt.timedelta(hours=3), "in 3 h"),
        (12 * DAY, "in 12 d"),
        (-dt.timedelta(hours=2), "2 h ago"),
        (-400 * DAY, "400 d ago"),
    ],
)
def test_times_are_told_by_their_distance(distance: dt.timedelta, text: str) -> None:
    """
    In the largest unit that fits.
    """
    assert tables.relative(at(distance), NOW) == text


def test_no_time_is_nothing() -> None:
    """
    What has no time yet leaves its cell empty.
    """
    assert tables.relative(None, NOW) == tables.moment(None) == ""


def test_a_good_gate_is_three_things() -> None:
    """
    nginx, sites, certificates; no complaint.
    """
    text = click.unstyle(tables.status(report()))
    lines = text.splitlines()

    assert lines[0] == "nginx 1.28.0 runs (pid 7), generation 3 proven."
    assert "https://serving.example.com/" in text
    assert "(in 80 d)" in text
    assert "in 50 d" in text
    assert "!" not in text


def test_who_renews_a_certificate_of_the_users_own_is_said() -> None:
    """
    Not where there is a placeholder yet.
    """
    brought = certificate("valid", ca="files", renew_at=None)
    assert "by you" in tables.status(report(certificates=[brought]))
    assert "by you" not in tables.status(report(certificates=[{**brought, "not_after": None}]))


def test_streams_have_a_table_of_their_own() -> None:
    """
    With where they listen, and where each name goes.
    """
    streams = [
        {"stream": "gate", "listen": ["443"], "state": "passing", "upstreams": {"vpn.example.com": "tcp://10.0.0.5:443", "*": "tcp://127.0.0.1:4443"},
         "error": None, "retry_at": None},
        {"stream": "dns", "listen": ["53/udp"], "state": "quarantined", "upstreams": {"*": "udp://192.168.1.1:53"},
         "error": "no", "retry_at": at(DAY)},
    ]  # fmt: skip
    lines = click.unstyle(tables.status(report(streams=streams))).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("STREAM "))
    assert lines[start + 1].split() == ["dns", "53/udp", "quarantined", "udp://192.168.1.1:53"]
    assert lines[start + 2].endswith("vpn.example.com → tcp://10.0.0.5:443, tcp://127.0.0.1:4443")
    assert "! stream dns: no (next try in 1 d)" in lines


def test_every_state_has_its_row_and_the_worst_comes_first() -> None:
    """
    Whatever a report can hold can be shown, in the order in which a person should look.
    """
    site_states = ["plain", "serving", "placeholder", "quarantined"]
    states = ["unused", "valid", "placeholder", "missing", "expired"]
    nothing = {"not_after": None, "renew_at": None, "ca": None}
    text = click.unstyle(
        tables.status(
            report(
                sites=[site(state) for state in site_states],
                certificates=[certificate(state, **(nothing if state == "missing" else {})) for state in states],
            )
        )
    )
    places = [text.index(f"https://{state}.") for state in reversed(site_states[1:])]
    rows = [text.index(f"\n{state}.example.com") for state in ("expired", "missing", "placeholder", "valid", "unused")]

    assert places == sorted(places)
    assert rows == sorted(rows)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"daemon": False}, "The daemon does not run."),
        ({"nginx": {"missing": "nginx cannot be run as 'nginx'"}}, "nginx cannot be run as 'nginx'"),
        ({"nginx": {"running": False}}, "nginx 1.28.0 does not run."),
        ({"nginx": {"proven": False}}, "not proven"),
        ({"nginx": {"draining_workers": 2}}, "2 old workers finish"),
        ({"clock": "it says 1970"}, "! clock: it says 1970"),
        (
            {"nginx": {"failure": {"error.detail": "port 443 is taken", "retry_at": at(DAY)}}},
            "! nginx: port 443 is taken (next try in 1 d)",
        ),
        (
            {"sites": [site("quarantined", error="unknown directive", retry_at=at(DAY))]},
            "! quarantined.example.com: unknown directive (next try in 1 d)",
        ),
        ({"certificates": [certificate("valid", damaged="privkey.pem: empty")]}, "! valid.example.com: privkey.pem: empty"),
        (
            {"certificates": [certificate("placeholder", failure={"error.detail": "dns: no such name", "failures": 3, "retry_at": at(DAY)})]},
            "! placeholder.example.com: dns: no such name (failed 3 times, next try in 1 d)",
        ),
        (
            {"certificates": [certificate("placeholder", doing={"step": "ordering", "since": at(-dt.timedelta(minutes=2))})]},
            "placeholder.example.com: ordering (since 2 min ago)",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_plain_words(changes: dict[str, Any], said: str) -> None:
    """
    Each trouble has its line, with when it is tried again.
    """
    assert said in click.unstyle(tables.status(report(**changes)))


def test_limits_of_a_ca_are_shown_when_they_come_near() -> None:
    """
    Below half, or closed by the CA itself; a gate that asks seldom never sees them.
    """
    plenty = {
        "ca": "letsencrypt", "limit": "orders", "whose": "", "left": 299, "of": 300, "period": 10800.0, "source": "",
        "full_at": at(DAY), "closed_until": None,
    }  # fmt: skip
    few = {**plenty, "limit": "certificates per set of names", "whose": "a.example", "left": 2, "of": 5}
    closed = {**plenty, "ca": "google", "closed_until": at(2 * DAY)}
    assert "BUDGET" not in tables.status(report(budgets=[plenty]))
    said = click.unstyle(tables.status(report(budgets=[plenty, few, closed])))
    assert "letsencrypt  2 of 5      certificates per set of names, a.example  full in 1 d" in said
    assert f"closed by the CA until {tables.moment(at(2 * DAY))}" in said


def test_a_gate_without_sites_is_no_failure() -> None:
    """
    An empty configuration shows nginx alone.
    """
    assert click.unstyle(tables.status(report(sites=[], certificates=[]))).count("\n") == 0


def test_an_event_is_a_line() -> None:
    """
    Values that need no quotes have none; structures are JSON; what is null is left out.
    """
    entry = {
        "id": 4, "time": NOW, "level": "error", "event": "certificate.failed", "certificate": "a.example.com",
        "names": ["a.example.com"], "error.detail": "no such name", "serial": None, "empty": "",
    }  # fmt: skip
    text = click.unstyle(tables.event(entry))

    assert text.split()[2:4] == ["error", "certificate.failed"]
    assert text.endswith('certificate=a.example.com names=["a.example.com"] error.detail="no such name" empty=""')


def test_an_event_that_somebody_wrote_by_hand_is_shown() -> None:
    """
    Fields may lack; only the name must be there.
    """
    assert "odd" in tables.event({"event": "odd"})
