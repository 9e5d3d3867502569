"""
The admin socket: a real one, with the loop of a simulated world behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.ca import REFUSED
from tests.support.clock import START
from tests.support.quick_clock import QuickClock
from tests.support.recorder import Recorder
from tests.world import DAY, World, inhabited

from gatelodge.api import client
from gatelodge.api.health import is_alive
from gatelodge.api.routes import Desk
from gatelodge.api.server import Server
from gatelodge.errors import StateLocked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gatelodge.ports import Events

A, B = "a.example.com", "b.example.com"
STATE = "/state"


def door(*paths: str) -> client.Door:
    """
    Return the way to the daemon of these tests.
    """
    return client.Door(state_directory=STATE, paths=paths)


@pytest.fixture
def folder() -> Iterator[Path]:
    """
    A folder with a path short enough for a socket (108 bytes, unix(7)).
    """
    with tempfile.TemporaryDirectory(prefix="gl-") as name:
        yield Path(name)


def mode(path: str) -> int | None:
    """
    Return a file's mode, None when it is not there.
    """
    found = Path(path)
    return stat.S_IMODE(found.stat().st_mode) if found.exists() else None


def serving(
    paths: tuple[str, ...], world: World, *, events: Events | None = None, state_directory: str = STATE
) -> contextlib.AbstractAsyncContextManager[None]:
    """
    Serve a world's daemon at these paths.
    """
    desk = Desk(
        state_directory=state_directory,
        reconciler=world.reconciler,
        clock=world.clock,
        events=events or world.events,
        began_at=START,
    )
    return Server(desk, paths=paths).serving()


class Served:
    """
    A world, and the socket that its daemon is asked through.
    """

    def __init__(self, world: World, path: str) -> None:
        self.world = world
        self.path = path

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """
        Ask as the command line does.
        """
        return await asyncio.to_thread(client.call, door(self.path), method, path, body, timeout=20)

    async def send(self, raw: bytes) -> tuple[int, dict[str, Any]]:
        """
        Send bytes that no client of ours would send.
        """
        reader, writer = await asyncio.open_unix_connection(self.path)
        try:
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            return int(head.split()[1]), json.loads(await reader.readexactly(length))
        finally:
            writer.close()
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def served(folder: Path, *hosts: str) -> AsyncIterator[Served]:
    """
    A daemon that has lived for a day and answers on a socket. Orders take no time, since none passes here.
    """
    path = str(folder / "run" / "admin.sock")
    async with inhabited(*hosts, seconds=0) as world:
        await world.live(DAY)
        async with serving((path,), world):
            yield Served(world, path)


async def test_status_tells_how_things_stand(folder: Path) -> None:
    """
    Sites, certificates and nginx, as a JSON object.
    """
    async with served(folder, A, B) as house:
        code, document = await house.ask("GET", "/v1/status")

        assert code == 200
        assert {site["site"]: site["state"] for site in document["sites"]} == {A: "serving", B: "serving"}
        assert {each["certificate"]: each["state"] for each in document["certificates"]} == {A: "valid", B: "valid"}
        assert document["nginx"]["proven"] is True
        assert document["settled"] is True
        assert "PRIVATE KEY" not in json.dumps(document)


async def test_once_ends_when_nothing_is_left_to_do(folder: Path) -> None:
    """
    Good news is ok; a name that cannot be had is not, and is named with its reason.
    """
    async with served(folder, A) as house:
        code, document = await house.ask("POST", "/v1/once", {})

        assert (code, document["ok"]) == (200, True)

        house.world.ca.refuses[B] = REFUSED
        house.world.use(A, B)
        code, document = await house.ask("POST", "/v1/once", {})
        failed = next(each for each in document["certificates"] if each["certificate"] == B)

        assert (code, document["ok"]) == (200, False)
        assert failed["failure"]["error.type"] == REFUSED.type


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"certificate": A}, "is not due before"),
        ({"certificate": "a.exmple.com"}, f"did you mean {A}?"),
        ({"certificate": "gatelodge.invalidd"}, "there are: a.example.com"),
        ({"certificate": A, "force": "yes"}, "is not due before"),
    ],
)
async def test_a_renewal_that_is_refused(folder: Path, body: dict[str, Any], said: str) -> None:
    """
    What is not due, or not known, is said no to, with what to do; the CA is not asked.
    """
    async with served(folder, A) as house:
        code, document = await house.ask("POST", "/v1/renew", body)

        assert (code, document["ok"]) == (409, False)
        assert said in document["message"]
        assert len(house.world.ca.asked) == 1


async def test_a_renewal_by_force_and_by_host(folder: Path) -> None:
    """
    The answer comes when visitors are shown the new certificate; a host's name stands for the certificate that serves it.
    """
    async with served(folder, A) as house:
        house.world.use(A, more=f'"{B}" = {{ upstream = "http://127.0.0.1:1", hosts = ["www.example.com"] }}')
        await house.world.live(DAY)
        code, document = await house.ask("POST", "/v1/renew", {"certificate": "www.example.com", "force": True})
        shown = house.world.served(B)

        assert (code, document["ok"], document["served"], document["certificate"]) == (200, True, True, B)
        assert shown is not None
        assert shown.serial == document["serial"]


async def test_a_renewal_that_fails_is_told_in_the_cas_words(folder: Path) -> None:
    """
    The problem comes back as it is, and may be tried again without force.
    """
    async with served(folder, A) as house:
        house.world.ca.refuses[A] = REFUSED
        code, document = await house.ask("POST", "/v1/renew", {"certificate": A, "force": True})

        assert (code, document["ok"]) == (409, False)
        assert REFUSED.detail in document["message"]

        del house.world.ca.refuses[A]
        code, document = await house.ask("POST", "/v1/renew", {"certificate": A})

        assert (code, document["ok"]) == (200, True)


async def test_a_renewal_by_its_path(folder: Path) -> None:
    """
    The NAME stands in the path, dots and all; the body may say that it is to be forced, or be left out.
    """
    async with served(folder, A) as house:
        refused = await house.ask("POST", f"/v1/certificates/{A}/renew")
        unknown = await house.ask("POST", "/v1/certificates/wildcard.exmple.com/renew", {})
        code, document = await house.ask("POST", f"/v1/certificates/{A}/renew", {"force": True})

        assert (refused[0], refused[1]["ok"]) == (409, False)
        assert "is not due before" in refused[1]["message"]
        assert (unknown[0], unknown[1]["ok"]) == (404, False)
        assert (code, document["ok"], document["certificate"]) == (200, True, A)
        assert len(house.world.ca.asked) == 2


async def test_what_is_being_done_is_told_as_it_is_now(folder: Path) -> None:
    """
    Each job with its step, although nobody looked anew since the step before.
    """
    over = asyncio.Event()

    async def work() -> None:
        await over.wait()

    async with served(folder, A) as house:
        assert (await house.ask("GET", "/v1/jobs"))[1]["jobs"] == []

        reconciler = house.world.reconciler
        assert reconciler.latest is not None
        assert reconciler._jobs is not None
        reconciler._jobs.start(f"certificate:{A}", reconciler.latest.gate.desired.certificates[A].digest, work)
        for step in ("ordering", "waiting for the CA"):
            reconciler._jobs.step(f"certificate:{A}", step)
            code, document = await house.ask("GET", "/v1/jobs")
            status = (await house.ask("GET", "/v1/status"))[1]

            assert code == 200
            assert [(each["job"], each["step"]) for each in document["jobs"]] == [(f"certificate:{A}", step)]
            assert status["certificates"][0]["doing"]["step"] == step
        over.set()


async def test_what_would_be_done(folder: Path) -> None:
    """
    Nothing, until somebody wants something; then the actions, what follows, and how nginx's files change.
    """
    async with served(folder, A) as house:
        idle = (await house.ask("GET", "/v1/plan"))[1]
        house.world.reconciler.gate = house.world.configured(A, B)
        code, document = await house.ask("GET", "/v1/plan")

        assert (idle["actions"], idle["follows"]) == ([], [])
        assert code == 200
        assert any(B in action for action in document["actions"])
        assert f"+++ b/sites/{B}.conf" in document["diff"]
        assert len(house.world.ca.asked) == 1


async def test_ready_is_who_serves(folder: Path) -> None:
    """
    With every certificate: what is missing is named, with the reason.
    """
    async with served(folder, A) as house:
        ready = await house.ask("GET", "/readyz")
        house.world.ca.refuses[B] = REFUSED
        house.world.use(A, B)
        await house.ask("POST", "/v1/once", {})
        code, document = await house.ask("GET", "/readyz")

        assert ready == (200, {"ok": True, "reasons": []})
        assert (code, document["ok"]) == (503, False)
        assert [(each["certificate"], each["state"]) for each in document["reasons"]] == [(B, "placeholder")]
        assert REFUSED.detail in document["reasons"][0]["detail"]


async def test_alive_is_whose_loop_ends_its_passes(folder: Path) -> None:
    """
    One that had no reason to pass for long is asked to, and does; one that hangs is not alive, however long it is waited for.
    """
    async with served(folder, A) as house:
        loop = house.world.reconciler
        fresh = await house.ask("GET", "/healthz")
        before = loop.passed_at
        house.world.clock.jump(house.world.clock.monotonic() + 3600)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(house.ask("GET", "/healthz"))
            while not asking.done():
                await house.world.clock.advance(0.01)
                await asyncio.sleep(0.01)

        assert fresh == asking.result() == (200, {"ok": True})
        assert loop.passed_at > before


async def test_a_loop_that_hangs_is_not_alive() -> None:
    """
    A pass may take minutes, and no longer; one that does not come although it was asked for is none.
    """
    clock = QuickClock()

    class Loop:
        passed_at = 0.0
        began_at: float | None = None

        def wake(self) -> None:
            """
            Do nothing, as who hangs.
            """

    loop: Any = Loop()
    clock.elapsed = 100.0

    assert not await is_alive(loop, clock)

    loop.began_at = clock.elapsed - 200

    assert await is_alive(loop, clock)

    loop.began_at = clock.elapsed - 400

    assert not await is_alive(loop, clock)


async def test_forgetting(folder: Path) -> None:
    """
    What is asked for stays; what is not can go; what is unknown is said to be.
    """
    async with served(folder, A, B) as house:
        assert (await house.ask("POST", "/v1/forget", {"certificate": B}))[1]["ok"] is False

        house.world.use(A)
        await house.world.live(DAY)
        code, document = await house.ask("POST", "/v1/forget", {"certificate": B})

        assert (code, document["message"]) == (200, f"{B} is deleted")

        code, document = await house.ask("POST", "/v1/forget", {"certificate": B})

        assert code == 409
        assert "no unused certificate is called" in document["message"]


@pytest.mark.parametrize("body", [{}, {"certificate": None}, {"certificate": 7}])
@pytest.mark.parametrize("wish", ["renew", "revoke", "forget"])
async def test_a_wish_for_no_certificate(folder: Path, wish: str, body: dict[str, Any]) -> None:
    """
    It is the request that is wrong, not a name.
    """
    async with served(folder, A) as house:
        code, document = await house.ask("POST", f"/v1/{wish}", {"reason": "superseded", **body})

        assert code == 400
        assert "which `certificate`" in document["error"]


async def test_reloading(folder: Path) -> None:
    """
    A reload tells the generation that is served now, or why it is not.
    """
    async with served(folder, A) as house:
        code, document = await house.ask("POST", "/v1/reload", {})

        assert (code, document["ok"]) == (200, True)
        assert f"generation {document['generation']}" in document["message"]

        house.world.nginx.unproven = "nothing listens there"
        house.world.use(A, a="10.0.0.1")
        code, document = await house.ask("POST", "/v1/reload", {})

        assert (code, document["ok"]) == (409, False)
        assert "nothing listens there" in document["message"]


@pytest.mark.parametrize(
    ("head", "body", "code"),
    [
        ("POST /v1/renew", b"{nonsense", 400),
        ("POST /v1/renew", b"[]", 400),
        ("POST /v1/renew", b"\xff\xfe", 400),
        ("POST /v1/renew", b'{"certificate": "' + b"a" * 70_000 + b'"}', 413),
        ("GET /v1/renew", b"", 405),
        ("GET /v1/nothing", b"", 404),
        ("POST /", b"", 404),
    ],
)
async def test_what_makes_no_sense_is_refused_in_json(folder: Path, head: str, body: bytes, code: int) -> None:
    """
    Any answer is a JSON object that says what is wrong, and the daemon goes on.
    """
    async with served(folder, A) as house:
        raw = f"{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        found, document = await house.send(raw)

        assert found == code
        assert document["error"]
        assert (await house.ask("GET", "/v1/status"))[0] == 200


async def test_the_socket_is_for_root_and_the_group_and_goes_away(folder: Path) -> None:
    """
    0660 while it is served; nothing is left of it afterwards.
    """
    async with served(folder, A) as house:
        assert mode(house.path) == 0o660
    assert mode(house.path) is None


async def test_a_socket_that_a_killed_daemon_left_is_replaced(folder: Path) -> None:
    """
    A socket that nobody answers at stops nobody.
    """
    (folder / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "run" / "admin.sock"))
    async with served(folder, A) as house:
        assert (await house.ask("GET", "/v1/status"))[0] == 200


async def test_what_is_no_socket_of_ours_is_left_alone(folder: Path) -> None:
    """
    A file that somebody's configuration names by mistake keeps its content; the second place serves.
    """
    precious, second = folder / "precious.txt", str(folder / "second.sock")
    precious.write_text("precious")
    async with inhabited(A, seconds=0) as world:
        await world.live(DAY)
        events = Recorder()
        paths = (str(precious), second)
        async with serving(paths, world, events=events):
            code, _ = await asyncio.to_thread(client.call, door(*paths), "GET", "/v1/status")

    assert code == 200
    assert precious.read_text() == "precious"
    assert events.of("admin.unavailable")[0]["sockets"] == [second]


async def test_two_daemons_with_one_socket_keep_apart(folder: Path) -> None:
    """
    The second does not take the first one's socket away, and nobody's wish goes to the wrong daemon.
    """
    own = str(folder / "own.sock")
    async with served(folder, A) as first, inhabited(B, seconds=0) as world:
        await world.live(DAY)
        paths, other = (first.path, own), client.Door(state_directory="/other", paths=(first.path, own))
        async with serving(paths, world, events=Recorder(), state_directory="/other"):
            _, mine = await first.ask("GET", "/v1/status")
            _, others = await asyncio.to_thread(client.call, other, "GET", "/v1/status")

        assert [site["site"] for site in mine["sites"]] == [A]
        assert [site["site"] for site in others["sites"]] == [B]
        assert (await first.ask("GET", "/v1/status"))[0] == 200

        with pytest.raises(client.NotRunning):
            await asyncio.to_thread(client.call, other, "GET", "/v1/status")


async def test_where_the_first_path_cannot_be_the_second_is(folder: Path) -> None:
    """
    The client finds the daemon at whichever of its places it is.
    """
    (folder / "file").write_text("")
    paths = (str(folder / "file" / "admin.sock"), str(folder / "second.sock"))
    async with inhabited(A, seconds=0) as world:
        await world.live(DAY)
        events = Recorder()
        async with serving(paths, world, events=events):
            code, _ = await asyncio.to_thread(client.call, door(*paths), "GET", "/v1/status")

            assert code == 200
            assert events.of("admin.unavailable")[0]["sockets"] == [paths[1]]


async def test_a_daemon_without_a_socket_goes_on(folder: Path) -> None:
    """
    Where no socket can be made an event says where and why, and the gate is kept all the same.
    """
    (folder / "file").write_text("")
    events = Recorder()
    async with inhabited(A) as world:
        path = str(folder / "file" / "admin.sock")
        async with serving((path,), world, events=events):
            await world.live(DAY)

            assert world.good(A)
    assert path in str(events.of("admin.unavailable")[0]["error.detail"])


def test_nobody_there_is_said_with_what_to_do(folder: Path) -> None:
    """
    No socket, or one that nobody listens on.
    """
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "dead.sock"))
    with pytest.raises(client.NotRunning, match=r"dead\.sock.*gatelodge run"):
        client.call(door(str(folder / "none.sock"), str(folder / "dead.sock")), "GET", "/v1/status")


def test_without_a_daemon_the_work_is_done_alone(folder: Path) -> None:
    """
    Nobody answers: the caller does it; a lock that is held for a moment is waited for.
    """
    tries = []

    def alone() -> dict[str, Any]:
        tries.append(True)
        if len(tries) < 3:
            raise StateLocked("/state", "held by process 1", "stop it")
        return {"ok": True}

    assert client.call_or(alone, door(str(folder / "none.sock")), "/v1/reload", {}) == {"ok": True}
    assert len(tries) == 3
