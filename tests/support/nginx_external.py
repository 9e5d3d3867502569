"""
Somebody else's nginx: a configuration of his own with our one line in it, started and stopped by the test, and the two ways in which
ours reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.nginx_house import House, RealClock, house
from tests.support.waiting import until

import gatelodge.nginx
from gatelodge.model import ByCommands, ByMailbox, NginxSettings
from gatelodge.nginx import binary
from gatelodge.nginx.commands import Commands
from gatelodge.nginx.external import External
from gatelodge.nginx.mailbox import Mailbox
from gatelodge.nginx.tree import Trees

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatelodge.core.tree import Rendered
    from gatelodge.nginx.reloading import Reloading

SCRIPT = Path(gatelodge.nginx.__file__).with_name("mailbox.sh")

#: What his nginx.conf says, as Debian's does: most of it would be refused if ours said it again.
_CONFIG = """\
{above}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    access_log {folder}/access.log;
    server_tokens off;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    ssl_session_cache shared:SSL:1m;
    proxy_http_version 1.0;
    server_names_hash_bucket_size 128;
    resolver 127.0.0.1;
{own}
    include {state}/nginx/current/http.con[f];
}}
{beside}
"""

#: How he takes streams in, beside one of his own; nothing there says where names are looked up.
_STREAM = """\
stream {{
    server {{ listen 127.0.0.1:{port}; return "his own"; }}
    include {state}/nginx/current/stream.con[f];
}}
"""


@dataclasses.dataclass(kw_only=True)
class HisNginx:
    """
    His nginx alone: its folder, the state directory of ours that it includes, his server blocks, and what he has `above` and `beside` his
    `http {}`.
    """

    folder: Path
    state: Path
    program: str
    own: str = ""
    above: str = ""
    beside: str = ""
    process: asyncio.subprocess.Process | None = None
    helper: asyncio.subprocess.Process | None = None

    @property
    def nginx(self) -> str:
        """
        What he types for nginx.
        """
        return str(self.folder / "nginx")

    def write(self, own: str | None = None) -> None:
        """
        Write his configuration.
        """
        self.own = self.own if own is None else own
        text = _CONFIG.format(folder=self.folder, own=self.own, state=self.state, above=self.above, beside=self.beside)
        (self.folder / "nginx.conf").write_text(text)
        script = self.folder / "nginx"
        script.write_text(f'#!/bin/sh\nexec {self.program} -p {self.folder}/ -c {self.folder}/nginx.conf "$@"\n')
        script.chmod(0o755)

    def take_streams(self, port: int) -> None:
        """
        Write a configuration with a `stream {}` that includes ours, and his own stream on a port.
        """
        found = binary.capabilities(NginxSettings(binary=self.program))
        module = None if "stream" in found.modules else found.dynamic["stream"]
        self.above = f"load_module {module};" if module else ""
        self.beside = _STREAM.format(port=port, state=self.state)
        self.write()

    async def start(self) -> None:
        """
        Start his nginx.
        """
        with (self.folder / "said").open("ab") as said:
            self.process = await asyncio.create_subprocess_exec(
                self.nginx, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said
            )
        await until(lambda: (self.folder / "nginx.pid").exists() and (self.folder / "nginx.pid").read_text().strip())

    async def stop(self) -> None:
        """
        Stop his nginx.
        """
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await self.process.wait()

    async def settled(self) -> None:
        """
        Return once every reload that was ordered before has read the configuration: two that come together are read one after the other,
        and the workers of the first answer before the second is. One more, that is told from the others, is the last of them.
        """
        assert self.process is not None
        master = self.process.pid

        def waiting() -> bool:
            told = (Path("/proc") / str(master) / "status").read_text().splitlines()
            masks = [int(line.split()[1], 16) for line in told if line.startswith(("SigPnd:", "ShdPnd:"))]
            return any(mask >> signal.SIGHUP - 1 & 1 for mask in masks)

        def read() -> bool:
            _, found, after = (self.folder / "error.log").read_text().rpartition(f"received from {os.getpid()},")
            return bool(found) and "start worker processes" in after

        await until(lambda: not waiting())
        os.kill(master, signal.SIGHUP)
        await until(read)

    async def type(self, *words: str) -> None:
        """
        Do what he would at his terminal.
        """
        process = await asyncio.create_subprocess_exec(self.nginx, *words, stderr=asyncio.subprocess.DEVNULL)
        assert await process.wait() == 0, words

    @contextlib.asynccontextmanager
    async def script(self) -> AsyncIterator[None]:
        """
        Run the mailbox's script beside his nginx, until the end of the context.
        """
        environment = {**os.environ, "GATELODGE_STATE": str(self.state), "GATELODGE_NGINX": self.nginx}
        about = self.state / "nginx" / "mailbox" / "about"
        before = about.stat().st_mtime_ns if about.exists() else 0
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", str(SCRIPT), "--stay", stdin=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True
        )
        self.helper = process
        try:
            await until(lambda: about.exists() and about.stat().st_mtime_ns != before)
            yield
        finally:
            self.helper = process
            await self.stop_script()

    async def stop_script(self) -> None:
        """
        Kill the script, and what it runs.
        """
        if self.helper is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.helper.pid, signal.SIGKILL)
            await self.helper.wait()


@dataclasses.dataclass(kw_only=True)
class Others(HisNginx):
    """
    His nginx, and ours towards it. `way` is "commands" or "mailbox".
    """

    home: House
    way: str
    reloading: Reloading | None = None

    def external(self, *, seconds: float = 20) -> External:
        """
        Make ours.
        """
        clock, folder = RealClock(), self.home.state / "nginx"
        trees = Trees(folder)
        if self.way == "commands":
            by = ByCommands(commands=((self.nginx, "-t"), (self.nginx, "-s", "reload")))
            settings = dataclasses.replace(self.home.settings, binary=self.nginx, reload=by)
            self.reloading = Commands(trees=trees, settings=settings, by=by, ours=str(folder), clock=clock)
        else:
            settings = dataclasses.replace(self.home.settings, reload=ByMailbox())
            self.reloading = Mailbox(
                folder=folder,
                trees=trees,
                state_directory=str(self.home.state),
                group=None,
                clock=clock,
                seconds=seconds,
            )
        self.home.settings = settings
        return External(trees=trees, reloading=self.reloading, settings=settings, clock=clock)

    def render(self) -> Rendered:
        """
        Render a tree for his nginx.
        """
        assert self.reloading is not None
        return self.home.render(self.reloading.find())


@contextlib.asynccontextmanager
async def others(program: str, way: str, *, own: str = "", start: bool = True) -> AsyncIterator[Others]:
    """
    Yield his nginx, running, and the script beside it when that is the way.
    """
    async with house(program) as home:
        folder = home.state / "his"
        folder.mkdir(mode=0o755)
        if way == "mailbox":
            (home.state / "nginx" / "mailbox").mkdir(mode=0o700)
        found = Others(home=home, folder=folder, state=home.state, program=program, way=way, own=own)
        found.write()
        try:
            async with contextlib.AsyncExitStack() as stack:
                if start:
                    await found.start()
                if way == "mailbox":
                    await stack.enter_async_context(found.script())
                yield found
        finally:
            await found.stop()
