"""
`gatelodge notify test`, and what `check` says of messages.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.notifier import inbox

from gatelodge import programs

if TYPE_CHECKING:
    from pathlib import Path

HEAD = '[acme]\nagree_tos = true\n[sites."www.example.org"]\nupstream = "http://127.0.0.1:1"\n'


async def gatelodge(folder: Path, text: str, *arguments: str, **more: str) -> tuple[int, str, str]:
    """
    Run a verb on a configuration, and return status, stdout and stderr.
    """
    file = folder / "gatelodge.toml"
    file.write_text(f'state_directory = "{folder}/state"\n{HEAD}{text}')
    file.chmod(0o600)
    command = (sys.executable, "-m", "gatelodge", *arguments, "-c", str(file))
    ran = await programs.run(command, seconds=60, environment={**os.environ, **more})
    return ran.status, ran.out.decode(), ran.err.decode()


def target(name: str, url: str) -> str:
    """
    Return the text of one target.
    """
    return f'[[notify]]\nname = "{name}"\nurl = "{url}"\n'


async def test_each_is_tried(tmp_path: Path) -> None:
    """
    Who took it is said, and who did not and why, without the URL; then the status is 1. One alone may be tried.
    """
    async with inbox() as good, inbox() as bad:
        bad.status = 401
        text = target("phone", good.url) + target("mail", bad.url)
        status, out, err = await gatelodge(tmp_path, text, "notify", "test")
        assert (status, out) == (1, "phone: sent\n")
        assert err.startswith("mail: ")
        assert "error=401" in err
        assert "hunter2" not in err

        status, out, err = await gatelodge(tmp_path, text, "notify", "test", "phone", "--json")
        assert (status, err) == (0, "")
        assert json.loads(out) == {"ok": True, "targets": [{"target": "phone", "sent": True, "error.detail": None}]}
        assert len(good.got) == 2
        assert "a test message" in good.got[0]["title"]


@pytest.mark.parametrize(("text", "arguments", "words"), [("", (), "has no [[notify]]"), (target("phone", "json://x"), ("mail",), "there are phone")])  # fmt: skip
async def test_nobody_to_try(tmp_path: Path, text: str, arguments: tuple[str, ...], words: str) -> None:
    """
    Is a mistake of whoever calls.
    """
    status, _, err = await gatelodge(tmp_path, text, "notify", "test", *arguments)

    assert status == 2
    assert words in err


async def test_check_says_what_to_install(tmp_path: Path) -> None:
    """
    Where apprise is not there; where it is, all is well. A secret in a file that others may read is warned of.
    """
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['apprise'] = None\n")
    text = target("phone", "json://hunter2secret")
    status, out, err = await gatelodge(tmp_path, text, "check")
    assert (status, err) == (0, "")
    assert "hunter2" not in out

    path = os.pathsep.join(filter(None, (str(hidden), os.environ.get("PYTHONPATH"))))
    status, out, err = await gatelodge(tmp_path, text, "check", PYTHONPATH=path)
    assert status == 2
    assert "pip install 'gatelodge[notify]'" in err
