"""
Set-ups as people write them (`tests/seeds`), taken to this machine: what it needs is replaced and nothing else; and those who
stand on both sides of the gate, the services behind it and a visitor who comes by the public address.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import os
import ssl
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import WSMsgType, web
from tests.support.waiting import until

from gatelodge.nginx import process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from tests.support.house import House

FOLDER = Path(__file__).parents[1] / "seeds"


@dataclasses.dataclass(kw_only=True)
class Seed:
    """
    A set-up: `written` is what its author wrote, `mapping` what this machine is to run.
    """

    written: dict[str, Any]
    mapping: dict[str, Any]

    def put(self, value: object, *path: str) -> None:
        """
        Replace the value of a key, or add one.
        """
        *tables, key = path
        table = self.mapping
        for each in tables:
            table = table.setdefault(each, {})
        table[key] = value

    def live_in(self, gate: House) -> None:
        """
        Move to the folder of a gate.
        """
        self.put(str(gate.state), "state_directory")
        self.put(str(gate.folder / "admin.sock"), "admin", "socket")

    def be_certified_by(self, gate: House) -> None:
        """
        Ask the CA of a gate.
        """
        self.put("pebble", "acme", "ca")
        self.put(gate.ca.directory, "acme", "cas", "pebble", "directory")
        self.put(gate.ca.root, "acme", "cas", "pebble", "root")

    def stand_at(self, gate: House) -> None:
        """
        Listen on a gate's ports; visitors still type 80 and 443, or nothing.
        """
        for kind, port, public in (("http", gate.http, 80), ("https", gate.https, 443)):
            self.put(port, "nginx", f"{kind}_port")
            self.put(public, "nginx", f"public_{kind}_port")

    @property
    def replaced(self) -> frozenset[str]:
        """
        Return the keys whose values are others than written, or are new.
        """
        before, after = dict(_leaves(self.written)), dict(_leaves(self.mapping))
        return frozenset(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))

    def save(self, file: Path) -> None:
        """
        Write what this machine is to run.
        """
        file.write_text("".join(f"{_word(key)} = {_value(value)}\n" for key, value in self.mapping.items()))
        assert tomllib.loads(file.read_text()) == self.mapping


def seed(name: str) -> Seed:
    """
    Read a set-up.
    """
    written = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return Seed(written=written, mapping=copy.deepcopy(written))


async def settled(gate: House, *, certificates: int) -> None:
    """
    Return once so many certificates were issued and every visitor is shown them.
    """
    await gate.saw("certificate.issued", times=certificates)
    await until((gate.folder / "admin.sock").exists)
    # Two may come one after the other, and nginx is not reloaded again so soon, unless it is asked for.
    code, out, err = await gate.gatelodge("reload")
    assert code == 0, (out, err)
    await until(lambda: _accepting(gate) <= os.sysconf("SC_NPROCESSORS_ONLN"))


def _accepting(gate: House) -> int:
    """
    Count the workers of nginx that take visitors: one for each processor, and for a moment those of the tree before.
    """
    master = process.find_master([gate.nginx_pid()], gate.state / "nginx" / "current" / "nginx.conf")
    assert master is not None, gate.said()
    return len(process.workers(master)) - process.draining(master)


def _leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        path = f"{above}{_word(key) if '.' in key or '/' in key else key}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _word(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


def _value(value: object) -> str:
    """
    Write a value of TOML in one line. What JSON makes of text, numbers and lists of them is TOML too.
    """
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "{ " + ", ".join(f"{_word(key)} = {_value(each)}" for key, each in value.items()) + " }"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A request as a service got it, with the number of bytes of its body.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    size: int = 0


@dataclasses.dataclass(kw_only=True)
class Service:
    """
    A service behind the gate: says its name, counts what is uploaded, and says everything twice on a websocket.
    """

    name: str
    port: int = 0
    seen: list[Request] = dataclasses.field(default_factory=list)

    def at(self, path: str = "") -> str:
        """
        Return its URL.
        """
        return f"http://127.0.0.1:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """
        Answer a request.
        """
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        self.seen.append(
            Request(method=request.method, target=request.raw_path, headers=request.headers.copy(), size=size)
        )
        socket = web.WebSocketResponse()
        if not socket.can_prepare(request):
            return web.Response(text=self.name)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(f"{self.name}: {message.data} {message.data}")
        return socket


@contextlib.asynccontextmanager
async def serving(*names: str) -> AsyncIterator[list[Service]]:
    """
    Run services of these names inside the context.
    """
    async with contextlib.AsyncExitStack() as stack:
        services = [Service(name=name) for name in names]
        for each in services:
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", each.answer)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            each.port = runner.addresses[0][1]
        yield services


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What a visitor got.
    """

    status: int
    location: str
    text: str


@dataclasses.dataclass(kw_only=True)
class Outside:
    """
    A visitor, and the way from the internet: every address leads to this machine, and each public port to the port behind it.
    """

    session: aiohttp.ClientSession
    ports: Mapping[int, int]
    tls: ssl.SSLContext

    async def ask(self, url: str, *, method: str = "GET", **more: Any) -> Answer:
        """
        Ask for what an address bar would hold. Redirects are not followed.

        Raises:
            aiohttp.ClientError: there was no answer, or the certificate is not trusted for that host.
        """
        async with self.session.request(
            method, self._through(url), allow_redirects=False, **self._as(url), **more
        ) as got:
            return Answer(status=got.status, location=got.headers.get("Location", ""), text=await got.text())

    async def say(self, url: str, word: str) -> str:
        """
        Open a websocket as a page of that host does, say a word, and return the answer.

        Raises:
            aiohttp.ClientError: no websocket came about, or the certificate is not trusted for that host.
        """
        origin = f"https://{url.split('/')[2]}"
        async with self.session.ws_connect(self._through(url), origin=origin, **self._as(url)) as socket:
            await socket.send_str(word)
            answer: str = await socket.receive_str(timeout=10)
            return answer

    def _through(self, url: str) -> str:
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        port = int(authority.partition(":")[2] or {"http": 80}.get(scheme, 443))
        return f"{scheme}://127.0.0.1:{self.ports[port]}{slash}{path}"

    def _as(self, url: str) -> dict[str, Any]:
        authority = url.split("/")[2]
        return {
            "headers": {"Host": authority},
            "server_hostname": authority.partition(":")[0] if not url.startswith("http:") else None,
            "ssl": self.tls,
        }


@contextlib.asynccontextmanager
async def outside(*, trusting: str, ports: Mapping[int, int]) -> AsyncIterator[Outside]:
    """
    Be a visitor inside the context.

    Args:
        trusting: the PEM text of the only root that is trusted.
        ports: the way of each public port.
    """
    connector = aiohttp.TCPConnector(force_close=True)  # each visit by a connection of its own
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield Outside(session=session, ports=ports, tls=ssl.create_default_context(cadata=trusting))
