"""
The daemon's half beside a root's nginx, in a process of its own that is not root: one thing is asked of it on standard input, and its
answer is on standard output. Run by `nginx_helper`, with the user to become: only once all is loaded, since a checkout may be root's own.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401 - loaded by name, later
import os
import pickle
import pwd
import sys
from typing import TYPE_CHECKING, Any

from tests.support.nginx_house import RealClock

from gatelodge.errors import NginxError
from gatelodge.nginx.external import External
from gatelodge.nginx.helper import Helper
from gatelodge.nginx.tree import Trees

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.core.tree import Rendered
    from gatelodge.model import NginxSettings


async def answer(verb: str, state: Path, run: Path, settings: NginxSettings, rendered: Rendered | None) -> Any:
    """
    Do what is asked, and return what came of it; an error of nginx's is an answer too.
    """
    clock, folder = RealClock(), state / "nginx"
    helper = Helper(folder=folder, state_directory=str(state), clock=clock, answers=run, seconds=20)
    nginx = External(trees=Trees(folder), reloading=helper, settings=settings, clock=clock)
    try:
        match verb:
            case "apply":
                assert rendered is not None
                return await nginx.apply(rendered)
            case "roll back":
                return await nginx.roll_back()
            case "write":
                return [path for path in (run / "mine", run / "answer", run / "about") if _writes(path)]
            case _:
                return await nginx.observe()
    except NginxError as error:
        return error


def _writes(path: Path) -> bool:
    try:
        path.write_text("mine")
    except PermissionError:
        return False
    return True


def _become(name: str) -> None:
    entry = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    asked = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - both ends are this test
    _become(sys.argv[1])
    sys.stdout.buffer.write(pickle.dumps(asyncio.run(answer(*asked))))
