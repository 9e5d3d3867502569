"""
What TAB offers, in click's own words and in a real shell.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import ShellComplete

from gatelodge.cli import cli
from gatelodge.cli.completion import CAS, VARIABLE
from gatelodge.config.catalog import BUILT_IN

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
state_directory = "{folder}/state"
a_mistake = ["is told by check, not at TAB"]
[acme.cas.own]
[sites]
"wiki.example.com" = "http://127.0.0.1:3000"
"cloud.example.com" = {{ hosts = ["files.example.com"] }}
[certificates.home]
[streams.db]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A configuration, certificates that are held, and no other configuration.
    """
    file = tmp_path / "gatelodge.toml"
    file.write_text(CONFIG.format(folder=tmp_path))
    for name in ("wiki.example.com", "old.example.com", "gatelodge.invalid", ".old.leaving"):
        (tmp_path / "state" / "certificates" / name).mkdir(parents=True)
    monkeypatch.delenv("GATELODGE_CONFIG", raising=False)
    return file


def offered(config: Path, *words: str) -> list[str]:
    """
    Return what is offered for the last word.
    """
    *before, last = words
    complete = ShellComplete(cli, {}, "gatelodge", VARIABLE)
    return [each.value for each in complete.get_completions(["-c", str(config), *before], last)]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("status", ""), ["cloud.example.com", "db", "files.example.com", "home", "old.example.com", "wiki.example.com"]),
        (("status", "w"), ["wiki.example.com"]),
        (("renew", ""), ["cloud.example.com", "files.example.com", "home", "wiki.example.com"]),
        (("revoke", "o"), ["old.example.com"]),
        (("revoke", "x", "--reason", "key"), ["keyCompromise"]),
        (("forget", ""), ["old.example.com"]),
        (("presets", "nextc"), ["nextcloud"]),
        (("account", "show", "--ca", "o"), ["own"]),
        (("account", "roll"), ["rollover"]),
        (("st",), ["status"]),
        (("once", "--le"), ["--leave-nginx"]),
        (("completion", "z"), ["zsh"]),
    ],
)  # fmt: skip
def test_tab_offers_what_there_is(config: Path, words: tuple[str, ...], values: list[str]) -> None:
    """
    Verbs, options, and the names that make sense with the verb.
    """
    assert offered(config, *words) == values


@pytest.mark.parametrize(
    "content", [None, b"\xff", b"not toml", b"sites = 3\ncertificates = [1]\nstate_directory = 7\n"]
)
@pytest.mark.parametrize("verb", ["status", "renew", "revoke", "forget"])
def test_tab_is_silent_about_a_configuration_that_is_wrong(
    tmp_path: Path, verb: str, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    It offers less; what is wrong is told by verbs.
    """
    file = tmp_path / "gatelodge.toml"
    if content is not None:
        file.write_bytes(content)
    offered(file, verb, "")
    assert capfd.readouterr() == ("", "")


def test_the_built_in_cas_are_offered(config: Path) -> None:
    """
    Their names are written down twice, and are the same.
    """
    assert set(offered(config, "account", "show", "--ca", "")) == {*CAS, "own"}
    assert set(CAS) == {*BUILT_IN.authorities}


#: How a shell is asked what it would offer after `gatelodge -c FILE renew w`.
ASKING = {
    "bash": """
        eval "$(gatelodge completion bash)"
        COMP_WORDS=(gatelodge -c "$1" renew w); COMP_CWORD=4
        $(complete -p gatelodge | sed 's/.*-F \\([^ ]*\\).*/\\1/') gatelodge
        printf '%s\\n' "${COMPREPLY[@]}"
    """,
    "zsh": """
        compdef() { registered=$1 }
        compadd() { print -l -- "${(@P)argv[-1]}" }
        eval "$(gatelodge completion zsh)"
        words=(gatelodge -c "$1" renew w); CURRENT=5
        $registered
    """,
    "fish": """
        gatelodge completion fish | source
        complete --do-complete "gatelodge -c $argv[1] renew w"
    """,
}


@pytest.mark.parametrize("shell", list(ASKING))
def test_a_real_shell_completes_names(config: Path, tmp_path: Path, shell: str) -> None:
    """
    With the script that `completion` prints, which is read as it stands.
    """
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "gatelodge").write_text(f'#!/bin/sh\nexec {sys.executable} -m gatelodge "$@"\n')
    (bin_folder / "gatelodge").chmod(0o755)
    done = subprocess.run(
        [program, "-c", ASKING[shell], *([] if shell == "fish" else [shell]), str(config)],
        env={**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["wiki.example.com"], "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str) -> None:
    """
    It asks the command by the variable that the command looks at.
    """
    done = subprocess.run(
        [sys.executable, "-m", "gatelodge", "completion", shell], capture_output=True, text=True, check=True
    )
    assert f"{VARIABLE}={shell}_complete" in done.stdout
