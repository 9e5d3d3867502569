"""
A desk at which the commands of the pages are typed: a folder that is the machine's `/`, programs that stand in for what wants a whole
machine, and a gate that runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.importing import houses
from tests.support import stand_in
from tests.support.house import House, opened
from tests.support.pages import ROOT
from tests.support.waiting import until

import gatelodge
from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.known_commands import Known

#: The site that pages speak of most; whatever they call NAME is this one.
SITE = "wiki.example.org"

#: Folders that commands name and that are not the real ones.
_MACHINE = re.compile(r"(?<![\w.…/:@+])(?=/(?:etc|var|srv|opt|usr/local|config|mnt|backup)\b)")

#: What a page leaves to its reader, and what a reader would write.
_PLACES = {
    "…/docs": f"{ROOT}/docs",
    "NAME": SITE,
    "VERSION": gatelodge.__version__,
    "vVERSION": f"v{gatelodge.__version__}",
    "YOU": "nobody",
    "$EDITOR": "editor",
    "REGISTRY": "registry.example.org",
    "MIRROR": "mirror.example.org",
}

#: Long enough for a gate on a machine with other work.
_SECONDS = 60


@dataclasses.dataclass(kw_only=True)
class Desk:
    """
    The folder, the gate, and where the person is.
    """

    folder: Path
    house: House
    here: Path
    admin_port: int

    @property
    def machine(self) -> Path:
        """
        What stands for `/`.
        """
        return self.folder / "machine"

    def typed(self, command: str) -> str:
        """
        Return a command as its reader would type it here.
        """
        for place, word in _PLACES.items():
            command = re.sub(rf"(?<![A-Za-z]){re.escape(place)}(?![A-Za-z])", word, command)
        command = command.replace("/run/gatelodge/admin.sock", str(self.house.folder / "admin.sock"))
        command = command.replace(":9180/", f":{self.admin_port}/")
        command = re.sub(r"--from-certbot(?=\s*(?:>|$))", "--from-certbot /etc/letsencrypt", command)
        command = re.sub(r"(?<=tar -C )/(?= )", str(self.machine), command)
        return _MACHINE.sub(str(self.machine), command)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(ROOT), str(ROOT / "daemon"), os.environ.get("PYTHONPATH")))
            ),
            "GATELODGE_CONFIG": str(self.house.config),
            "MACHINE": str(self.machine),
            "CHECKOUT": str(ROOT),
            "HOME": str(self.here),
        }

    async def run(self, command: str, known: Known) -> tuple[int, str]:
        """
        Type a command, and return its exit status and what it said. One that does not end by itself is ended when it has said what it should.
        """
        place = self.folder / "here"
        script = f'cd "{self.here}" || exit 70; {{ {self.typed(command)}\n}}; code=$?; pwd >"{place}"; exit $code'
        said = self.folder / "said"
        with said.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                "sh", "-c", script, stdin=subprocess.PIPE, stdout=out, stderr=out, env=self._environment(), start_new_session=True
            )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(known.answers.encode())
        process.stdin.close()
        if known.goes_on:
            with contextlib.suppress(TimeoutError):
                await until(lambda: re.search(known.says, said.read_text()) or process.returncode is not None)
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGTERM)
        async with asyncio.timeout(_SECONDS):
            code = await process.wait()
        if place.exists():
            self.here = Path(place.read_text().strip())
        return code, said.read_text()


def _programs(folder: Path) -> None:
    """
    Put the stand-ins, and this checkout's `gatelodge`, into a folder for the PATH.
    """
    folder.mkdir()
    python = shlex.quote(sys.executable)
    for name in stand_in.PROGRAMS:
        _script(folder / name, f'exec {python} -m tests.support.stand_in {name} "$@"')
    _script(folder / "gatelodge", f'exec {python} -m gatelodge "$@"')


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _furnish(folder: Path) -> None:
    """
    Put there what a page's reader has: programs, folders of the package, what other tools left.
    """
    folder.chmod(0o755)
    _programs(folder / "bin")
    for name in ("gate", "home"):
        (folder / name).mkdir()
    (folder / "home" / "docs").symlink_to(ROOT / "docs")
    (folder / "home" / "compose.yaml").symlink_to(ROOT / "docs" / "compose" / "beside-nginx.yaml")
    machine = folder / "machine"
    for name in ("etc/gatelodge", "var/lib/gatelodge", "usr/local/lib/gatelodge", "srv", "opt", "config"):
        (machine / name).mkdir(parents=True)
    _script(machine / "usr/local/lib/gatelodge/publish", "exit 0")
    for certbot in ("etc/letsencrypt", "srv/certbot/conf"):
        houses.lineage(machine / certbot, "example.org", ["example.org"], "authenticator = webroot")
    (machine / "opt/appdata").mkdir()
    houses.swag(machine / "opt/appdata/swag")


def _config(house: House, *, admin_port: int, token: Path) -> None:
    """
    Write the gate's configuration: a site of each kind that pages speak of.
    """
    house.write(
        SITE, "cloud.example.org",
        more=f'"nas.lan" = {{ upstream = "http://127.0.0.1:{house.upstream}", tls = "local" }}\n'
        "[dns.home]\nprovider = 'rfc2136'\nserver = '127.0.0.1:1'\n"
        f"[ddns]\nhosts = ['{SITE}']\nipv4 = {{ command = ['/bin/echo', '1.2.3.4'] }}\n",
    )  # fmt: skip
    token.write_text("a token for this desk alone\n".replace(" ", "-"))
    text = house.config.read_text().replace(
        "[admin]\n", f'[admin]\nlisten = "127.0.0.1:{admin_port}"\ntoken = {{ file = "{token}" }}\n', 1
    )
    house.config.write_text(text.replace('ca = "pebble"\n', 'ca = "pebble"\nchallenge = "http-01"\n', 1))


@contextlib.asynccontextmanager
async def furnished(*, gate: bool) -> AsyncIterator[Desk]:
    """
    Prepare a desk; with a gate, its daemon runs and serves.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-desk-") as name:
        folder = Path(name)
        _furnish(folder)
        async with opened(folder / "gate") as house:
            (port,) = free_ports(1)
            _config(house, admin_port=port, token=folder / "machine/etc/gatelodge/admin.token")
            if gate:
                await house.start()
                await house.serving(SITE)
            yield Desk(folder=folder, house=house, here=folder / "home", admin_port=port)
