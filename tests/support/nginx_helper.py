"""
Somebody's nginx whose master is root, a daemon that is not, and the helper between the two, run as its units would run it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import pickle
import pwd
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.nginx_external import HisNginx
from tests.support.nginx_house import House, RealClock, house
from tests.support.waiting import until

from gatelodge.model import ByHelper
from gatelodge.nginx.helper import Helper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatelodge.core.tree import Rendered

REPOSITORY = Path(__file__).parents[2]

#: Whom the daemon runs as here: somebody who has nothing, and is not whom nginx's workers run as.
USER = "daemon"


def why_not() -> str:
    """
    Return why this cannot be tried here; nothing when it can.
    """
    if os.geteuid() != 0:
        return "only root can have an nginx with a master that is root, and become somebody else"
    if shutil.which("setpriv") is None:
        return "setpriv is not installed"
    return ""


def capabilities() -> list[str]:
    """
    Return what the unit leaves root.
    """
    text = (REPOSITORY / "systemd/gatelodge-nginx.service").read_text(encoding="utf-8")
    found = re.search(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE)
    assert found
    return [f"+{word.removeprefix('CAP_').lower()}" for word in found[1].split()]


@dataclasses.dataclass(kw_only=True)
class Guarded(HisNginx):
    """
    His nginx, with our line for the helper's copies in its configuration.
    """

    home: House
    keep: Path
    run: Path

    def write(self, own: str | None = None) -> None:
        """
        Write his configuration.
        """
        super().write(own)
        config = self.folder / "nginx.conf"
        config.write_text(config.read_text().replace(f"{self.state}/nginx/current", f"{self.keep}/current"))

    def give(self) -> None:
        """
        Give all of the state directory to the daemon's user.
        """
        entry = pwd.getpwnam(USER)
        for root, folders, names in os.walk(self.state):
            for each in (root, *(f"{root}/{name}" for name in (*folders, *names))):
                os.chown(each, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    async def help(self) -> str:
        """
        Run the helper once, with no more power than its unit leaves it, and return what it wrote into the log.
        """
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--no-new-privs", f"--bounding-set=-all,{','.join(capabilities())}", "--inh-caps=-all"),
            *(sys.executable, "-I", "-m", "gatelodge.rootside", "--once", "--user", USER, "--state", str(self.state)),
            *("--keep", str(self.keep), "--run", str(self.run), "--nginx", self.nginx),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()

    async def ask(self, verb: str, rendered: Rendered | None = None) -> Any:
        """
        Have the daemon do something, as its user, and the helper answer its requests as the path unit would have it do.
        """
        self.give()
        request = self.state / "nginx/mailbox/request"
        words = (verb, self.state, self.run, self.home.settings, rendered)
        with tempfile.TemporaryFile() as question, tempfile.TemporaryFile() as answer:
            question.write(pickle.dumps(words))
            question.seek(0)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.unprivileged", USER),
                stdin=question,
                stdout=answer,
                cwd=REPOSITORY,
            )
            while process.returncode is None:
                await until(lambda: request.exists() or process.returncode is not None, seconds=60)
                if request.exists():
                    await self.help()
            answer.seek(0)
            said: Any = pickle.loads(answer.read())  # noqa: S301 - both ends are this test
        if isinstance(said, Exception):
            raise said
        return said

    def render(self) -> Rendered:
        """
        Render a tree for his nginx, by what the helper told of it.
        """
        helper = Helper(
            folder=self.state / "nginx", state_directory=str(self.state), clock=RealClock(), answers=self.run
        )
        return self.home.render(helper.find())


def _open_to_all(at: Path) -> Path:
    at.chmod(0o755)
    (at / "his").mkdir(mode=0o755)
    return at


@contextlib.asynccontextmanager
async def guarded(program: str, *, own: str = "") -> AsyncIterator[Guarded]:
    """
    Yield his nginx, running; the helper ran once, as it does when the machine starts.
    """
    async with house(program) as home:
        home.settings = dataclasses.replace(home.settings, reload=ByHelper())
        with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
            at = _open_to_all(Path(name))
            found = Guarded(
                home=home, folder=at / "his", state=home.state, program=program, own=own, keep=at / "keep", run=at / "run"
            )  # fmt: skip
            found.write()
            try:
                await found.start()
                found.give()
                await found.help()
                yield found
            finally:
                await found.stop()
