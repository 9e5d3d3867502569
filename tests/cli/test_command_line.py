"""
The command line without a daemon: where the configuration comes from, exit codes, what is printed for people and for programs.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.support.shell import Shell

import gatelodge.nginx

VERBS = [
    "run", "once", "check", "plan", "status", "events", "doctor", "ddns", "renew", "revoke", "account", "forget", "reload", "ca", "notify", "presets", "hash", "schema", "completion", "mailbox", "init", "demo",
]  # fmt: skip


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

    assert [line.split()[0] for line in lines] == VERBS
    assert all(len(line.split()) > 2 and line.endswith(".") for line in lines)


def test_without_a_verb_the_verbs_are_listed(shell: Shell) -> None:
    """
    On stderr and with exit 2, as for anything that was not understood.
    """
    said = shell.type()
    assert (said.code, said.out) == (2, "")
    assert all(f"  {verb} " in said.err for verb in VERBS)


def test_a_verb_that_is_none_is_told_with_the_nearest(shell: Shell) -> None:
    """
    Nobody has to look it up.
    """
    said = shell.type("stauts")
    assert said.code == 2
    assert "did you mean status?" in said.err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(shell: Shell, verb: str) -> None:
    """
    Whole sentences, and an explanation of each option.
    """
    said = shell.type(verb, "-h")
    assert said.code == 0
    assert "..." not in said.out.partition("Options:")[0].replace("ARGS]...", "")
    assert said.out.partition("\n\n")[2].strip()[0].isupper()


def test_where_only_a_daemon_could_answer_its_absence_is_exit_3(shell: Shell) -> None:
    """
    A log that may not be read is asked of the daemon; without one the answer says how to start it.
    """

    def forbidden(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    shell.environment.setattr("gatelodge.runtime.events.files.Reader.new", forbidden)
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
