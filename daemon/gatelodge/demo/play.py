"""
The play: two services that work and one that does not get certificates from a CA, are visited, and are renewed under load.

Everything is real: pebble validates over http-01 through nginx, the daemon is the program itself in a process of its own, and
what is told was seen from outside. It leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import ssl
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import aiohttp
from cryptography import x509

from gatelodge.demo import pebble, upstreams
from gatelodge.demo.ports import free_ports
from gatelodge.demo.visitor import Tally, Visitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_Seen = TypeVar("_Seen")

_DEADLINE = 60.0
_POLL = 0.02

WIKI, CHAT, DOWN = "wiki.example.test", "chat.example.test", "down.example.test"

_TOML = """\
state_directory = "{folder}/state"

[admin]
socket = "{folder}/admin.sock"

[acme]
agree_tos = true
ca = "pebble"

[acme.cas.pebble]
directory = "{pebble.directory}"
root = "{pebble.root}"

[nginx]
http_port = {http}
https_port = {https}
reload_interval = "1s"

[sites]
"wiki.example.test" = "http://127.0.0.1:{wiki}"
"down.example.test" = "http://127.0.0.1:{down}"

[sites."chat.example.test"]
upstream = "http://127.0.0.1:{wiki}"
routes."/websocket/" = {{ upstream = "http://127.0.0.1:{chat}/websocket/", timeout = "1d" }}
"""


@dataclasses.dataclass(slots=True)
class Result:
    """
    What was seen.
    """

    issued: int = 0
    seconds_to_placeholder: float | None = None
    seconds_to_issued: float | None = None
    page: bool = False
    only_the_dead_is_502: bool = False
    websocket: bool = False
    websocket_stayed_open: bool = False
    served_new_certificate: bool = False
    tally: Tally = dataclasses.field(default_factory=Tally)
    trouble: str | None = None

    @property
    def ok(self) -> bool:
        """
        True when everything was seen as it must be.
        """
        return (
            self.trouble is None
            and self.issued == len((WIKI, CHAT, DOWN))
            and self.seconds_to_placeholder is not None
            and self.page
            and self.only_the_dead_is_502
            and self.websocket
            and self.websocket_stayed_open
            and self.served_new_certificate
            and self.tally.requests > 0
            and self.tally.failed == 0
        )

    def document(self) -> dict[str, object]:
        """
        Return it as a JSON object.
        """
        found: dict[str, object] = {
            "ok": self.ok,
            "issued": self.issued,
            "seconds_to_placeholder": self.seconds_to_placeholder,
            "seconds_to_issued": self.seconds_to_issued,
            "requests": self.tally.requests,
            "retried_requests": self.tally.retried,
            "failed_requests": self.tally.failed,
            "websocket": self.websocket and self.websocket_stayed_open,
            "served_new_certificate": self.served_new_certificate,
        }
        return found if self.trouble is None else {**found, "trouble": self.trouble}


async def play(*, once: bool, say: Callable[[str], None]) -> Result:
    """
    Run the play and return what was seen. Without `once` it stays up until SIGINT or SIGTERM.
    """
    result = Result()
    with tempfile.TemporaryDirectory(prefix="gatelodge-demo-", ignore_cleanup_errors=True) as name:
        folder = _open_to_workers(Path(name))
        try:
            async with contextlib.AsyncExitStack() as stack:
                await _perform(folder, stack, result, once=once, say=say)
        except* (OSError, TimeoutError, RuntimeError, aiohttp.ClientError) as troubles:
            result.trouble = "; ".join(str(error) or type(error).__name__ for error in troubles.exceptions)
            say(f"It did not work: {result.trouble}")
            for line in _tail(folder / "daemon.log"):
                say(f"  daemon: {line}")
    return result


def _open_to_workers(folder: Path) -> Path:
    """
    Let everybody pass through: nginx's workers serve tokens from below, and are not root.
    """
    folder.chmod(0o755)
    return folder


async def _perform(
    folder: Path, stack: contextlib.AsyncExitStack, result: Result, *, once: bool, say: Callable[[str], None]
) -> None:
    http, https, wiki, chat, down = free_ports(5)
    ca = await stack.enter_async_context(pebble.running(folder, http_port=http))
    say(f"pebble, an ACME test CA, runs at {ca.directory}. It refuses 5 % of nonces, as it does by default.")
    await stack.enter_async_context(upstreams.running(wiki_port=wiki, chat_port=chat))
    say(f"A wiki answers at :{wiki}, a chat's websocket at :{chat}, and nothing at :{down}.")
    config = folder / "gatelodge.toml"
    config.write_text(_TOML.format(folder=folder, pebble=ca, http=http, https=https, wiki=wiki, chat=chat, down=down))
    say(f"The configuration, {config}:\n")
    say("".join(f"    {line}\n" for line in config.read_text().splitlines()))
    visitor = Visitor(port=https)

    os.kill(ca.pid, signal.SIGSTOP)
    say("The CA is held still for a moment, to show that nobody waits for it. Gatelodge starts.")
    began = time.monotonic()
    await stack.enter_async_context(_daemon(folder, config))
    for host in (WIKI, CHAT, DOWN):
        await _until(_placeholder, visitor, host, what=f"a placeholder for {host}")
    result.seconds_to_placeholder = _since(began)
    say(f"{result.seconds_to_placeholder} s: nginx serves all three with a placeholder. The CA may go on.")
    os.kill(ca.pid, signal.SIGCONT)

    visitor = visitor.trusting(await _root(ca))
    (folder / "root.pem").write_text(visitor.root or "")
    for host in (WIKI, CHAT, DOWN):
        await _until(_trusted, visitor, host, what=f"a certificate for {host}")
        result.issued += 1
    result.seconds_to_issued = _since(began)
    say(f"{result.seconds_to_issued} s: three certificates are issued by http-01, and served.")

    await _visit(visitor, result, say)
    await _renew_under_load(config, visitor, result, say)
    say("All as it must be." if result.ok else "Something was not as it must be.")
    if not once:
        await _stay(folder, config, https, say)


async def _visit(visitor: Visitor, result: Result, say: Callable[[str], None]) -> None:
    status, body = await asyncio.to_thread(visitor.get, WIKI)
    result.page = status == 200 and upstreams.GREETING in body.decode()  # noqa: PLR2004 - HTTP's own numbers
    say(f"https://{WIKI}:{visitor.port}/ answers {status}, verified against the CA's root: {body.decode()}")
    statuses = {host: (await asyncio.to_thread(visitor.get, host))[0] for host in (WIKI, CHAT, DOWN)}
    result.only_the_dead_is_502 = statuses == {WIKI: 200, CHAT: 200, DOWN: 502}
    say(f"The dead service is a 502, and only that one: {statuses}")


async def _renew_under_load(config: Path, visitor: Visitor, result: Result, say: Callable[[str], None]) -> None:
    before = _serial(await asyncio.to_thread(visitor.certificate, WIKI))
    async with _websocket(visitor) as echo:
        result.websocket = await echo("before the renewal")
        say(f"wss://{CHAT}:{visitor.port}/websocket/ echoes: {result.websocket}")
        stop = threading.Event()
        asking = asyncio.get_running_loop().run_in_executor(None, visitor.keep_asking, WIKI, stop)
        say(f"While a client asks as fast as it can: gatelodge renew {WIKI} --force")
        try:
            said = await _gatelodge("renew", "-c", str(config), WIKI, "--force")
            say(f"  {said}")
            await _until(_shows_another, visitor, before, what="the new certificate")
            result.served_new_certificate = True
            await asyncio.sleep(0.5)  # the client goes on for a moment on the new workers
        finally:
            stop.set()
            result.tally = await asking
        result.websocket_stayed_open = await echo("after the renewal")
    after = _serial(await asyncio.to_thread(visitor.certificate, WIKI))
    tally = result.tally
    say(
        f"Serial {before:x} became {after:x}. {tally.requests} requests meanwhile, {tally.retried} of them repeated on a new "
        f"connection, {tally.failed} failed{': ' if tally.failures else ''}{'; '.join(tally.failures[:3])}. "
        f"The websocket stayed open: {result.websocket_stayed_open}."
    )


async def _stay(folder: Path, config: Path, https: int, say: Callable[[str], None]) -> None:
    say("\nIt stays up until Ctrl-C. Look at it from another terminal:")
    say(f"  curl --cacert {folder}/root.pem --resolve {WIKI}:{https}:127.0.0.1 https://{WIKI}:{https}/")
    say(f"  {sys.executable} -m gatelodge status -c {config}")
    say(f"  {sys.executable} -m gatelodge events -f -c {config}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


@contextlib.asynccontextmanager
async def _daemon(folder: Path, config: Path) -> AsyncIterator[None]:
    with (folder / "daemon.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gatelodge", "run", "-c", str(config), stdin=asyncio.subprocess.DEVNULL, stderr=log
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _gatelodge(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gatelodge", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode().strip()


@contextlib.asynccontextmanager
async def _websocket(visitor: Visitor) -> AsyncIterator[Callable[[str], Awaitable[bool]]]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"wss://127.0.0.1:{visitor.port}/websocket/",
            ssl=visitor.tls(),
            server_hostname=CHAT,
            headers={"Host": f"{CHAT}:{visitor.port}"},
        ) as socket,
    ):

        async def echo(text: str) -> bool:
            try:
                await socket.send_str(text)
                return await socket.receive_str(timeout=5) == text
            except (aiohttp.ClientError, OSError, TypeError, TimeoutError):
                return False

        yield echo


async def _root(ca: pebble.Pebble) -> str:
    tls = ssl.create_default_context(cafile=ca.root)
    async with aiohttp.ClientSession() as session, session.get(f"{ca.management}/roots/0", ssl=tls) as answer:
        return await answer.text()


async def _until(seen: Callable[[Visitor, _Seen], bool], visitor: Visitor, subject: _Seen, *, what: str) -> None:
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if await asyncio.to_thread(seen, visitor, subject):
                return
        await asyncio.sleep(_POLL)
    raise TimeoutError(f"{what} was not seen within {_DEADLINE:.0f} s")


def _placeholder(visitor: Visitor, host: str) -> bool:
    leaf = x509.load_der_x509_certificate(visitor.certificate(host))
    return leaf.issuer == leaf.subject


def _trusted(visitor: Visitor, host: str) -> bool:
    visitor.get(host)
    return True


def _shows_another(visitor: Visitor, serial: int) -> bool:
    return _serial(visitor.certificate(WIKI)) != serial


def _serial(der: bytes) -> int:
    return x509.load_der_x509_certificate(der).serial_number


def _since(began: float) -> float:
    return round(time.monotonic() - began, 2)


def _tail(log: Path) -> list[str]:
    return log.read_text().splitlines()[-15:] if log.exists() else []
