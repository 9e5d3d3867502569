"""
The command line without a daemon: where the configuration comes from, exit codes, what is printed for people and for programs.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
from tests.support.clock import START, FakeClock

import gatelodge.nginx
from gatelodge.cli import main
from gatelodge.runtime.events import EventLog

GOOD = """\
state_directory = "{folder}/state"
[admin]
socket = "{folder}/admin.sock"
[acme]
agree_tos = true
[sites]
"wiki.example.com" = "http://127.0.0.1:3000"
"""

VERBS = [
    "run", "once", "check", "plan", "status", "events", "doctor", "ddns", "renew", "revoke", "account", "forget", "reload", "ca", "presets", "hash", "schema", "mailbox", "init", "demo",
]  # fmt: skip


class Said(NamedTuple):
    """
    What a call ended with.
    """

    code: int
    out: str
    err: str


class Shell:
    """
    Types for a test.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.file = folder / "gatelodge.toml"
        self.file.write_text(GOOD.format(folder=folder))
        self.state = folder / "state"
        self.environment = monkeypatch
        self._capsys = capsys
        monkeypatch.delenv("GATELODGE_CONFIG", raising=False)

    def type(self, *words: str) -> Said:
        """
        Run a command to its end.
        """
        self.environment.setattr(sys, "argv", ["gatelodge", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return Said(code, out, err)

    def on_file(self, *words: str) -> Said:
        """
        Run a command on this shell's configuration.
        """
        return self.type(*words, "-c", str(self.file))


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """
    A terminal, and a good configuration.
    """
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("order", [("check", "-c", "FILE"), ("-c", "FILE", "check"), ("--config", "FILE", "check")])
def test_the_configuration_is_named_before_or_after_the_verb(shell: Shell, order: tuple[str, ...]) -> None:
    """
    Both read well, so both work.
    """
    said = shell.type(*(str(shell.file) if word == "FILE" else word for word in order))

    assert said == (0, f"{shell.file}: good\n", "")


def test_the_nearest_naming_of_the_configuration_wins(shell: Shell, tmp_path: Path) -> None:
    """
    After the verb, before it, the environment.
    """
    other = tmp_path / "other.toml"
    shell.environment.setenv("GATELODGE_CONFIG", str(shell.file))

    assert shell.type("check") == (0, f"{shell.file}: good\n", "")

    before = shell.type("-c", str(other), "check")

    assert before.code == 2
    assert str(other) in before.err

    assert shell.type("-c", str(other), "check", "-c", str(shell.file)).code == 0


def test_a_configuration_that_is_not_there_is_named_with_a_remedy(shell: Shell, tmp_path: Path) -> None:
    """
    Exit 2, one line, no traceback.
    """
    said = shell.type("status", "-c", str(tmp_path / "none.toml"))

    assert said.code == 2
    assert "none.toml" in said.err
    assert "-c FILE" in said.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--help",), 0),
        (("-h",), 0),
        (("--version",), 0),
        (("status", "-h"), 0),
        (("nonsense",), 2),
        (("check", "--nonsense"), 2),
        (("renew",), 2),
        (("events", "--since", "yesterday"), 2),
    ],
)
def test_usage(shell: Shell, words: tuple[str, ...], code: int) -> None:
    """
    Help is no failure; what is not understood is exit 2, on stderr.
    """
    said = shell.type(*words, *(("-c", str(shell.file)) if words[0] == "events" else ()))

    assert said.code == code
    assert bool(said.out) == (code == 0)
    assert bool(said.err) == (code == 2)


def test_every_verb_is_listed_with_a_sentence(shell: Shell) -> None:
    """
    In the order in which a person meets them.
    """
    lines = shell.type("--help").out.partition("Commands:\n")[2].splitlines()

    assert [line.split()[0] for line in lines if line[2:3].strip()] == VERBS
    assert all(len(line.split()) > 2 for line in lines)


def test_where_only_a_daemon_could_answer_its_absence_is_exit_3(shell: Shell) -> None:
    """
    A log that may not be read is asked of the daemon; without one the answer says how to start it.
    """

    def forbidden(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    shell.environment.setattr("gatelodge.runtime.events.Reader.new", forbidden)
    said = shell.on_file("events")

    assert (said.code, said.out) == (3, "")
    assert "gatelodge run" in said.err


def test_check_tells_every_mistake(shell: Shell) -> None:
    """
    File, line, key, problem, remedy; exit 2.
    """
    shell.file.write_text('[acme]\nagre_tos = true\n[sites]\n"a b" = "http://x"\n')
    said = shell.on_file("check")

    assert said.code == 2
    assert said.out == ""
    assert f"{shell.file}:2: " in said.err
    assert f"{shell.file}:4: " in said.err


def test_check_as_json(shell: Shell) -> None:
    """
    The same for programs: one object on stdout, whether good or not.
    """
    assert json.loads(shell.on_file("check", "--json").out) == {"ok": True, "mistakes": []}

    shell.file.write_text('[acme]\nagree_tos = true\n[sites]\n"a b" = "http://x"\n')
    said = shell.on_file("check", "--json")
    document = json.loads(said.out)

    assert (said.code, said.err, document["ok"]) == (2, "", False)
    assert [(each["file"], each["line"], each["level"]) for each in document["mistakes"]] == [
        (str(shell.file), 4, "error")
    ]
    assert {"key", "problem", "remedy"} <= document["mistakes"][0].keys()


def test_a_file_that_is_no_text_is_said_to_be(shell: Shell) -> None:
    """
    Bytes that are not UTF-8 are a mistake like any other.
    """
    shell.file.write_bytes(b"\xff\xfe")
    said = shell.on_file("check")

    assert said.code == 2
    assert "UTF-8" in said.err


def test_the_schema_is_one_and_takes_what_is_good(shell: Shell) -> None:
    """
    JSON Schema, as editors read it.
    """
    import tomllib  # noqa: PLC0415 - for this test only

    schema: dict[str, Any] = json.loads(shell.type("schema").out)
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator(schema).validate(tomllib.loads(shell.file.read_text()))

    with pytest.raises(jsonschema.ValidationError):
        validator(schema).validate({"nginx": {"htpp_port": 80}})


def written(shell: Shell) -> FakeClock:
    """
    Write three events, an hour apart, and return the clock that they were written by.
    """
    shell.state.mkdir()
    clock = FakeClock()
    log = EventLog(directory=str(shell.state), clock=clock, stream=io.StringIO())
    for number in range(3):
        clock.jump(number * 3600)
        log.emit("certificate.issued", certificate=f"s{number}.example.com", note="two words", nothing=None)
    return clock


def test_events_are_shown_since_a_time(shell: Shell) -> None:
    """
    A time with or without a zone, or an age; whatever the zone, the moment counts.
    """
    written(shell)
    for since, count in [
        ("2026-01-01T00:00Z", 3),
        ("2026-01-01T01:00+00:00", 2),
        ("2026-01-01T04:00+02:00", 1),
        ("2026-01-01T03:00Z", 0),
        ("9999w", 3),
        ("1s", 0),
    ]:
        said = shell.on_file("events", "--json", "--since", since)

        assert said.code == 0, said.err
        assert len(said.out.splitlines()) == count, since


@pytest.mark.parametrize("since", ["yesterday", "2x", "-1h", "99999999999d", "25:00", "2026-13-01"])
def test_what_is_no_time_is_said_to_be_none(shell: Shell, since: str) -> None:
    """
    With what to write instead.
    """
    written(shell)
    said = shell.on_file("events", "--since", since)

    assert said.code == 2, said
    assert "2h" in said.err


def test_events_for_people_and_for_programs(shell: Shell) -> None:
    """
    A line each: fields without those that say nothing, or the JSON as it was written. No colour where nobody looks.
    """
    written(shell)
    said = shell.on_file("events")
    line = said.out.splitlines()[0]

    assert "certificate.issued" in line
    assert 'certificate=s0.example.com note="two words"' in line
    assert "nothing" not in line
    assert "\x1b" not in said.out

    entry = json.loads(shell.on_file("events", "--json").out.splitlines()[0])

    assert (entry["id"], entry["time"]) == (1, START.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


def test_events_before_there_are_any(shell: Shell) -> None:
    """
    Nothing has happened: nothing is printed, and that is no failure.
    """
    assert shell.on_file("events") == (0, "", "")


def test_the_script_beside_another_nginx_is_printed_whole(shell: Shell) -> None:
    """
    It is the very file that is tested, and a shell can read it.
    """
    said = shell.type("mailbox")
    script = Path(gatelodge.nginx.__file__).with_name("mailbox.sh")
    assert (said.code, said.out) == (0, script.read_text())
    done = subprocess.run(["/bin/sh", "-n", str(script)], check=False, capture_output=True)
    assert done.returncode == 0
