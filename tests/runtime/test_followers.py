"""
Whoever is told of events: messages and hooks over restarts, crashes, dead services and changed configurations.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import START, FakeClock
from tests.support.notifier import FakeNotifier
from tests.support.waiting import until

from gatelodge.core.desired import Desired
from gatelodge.errors import StateError
from gatelodge.model import Hook, JsonObject, NginxSettings, Notify, Secret, SecretRef
from gatelodge.runtime.events.files import read
from gatelodge.runtime.events.log import EventLog
from gatelodge.runtime.outbox.followers import Followers
from gatelodge.runtime.outbox.hooks import PLACES
from gatelodge.runtime.outbox.messages import BOXES
from gatelodge.stores.memory import MemoryDocuments

PHONE = Notify(name="phone", url=SecretRef(literal=Secret("json://x")))
HOUR = 3600.0


@dataclasses.dataclass
class Desk:
    """
    A log, what is written down, and a daemon that is begun anew as often as a test likes.
    """

    folder: Path
    clock: FakeClock
    documents: MemoryDocuments
    notifier: FakeNotifier
    desired: Desired

    def __post_init__(self) -> None:
        with (self.folder / "stderr").open("w") as stream:
            self.log = EventLog(directory=str(self.folder), clock=self.clock, stream=stream)
        self.followers = self.made()

    def made(self) -> Followers:
        return Followers(
            directory=str(self.folder),
            documents=self.documents,
            clock=self.clock,
            events=self.log,
            spread=lambda: 0.0,
            notifier=lambda _: self.notifier,
            host="gate1",
        )

    def wants(self, *targets: Notify | Hook) -> None:
        self.desired = dataclasses.replace(
            self.desired,
            notify=tuple(each for each in targets if isinstance(each, Notify)),
            hooks=tuple(each for each in targets if isinstance(each, Hook)),
        )

    async def begin(self) -> None:
        """
        Start a daemon that knows nothing but what is written down.
        """
        self.followers = self.made()
        await self.followers.begin(self.desired)

    async def live(self, seconds: float) -> None:
        """
        Let the daemon run for so long, and die.
        """
        task = asyncio.get_running_loop().create_task(self.followers.run(lambda: self.desired))
        await until(lambda: self.clock.sleeping)
        await self.clock.advance(seconds)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()

    async def ran(self, path: Path, times: int) -> list[str]:
        """
        Wait until a hook has written so many lines, with time that passes, and return them.
        """
        task = asyncio.get_running_loop().create_task(self.followers.run(lambda: self.desired))

        async def there() -> bool:
            await self.clock.advance(1)
            return len(lines(path)) >= times

        try:
            await until(there)
        finally:
            task.cancel()
            await asyncio.wait([task])
        return lines(path)

    def fail(self, name: str = "wiki.example.com", kind: str = "unreachable") -> None:
        """
        Tell that a certificate failed.
        """
        self.log.emit(
            "certificate.failed", level="error", certificate=name, names=[name], error__type=kind, error__detail=f"{kind}: no"
        )  # fmt: skip

    def told(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in read(str(self.folder)) if entry["event"] == event]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """
    A desk with one phone.
    """
    nothing = Desired(certificates={}, sites=(), nginx=NginxSettings(), state_directory=str(tmp_path), webroot="/w", notify=(PHONE,))  # fmt: skip
    return Desk(tmp_path, FakeClock(), MemoryDocuments(), FakeNotifier(), nothing)


def lines(path: Path) -> list[str]:
    """
    Return the lines of a file, none when it is not there.
    """
    return path.read_text().splitlines() if path.exists() else []


def hook(desk: Desk, script: str, *events: str, **more: dt.timedelta) -> Hook:
    """
    A hook with a shell script, which may write to `$OUT`.
    """
    program = desk.folder / "program"
    program.write_text(f"#!/bin/sh\nOUT={desk.folder}/out\n{script}\n")
    program.chmod(0o755)
    return Hook(name="copy", events=events or ("certificate.*",), command=(str(program), "an argument"), **more)


async def test_what_fails_is_told_once_and_its_end_once(desk: Desk) -> None:
    """
    However often it is tried, and over restarts and deaths of the daemon.
    """
    await desk.begin()
    for _ in range(5):
        desk.fail()
        await desk.live(HOUR)
        await desk.begin()
    assert desk.notifier.titles == ["gate1: no new certificate for wiki.example.com"]

    for _ in range(2):
        desk.log.emit("certificate.renewed", certificate="wiki.example.com", not_after="2026-04-01T00:00:00+00:00")
        await desk.live(HOUR)
        await desk.begin()
    assert desk.notifier.titles[1:] == ["gate1: wiki.example.com has a new certificate again"]


async def test_what_happened_while_nobody_looked_is_told(desk: Desk) -> None:
    """
    The daemon died before it was said: nothing is lost.
    """
    await desk.begin()
    desk.fail()
    await desk.begin()
    await desk.live(120)

    assert len(desk.notifier.titles) == 1


async def test_a_new_target_hears_no_old_news(desk: Desk) -> None:
    """
    It begins with what happens from then on, also when it comes with a changed configuration.
    """
    desk.wants()
    await desk.begin()
    desk.fail("old.example.com")
    desk.wants(PHONE)
    await desk.live(120)
    desk.fail("new.example.com")
    await desk.begin()
    await desk.live(120)

    assert desk.notifier.titles == ["gate1: no new certificate for new.example.com"]


async def test_a_flood_is_one_message(desk: Desk) -> None:
    """
    Three hundred certificates whose CA is down.
    """
    await desk.begin()
    for number in range(300):
        desk.fail(f"site{number}.example.com")
    await desk.live(HOUR)

    assert desk.notifier.titles == ["gate1: no new certificates for 300 names"]


async def test_a_service_that_is_down_gets_it_later(desk: Desk) -> None:
    """
    One warning is told, not one for each try; the message comes when the service is back, over a restart too.
    """
    desk.notifier.broken = True
    await desk.begin()
    desk.fail()
    await desk.live(4 * HOUR)
    assert 5 <= desk.notifier.tries <= 12
    (warned,) = desk.told("notify.failed")
    assert (warned["level"], warned["target"], warned["error.detail"]) == ("warning", "phone", "it is broken")

    await desk.begin()
    desk.notifier.broken = False
    await desk.live(2 * HOUR)
    assert len(desk.notifier.titles) == 1


async def test_a_service_that_stays_down_is_given_up(desk: Desk) -> None:
    """
    With an event; what happens afterwards is told when it is back.
    """
    desk.notifier.broken = True
    await desk.begin()
    desk.fail()
    await desk.live(20 * HOUR)
    assert [entry["level"] for entry in desk.told("notify.failed")] == ["warning", "error"]

    desk.notifier.broken = False
    desk.fail("shop.example.com")
    await desk.begin()
    await desk.live(HOUR)
    assert desk.notifier.titles == ["gate1: no new certificate for shop.example.com"]


async def test_after_a_long_stop_old_news_is_summed_up(desk: Desk) -> None:
    """
    In one message with what is new.
    """
    await desk.begin()
    desk.fail("old.example.com")
    desk.clock.jump(72 * HOUR)
    desk.fail("new.example.com")
    await desk.begin()
    await desk.live(120)

    assert desk.notifier.titles == ["gate1: no new certificate for new.example.com"]
    assert "Not told before, since 2026-01-01" in desk.notifier.texts[0]


class Unwritable(MemoryDocuments):
    """
    Nothing can be written down, until it can.
    """

    def __init__(self) -> None:
        super().__init__()
        self.full = True

    async def put(self, kind: str, key: str, document: JsonObject) -> None:
        if self.full:
            raise StateError("/state", "the disk is full", "make room there")
        await super().put(kind, key, document)


async def test_a_place_that_cannot_be_written_is_told_once_a_minute(desk: Desk) -> None:
    """
    It is not told at each look, and taken up when it can be.
    """
    desk.documents = documents = Unwritable()
    await desk.begin()
    await desk.live(50)
    assert len(desk.told("state.failed")) == 1

    documents.full = False
    desk.followers = desk.made()
    await desk.followers.begin(desk.desired)
    desk.fail()
    await desk.live(HOUR)
    assert len(desk.notifier.titles) == 1


async def test_what_is_written_down_and_makes_no_sense(desk: Desk) -> None:
    """
    Is begun anew; nothing breaks.
    """
    await desk.documents.put(BOXES, "phone", {"after": "x"})
    await desk.documents.put(PLACES, "copy", {"after": None})
    desk.wants(PHONE, hook(desk, "cat >>$OUT"))
    await desk.begin()
    desk.fail()

    assert len(await desk.ran(desk.folder / "out", 1)) == 1


async def test_a_hook_gets_events_in_order(desk: Desk) -> None:
    """
    Each on standard input, those that it is for and no other, with a few variables and nothing of the daemon's.
    """
    desk.wants(hook(desk, 'cat >>$OUT; echo "$GATELODGE_EVENT $GATELODGE_CERTIFICATE $GATELODGE_NAMES $GATELODGE_DIRECTORY $1 ${PYTEST_CURRENT_TEST-unset}" >>$OUT'))  # fmt: skip
    await desk.begin()
    for number in range(3):
        desk.fail(f"site{number}.example.com")
        desk.log.emit("nginx.started")
    found = await desk.ran(desk.folder / "out", 6)

    assert [json.loads(line)["certificate"] for line in found[::2]] == [
        f"site{number}.example.com" for number in range(3)
    ]
    assert found[1] == f"certificate.failed site0.example.com site0.example.com {desk.folder}/certificates/site0.example.com/current an argument unset"  # fmt: skip


async def test_a_hook_that_fails_is_told_and_not_run_again(desk: Desk) -> None:
    """
    With the last that it said; for its own failure no hook is run, not even one for everything.
    """
    desk.wants(hook(desk, "echo once >>$OUT; echo secret; echo it is broken >&2; exit 7", "*"))
    await desk.begin()
    desk.fail()
    await desk.followers.drain()
    await desk.begin()
    await desk.live(5)
    (failed,) = desk.told("hook.failed")

    assert "ended with 7: it is broken" in failed["error.detail"]
    assert (failed["hook"], failed["told"], failed["event_id"]) == ("copy", "certificate.failed", 1)
    assert "secret" not in json.dumps(failed)
    assert (desk.folder / "out").read_text() == "once\n"


async def test_a_hook_that_hangs_is_killed_with_its_children(desk: Desk) -> None:
    """
    At its timeout; the next event has its turn.
    """
    script = "echo begun >>$OUT; sleep 300 & echo $! >>$OUT.pids; sleep 300"
    desk.wants(hook(desk, script, timeout=dt.timedelta(seconds=1)))
    await desk.begin()
    desk.fail()
    desk.fail("shop.example.com")
    await desk.ran(desk.folder / "out", 2)
    pids = (desk.folder / "out.pids").read_text().split()

    await until(lambda: not any(map(_lives, pids)))
    assert "did not end within 1 s and was killed" in desk.told("hook.failed")[0]["error.detail"]


def _lives(pid: str) -> bool:
    """
    Tell whether a process runs, as against one that nobody has waited for.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


async def test_a_daemon_that_dies_while_a_hook_runs_runs_it_again(desk: Desk) -> None:
    """
    What had ended before is not run again.
    """
    desk.wants(hook(desk, "echo $GATELODGE_CERTIFICATE >>$OUT; test -e $OUT.go || { test $GATELODGE_CERTIFICATE = a || sleep 300; }"))  # fmt: skip
    await desk.begin()
    for name in ("a", "b", "c"):
        desk.fail(name)
    assert await desk.ran(desk.folder / "out", 2) == ["a", "b"]

    (desk.folder / "out.go").touch()
    await desk.begin()
    assert await desk.ran(desk.folder / "out", 4) == ["a", "b", "b", "c"]


async def test_a_changed_hook_goes_on_where_it_was(desk: Desk) -> None:
    """
    Another program under the same name gets what comes next, and nothing twice.
    """
    first = hook(desk, "echo first $GATELODGE_CERTIFICATE >>$OUT")
    desk.wants(first)
    await desk.begin()
    desk.fail("a")
    await desk.followers.drain()
    desk.wants(dataclasses.replace(first, command=(first.command[0], "another")))
    desk.fail("b")

    assert await desk.ran(desk.folder / "out", 2) == ["first a", "first b"]


async def test_the_end_of_one_pass_tells_everything(desk: Desk) -> None:
    """
    `once` gathers nothing and waits for its hooks.
    """
    desk.wants(PHONE, hook(desk, "cat >>$OUT"))
    await desk.begin()
    desk.fail()
    await desk.followers.drain()

    assert len(desk.notifier.titles) == 1
    assert json.loads((desk.folder / "out").read_text())["time"].startswith(START.date().isoformat())
