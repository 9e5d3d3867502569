"""
Events as lines for people: what a person looks for comes first, and nothing that a CA says can harm a terminal.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from gatelodge.model.events import EVENTS
from gatelodge.runtime.events.text import line

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A value of the right kind for every field that is not text.
LISTS = ("added", "lacking", "mistakes", "names", "records", "removed", "sockets", "warnings")
NUMBERS = ("days_left", "failures", "generation", "pid", "sites")
TIMES = ("due_at", "not_after", "retry_at", "window_end")


@pytest.fixture(autouse=True)
def _in_shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """
    Local time is eight hours ahead.
    """
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def event(name: str, *, level: str = "info", **fields: Any) -> dict[str, Any]:
    """
    Return an event as it is kept.
    """
    told = {key.replace("__", "."): value for key, value in fields.items()}
    return {"id": 7, "time": "2026-11-26T07:03:47.123Z", "level": level, "event": name, **told}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            event(
                "certificate.renewed", certificate="wiki.example.org", names=["wiki.example.org"], ca="acme:letsencrypt",
                reason="it is due for renewal", not_after="2027-02-24T06:05:00+00:00", serial="0a1b", lacking=None,
            ),
            '2026-11-26 15:03:47 info    certificate.renewed  wiki.example.org until 2027-02-24 (letsencrypt) reason="it is due for renewal" serial=0a1b',
        ),
        (
            event(
                "certificate.issued", certificate="home", names=["a.example", "b.example"], ca="zerossl", reason="none is held yet",
                not_after="2026-12-02T06:05:00+00:00", serial="0a", lacking=["c.example", "d.example"],
            ),
            ("2026-11-26 15:03:47 info    certificate.issued   home until 2026-12-02 14:05 (zerossl), without c.example, d.example "
            'names=["a.example", "b.example"] reason="none is held yet" serial=0a'),
        ),
        (
            event(
                "certificate.failed", level="error", certificate="a.example", names=["a.example"], ca="letsencrypt", doing="obtain it",
                error__type="dns", error__detail="a.example: no A record;\n  write one", failures=3, retry_at="2026-11-26T08:00:00+00:00",
            ),
            ("2026-11-26 15:03:47 error   certificate.failed   a.example (letsencrypt): a.example: no A record; write one; failed 3 times, "
            'next try 2026-11-26 16:00 doing="obtain it" error.type=dns'),
        ),
        (event("nginx.started"), "2026-11-26 15:03:47 info    nginx.started"),
        (
            event("nginx.started", generation=4, sites=2, reason="a certificate is new"),
            "2026-11-26 15:03:47 info    nginx.started        generation 4, 2 sites: a certificate is new",
        ),
        (
            event("nginx.exited", level="error", failures=None, retry_at=None),
            "2026-11-26 15:03:47 error   nginx.exited",
        ),
        (
            event("nginx.exited", level="error", failures=2, retry_at="2026-11-26T07:04:00+00:00"),
            "2026-11-26 15:03:47 error   nginx.exited         2 starts in a row did not last, next try 2026-11-26 15:04",
        ),
        (
            event("config.refused", level="error", mistakes=["f:1: a; b", "f:2: c; d"]),
            "2026-11-26 15:03:47 error   config.refused       the old one goes on: f:1: a; b; f:2: c; d",
        ),
        (
            event("nginx.refused", level="error", doing="load it", error__type="nginx", error__detail="[emerg] {ca} [x]", failures=1),
            "2026-11-26 15:03:47 error   nginx.refused        load it: [emerg] {ca} [x]; failed 1 times error.type=nginx",
        ),
    ],
)  # fmt: skip
def test_what_happened_comes_first(entry: dict[str, Any], said: str) -> None:
    """
    In words, with local times; what is left follows by name. Nothing that is null, and no list that says only the same again.
    """
    assert line(entry, colours=False) == said


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_reads_as_one_line(name: str) -> None:
    """
    With all of its fields, and with none; a field that is there is told, and brackets and braces of the table are never seen.
    """
    kind = EVENTS[name]
    fields: dict[str, Any] = {}
    for field in kind.fields:
        if field in LISTS:
            fields[field] = [f"<{field}>"]
        elif field in TIMES:
            fields[field] = "2027-02-24T06:05:00+00:00"
        else:
            fields[field] = 5 if field in NUMBERS else f"<{field}>"
    full = line(event(name, level=kind.levels[0], **fields), colours=False)
    bare = line(event(name, level=kind.levels[0]), colours=False)

    for field, value in fields.items():
        assert (field in full) or str(value) in full or "2027-02-24" in full, field
    for said in (full, bare):
        assert "\n" not in said
        assert not re.search(r"[\[\]{}]", re.sub(r'\["<\w+>"\]', "", said)), said


def test_colours_change_no_word() -> None:
    """
    A warning is yellow, an error red; the name stands out, and what follows by name steps back.
    """
    entry = event("certificate.deleted", level="error", certificate="a.example", odd="x")
    coloured = line(entry, colours=True)

    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == line(entry, colours=False)
    assert "\x1b[31merror" in coloured
    assert "\x1b[1mcertificate.deleted" in coloured
    assert "\x1b[2modd=x\x1b[0m" in coloured


@pytest.mark.parametrize(
    "entry",
    [
        {"event": "odd"},
        {"event": "odd", "level": 3, "time": "whenever", "id": None},
        {"event": "certificate.renewed", "not_after": 5, "certificate": ["x"], "level": None},
        {"event": "certificate.renewed", "not_after": "soon", "time": "2026-11-26T07:03:47Z"},
    ],
)
def test_an_event_that_somebody_wrote_by_hand_is_shown(entry: dict[str, Any]) -> None:
    """
    Fields may lack, and be of any kind; only the name must be there.
    """
    assert entry["event"] in line(entry, colours=False)


def test_what_a_ca_says_moves_no_cursor() -> None:
    """
    Control characters are told as such, wherever they stand.
    """
    said = line(
        event("certificate.failed", certificate="a\x1b[2J", error__detail="x\x07\r\ny\x9b", **{"b\x1b": "\u202e z"}),
        colours=False,
    )

    assert said.isprintable()
    assert "x� y�" in said
