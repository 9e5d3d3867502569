"""
What a person types, in this process: a configuration, a command line, what it says and how it ends.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from gatelodge.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

GOOD = """\
state_directory = "{folder}/state"
[admin]
socket = "{folder}/admin.sock"
[acme]
agree_tos = true
[sites]
"wiki.example.com" = "http://127.0.0.1:3000"
"""


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
