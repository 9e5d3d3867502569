"""
`gatelodge ddns`: with and without a daemon, for people and for programs.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.support.clock import START

from gatelodge.api import client
from gatelodge.cli import main
from gatelodge.core.addresses import Fact, Facts
from gatelodge.model import AddressSource, DdnsSettings, Name
from gatelodge.runtime.addresses import KIND, document
from gatelodge.stores.documents import DirectoryDocuments

if TYPE_CHECKING:
    from pathlib import Path

SITE = """\
state_directory = "{folder}/state"
[admin]
socket = "{folder}/admin.sock"
[acme]
agree_tos = true
[sites]
"wiki.example.org" = "http://127.0.0.1:3000"
[dns.lab]
provider = "rfc2136"
server = "127.0.0.1:1"
key_name = "test"
key_secret = "bm90IHRvIGJlIHNob3du"
"""
SETTINGS = DdnsSettings(
    dns="lab", hosts=(Name("wiki.example.org"),), ipv4=AddressSource(), ipv6=None, every=dt.timedelta(minutes=5)
)
HOURS = [START - dt.timedelta(hours=hours) for hours in (3, 2)]
KEPT = Fact(host="wiki.example.org", kind="A", written="192.0.2.1", writes=tuple(HOURS))
LEFT = Fact(
    host="www.example.org", kind="A", problem="www.example.org is a CNAME to cdn.test, which …; delete it\x1b[2J"
)
FAILURE = {
    "error.type": "dnsProvider", "error.detail": "the line is\x07 down", "failures": 3,
    "at": START.isoformat(), "retry_at": (START + dt.timedelta(minutes=4)).isoformat(),
}  # fmt: skip


class Said(NamedTuple):
    """
    What a call ended with.
    """

    code: int
    out: str
    err: str


class Shell:
    """
    Types `gatelodge ddns` for a test. `daemon` is what a running daemon answers; None while there is none.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.file = folder / "gatelodge.toml"
        self.daemon: dict[str, Any] | None = None
        self.environment = monkeypatch
        self._capsys = capsys
        self._ask = client.call
        monkeypatch.setattr(client, "call", self._answer)

    def _answer(self, *arguments: Any, **more: Any) -> tuple[int, dict[str, Any]]:
        return self._ask(*arguments, **more) if self.daemon is None else (200, self.daemon)

    def type(self, *words: str, ddns: str = "[ddns]\n") -> Said:
        """
        Write the configuration and run the command to its end.
        """
        self.file.write_text(SITE.format(folder=self.folder) + ddns)
        self.environment.setattr(sys, "argv", ["gatelodge", "ddns", "-c", str(self.file), *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        assert "bm90IHRvIGJlIHNob3du" not in out + err
        return Said(code, out, err)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """
    A terminal.
    """
    return Shell(tmp_path, monkeypatch, capsys)


def told(
    *hosts: Fact, failure: dict[str, Any] | None = None, addresses: dict[str, str] | None = None
) -> dict[str, Any]:
    """
    Return what a daemon answers, as far as this command looks at it.
    """
    facts = Facts(
        addresses={"A": "192.0.2.1"} if addresses is None else addresses,
        looked_at=START - dt.timedelta(minutes=2),
        hosts=hosts,
    )
    return {"time": START.isoformat(), "ddns": {**document(facts, SETTINGS), "failure": failure}}


def test_a_person_sees_address_records_last_change_and_what_is_wrong(shell: Shell) -> None:
    """
    A line for each host; nothing that moves the cursor.
    """
    shell.daemon = told(KEPT, LEFT, failure=FAILURE)
    said = shell.type()
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "Public address: 192.0.2.1, seen 2 minutes ago; kept through lab."
    rows = [line.split() for line in lines if ".example.org " in line and not line.startswith("!")]
    assert rows[0] == ["wiki.example.org", "A", "192.0.2.1", "2", "hours", "ago", "kept"]
    assert rows[1][:2] == ["www.example.org", "A"]
    assert rows[1][-1] != "kept"
    assert "! www.example.org is a CNAME to cdn.test, which …; delete it�[2J" in lines
    assert "! the line is� down (failed 3 times, next try in 4 minutes)" in lines


def test_a_program_gets_one_object(shell: Shell) -> None:
    """
    With every field, in full.
    """
    shell.daemon = told(KEPT, LEFT)
    said = shell.type("--json")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == {
        "time": START.isoformat(),
        "daemon": True,
        "provider": "lab",
        "addresses": {"A": "192.0.2.1"},
        "looked_at": (START - dt.timedelta(minutes=2)).isoformat(),
        "every": 300,
        "hosts": [
            {
                "host": "wiki.example.org",
                "type": "A",
                "address": "192.0.2.1",
                "changed_at": HOURS[1].isoformat(),
                "problem": None,
            },
            {"host": "www.example.org", "type": "A", "address": None, "changed_at": None, "problem": LEFT.problem},
        ],
        "failure": None,
    }


def test_an_address_that_is_not_known_is_said_so(shell: Shell) -> None:
    """
    Before the first look, or while services disagree.
    """
    shell.daemon = told(addresses={})
    assert shell.type().out == "Public address: not known, seen 2 minutes ago; kept through lab.\n"


def test_without_a_daemon_what_it_wrote_down_is_shown(shell: Shell) -> None:
    """
    It is said that none runs; documents that make no sense are passed over.
    """
    documents = DirectoryDocuments(directory=str(shell.folder / "state"))
    asyncio.run(documents.put(KIND, KEPT.name, KEPT.document()))
    asyncio.run(documents.put(KIND, "AAAA wiki.example.org", {"host": ["?"]}))
    (shell.folder / "state" / KIND / "broken.json").write_text("{")
    said = shell.type()
    assert (said.code, said.err) == (0, "")
    assert "The daemon does not run. " in said.out
    assert "Public address: not known; kept through lab." in said.out
    assert "wiki.example.org  A     192.0.2.1" in said.out
    found = json.loads(shell.type("--json").out)
    assert (found["daemon"], [row["host"] for row in found["hosts"]]) == (False, ["wiki.example.org"])


@pytest.mark.parametrize("daemon", [None, {"time": START.isoformat(), "ddns": None}, {"time": START.isoformat()}])
def test_where_it_is_off_that_is_exit_1_with_what_to_do(shell: Shell, daemon: dict[str, Any] | None) -> None:
    """
    Whether a daemon runs or not.
    """
    shell.daemon = daemon
    said = shell.type(ddns="")
    assert (said.code, said.out) == (1, "")
    assert "add [ddns]" in said.err
    said = shell.type("--json", ddns="")
    assert (said.code, json.loads(said.out), said.err) == (1, {"ddns": None}, "")


@pytest.mark.parametrize("answer", [{"ddns": None}, {}], ids=["off", "an older daemon"])
def test_a_daemon_that_knows_nothing_of_it_yet_is_told_from_one_that_does(shell: Shell, answer: dict[str, Any]) -> None:
    """
    The file was changed, and the daemon did not read it yet or refused it.
    """
    shell.daemon = {"time": START.isoformat(), **answer}
    said = shell.type()
    assert (said.code, said.out) == (1, "")
    assert "gatelodge check" in said.err
    said = shell.type("--json")
    assert (said.code, json.loads(said.out), said.err) == (1, {"ddns": None}, "")
