"""
What is news: each trouble once, until it is over or another.
"""

from __future__ import annotations

from typing import Any

import pytest

from gatelodge.core.news import ENDS, TROUBLES, News, decide
from gatelodge.model import Notify, Secret, SecretRef
from gatelodge.model.events import EVENTS
from gatelodge.model.log import Level

WIKI = "wiki.example.com"
NOON = "2026-01-01T12:00:00.000Z"


def target(*events: str, level: Level = Level.INFO, name: str = "phone") -> Notify:
    """
    A target that asks for events, or for what is usual.
    """
    return Notify(name=name, url=SecretRef(literal=Secret("json://x")), events=events, level=level)


class Ear:
    """
    Whom a target's news is told, one event after the other.
    """

    def __init__(self, whom: Notify | None = None) -> None:
        self.whom = whom or target()
        self.said: Any = {}
        self.number = 0

    def hears(self, event: str, *, level: str = "error", time: str = NOON, **fields: object) -> News | None:
        """
        Return what is told of an event.
        """
        self.number += 1
        entry = {"id": self.number, "time": time, "level": level, "event": event}
        entry |= {name.replace("__", "."): value for name, value in fields.items()}
        news, self.said = decide(entry, self.said, self.whom, lambda entry: f"words of {entry['event']}")
        return news

    def fails(self, kind: str = "unreachable", detail: str = "no route", **more: object) -> News | None:
        """
        Return what is told of a certificate that failed.
        """
        return self.hears(
            "certificate.failed", certificate=WIKI, error__type=kind, error__detail=f"{kind}: {detail}",
            retry_at="2026-01-01T12:10:00+00:00", **more,
        )  # fmt: skip


def test_a_failure_is_told_once_a_class() -> None:
    """
    The first of a class is; another class is too; the first again is not, until it works.
    """
    ear = Ear()
    first = ear.fails()

    assert first is not None
    assert first.title == f"no new certificate for {WIKI}"
    assert first.why == "unreachable: no route. It is tried again at 2026-01-01 12:10 UTC."
    assert first.todo == "Nothing is to be done: it is tried again until the CA answers."
    assert ear.fails("timeout", "as bad") is None
    assert ear.fails("rateLimited", "enough") is not None
    assert ear.fails() is None

    over = ear.hears("certificate.renewed", level="info", certificate=WIKI, not_after="2026-04-01T00:00:00+00:00")
    assert over is not None
    assert (over.title, over.level) == (f"{WIKI} has a new certificate again", Level.INFO)
    assert over.why == "It is good until 2026-04-01 00:00 UTC."
    assert ear.hears("certificate.renewed", level="info", certificate=WIKI) is None
    assert ear.fails() is not None


def test_the_class_that_is_told_counts_before_the_words() -> None:
    """
    What the daemon knew of a failure may not stand in its words.
    """
    ear = Ear()

    assert ear.fails("strange", "words", failure="ca_down") is not None
    assert ear.fails() is None


def test_what_works_is_no_news() -> None:
    """
    A certificate that is issued or renewed as it should, a reload, a start.
    """
    ear = Ear()
    usual = ("daemon.started", "certificate.issued", "certificate.renewed", "nginx.started", "nginx.reloaded")

    assert [ear.hears(event, level="info", certificate=WIKI) for event in usual] == [None] * 5


def test_an_alarm_is_told_once_a_mark() -> None:
    """
    Also when a daemon that was started anew tells it again; a later mark is, and one of the next certificate.
    """
    ear = Ear()

    def alarm(number: int, end: str = "2026-02-01T00:00:00+00:00") -> bool:
        return (
            ear.hears("certificate.expiring", certificate=WIKI, alarm=number, not_after=end, days_left=3.5) is not None
        )

    assert [alarm(2), alarm(2), alarm(1), alarm(3), alarm(3)] == [True, False, False, True, False]
    assert alarm(1, "2026-05-01T00:00:00+00:00")
    over = ear.hears("certificate.renewed", level="info", certificate=WIKI)
    assert over is not None
    assert over.title == f"{WIKI} has a new certificate again"
    expired = ear.hears("certificate.expiring", certificate=WIKI, alarm=6, not_after=NOON, days_left=0.0)
    assert expired is not None
    assert expired.title == f"the certificate of {WIKI} has expired"


@pytest.mark.parametrize(
    ("trouble", "end", "fields"),
    [
        ("site.quarantined", "site.released", {"site": WIKI}),
        ("stream.quarantined", "stream.released", {"stream": "mail"}),
        ("nginx.refused", "nginx.reloaded", {}),
        ("nginx.exited", "nginx.started", {}),
        ("nginx.missing", "nginx.started", {}),
        ("nginx.unreachable", "nginx.reachable", {}),
        ("config.refused", "config.loaded", {"mistakes": ["a", "b"]}),
        ("clock.doubted", "clock.trusted", {"reason": "far off"}),
        ("certificate.export.failed", "certificate.exported", {"certificate": WIKI, "place": "/srv"}),
    ],
)
def test_trouble_and_its_end(trouble: str, end: str, fields: dict[str, Any]) -> None:
    """
    Each is told once, and the end only when trouble was.
    """
    ear = Ear()
    told = [ear.hears(event, **fields) is not None for event in (end, trouble, trouble, end, end, trouble)]

    assert told == [False, True, False, True, False, True]


def test_a_start_does_not_end_what_a_reload_must() -> None:
    """
    Nginx that was started on its last proven tree still refuses the new one.
    """
    ear = Ear()
    assert ear.hears("nginx.refused") is not None
    assert ear.hears("nginx.exited") is not None
    assert ear.hears("nginx.started", level="info") is not None
    assert ear.hears("nginx.refused") is None
    assert ear.hears("nginx.reloaded", level="info") is not None


def test_what_has_no_end_is_told_once_a_day() -> None:
    """
    A hook that fails each time.
    """
    ear = Ear()
    days = [NOON, "2026-01-01T23:59:59Z", "2026-01-02T00:00:01Z"]

    assert [ear.hears("hook.failed", hook="copy", time=day) is not None for day in days] == [True, False, True]
    assert ear.said == {"hook:copy": ("2026-01-02",)}


def test_a_target_is_not_told_of_itself() -> None:
    """
    Another is, when messages were given up.
    """
    ear = Ear()

    assert ear.hears("notify.failed", target="phone") is None
    assert ear.hears("notify.failed", target="mail", retry_at=NOON) is None
    assert ear.hears("notify.failed", target="mail") is not None


def test_asked_for_by_name() -> None:
    """
    Then every such event is told, in its words, and nothing else; trouble once all the same.
    """
    ear = Ear(target("certificate.*"))
    renewed = [ear.hears("certificate.renewed", level="info", certificate=WIKI) for _ in range(2)]

    assert [news.title for news in renewed if news] == ["certificate.renewed: words of certificate.renewed"] * 2
    assert ear.hears("nginx.exited") is None
    assert [ear.fails() is not None for _ in range(2)] == [True, False]


def test_the_least_level() -> None:
    """
    What is less is not told; an end is told to whom the trouble was.
    """
    ear = Ear(target(level=Level.ERROR))

    assert ear.hears("clock.doubted", level="warning") is None
    assert ear.hears("clock.trusted", level="info") is None
    assert ear.hears("site.quarantined", site=WIKI) is not None
    assert ear.hears("site.released", level="info", site=WIKI) is not None


def test_there_are_no_links_and_no_control_characters() -> None:
    """
    What a CA says is shown on one line, its URLs by their hosts; it is cut where nobody reads on.
    """
    news = Ear().fails(detail="see https://ca.example/doc?x=1; \x1b[2Jthen\nthis " + "x" * 900)

    assert news is not None
    assert "see ca.example; ?[2Jthen this xxx" in news.why
    assert "https" not in news.why
    assert len(news.why) < 600


def test_every_event_of_the_tables_is_one() -> None:
    """
    And its fields are in words that it has.
    """
    assert TROUBLES.keys() | ENDS.keys() <= EVENTS.keys()
    for name, trouble in TROUBLES.items():
        ear = Ear()
        fields = {field.replace(".", "__"): "x" for field in EVENTS[name].fields if field != "retry_at"}
        news = ear.hears(name, **{**fields, "mistakes": ["x"], "level": "error"})
        assert news is not None, name
        assert "?" not in news.title, name
        assert "?" not in trouble.todo, name
        assert "?" not in next(iter(ear.said)), name
