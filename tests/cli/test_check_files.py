"""
`check` looks into the files that a configuration names: certificates that the user brings, and a CA that has its name already.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.certificates import QuickKeys
from tests.support.clock import FakeClock
from tests.support.pems import DAY, Bought, buy, pem
from tests.support.recorder import Recorder

from gatelodge.cli import main
from gatelodge.config.read import read
from gatelodge.gates import Gates
from gatelodge.issuers.local import Local
from gatelodge.model import CaSubject
from gatelodge.runtime.system import SystemClock
from gatelodge.solvers.ledger import Ledger
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from pathlib import Path

WIKI = "wiki.example.com"
NOW = SystemClock().now()

TEXT = """\
state_directory = "{folder}/state"
[sites."{host}"]
upstream = "http://127.0.0.1:3000"
tls = {{ certificate = "{folder}/site.crt", key = "{folder}/site.key" }}
"""

CA = """\
state_directory = "{folder}/state"
[ca]
organization = "{name}"
"""


class Checked:
    """
    Writes a configuration and checks it.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, text: str = TEXT, *, host: str = WIKI, name: str = "") -> tuple[int, list[dict[str, Any]]]:
        """
        Return the exit status and the mistakes.
        """
        file = self.folder / "gatelodge.toml"
        file.write_text(text.format(folder=self.folder, host=host, name=name))
        self._monkeypatch.setattr(sys, "argv", ["gatelodge", "check", "-c", str(file), "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        mistakes: list[dict[str, Any]] = json.loads(self._capsys.readouterr().out)["mistakes"]
        return int(end.value.code or 0), mistakes


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Checked:
    """
    A folder for a configuration and its files.
    """
    return Checked(tmp_path, monkeypatch, capsys)


def fresh(*names: str) -> Bought:
    """
    A certificate that is good today and for a year.
    """
    return buy(*(names or (WIKI,)), begins=NOW - DAY, ends=NOW + 365 * DAY)


def test_good_files_are_good(checked: Checked) -> None:
    """
    Nothing is said.
    """
    fresh().lay(checked.folder)
    assert checked() == (0, [])


def test_files_of_no_use_are_mistakes_of_the_key_that_names_them(checked: Checked) -> None:
    """
    With its line, what is wrong, and what to do.
    """
    code, (mistake,) = checked()
    assert code == 2
    assert (mistake["key"], mistake["line"], mistake["level"]) == (f'sites."{WIKI}".tls', 4, "error")
    assert mistake["problem"] == f"{checked.folder}/site.crt is not there"
    _, key = fresh().lay(checked.folder)
    key.write_text(fresh().locked())
    code, (mistake,) = checked()
    assert code == 2
    assert "is encrypted" in mistake["problem"]
    assert "openssl pkey" in mistake["remedy"]


def test_hosts_that_it_is_not_for_are_a_mistake(checked: Checked) -> None:
    """
    All hosts of the site count.
    """
    fresh("other.example.com").lay(checked.folder)
    code, (mistake,) = checked()
    assert code == 2
    assert f"not for {WIKI}" in mistake["problem"]


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [(-400, -1, "ended on"), (-400, 20, "ends on"), (3, 400, "begins on")],
)
def test_dates_are_warnings(checked: Checked, begins: int, ends: int, words: str) -> None:
    """
    It is served all the same.
    """
    buy(WIKI, begins=NOW + begins * DAY, ends=NOW + ends * DAY).lay(checked.folder)
    code, (mistake,) = checked()
    assert (code, mistake["level"]) == (0, "warning")
    assert words in mistake["problem"]


def test_a_chain_that_was_forgotten_is_a_warning(checked: Checked) -> None:
    """
    Where the CA says that there is one: a LAN's own root signs without.
    """
    bought = buy(WIKI, begins=NOW - DAY, ends=NOW + 365 * DAY, issuer_at="http://ca.example/one.crt")
    certificate, _ = bought.lay(checked.folder)
    assert checked() == (0, [])
    certificate.write_text(pem(bought.leaf))
    code, (mistake,) = checked()
    assert (code, mistake["level"]) == (0, "warning")
    assert "http://ca.example/one.crt" in mistake["remedy"]
    alone, _ = fresh().lay(checked.folder)
    alone.write_text(alone.read_text().partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n")
    assert checked() == (0, [])


def make_root(folder: Path, subject: CaSubject) -> None:
    """
    Make the root of a state directory's CA.
    """
    local = Local(directory=str(folder / "state" / "ca"), clock=FakeClock(), keys=QuickKeys(), subject=subject)
    asyncio.run(local.root_pem())


def test_a_name_for_a_ca_that_has_one_is_a_warning(checked: Checked) -> None:
    """
    None before it is made, and none when it is the same.
    """
    assert checked(CA, name="condata") == (0, [])
    make_root(checked.folder, CaSubject(organization="condata"))
    assert checked(CA, name="condata") == (0, [])
    code, (mistake,) = checked(CA, name="another")
    assert (code, mistake["level"], mistake["key"], mistake["line"]) == (0, "warning", "ca", 2)
    assert "O=condata" in mistake["problem"]
    assert f"move {checked.folder}/state/ca/root away" in mistake["remedy"]


def test_the_daemon_tells_it_once(tmp_path: Path) -> None:
    """
    When it reads a configuration that says so, however often that is read.
    """
    make_root(tmp_path, CaSubject(organization="condata"))
    events, clock, documents = Recorder(), SystemClock(), MemoryDocuments()
    ledger = Ledger(documents=documents, clock=clock, events=events)
    gates = Gates(clock=clock, documents=documents, ledger=ledger, events=events)
    for name in ("condata", "one", "one", "another"):
        gates.make(read(CA.format(folder=tmp_path, name=name)))
    told = events.of("ca.kept")
    assert [event["level"] for event in told] == ["warning"]
    assert "O=condata" in str(told[0]["error.detail"])


def test_a_name_that_no_certificate_can_hold_is_a_mistake(checked: Checked) -> None:
    """
    The library counts bytes.
    """
    text = 'state_directory = "{folder}/state"\n[ca]\ncommon_name = "{name}"\n'
    assert checked(text, name="门" * 21) == (0, [])
    code, (mistake,) = checked(text, name="门" * 22)
    assert (code, mistake["key"]) == (2, "ca.common_name")
    assert "more than 64 bytes" in mistake["problem"]


def test_a_token_that_cannot_be_used(checked: Checked) -> None:
    """
    One that is not there, or is too short, is a mistake; nothing of it is shown. A variable is the daemon's, and is not looked for.
    """
    file = 'state_directory = "{folder}/state"\n[admin]\nlisten = "127.0.0.1:9180"\ntoken = {{ file = "{folder}/token" }}\n'
    code, (gone,) = checked(file)
    (checked.folder / "token").write_text("hunter2\n")
    _, (short,) = checked(file)
    (checked.folder / "token").write_text("0123456789abcdef\n")

    assert (code, gone["key"], gone["line"]) == (2, "admin.token", 4)
    assert "cannot be read" in gone["problem"]
    assert "fewer than 16 characters" in short["problem"]
    assert "hunter2" not in str(short)
    assert checked(file) == (0, [])
    assert checked(file.replace('file = "{folder}/token"', 'env = "TOKEN_OF_THE_DAEMON"')) == (0, [])
