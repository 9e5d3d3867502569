"""
A gate all of whose processes can be killed and started again: the daemon, nginx, the CA (pebble) and the name server (BIND).

What is configured grows and shrinks: sites that prove their names by http-01 and by DNS in turns, and hosts of dynamic DNS. pebble keeps
everything in memory, so that one that is killed forgets accounts, orders and certificates, and comes back with another root.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from tests.support import bind, house
from tests.support.dns_house import OTHER, ZONE

from gatelodge.api import client
from gatelodge.demo import pebble
from gatelodge.nginx import process as nginx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.support.bind import Bind
    from tests.support.house import House

#: What dynamic DNS is to publish: an address of a public resolver's, which nobody here asks.
ADDRESS = "8.8.4.4"

#: Sites that are there from the beginning to the end, by how they prove their name.
BASE: Mapping[str, str] = {f"base.{ZONE}": "http-01", f"record.{ZONE}": "dns:lab"}

#: Sites and hosts beside them; older ones leave the configuration.
_MOST_SITES = 5
_MOST_HOSTS = 3

_ISSUED = re.compile(r"Issued certificate serial ([0-9a-f]+) for order")
_ORDERED = "Added order "

#: pebble looks for proofs that it can use again, and can deadlock there.
_PEBBLE = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"}


@dataclasses.dataclass(kw_only=True)
class CrashHouse:
    """
    The gate and what it depends on. `sites` are those configured beside the `BASE`, `hosts` those of dynamic DNS, `published` all that ever
    were; `stretch` lengthens what is waited for.
    """

    gate: House
    bind: Bind
    stretch: float = 1.0
    sites: dict[str, str] = dataclasses.field(default_factory=dict)
    hosts: list[str] = dataclasses.field(default_factory=list)
    published: set[str] = dataclasses.field(default_factory=set)
    body_size: int = 1
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    _pebbles: list[asyncio.subprocess.Process] = dataclasses.field(default_factory=list)
    _binds: list[asyncio.subprocess.Process] = dataclasses.field(default_factory=list)
    _numbers: itertools.count[int] = dataclasses.field(default_factory=itertools.count)

    @property
    def names(self) -> tuple[str, ...]:
        """
        Every site that is configured.
        """
        return (*BASE, *self.sites)

    @property
    def door(self) -> client.Door:
        """
        Where the daemon is asked.
        """
        return client.Door(state_directory=str(self.gate.state), paths=(str(self.gate.folder / "admin.sock"),))

    @property
    def entry(self) -> Path:
        """
        The file that nginx is started with.
        """
        return self.gate.state / "nginx" / "current" / "nginx.conf"

    def add_site(self) -> str:
        """
        Configure another site, and none of those that were added long ago.
        """
        number = next(self._numbers)
        name = f"s{number}.{ZONE}"
        self.sites[name] = "dns:lab" if number % 2 else "http-01"
        while len(self.sites) > _MOST_SITES:
            del self.sites[next(iter(self.sites))]
        self.write()
        return name

    def add_host(self) -> str:
        """
        Configure another host of dynamic DNS, and none of those that were added long ago.
        """
        name = f"h{next(self._numbers)}.{OTHER}"
        self.hosts = [*self.hosts[1 - _MOST_HOSTS :], name]
        self.published.add(name)
        self.write()
        return name

    def write(self) -> None:
        """
        Write the configuration.
        """
        gate = self.gate
        (gate.folder / "address").write_text(f"{ADDRESS}\n")
        rows = [
            f'"{name}" = {{ upstream = "http://127.0.0.1:{gate.upstream}", challenge = "{how}", body_size = "{self.body_size}m" }}\n'
            for name, how in (BASE | self.sites).items()
        ]
        secret = gate.folder / "tsig.secret"
        secret.write_text(self.bind.secrets["hmac-sha256"])
        secret.chmod(0o600)
        hosts = ", ".join(f'"{each}"' for each in self.hosts)
        ddns = (
            f'[ddns]\ndns = "lab"\nevery = "1m"\nhosts = [{hosts}]\n'
            f'ipv4 = {{ command = ["/bin/cat", "{gate.folder}/address"] }}\n'
        )
        gate.write(
            more=f'{"".join(rows)}[dns.lab]\nprovider = "rfc2136"\nserver = "{self.bind.server}"\n'
            f'key_name = "{self.bind.key_name()}"\nkey_secret = {{ file = "{secret}" }}\n'
            f'[resolver]\nservers = ["{self.bind.server}"]\nport = {self.bind.port}\ndoh = []\n{ddns if self.hosts else ""}'
        )

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """
        Ask the daemon for something; None when it does not answer.
        """
        with contextlib.suppress(client.NotRunning, TimeoutError):
            return (await asyncio.to_thread(client.call, self.door, method, path, body, timeout=60 * self.stretch))[1]
        return None

    async def start_daemon(self) -> None:
        """
        Start the daemon, with what it is to find in its environment.
        """
        await self.gate.start(environment=self.environment)

    async def kill_daemon(self) -> None:
        """
        Kill the daemon, if it runs.
        """
        daemon = self.gate.daemon
        if daemon is not None and daemon.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                daemon.kill()
            await daemon.wait()

    def kill_nginx(self, *, master: bool = True, workers: bool = True) -> None:
        """
        Kill nginx's masters, or its workers, or all of them.
        """
        for each in nginx.masters(self.entry):
            children = nginx.workers(each)
            if master:
                each.send(signal.SIGKILL)
            for worker in children if workers else ():
                worker.send(signal.SIGKILL)

    def start_nginx(self) -> None:
        """
        Start nginx by hand on the stored tree, as somebody would without a daemon.
        """
        subprocess.run(["nginx", "-c", str(self.entry)], check=True, capture_output=True, timeout=30)

    async def kill_pebble(self) -> None:
        """
        Kill the CA.
        """
        await _kill(self._pebbles, self.gate.ca.pid)

    async def start_pebble(self) -> None:
        """
        Start the CA again, where it was; it knows nothing any more.
        """
        number = len(self._pebbles) + 1
        with (self.gate.folder / f"pebble-{number}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                "pebble", "-config", str(self.gate.folder / "pebble.json"), "-dnsserver", self.bind.server,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **_PEBBLE},
            )  # fmt: skip
        self._pebbles.append(process)
        for url in (self.gate.ca.directory, self.gate.ca.management):
            await pebble.listening(int(url.split(":")[2].partition("/")[0]))

    async def kill_bind(self) -> None:
        """
        Kill the name server.
        """
        await _kill(self._binds, self.bind.pid)

    async def start_bind(self) -> None:
        """
        Start the name server again, with the zones as they were.
        """
        own = self.gate.folder / f"bind-{self.bind.address}-{self.bind.port}"
        program = shutil.which("named", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program is not None
        with (own / "named.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                program, "-g", "-c", str(own / "named.conf"), "-n", "1",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._binds.append(process)
        await pebble.listening(self.bind.port)

    def _logs(self) -> list[str]:
        return [each.read_text(errors="replace") for each in sorted(self.gate.folder.glob("pebble*.log"))]

    def orders(self) -> int:
        """
        Count the orders that the CA ever made.
        """
        return sum(log.count(_ORDERED) for log in self._logs())

    def certificates(self) -> set[int]:
        """
        Return the serial numbers of all certificates that the CA ever made.
        """
        return {int(serial, 16) for log in self._logs() for serial in _ISSUED.findall(log)}

    async def close(self) -> None:
        """
        End what was started here.
        """
        await self.kill_daemon()
        self.kill_nginx()
        for orphan in nginx.orphans(self.gate.state / "log" / "error.log"):
            orphan.send(signal.SIGKILL)
        for each in (*self._pebbles, *self._binds):
            with contextlib.suppress(ProcessLookupError):
                each.kill()
            await each.wait()


async def _kill(own: list[asyncio.subprocess.Process], first: int) -> None:
    """
    Kill the last one that was started here, or the first, which was not.
    """
    if own:
        with contextlib.suppress(ProcessLookupError):
            own[-1].kill()
        await own[-1].wait()
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(first, signal.SIGKILL)


@contextlib.asynccontextmanager
async def opened(folder: Path, *, stretch: float = 1.0) -> AsyncIterator[CrashHouse]:
    """
    Prepare the gate; its daemon does not run yet. At the end all are gone.
    """
    async with (
        bind.running(folder, zones=(ZONE, OTHER), recursive=True) as server,
        house.opened(folder, name_server=server.server, environment=_PEBBLE) as gate,
    ):
        found = CrashHouse(gate=gate, bind=server, stretch=stretch)
        found.write()
        try:
            yield found
        finally:
            await found.close()
