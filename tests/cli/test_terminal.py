"""
What people see in a terminal, and programs in a pipe: colours, width, what is drawn in place and what is left behind.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from tests.support.answering import Answering, answering
from tests.support.reports import DAY, at, certificate, mixed, report, site, worst
from tests.support.seen_terminal import HIDDEN, SHOWN, environment, seen

from gatelodge.cli import progress, terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """\
state_directory = "{folder}/state"
[admin]
socket = "{folder}/admin.sock"
[acme]
agree_tos = true
[sites]
"wiki.example.com" = "http://127.0.0.1:3000"
"""

RED, GREEN = "\x1b[1;31m", "\x1b[1;32m"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """
    A configuration whose daemon does not run.
    """
    file = tmp_path / "gatelodge.toml"
    file.write_text(CONFIG.format(folder=tmp_path))
    return file


@pytest.fixture
def daemon(config: Path) -> Iterator[Answering]:
    """
    A daemon that answers with an ordinary bad day.
    """
    what = Answering(mixed())
    with answering(config.with_name("admin.sock"), what):
        yield what


def piped(*words: str, config: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """
    Run a verb whose output nobody looks at.
    """
    return subprocess.run(
        [sys.executable, "-m", "gatelodge", *words, "-c", str(config)],
        capture_output=True, text=True, env=environment(**more), check=False,
    )  # fmt: skip


@pytest.mark.usefixtures("daemon")
def test_a_terminal_has_colours(config: Path) -> None:
    """
    And nothing that hides the cursor.
    """
    with seen("status", config=config) as screen:
        assert screen.end() == 0
    assert screen.text.startswith(RED + "2 of 5 need you")
    assert HIDDEN not in screen.text


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    "said", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CLICOLOR": "0"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}]
)
@pytest.mark.parametrize("words", [("status",), ("status", "wiki.example.com"), ("plan",)])
def test_who_wants_no_colours_gets_no_control_characters(
    config: Path, said: dict[str, str], words: tuple[str, ...]
) -> None:
    """
    https://no-color.org, and terminals that know none.
    """
    with seen(*words, config=config, **said) as screen:
        assert screen.end() == 0
    assert screen.text
    assert "\x1b" not in screen.text


@pytest.mark.usefixtures("daemon")
def test_a_pipe_has_no_colours_and_whole_lines(config: Path) -> None:
    """
    Whoever searches them finds what does not fit into a terminal.
    """
    said = piped("status", config=config)
    assert (said.returncode, said.stderr) == (0, "")
    assert "\x1b" not in said.stdout
    assert "http://127.0.0.1:3000\n" in said.stdout
    narrow = piped("status", config=config, COLUMNS="60")
    assert max(map(cell_len, narrow.stdout.splitlines())) <= 60


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("width", ["\u00b2", "0", "-1", "9" * 5000, "x", " 80"])
def test_a_width_that_is_none_is_passed_over(config: Path, width: str) -> None:
    """
    Also one that is a digit and no number.
    """
    said = piped("status", config=config, COLUMNS=width, LINES=width)
    assert (said.returncode, said.stderr) == (0, "")
    assert "http://127.0.0.1:3000\n" in said.stdout


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("said", [{"FORCE_COLOR": "1"}, {"CLICOLOR_FORCE": "1"}])
def test_who_wants_colours_in_a_pipe_gets_them(config: Path, said: dict[str, str]) -> None:
    """
    As for `less -R`.
    """
    assert piped("status", config=config, **said).stdout.startswith(RED)
    assert "\x1b[32m+" in piped("plan", config=config, **said).stdout


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_width_of_the_terminal_is_kept(config: Path, daemon: Answering, columns: int) -> None:
    """
    Nothing is broken by the terminal itself.
    """
    daemon.report = worst()
    with seen("status", config=config, columns=columns) as screen:
        assert screen.end() == 0
    assert max(map(cell_len, screen.plain.splitlines())) <= columns


def test_json_is_json_wherever_it_goes(config: Path, daemon: Answering) -> None:
    """
    In a terminal too, with names as programs write them.
    """
    name = "xn--bcher-kva.example"
    daemon.report = report(sites=[site(name)], certificates=[certificate(name)])
    with seen("status", "--json", config=config, FORCE_COLOR="1") as screen:
        assert screen.end() == 0
    assert json.loads(screen.text) == {**daemon.report, "daemon": True}
    one = json.loads(piped("status", name, "--json", config=config).stdout)
    assert (one["kind"], one["name"], one["state"]) == ("site", name, "serving")


@pytest.mark.usefixtures("daemon")
def test_a_name_that_is_not_there_is_said_with_the_nearest(config: Path) -> None:
    """
    Usage, exit 2.
    """
    said = piped("status", "wikki.example.com", config=config)
    assert (said.returncode, said.stdout) == (2, "")
    assert "did you mean wiki.example.com?" in said.stderr


def test_the_status_of_a_daemon_is_seen_although_the_file_is_wrong(config: Path, daemon: Answering) -> None:
    """
    It goes on with what it read last, and that is what is asked for at three in the morning.
    """
    config.write_text(config.read_text() + '"bad host" = 3\n')
    daemon.report = report()
    assert piped("status", config=config).stdout.startswith("All well: 1 site")


def test_watching_lives_through_a_restart_and_ends_with_a_clean_terminal(config: Path) -> None:
    """
    It draws in place, says since when nobody answers, goes on when somebody does, and Ctrl-C gives the cursor back.
    """
    socket, what = config.with_name("admin.sock"), Answering(mixed())
    with seen("status", "--watch", "0.2", config=config) as screen:
        with answering(socket, what):
            place = screen.until("2 of 5 need you")
            what.report = report()
            place = screen.until("All well: 1 site", after=place)
        place = screen.until("The daemon has not answered since", after=place)
        with answering(socket, what):
            screen.until("All well: 1 site", after=place)
            screen.type("\x03")
            assert screen.end() == 130
    assert HIDDEN in screen.text
    assert screen.text.rindex(SHOWN) > screen.text.rindex(HIDDEN)
    assert "Traceback" not in screen.plain


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    "words", [("--watch", "wiki.example.com"), ("wiki.example.com", "--watch"), ("wiki.example.com", "--watch=0.2")]
)
def test_one_part_can_be_watched(config: Path, words: tuple[str, ...]) -> None:
    """
    What follows --watch and is no number of seconds is its NAME.
    """
    with seen("status", *words, config=config) as screen:
        screen.until("wiki.example.com  serving")
        screen.until("certificate  wiki.example.com")
        screen.type("\x03")
        assert screen.end() == 130
    assert "cloud.example.com" not in screen.plain


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_watching_gives_the_cursor_back_however_it_is_ended(config: Path, number: signal.Signals) -> None:
    """
    Also when somebody else ends it.
    """
    with seen("status", "--watch", config=config) as screen:
        screen.until("2 of 5 need you")
        assert screen.end(number) == 128 + number
    assert screen.text.rindex(SHOWN) > screen.text.rindex(HIDDEN)


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """
    Whatever comes of a test, its process does not stay: who leaves a Popen waits for it.
    """
    try:
        yield
    finally:
        process.kill()


def test_watching_in_a_pipe_prints_what_changed(config: Path, daemon: Answering) -> None:
    """
    A block for each change, and none for a mere passing of time; a JSON object a line with `--json`.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "gatelodge", "status", "--watch", "0.2", "--json", "-c", str(config)],
        stdout=subprocess.PIPE, env=environment(), text=True,
    ) as process, ended(process):  # fmt: skip
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        daemon.report = {**daemon.report, "time": at(dt.timedelta(seconds=5))}
        daemon.report = {**report(), "time": at(DAY)}
        second = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        assert process.wait(timeout=20) == 130
    assert (len(first["sites"]), len(second["sites"])) == (5, 1)


def test_what_is_waited_for_is_shown_and_leaves_nothing_behind(config: Path, daemon: Answering) -> None:
    """
    Each certificate with its step and since when, drawn in place; what stays is the result.
    """
    job = {"since": at(-dt.timedelta(minutes=1)), "step_since": at(-dt.timedelta(seconds=42))}
    daemon.jobs["jobs"] = [
        {"job": "certificate:wiki.example.com", "step": "waiting for the DNS: ns1.example.com has not the TXT record", **job},
        {"job": "certificate:other.example.com", "step": "ordering", **job},
        {"job": "clock", "step": "starting", **job},
    ]  # fmt: skip
    with seen("renew", "wiki.example.com", config=config, columns=120) as screen:
        place = screen.until("wiki.example.com  waiting for the DNS: ns1.example.com has not the TXT record  0:42")
        daemon.jobs["jobs"][0]["step"] = "waiting for pebble to sign"
        screen.until("wiki.example.com  waiting for pebble to sign", after=place)
        daemon.finish()
        assert screen.end() == 0
    assert "other.example.com" not in screen.plain
    assert "clock" not in screen.plain
    assert screen.text.endswith(f"{SHOWN}\r\x1b[1A\x1b[2Kit is done\r\n")


@pytest.mark.parametrize(("typed", "number", "code"), [("\x03", None, 130), ("", signal.SIGTERM, 143)])
def test_who_waits_no_longer_gets_the_cursor_back(
    config: Path, daemon: Answering, typed: str, number: signal.Signals | None, code: int
) -> None:
    """
    The daemon goes on; the terminal is as it was.
    """
    times = {"since": daemon.report["time"], "step_since": daemon.report["time"]}
    daemon.jobs["jobs"] = [{"job": "certificate:wiki.example.com", "step": "ordering", **times}]
    with seen("renew", "wiki.example.com", config=config) as screen:
        screen.until("wiki.example.com  ordering")
        screen.type(typed)
        assert screen.end(number) == code
    assert screen.text.rindex(SHOWN) > screen.text.rindex(HIDDEN)
    assert "Traceback" not in screen.plain
    assert daemon.posted == ["/v1/renew"]


@pytest.mark.parametrize(
    ("words", "lines"), [((), ["wiki.example.com: ordering", "nginx: loading"]), (("--quiet",), []), (("--json",), [])]
)
def test_what_is_waited_for_is_a_line_for_each_step_in_a_pipe(
    config: Path, daemon: Answering, words: tuple[str, ...], lines: list[str]
) -> None:
    """
    On stderr, once for each step, without control characters; stdout has the result alone.
    """
    times = {"since": daemon.report["time"], "step_since": daemon.report["time"]}
    answers = iter(["ordering", "ordering"])

    def jobs(path: str) -> dict[str, object]:
        assert path == "/v1/jobs"
        step = next(answers, None)
        if step is None:
            daemon.finish()
        job, step = ("nginx", "loading") if step is None else ("certificate:wiki.example.com", step)
        return {"time": daemon.report["time"], "jobs": [{"job": job, "step": step, **times}]}

    daemon.answer = jobs  # type: ignore[method-assign]
    if words:
        daemon.finish()
    said = piped("renew", "wiki.example.com", *words, config=config)
    assert said.returncode == 0
    assert said.stderr.splitlines() == lines
    assert said.stdout in {"it is done\n", '{"ok": true, "message": "it is done"}\n'}


def test_more_jobs_than_lines_are_counted() -> None:
    """
    The longest ones are shown.
    """
    jobs = [
        {"job": f"certificate:s{number:02}.example.com", "step": "ordering", "since": at(-DAY), "step_since": at(dt.timedelta(seconds=-number))}
        for number in range(30)
    ]  # fmt: skip
    found = progress.rows({"time": at(dt.timedelta(0)), "jobs": jobs})
    on = terminal.console()
    lines = terminal.text(progress.table(found, width=60, height=5), on).splitlines()
    assert [line.split()[0] for line in lines] == [*(f"s{number}.example.com" for number in range(29, 24, -1)), "and"]
    assert lines[-1] == "and 25 more"


def imported(*words: str, config: Path) -> set[str]:
    """
    Return what a verb imports.
    """
    said = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gatelodge", *words, "-c", str(config)],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in said.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    ("words", "light"),
    [
        (("--version",), {"rich", "asyncio", "http.client", "gatelodge.model", "gatelodge.errors"}),
        (("--help",), {"rich", "asyncio", "http.client", "gatelodge.model", "gatelodge.errors"}),
        (("check",), {"rich", "asyncio", "http.client"}),
        (("status", "--json"), {"rich", "asyncio", "cattrs", "gatelodge.model"}),
        (("status",), {"asyncio", "cattrs", "gatelodge.model", "gatelodge.config"}),
    ],
)
def test_a_verb_imports_what_it_needs(config: Path, words: tuple[str, ...], light: set[str]) -> None:
    """
    Start-up time is a feature: what is heavy is imported where it is used.
    """
    heavy = {"aiohttp", "cryptography", "acme", "prometheus_client", "apprise", "structlog", "dns"}
    assert imported(*words, config=config) & (heavy | light) == set()
