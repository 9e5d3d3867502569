"""
The daemon's half of the mailbox and the script, with an nginx that says more than anybody reads. A real one is beside them in
tests/live/test_nginx_external.py.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.support.nginx_house import RealClock
from tests.support.waiting import until

import gatelodge.nginx
from gatelodge.errors import NginxRefused
from gatelodge.nginx.mailbox import Mailbox
from gatelodge.nginx.tree import Trees

SCRIPT = Path(gatelodge.nginx.__file__).with_name("mailbox.sh")

#: Refuses everything, after warnings of a megabyte.
_TALKATIVE = """\
#!/bin/sh
case $1 in -t) yes 'nginx: [warn] conflicting server name' | head -c 1000000; echo; echo 'nginx: [emerg] the reason'; exit 1 ;; esac
"""


async def test_of_an_nginx_that_says_very_much_the_end_is_told(tmp_path: Path) -> None:
    """
    The reason stands in the last line. A refusal is never taken for a silence.
    """
    folder = tmp_path / "nginx"
    tree = folder / "generations" / "1"
    tree.mkdir(parents=True)
    (tree / "http.conf").touch()
    nginx = tmp_path / "his-nginx"
    nginx.write_text(_TALKATIVE)
    nginx.chmod(0o755)
    mailbox = Mailbox(
        folder=folder, trees=Trees(folder), state_directory=str(tmp_path), group=None, clock=RealClock(), seconds=20
    )

    async def answer() -> None:
        await until((folder / "mailbox" / "request").exists)
        script = await asyncio.create_subprocess_exec(
            "/bin/sh", str(SCRIPT), "--once",
            env={**os.environ, "GATELODGE_STATE": str(tmp_path), "GATELODGE_NGINX": str(nginx)}, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await script.wait() == 0

    async with asyncio.TaskGroup() as group:
        group.create_task(answer())
        with pytest.raises(NginxRefused) as refused:
            await mailbox.load(1)
    assert str(refused.value).endswith("nginx: [emerg] the reason")
    assert 60_000 < len(str(refused.value)) < 70_000
