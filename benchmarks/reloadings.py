"""
The gates that are reloaded, and how each is told to: ours by `gatelodge reload`'s request to the daemon, the hand-tuned nginx by SIGHUP,
Caddy by its admin API, as `caddy reload --force` asks it. Each has a certificate of its own that can be replaced, and a path for
websockets.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http
import http.client
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import gates
from benchmarks.measure import Failed

from gatelodge.api import client
from gatelodge.demo.ports import free_ports
from gatelodge.issuers import selfsigned
from gatelodge.model import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Lines of each gate's configuration: the path of the websockets.
_TOML = 'routes."/websocket/" = "http://127.0.0.1:{chat}"\n'

_TUNED = """\
        location /websocket/ {{
            proxy_pass http://127.0.0.1:{chat};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 1d;
        }}
"""

_CADDY = "    reverse_proxy /websocket/* 127.0.0.1:{chat}\n"

#: How long a reload may take.
LONGEST_SECONDS = 15.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reloading:
    """
    A gate, and what is done to it. `now` reloads it and returns once the new configuration is at work. `renew` stores another certificate and
    has it loaded; `link` then points at it, from the moment on that it is stored.
    """

    gate: gates.Gate
    now: Callable[[], None]
    renew: Callable[[], None]
    link: Path


@contextlib.contextmanager
def running(nginx: Path, folder: Path, chat: int) -> Iterator[list[Reloading]]:
    """
    Run the gates inside the context: the hand-tuned one first, Caddy where it is installed.

    Args:
        chat: the port of what speaks behind the websockets.
    """
    with contextlib.ExitStack() as stack:
        ours, place = stack.enter_context(gates.ours(nginx, folder, more=_TOML.format(chat=chat)))
        found = [_tuned(stack, place, chat), _ours(ours, folder)]
        if gates.installed(gates.CADDY):
            found.append(_caddy(stack, place, chat))
        yield found


def _ours(gate: gates.Gate, folder: Path) -> Reloading:
    door = client.Door(state_directory=f"{folder}/state", paths=(f"{folder}/admin.sock",))

    def ask(path: str, body: dict[str, Any]) -> None:
        code, answer = client.call(door, "POST", path, body, timeout=LONGEST_SECONDS)
        if code != http.HTTPStatus.OK:
            raise Failed(f"the daemon did not do it: {answer}")

    return Reloading(
        gate=gate,
        now=functools.partial(_until_new_workers, gate, functools.partial(ask, "/v1/reload", {})),
        renew=functools.partial(ask, "/v1/renew", {"certificate": "localhost", "force": True}),
        link=folder / "state" / "certificates" / "localhost" / "current",
    )


def _tuned(stack: contextlib.ExitStack, place: gates.Place, chat: int) -> Reloading:
    link = _own_certificate(place, "tuned-certificates")
    gate = stack.enter_context(
        gates.running(
            gates.HAND_TUNED,
            gates.hand_tuned(_TUNED.format(chat=chat)),
            dataclasses.replace(place, certificate=link),
        )
    )

    def ask() -> None:
        os.kill(gate.pid(), signal.SIGHUP)

    return Reloading(
        gate=gate,
        now=functools.partial(_until_new_workers, gate, ask),
        renew=functools.partial(_replace, link, ask),
        link=link,
    )


def _caddy(stack: contextlib.ExitStack, place: gates.Place, chat: int) -> Reloading:
    link = _own_certificate(place, "caddy-certificates")
    (admin,) = free_ports(1)
    gate = stack.enter_context(
        gates.running(
            gates.CADDY,
            gates.caddy(_CADDY.format(chat=chat), admin=f"127.0.0.1:{admin}"),
            dataclasses.replace(place, certificate=link),
        )
    )

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=LONGEST_SECONDS)
        with contextlib.closing(connection):
            headers = {"Content-Type": "text/caddyfile", "Cache-Control": "must-revalidate"}
            connection.request("POST", "/load", (place.folder / gates.CADDYFILE).read_bytes(), headers)
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise Failed(f"Caddy did not reload: {answer.read()!r}")

    return Reloading(gate=gate, now=ask, renew=functools.partial(_replace, link, ask), link=link)


def _own_certificate(place: gates.Place, name: str) -> Path:
    """
    Make a folder of certificates, with the common one as the first. Returns the link to the current one.
    """
    folder = place.folder / name
    folder.mkdir()
    (folder / "current").symlink_to(place.certificate)
    return folder / "current"


def _replace(link: Path, ask: Callable[[], None]) -> None:
    """
    Store another certificate for localhost, let a link point at it, and ask for a reload.
    """
    issued = selfsigned.make([Name("localhost")])
    version = link.parent / str(len(list(link.parent.iterdir())))
    version.mkdir()
    (version / "fullchain.pem").write_text(issued.chain)
    (version / "privkey.pem").write_text(issued.private_key.reveal())
    beside = link.parent / ".current"
    beside.symlink_to(version)
    beside.replace(link)
    ask()


def _until_new_workers(gate: gates.Gate, ask: Callable[[], None]) -> None:
    """
    Ask an nginx to reload, and return once new workers are there.

    Raises:
        Failed: none came.
    """
    before = _workers(gate)
    ask()
    deadline = time.monotonic() + LONGEST_SECONDS
    while not _workers(gate) - before:
        if time.monotonic() > deadline:
            raise Failed(f"{gate.name} did not reload")
        time.sleep(0.01)


def _workers(gate: gates.Gate) -> set[str]:
    master = gate.pid()
    return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())
