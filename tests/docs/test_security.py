"""
What docs/security.md says of secrets holds for a gate that runs: nobody but the owner reads a key, and nothing that is shown has a secret.
"""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.desk import furnished
from tests.support.known_commands import Known

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

SECRET = "bm90aGluZyBmb3IgYW55Ym9keQ=="


def keys(folder: Path) -> list[Path]:
    """
    Return all files below a folder that hold a private key.
    """
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and re.search(rb"PRIVATE KEY|\"d\":", path.read_bytes())
    ]


async def test_secrets_are_the_owners_and_are_not_shown() -> None:
    """
    Certificates', accounts', the local CA's; and a TSIG key that the TOML names is in no output, log or event.
    """
    async with furnished(gate=False) as desk:
        house = desk.house
        secret = desk.folder / "tsig"
        secret.write_text(SECRET)
        text = house.config.read_text()
        added = f"provider = 'rfc2136'\nkey_name = 'x'\nkey_secret = {{ file = '{secret}' }}\n"
        house.config.write_text(text.replace("provider = 'rfc2136'\n", added))
        await house.start()
        await house.serving("wiki.example.org")
        held = keys(house.state)
        said = house.said() + (house.state / "events.jsonl").read_text()
        for verb in ("status", "status --json", "plan", "plan --json", "events", "check", "ddns", "account show"):
            said += (await desk.run(f"gatelodge {verb}", Known()))[1]

        assert {path.relative_to(house.state).parts[0] for path in held} >= {"certificates", "accounts", "ca"}
        for path in held:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            assert "nginx" not in path.relative_to(house.state).parts
        assert "PRIVATE KEY" not in said
        assert SECRET not in said
        assert "wiki.example.org" in said
