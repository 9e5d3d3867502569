"""
Tokens in a webroot, seen through nginx before the CA is told.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.quick_clock import QuickClock
from tests.support.waiting import until

from gatelodge.errors import HttpDisconnected, HttpUnreachable, IssuanceError
from gatelodge.model import Name
from gatelodge.ports import Challenge, HttpResponse
from gatelodge.solvers.http01 import DEADLINE, Webroot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ORIGIN = "http://127.0.0.1:8080"
FOLDER = Path(".well-known", "acme-challenge")
ONE = Challenge(name=Name("a.example"), token="tok-en_1", key_authorization="tok-en_1.thumb")
TWO = Challenge(name=Name("b.example"), token="tok-en_2", key_authorization="tok-en_2.thumb")


class Server:
    """
    Serves a webroot as nginx does, behind the `Http` port; or something else, when told to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[tuple[str, str]] = []
        self.first: list[HttpResponse | Exception] = []
        self.hang = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        assert (method, body) == ("GET", None)
        assert timeout <= DEADLINE
        self.asked.append((url, (headers or {})["Host"]))
        await asyncio.sleep(0)
        if self.hang:
            await asyncio.Event().wait()
        if self.first:
            answer = self.first.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        file = self.root / url.removeprefix(f"{ORIGIN}/")
        if not file.is_file():
            return answered(404)
        return answered(200, file.read_bytes() + b" \n")


def answered(status: int, body: bytes = b"", **headers: str) -> HttpResponse:
    """
    Make an answer.
    """
    return HttpResponse(status=status, headers={name: (value,) for name, value in headers.items()}, body=body)


class World:
    """
    A webroot that is not there yet, a server on it, a solver.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "state" / "webroot"
        self.clock = QuickClock()
        self.server = Server(self.root)
        self.solver = Webroot(directory=str(self.root), http=self.server, origin=f"{ORIGIN}/", clock=self.clock)

    def files(self) -> set[str]:
        folder = self.root / FOLDER
        return {each.name for each in folder.iterdir()} if folder.is_dir() else set()

    async def problem(self, *challenges: Challenge) -> tuple[str, str]:
        with pytest.raises(IssuanceError) as caught:
            async with self.solver.published(challenges):
                raise AssertionError("it was seen")
        return caught.value.problem.type, str(caught.value)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """
    A webroot that does not exist yet.
    """
    return World(tmp_path)


@pytest.fixture(params=[0o022, 0o077, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    Run under another umask.
    """
    before = os.umask(request.param)
    yield
    os.umask(before)


async def test_tokens_are_there_inside_and_gone_outside(world: World) -> None:
    """
    Each is fetched through the origin with its own name as Host; leaving removes exactly these files.
    """
    (world.root / FOLDER).mkdir(parents=True)
    (world.root / FOLDER / "not-ours").write_text("x")
    async with world.solver.published([ONE, TWO]):
        assert world.files() == {"tok-en_1", "tok-en_2", "not-ours"}
        assert (world.root / FOLDER / "tok-en_1").read_text() == "tok-en_1.thumb"
        assert sorted(world.server.asked) == [
            (f"{ORIGIN}/.well-known/acme-challenge/tok-en_1", "a.example"),
            (f"{ORIGIN}/.well-known/acme-challenge/tok-en_2", "b.example"),
        ]
    assert world.files() == {"not-ours"}
    assert world.solver.type == "http-01"


@pytest.mark.usefixtures("umask")
async def test_workers_can_read_whatever_the_umask(world: World) -> None:
    """
    The workers of nginx run as nobody: folders made here are 0755 and files 0644.
    """
    async with world.solver.published([ONE]):
        made = [world.root.parent, world.root, world.root / ".well-known", world.root / FOLDER]
        assert {stat.S_IMODE(each.stat().st_mode) for each in made} == {0o755}
        assert stat.S_IMODE((world.root / FOLDER / ONE.token).stat().st_mode) == 0o644


async def test_folders_that_are_there_keep_their_modes(world: World) -> None:
    """
    A webroot that somebody else made is theirs.
    """
    world.root.mkdir(parents=True)
    world.root.chmod(0o711)
    async with world.solver.published([ONE]):
        assert stat.S_IMODE(world.root.stat().st_mode) == 0o711


async def test_a_file_that_a_crash_left_is_replaced(world: World) -> None:
    """
    Token and temporary file alike; after that nothing of either is left.
    """
    (world.root / FOLDER).mkdir(parents=True)
    (world.root / FOLDER / ONE.token).write_text("old")
    (world.root / FOLDER / f".{ONE.token}.new").write_text("old")
    async with world.solver.published([ONE]):
        assert (world.root / FOLDER / ONE.token).read_text() == ONE.key_authorization
    assert world.files() == set()


async def test_a_shared_token_stays_until_the_last_is_done(world: World) -> None:
    """
    Two orders can share an authorization.
    """
    async with world.solver.published([ONE]):
        async with world.solver.published([ONE]):
            pass
        assert world.files() == {ONE.token}
    assert world.files() == set()


async def test_nginx_may_need_a_moment(world: World) -> None:
    """
    While it is being started or reloaded the look is repeated.
    """
    world.server.first = [
        HttpUnreachable("127.0.0.1 cannot be reached"),
        HttpDisconnected("127.0.0.1 ended the connection"),
        answered(404),
        answered(503),
    ]
    async with world.solver.published([ONE]):
        pass
    assert len(world.server.asked) == 5


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answered(404), ["answered 404"]),
        (answered(301, location="https://a.example/x"), ["answered 301 to 'https://a.example/x'"]),
        (answered(200, b"<html>"), ["something else than the token"]),
        (HttpUnreachable("127.0.0.1 cannot be reached: refused"), ["refused"]),
    ],
)
async def test_a_token_that_is_not_served_is_explained(
    world: World, answer: HttpResponse | Exception, words: list[str]
) -> None:
    """
    After some seconds: the URL, the name, what was answered and what to look at; and the file is gone.
    """
    world.server.first = [answer] * 100
    kind, text = await world.problem(ONE)
    assert kind == "selfCheck"
    for word in [*words, "a.example", f"{ORIGIN}/.well-known/acme-challenge/tok-en_1", str(world.root), "nginx"]:
        assert word in text
    assert DEADLINE <= world.clock.elapsed < 3 * DEADLINE
    assert world.files() == set()


async def test_every_name_that_is_not_served_is_told(world: World) -> None:
    """
    One look at the log is enough to mend all of them.
    """
    world.server.first = [answered(404)] * 100
    with pytest.raises(IssuanceError) as caught:
        async with world.solver.published([ONE, TWO]):
            pass
    assert [sub.identifier for sub in caught.value.problem.subproblems] == ["a.example", "b.example"]
    world.server.first = [answered(404)] * 100
    with pytest.raises(IssuanceError) as caught:
        async with world.solver.published([ONE]):
            pass
    assert [sub.identifier for sub in caught.value.problem.subproblems] == ["a.example"]
    assert str(caught.value).count("404") == 1


@pytest.mark.parametrize(
    ("name", "host"),
    [("2001:db8::1", "[2001:db8::1]"), ("192.0.2.1", "192.0.2.1"), ("a.example", "a.example")],
)
async def test_addresses_are_written_as_a_host(world: World, name: str, host: str) -> None:
    """
    An IPv6 address stands in brackets.
    """
    challenge = Challenge(name=Name(name), token="t", key_authorization="t.x")
    async with world.solver.published([challenge]):
        pass
    assert world.server.asked[0][1] == host


@pytest.mark.parametrize("token", ["../../../../etc/cron.d/x", "a/b", "", ".", "..", "a\0b", "a" * 300, "a\n", "é"])
async def test_a_lying_ca_writes_nowhere_else(world: World, token: str) -> None:
    """
    A token that is not base64url is refused before anything is written.
    """
    kind, text = await world.problem(Challenge(name=Name("a.example"), token=token, key_authorization="x"))
    assert (kind, "base64url" in text) == ("badAnswer", True)
    assert not world.root.exists() or world.files() == set()


@pytest.mark.parametrize("link", [".well-known", ".well-known/acme-challenge"])
async def test_links_are_not_followed_out_of_the_webroot(world: World, tmp_path: Path, link: str) -> None:
    """
    Where others can write into the webroot, a link of theirs does not lead us elsewhere.
    """
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "acme-challenge").mkdir(parents=True)
    place = world.root / link
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)
    kind, text = await world.problem(ONE)
    assert kind == "selfCheck"
    assert str(world.root) in text
    assert [each for each in elsewhere.rglob("*") if each.is_file()] == []


async def test_a_link_in_the_place_of_a_token_is_replaced(world: World, tmp_path: Path) -> None:
    """
    The file behind it is not touched.
    """
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (world.root / FOLDER).mkdir(parents=True)
    for name in (ONE.token, f".{ONE.token}.new"):
        (world.root / FOLDER / name).symlink_to(victim)
    async with world.solver.published([ONE]):
        assert not (world.root / FOLDER / ONE.token).is_symlink()
    assert victim.read_text() == "precious"


async def test_a_webroot_that_cannot_be_written_is_named(world: World) -> None:
    """
    With what to do.
    """
    world.root.parent.mkdir(parents=True)
    world.root.write_text("a file")
    kind, text = await world.problem(ONE)
    assert (kind, str(world.root) in text) == ("selfCheck", True)


async def test_a_failure_inside_removes_the_files(world: World) -> None:
    """
    Whatever happens to the order.
    """
    with pytest.raises(ZeroDivisionError):
        async with world.solver.published([ONE, TWO]):
            raise ZeroDivisionError
    assert world.files() == set()


@pytest.mark.parametrize("where", ["looking", "inside"])
async def test_cancelling_removes_the_files(world: World, where: str) -> None:
    """
    While looking, and while the CA checks.
    """
    world.server.hang = where == "looking"
    reached = asyncio.Event()

    async def run() -> None:
        async with world.solver.published([ONE, TWO]):
            reached.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        await until(lambda: reached.is_set() or (world.server.hang and len(world.server.asked) == 2))
        assert world.files() == {ONE.token, TWO.token}
        task.cancel()
    assert world.files() == set()


async def test_the_second_failing_to_be_written_removes_the_first(world: World) -> None:
    """
    All or nothing.
    """
    bad = Challenge(name=Name("b.example"), token="a/b", key_authorization="x")
    await world.problem(ONE, bad)
    assert world.files() == set()


async def test_old_tokens_of_a_killed_process_are_removed_once(world: World) -> None:
    """
    In a webroot of our own, at the first use: files named as tokens and a day old. Nothing else, and nothing later.
    """
    folder = world.root / FOLDER
    folder.mkdir(parents=True)
    now = world.clock.now().timestamp()
    for name in ("old", ".old-1.new", "young", ".hidden", "robots.txt"):
        (folder / name).write_text("x")
        os.utime(folder / name, (now, now - (3600 if name == "young" else 90_000)))
    (folder / "subfolder").mkdir()
    (folder / "link").symlink_to("robots.txt")
    for name in ("subfolder", "link"):
        os.utime(folder / name, (0, 0), follow_symlinks=False)
    kept = {"young", ".hidden", "robots.txt", "subfolder", "link"}
    solver = Webroot(directory=str(world.root), http=world.server, origin=ORIGIN, clock=world.clock, own=True)
    async with solver.published([ONE]):
        assert world.files() == kept | {ONE.token}
    (folder / "later").write_text("x")
    os.utime(folder / "later", (0, 0))
    async with solver.published([ONE]):
        pass
    assert world.files() == kept | {"later"}


async def test_tokens_are_swept_again_when_somebody_asks_for_it(world: World) -> None:
    """
    One that was a moment old at the first use is removed a day later, without another order.
    """
    folder = world.root / FOLDER
    folder.mkdir(parents=True)
    now = world.clock.now().timestamp()
    solver = Webroot(directory=str(world.root), http=world.server, origin=ORIGIN, clock=world.clock, own=True)
    async with solver.published([ONE]):
        (folder / "left").write_text("x")
        os.utime(folder / "left", (now, now))
    solver.sweep()
    assert world.files() == {"left"}
    os.utime(folder / "left", (now - 90_000, now - 90_000))
    solver.sweep()
    assert world.files() == set()


async def test_a_shared_webroot_is_not_swept(world: World) -> None:
    """
    Another client's tokens are named as ours are.
    """
    folder = world.root / FOLDER
    folder.mkdir(parents=True)
    (folder / "old").write_text("x")
    os.utime(folder / "old", (0, 0))
    async with world.solver.published([ONE]):
        pass
    world.solver.sweep()
    assert world.files() == {"old"}


async def test_where_a_redirect_leads_is_shown_harmlessly(world: World) -> None:
    """
    Whoever answers on that port does not reach the reader's terminal.
    """
    world.server.first = [answered(301, location="https://x/\x1b]0;owned\x07\udcff" + "y" * 9999)] * 100
    _, text = await world.problem(ONE)
    assert text.isprintable()
    assert len(text) < 2000
