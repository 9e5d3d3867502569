"""
A whole gate for a test: pebble, a service, and the daemon as a process of its own, seen from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

from cryptography import x509
from tests.support.waiting import until

from gatelodge.demo import pebble, upstreams
from gatelodge.demo.ports import free_ports
from gatelodge.demo.visitor import Visitor
from gatelodge.nginx import process
from gatelodge.runtime.events.files import read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

#: In a row, as proof that one generation of workers answers.
_VISITS = 10

HEAD = """\
state_directory = "{folder}/state"
[admin]
socket = "{folder}/admin.sock"
[acme]
agree_tos = true
ca = "pebble"
[acme.cas.pebble]
directory = "{ca}"
root = "{root}"
[nginx]
http_port = {http}
https_port = {https}
reload_interval = "1s"
{nginx}
[sites]
"""


@dataclasses.dataclass(kw_only=True)
class House:
    """
    The gate's folder, its ports, its CA, and what a person would type.
    """

    folder: Path
    http: int
    https: int
    upstream: int
    ca: pebble.Pebble
    nginx: str = ""
    directory: str | None = None
    daemon: asyncio.subprocess.Process | None = None

    @property
    def config(self) -> Path:
        """
        The configuration file.
        """
        return self.folder / "gatelodge.toml"

    @property
    def state(self) -> Path:
        """
        The state directory.
        """
        return self.folder / "state"

    @property
    def visitor(self) -> Visitor:
        """
        A visitor who trusts pebble's root.
        """
        trusted = ssl.create_default_context(cafile=self.ca.root)
        with urllib.request.urlopen(f"{self.ca.management}/roots/0", context=trusted) as answer:  # noqa: S310 - our own
            return Visitor(port=self.https).trusting(answer.read().decode())

    def write(self, *sites: str, more: str = "") -> None:
        """
        Write a configuration with these hosts, all in front of the one service.
        """
        head = HEAD.format(
            folder=self.folder, ca=self.directory or self.ca.directory, root=self.ca.root, http=self.http, https=self.https,
            nginx=self.nginx,
        )  # fmt: skip
        rows = [f'"{site}" = "http://127.0.0.1:{self.upstream}"' for site in sites]
        self.config.write_text(head + "\n".join(rows) + "\n" + more)

    async def start(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        umask: int = -1,
    ) -> asyncio.subprocess.Process:
        """
        Start the daemon; its stderr goes to a file.
        """
        with (self.folder / "daemon.log").open("ab") as log:
            self.daemon = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gatelodge", "run", "-c", str(self.config), *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, umask=umask,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip
        return self.daemon

    def reload(self) -> None:
        """
        Tell the daemon to read its configuration now.
        """
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGHUP)

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """
        End the daemon by a signal and return its exit status.
        """
        assert self.daemon is not None
        self.daemon.send_signal(number)
        async with asyncio.timeout(15):
            return await self.daemon.wait()

    async def gatelodge(self, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
        """
        Run a verb and return exit status, stdout and stderr.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gatelodge", *arguments, "-c", str(self.config),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert "Traceback" not in err.decode()
        return process.returncode or 0, out.decode(), err.decode()

    async def status(self) -> dict[str, Any]:
        """
        Return `status --json`.
        """
        code, out, err = await self.gatelodge("status", "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """
        Return the events so far, of one name or all.
        """
        return [entry for entry in read(str(self.state)) if name in (None, entry["event"])]

    async def saw(self, name: str, *, times: int = 1) -> dict[str, Any]:
        """
        Wait for an event and return its last one.
        """
        try:
            await until(lambda: len(self.events(name)) >= times, seconds=40)
        except TimeoutError:
            raise AssertionError(f"{name} did not come {times} times: {self.said()}") from None
        return self.events(name)[-1]

    def said(self) -> str:
        """
        Return what the daemon wrote.
        """
        return (self.folder / "daemon.log").read_text()

    async def serving(self, *sites: str, root: str | None = None) -> None:
        """
        Wait until sites answer with certificates of the CA, or of another root, and no old worker with another is left.
        """
        visitor = self.visitor if root is None else Visitor(port=self.https, root=root)
        for site in sites:
            try:
                await until(lambda site=site: asyncio.to_thread(_answers_always, visitor, site), seconds=40)  # type: ignore[misc]
            except TimeoutError:
                raise AssertionError(f"{site} is not served: {self.said()}") from None

    async def get(self, site: str) -> int:
        """
        Return the status with which a site answers a visitor. Not in this thread: the service behind it lives here.
        """
        return (await asyncio.to_thread(self.visitor.get, site))[0]

    def serial(self, site: str) -> int:
        """
        Return the serial number that a visitor of a site is shown.
        """
        return serial_number(self.visitor.certificate(site))

    def nginx_pid(self) -> int:
        """
        Return the pid of nginx's master.
        """
        return int((self.state / "nginx" / "nginx.pid").read_text())

    def orders(self) -> int:
        """
        Count the orders that the CA made.
        """
        return (self.folder / "pebble.log").read_text().count("Added order ")


def serial_number(der: bytes) -> int:
    """
    Return a certificate's serial number.
    """
    return x509.load_der_x509_certificate(der).serial_number


def _let_through(folder: Path) -> None:
    folder.chmod(0o755)


def _answers_always(visitor: Visitor, site: str) -> bool:
    """
    Tell whether each of several visits is answered: nginx's old workers accept for a moment beside the new ones.
    """
    return all(_answers(visitor, site) for _ in range(_VISITS))


def _answers(visitor: Visitor, site: str) -> bool:
    try:
        return visitor.get(site)[0] == 200
    except OSError:
        return False


@contextlib.asynccontextmanager
async def opened(
    folder: Path, *, name_server: str | None = None, environment: dict[str, str] | None = None
) -> AsyncIterator[House]:
    """
    Prepare a gate: its CA and its service run inside the context, the daemon not yet. At the end all are gone.

    Args:
        name_server: `ADDRESS:PORT` that the CA asks, in place of a DNS test server.
        environment: settings of the CA's own.
    """
    _let_through(folder)
    http, https = free_ports(2)
    upstream, chat = free_ports(2)
    async with (
        pebble.running(folder, http_port=http, name_server=name_server, environment=environment) as ca,
        upstreams.running(wiki_port=upstream, chat_port=chat),
    ):
        house = House(folder=folder, http=http, https=https, upstream=upstream, ca=ca)
        try:
            yield house
        finally:
            if house.daemon is not None and house.daemon.returncode is None:
                await house.kill()
            _end_nginx(house)


def _end_nginx(house: House) -> None:
    """
    End the nginx of a gate, also one that a daemon had just begun to start when it was killed.
    """
    entry = house.state / "nginx" / "current" / "nginx.conf"
    for master in process.masters(entry):
        workers = process.workers(master)
        master.send(signal.SIGTERM)
        for worker in workers:
            worker.send(signal.SIGTERM)
