"""
Reports as `status` shows them.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.support.reports import DAY, at, certificate, failure, many, mixed, report, site, stream, worst

from gatelodge.cli import detail, overview, standing, terminal, times


def shown(document: dict[str, Any], *, width: int = 200) -> str:
    """
    Return a report as a terminal of a width shows it, without colours.
    """
    return terminal.text(overview.status(document, width=width), Console(width=width, color_system=None))


def test_a_good_gate_is_a_sentence_and_a_line_for_each_site() -> None:
    """
    What is renewed next and when; no complaint.
    """
    assert (
        shown(report(), width=80)
        == f"""\
All well: 1 site, next renewal in 50 days (wiki.example.com)
nginx 1.28.0 runs (pid 7), generation 3 proven.

SITE              STATE    RENEWS      GOOD UNTIL  LEADS TO
wiki.example.com  serving  in 50 days  {times.day(at(80 * DAY))}  http://127.0.0.1:3000"""
    )


def test_a_bad_day_at_80_columns() -> None:
    """
    Who needs somebody comes first, then why and what to do, then all by urgency and the fine ones by what is due next.
    """
    day = times.day(at(80 * DAY))
    assert (
        shown(mixed(), width=80)
        == f"""\
2 of 5 need you: broken.example.com, chat.example.com
nginx 1.28.0 runs (pid 7), generation 3 proven.

! broken.example.com: unknown directive "proxy_pas" in broken.conf:3. Next try
  in 1 day, or as soon as it is corrected.
! chat.example.com: no valid A records found for chat.example.com. Failed 3
  times, next try in 23 minutes. Visitors get a self-signed placeholder
  meanwhile. Look at the DNS records of the name, and at its name servers.
- new.example.com: waiting for letsencrypt to check new.example.com (0:42)

SITE                    STATE        RENEWS         GOOD UNTIL  LEADS TO
broken.example.com      quarantined  in 50 days     {day}  http://127.0.0.…
chat.example.com        failing      in 23 minutes              http://127.0.0.…
new.example.com         placeholder  now                        http://127.0.0.…
cloud.example.com:2443  serving      in 3 days      {day}  http://127.0.0.…
wiki.example.com        serving      in 50 days     {day}  http://127.0.0.…"""
    )


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("document", [report(), mixed(), worst(), many(100)], ids=["healthy", "mixed", "worst", "many"])
def test_no_line_is_wider_than_the_terminal(document: dict[str, Any], width: int) -> None:
    """
    So none is broken by it, and a line for each site stays one line.
    """
    lines = shown(document, width=width).splitlines()
    assert max(map(cell_len, lines)) <= width
    states = {str(state) for state in standing.State}
    rows = [line for line in lines if states & set(line.split()[1:3]) and line[0] not in "!- "]
    assert len(rows) == len(document["sites"]) + len(document["streams"]) + any(
        entry["state"] == "unused" for entry in document["certificates"]
    )


def test_at_60_columns_names_and_states_stay_whole() -> None:
    """
    Where sites lead, and the days, are left out first.
    """
    lines = shown(mixed(), width=60).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("SITE "))
    assert (
        "\n".join(lines[start:])
        == """\
SITE                    STATE        RENEWS
broken.example.com      quarantined  in 50 days
chat.example.com        failing      in 23 minutes
new.example.com         placeholder  now
cloud.example.com:2443  serving      in 3 days
wiki.example.com        serving      in 50 days"""
    )


def test_a_hundred_fine_sites_are_a_hundred_lines_in_the_order_of_renewal() -> None:
    """
    And a heading: nothing is said twice.
    """
    lines = shown(many(100), width=80).splitlines()
    assert lines[0] == "All well: 100 sites, next renewal in 1 day (s000.example.com)"
    assert len(lines) == 104
    assert [line.split()[0] for line in lines[4:]] == [f"s{place:03}.example.com" for place in range(100)]


def test_the_worst_comes_first() -> None:
    """
    In the order in which a person should look.
    """
    lines = shown(worst()).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("SITE "))
    order = ["expired", "missing", "quarantined", "failing", "damaged", "revoked", "placeholder", "expiring", "lacking"]
    assert [line.split()[:2] for line in lines[start + 1 : start + 10]] == [
        [f"{state}.example.com", state] for state in order
    ]
    assert lines[0].startswith("10 of 10 need you: expired.example.com, missing.example.com, ")


@pytest.mark.parametrize(
    "said",
    [
        "The daemon does not run. nginx 1.28.0 runs (pid 7), generation 3 not proven, 2 old workers finish.",
        "Public address 203.0.113.7, seen 3 minutes ago, kept for 1 name.",
        "! clock: it says 1970, and the CA 2026",
        "! nginx: port 443 is taken. Failed 3 times, next try in 1 day.",
        "! dynamic DNS: home.example.com: somebody else set it",
        "! TXT records are left at home, and will be swept: _acme-challenge.old.example.com",
        "! expired.example.com: it expired 2 days ago: visitors are warned of it.",
        "! quarantined.example.com: host not found in upstream. Next try in 1 day, or as soon as it is corrected.",
        "! stream db: this nginx has no stream module.",
        "! failing.example.com: too many certificates already issued. Failed 3 times, next try in 1 day. Nothing is to be done but to wait.",
        "! damaged.example.com: privkey.pem: empty.",
        "! revoked.example.com: it was revoked, and is served until another is there.",
        "! expiring.example.com: it was due for renewal 20 days ago, and ends in 2 days.",
        "! lacking.example.com: it lacks www.example.com.",
    ],
)
def test_what_is_wrong_is_said_in_plain_words(said: str) -> None:
    """
    Each trouble has its line, with when it is tried again and what to do.
    """
    assert said in shown(worst()).splitlines()


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"nginx": {"missing": "nginx cannot be run as 'nginx'", "running": False}}, "Nothing is served: nginx does not run"),
        ({"nginx": {"running": False}}, "Nothing is served: nginx does not run"),
        ({"clock": "it says 1970"}, "The clock is not believed"),
        ({"nginx": {"failure": failure("nginx", "port 443 is taken")}}, "nginx needs you"),
        (
            {"sites": [site("a.example.com", "placeholder")], "certificates": [certificate("a.example.com", "placeholder", doing={"step": "ordering", "since": at(DAY)})]},
            "1 of 1 is on the way: a.example.com",
        ),
        ({"sites": [], "certificates": []}, "Nothing is asked for"),
        ({"sites": [], "certificates": [certificate("old.example.com", "unused")]}, "Nothing is asked for"),
        ({"streams": [stream("db")]}, "All well: 1 site, 1 stream, next renewal in 50 days (wiki.example.com)"),
        ({"sites": [site("a.example.com", "plain")], "certificates": []}, "All well: 1 site"),
    ],
)  # fmt: skip
def test_the_first_line_says_how_everything_stands(changes: dict[str, Any], first: str) -> None:
    """
    One sentence for who has no time for more.
    """
    assert shown(report(**changes)).splitlines()[0] == first


def test_names_that_have_no_room_in_the_first_line_are_counted() -> None:
    """
    It stays one line.
    """
    names = [f"s{place}.example.com" for place in range(20)]
    document = report(
        sites=[site(name) for name in names], certificates=[certificate(name, "expired") for name in names]
    )
    assert shown(document, width=60).splitlines()[0] == "20 of 20 need you: s0.example.com and 19 more"
    assert (
        shown(document, width=80).splitlines()[0]
        == "20 of 20 need you: s0.example.com, s1.example.com, s10.example.com and 17 more"
    )


def test_a_shared_certificate_is_told_of_once() -> None:
    """
    It has a row of its own, and what is wrong with it is said once, with the sites that have it.
    """
    names = [f"s{place}.example.com" for place in range(6)]
    shared = certificate("home", failure=failure("connection", "timeout", failures=1))
    document = report(sites=[site(name, certificate="home") for name in names], certificates=[shared])
    lines = shown(document).splitlines()
    [trouble] = [line for line in lines if line.startswith("!")]
    assert trouble.startswith(
        "! home (of s0.example.com, s1.example.com, s2.example.com, 3 more): timeout. Next try in 1 day. Let port 80"
    )
    assert [line.split()[:2] for line in lines if line.startswith("home ")] == [["home", "failing"]]


def test_who_renews_a_certificate_of_the_users_own_is_said() -> None:
    """
    Not where there is a placeholder yet.
    """
    brought = certificate("wiki.example.com", ca="files", renew_at=None)
    assert "by you" in shown(report(certificates=[brought]))
    assert "by you" not in shown(report(certificates=[{**brought, "not_after": None}]))


def test_streams_have_a_table_of_their_own() -> None:
    """
    With where they listen, and where each name goes.
    """
    streams = [
        stream("gate", upstreams={"vpn.example.com": "tcp://10.0.0.5:443", "*": "tcp://127.0.0.1:4443"}),
        stream("dns", "quarantined", listen=["53/udp"], error="no", retry_at=at(DAY)),
    ]
    lines = shown(report(streams=streams)).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("STREAM "))
    assert lines[start + 1].split() == ["dns", "(53/udp)", "quarantined", "tcp://127.0.0.1:4443"]
    assert lines[start + 2].endswith("vpn.example.com → tcp://10.0.0.5:443, tcp://127.0.0.1:4443")


def test_a_copy_that_was_not_made_needs_somebody() -> None:
    """
    The certificate is good, and whoever reads the copy has an old one.
    """
    copies = [
        {"place": "/etc/mail/tls", "format": "pem", "state": "due", "failure": failure("export", "No space left on device")},
        {"place": "/srv/db", "format": "pem", "state": "current", "failure": None},
    ]  # fmt: skip
    document = report(certificates=[certificate("wiki.example.com", exports=copies)])
    said = shown(document).splitlines()
    assert said[0] == "1 of 1 needs you: wiki.example.com"
    assert (
        "! wiki.example.com: its copy at /etc/mail/tls was not made: No space left on device. Failed 3 times, next try in 1 day."
        in said
    )
    assert len([line for line in said if "No space left" in line]) == 1
    part = standing.find("wiki.example.com", standing.parts(document))
    assert part is not None
    whole = terminal.text(detail.part(document, part), Console(width=100, color_system=None))
    assert "/srv/db (pem), current" in whole
    assert whole.count("/srv/db") == 1


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
    assert "BUDGET" not in shown(report(budgets=[plenty]))
    said = shown(report(budgets=[plenty, few, closed]))
    assert "certificates per set of names, a.example" in said
    assert "2 of 5      full in 1 day" in said
    assert f"closed by the CA until {times.moment(at(2 * DAY))}" in said


def test_names_are_shown_in_their_own_script() -> None:
    """
    As people write them, in columns that stay straight although a character may take two; what is no such name stays as it is.
    """
    names = ["xn--fsqu00a.xn--0zwm56d", "xn--bcher-kva.example", "xn--0.example"]
    document = report(sites=[site(name) for name in names], certificates=[certificate(name) for name in names])
    lines = shown(document, width=80).splitlines()
    rows = {line.split()[0]: line for line in lines[4:]}
    assert set(rows) == {"例子.测试", "bücher.example", "xn--0.example"}
    assert len({cell_len(line[: line.index("serving")]) for line in rows.values()}) == 1


def test_what_a_ca_says_cannot_move_the_cursor() -> None:
    """
    An error may hold whatever its sender likes.
    """
    evil = failure("dns", "\x1b[2J\x1b]0;title\x07gone [red]not markup[/red]")
    said = shown(report(certificates=[certificate("wiki.example.com", failure=evil)]))
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "[red]not markup[/red]" in said


def test_a_daemon_that_went_away_is_said_to_be_gone_since_when() -> None:
    """
    As `--watch` shows it over a restart.
    """
    gone = at(-dt.timedelta(seconds=14))
    said = shown(report(daemon=False, daemon_gone_since=gone))
    assert f"The daemon has not answered since {times.moment(gone)} (14 seconds ago)." in said


def test_one_part_is_told_of_whole() -> None:
    """
    By its NAME or by a host in either script: where it leads, its certificate, what is wrong.
    """
    suggested = {"start": at(DAY), "end": at(2 * DAY), "chosen": at(DAY), "explanation": "https://ca.example/why"}
    document = report(
        sites=[site("wiki.example.com", hosts=["wiki.example.com", "xn--bcher-kva.example"], upstreams={"/": "http://a", "/ws": "http://b"})],
        certificates=[certificate("wiki.example.com", suggested=suggested, failure=failure("dns", "no such name"))],
    )  # fmt: skip
    found = standing.parts(document)
    part = standing.find("bücher.example", found)
    assert part is not None
    assert part == standing.find("Wiki.Example.com", found)
    said = terminal.text(detail.part(document, part), Console(width=100, color_system=None)).splitlines()
    assert said[0] == "wiki.example.com  failing"
    facts = dict(line.split(maxsplit=1) for line in said[3:])
    assert said[1].startswith("! no such name. Failed 3 times, next try in 1 day.")
    assert facts["hosts"] == "wiki.example.com, bücher.example (xn--bcher-kva.example)"
    assert "/ws → http://b" in said[6].strip()
    assert facts["serial"] == "0a, version 3 here"
    assert any("https://ca.example/why" in line for line in said)
    assert standing.find("nobody.example.com", found) is None
