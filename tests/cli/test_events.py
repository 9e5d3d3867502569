"""
`events` without a daemon: what is shown, to people and to programs, and what is asked for.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import START, FakeClock
from tests.support.shell import Shell

from gatelodge.runtime.events.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """\
state_directory = "{folder}/state"
[acme]
agree_tos = true
key = ["ecdsa-p256", "rsa-2048"]
[certificates.home]
names = ["example.com", "*.example.com"]
challenge = "dns:home"
[dns.home]
provider = "exec"
command = ["/bin/true"]
[sites]
"wiki.example.com" = "http://127.0.0.1:3000"
[sites."cloud.example.net"]
hosts = ["files.example.net"]
upstream = "http://127.0.0.1:3001"
challenge = "http-01"
"""


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """
    This machine is in Greenwich.
    """
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """
    A terminal, and a log of eight events, an hour apart.
    """
    shell = Shell(tmp_path, monkeypatch, capsys)
    shell.file.write_text(CONFIG.format(folder=tmp_path))
    shell.state.mkdir()
    clock = FakeClock()
    log = EventLog(directory=str(shell.state), clock=clock, stream=io.StringIO())

    def emit(event: str, level: str = "info", **fields: object) -> None:
        log.emit(event, level=level, **fields)
        clock.time += dt.timedelta(hours=1)

    emit("daemon.started", version="1", pid=1, file="f", sites=2, warnings=[])
    emit("certificate.issued", certificate="home", names=["example.com", "*.example.com"], ca="letsencrypt")
    emit(
        "certificate.failed", "error", certificate="cloud.example.net", names=["cloud.example.net", "files.example.net"]
    )
    emit("certificate.failed", "error", certificate="cloud.example.net.rsa", names=["cloud.example.net"])
    emit("certificate.expiring", "warning", certificate="gone.example.org", names=["gone.example.org"])
    emit("site.quarantined", "error", site="wiki.example.com", error__detail="no", serving="503")
    emit("address.changed", host="files.example.net", type="A", after="192.0.2.1")
    emit("config.loaded", file="f", sites=2, added=["wiki.example.com"], removed=[], warnings=[])
    return shell


def shown(shell: Shell, *words: str) -> list[int]:
    """
    Return the ids of the events that are shown.
    """
    said = shell.on_file("events", "--json", *words)
    assert said.code == 0, said
    return [json.loads(line)["id"] for line in said.out.splitlines()]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ((), [1, 2, 3, 4, 5, 6, 7, 8]),
        (("--since", "2026-01-01T02:00Z"), [3, 4, 5, 6, 7, 8]),
        (("--since", "2026-01-01T04:00+02:00"), [3, 4, 5, 6, 7, 8]),
        (("--since", "2026-01-01"), [1, 2, 3, 4, 5, 6, 7, 8]),
        (("--since", "2026-01-01T07:00:00.001Z"), []),
        (("--since", "9999w"), [1, 2, 3, 4, 5, 6, 7, 8]),
        (("--since", "9999w1d2h3m4s"), [1, 2, 3, 4, 5, 6, 7, 8]),
        (("--until", "2026-01-01T02:00Z"), [1, 2]),
        (("--until", "2026-01-02"), [1, 2, 3, 4, 5, 6, 7, 8]),
        (("--until", "2026-01-01"), []),
        (("--since", "2026-01-01T02:00", "--until", "2026-01-01T04:00"), [3, 4]),
        (("--level", "info"), [1, 2, 3, 4, 5, 6, 7, 8]),
        (("--level", "warning"), [3, 4, 5, 6]),
        (("--level", "error"), [3, 4, 6]),
        (("--event", "certificate.*"), [2, 3, 4, 5]),
        (("--event", "certificate.issued", "--event", "address.*"), [2, 7]),
        (("--event", "*.failed"), [3, 4]),
        (("--certificate", "home"), [2]),
        (("--certificate", "cloud.example.net"), [3, 4]),
        (("--certificate", "cloud.example.net.rsa"), [4]),
        (("--certificate", "gone.example.org"), [5]),
        (("--certificate", "nothing"), []),
        (("-n", "2"), [7, 8]),
        (("-n", "0"), []),
        (("-n", "100"), [1, 2, 3, 4, 5, 6, 7, 8]),
        (("-n", "1", "--level", "error"), [6]),
        (("--site", "wiki.example.com"), [2, 6, 8]),
        (("--site", "WIKI.example.com", "--level", "error"), [6]),
        (("--site", "cloud.example.net"), [3, 4, 7]),
        (("--site", "files.example.net"), [3, 4, 7]),
    ],
)
def test_what_is_asked_for_is_shown(shell: Shell, words: tuple[str, ...], ids: list[int]) -> None:
    """
    By time, level, name, certificate and site; what is asked together must hold together. A site's events are those about its hosts, and
    about the certificates that serve it.
    """
    assert shown(shell, *words) == ids


def test_a_day_begins_at_midnight_here(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A time without a zone is local.
    """
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()

    assert shown(shell, "--until", "2026-01-01T10:00") == [1, 2]
    assert shown(shell, "--since", "2026-01-02") == []
    assert shown(shell, "--since", "2026-01-01") == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("option", ["--since", "--until"])
@pytest.mark.parametrize("when", ["yesterday", "2x", "-1h", "", "99999999999d", "25:00", "2026-13-01", "1h1d"])
def test_what_is_no_time_is_said_to_be_none(shell: Shell, option: str, when: str) -> None:
    """
    With what to write instead.
    """
    said = shell.on_file("events", f"{option}={when}")

    assert (said.code, said.out) == (2, "")
    for hint in (option, "2h", "2026-01-31", "2026-01-31T12:00"):
        assert hint in said.err


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("certifcate.issued", "certificate.issued"),
        ("certificates.*", "certificate.*"),
        ("zzz", "docs/events.md"),
    ],
)
def test_an_event_that_there_is_not_is_said_to_be_none(shell: Shell, pattern: str, hint: str) -> None:
    """
    A mistyped name would show nothing, which looks as if nothing had happened.
    """
    said = shell.on_file("events", "--event", pattern)

    assert (said.code, said.out) == (2, "")
    assert pattern in said.err
    assert hint in said.err


def test_a_site_that_is_gone_is_looked_for_by_name(shell: Shell) -> None:
    """
    What is known of it is shown, with a word on stderr about why it may be little.
    """
    said = shell.on_file("events", "--json", "--site", "gone.example.org")

    assert [json.loads(line)["id"] for line in said.out.splitlines()] == [5]
    assert "gone.example.org is no site of the configuration" in said.err


def test_to_follow_until_a_time_makes_no_sense(shell: Shell) -> None:
    """
    It is said at once, not after a wait.
    """
    said = shell.on_file("events", "-f", "--until", "2027-01-01")

    assert said.code == 2
    assert "--until" in said.err


def test_people_are_told_in_words_and_programs_in_json(shell: Shell) -> None:
    """
    A line each; no colour where nobody looks.
    """
    said = shell.on_file("events", "-n", "2")

    assert said.out.splitlines()[0] == (
        "2026-01-01 06:00:00 info    address.changed      files.example.net is 192.0.2.1 now type=A"
    )
    assert "\x1b" not in said.out

    kept = (shell.state / "events.jsonl").read_text().splitlines()

    assert shell.on_file("events", "--json").out.splitlines() == kept
    assert json.loads(kept[0])["time"] == START.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_the_level_of_another_version_is_shown(shell: Shell) -> None:
    """
    Whatever a newer Gatelodge told stays in sight.
    """
    with (shell.state / "events.jsonl").open("a") as log:
        log.write('{"id": 9, "time": "2026-01-01T09:00:00Z", "level": "alarm", "event": "gate.burning"}\n')

    assert shown(shell, "--level", "error")[-1] == 9


def test_events_before_there_are_any(shell: Shell) -> None:
    """
    Nothing has happened: nothing is printed, and that is no failure.
    """
    (shell.state / "events.jsonl").unlink()

    assert shell.on_file("events") == (0, "", "")


def test_half_a_character_is_shown(shell: Shell) -> None:
    """
    A line that was mended by hand, or told of bytes that are no text, is shown as JSON too, and can be read again.
    """
    with (shell.state / "events.jsonl").open("a") as log:
        log.write('{"id": 9, "level": "info", "event": "config.refused", "error.detail": "\\ud800 中"}\n')

    said = shell.on_file("events", "--json", "-n", "1")

    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out)["error.detail"] == "\ud800 中"
    assert shell.on_file("events").code == 0


def test_events_are_shown_when_the_configuration_has_mistakes(shell: Shell) -> None:
    """
    That is when people look at them: the log is found all the same, and the mistakes are not passed over in silence.
    """
    shell.file.write_text(shell.file.read_text().replace("upstream =", "upstrem ="))

    said = shell.on_file("events", "--json", "--site", "wiki.example.com")

    assert [json.loads(line)["id"] for line in said.out.splitlines()] == [6, 8]
    assert said.code == 0
    assert "has mistakes, which `gatelodge check` lists" in said.err
    shell.file.write_text("state_directory = ")
    assert shell.on_file("events").code == 2
