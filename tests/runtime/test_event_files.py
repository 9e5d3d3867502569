"""
The log on disk: files that end, old ones that go, and readers who miss nothing and see nothing twice.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import itertools
import os
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.clock import START, FakeClock

from gatelodge.model.log import LogSettings
from gatelodge.runtime.events import files as event_files
from gatelodge.runtime.events.files import Reader, read
from gatelodge.runtime.events.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DAY = dt.timedelta(days=1)

#: Small enough that a few events end a file.
SMALL = 3 * 300


class Log:
    """
    An event log in a folder, with a clock of its own.
    """

    def __init__(self, folder: Path, *, keep: dt.timedelta = 90 * DAY, max_size: int = 24 << 20) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.settings = LogSettings(keep=keep, max_size=max_size)
        self.start()

    def start(self) -> None:
        """
        Begin as a daemon that starts does.
        """
        self.log = EventLog(directory=str(self.folder), clock=self.clock, stream=io.StringIO(), settings=self.settings)

    def tell(self, times: int = 1) -> None:
        """
        Write events.
        """
        for _ in range(times):
            self.log.emit("certificate.deleted", certificate="a.example")

    def pass_days(self, days: int) -> None:
        """
        Set the clock.
        """
        self.clock.time += days * DAY

    @property
    def ids(self) -> list[int]:
        """
        The ids of all events that are kept.
        """
        return numbers(read(str(self.folder)))

    @property
    def names(self) -> list[str]:
        """
        The names of the files, in order.
        """
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())


def numbers(entries: Iterable[dict[str, object]]) -> list[int]:
    """
    Return the ids of events.
    """
    return [entry["id"] for entry in entries]  # type: ignore[misc]


def test_a_day_has_a_file_and_its_name_tells_which(tmp_path: Path) -> None:
    """
    The file of a day that is over is called after the day and the id of its last event; an idle day has none.
    """
    log = Log(tmp_path)
    log.tell(2)
    log.pass_days(1)
    log.tell()
    log.pass_days(3)
    log.start()
    log.tell()

    assert log.names == ["events-2026-01-01-2.jsonl", "events-2026-01-02-3.jsonl", "events.jsonl"]
    assert log.ids == [1, 2, 3, 4]


def test_all_files_together_stay_within_their_size(tmp_path: Path) -> None:
    """
    The oldest go, what is kept has no gap, and the newest event is always there.
    """
    log = Log(tmp_path, max_size=SMALL)
    for number in range(1, 60):
        log.tell()
        kept = log.ids

        assert kept == list(range(kept[0], number + 1))
        assert (
            sum(path.stat().st_size for path in tmp_path.iterdir()) <= SMALL + 120
        )  # and the one that is being written
    assert 3 <= len(log.ids) < 20


def test_old_days_go(tmp_path: Path) -> None:
    """
    What is older than `keep` goes when a day's file ends.
    """
    log = Log(tmp_path, keep=2 * DAY)
    for _ in range(6):
        log.tell()
        log.pass_days(1)
    log.tell()

    assert log.ids == [4, 5, 6, 7]


def test_a_clock_that_jumps_ahead_takes_nothing_with_it(tmp_path: Path) -> None:
    """
    A board without a clock battery wakes up in another century for a minute: the log of the last days is still there.
    """
    log = Log(tmp_path, keep=30 * DAY)
    log.tell()
    log.pass_days(40000)
    log.tell()
    log.clock.time = START + DAY
    log.tell()
    log.pass_days(1)
    log.tell()

    assert log.ids == [1, 2, 3, 4]


def test_a_small_disk_holds_a_small_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    However much is allowed, a tenth of the file system is the most.
    """
    log = Log(tmp_path)
    log.tell(10)
    log.pass_days(1)
    real = os.statvfs(tmp_path)
    blocks = list(real)
    blocks[2] = 10_000 // real.f_frsize + 1  # f_blocks
    monkeypatch.setattr(event_files.os, "statvfs", lambda _: os.statvfs_result(blocks))
    size = (tmp_path / "events.jsonl").stat().st_size
    log.tell()

    assert size > real.f_frsize * blocks[2] // 10
    assert log.ids == [11]


def test_a_crash_while_a_file_ends_loses_nothing(tmp_path: Path) -> None:
    """
    Killed between the renaming and the next event: the ids go on, and a reader finds all.
    """
    log, reader = Log(tmp_path), Reader(str(tmp_path))
    log.tell(3)
    event_files.end(str(tmp_path), last=3, day="2026-01-01")

    assert numbers(reader.new()) == [1, 2, 3]
    assert numbers(reader.new()) == []

    log.start()
    log.tell()

    assert log.ids == [1, 2, 3, 4]
    assert numbers(reader.new()) == [4]


def test_a_file_that_cannot_end_is_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No event is lost over tidying.
    """
    log = Log(tmp_path)
    log.tell()
    log.pass_days(1)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(event_files, "end", refuse)
    log.tell()

    assert log.names == ["events.jsonl"]
    assert log.ids == [1, 2]


def test_no_file_is_written_over(tmp_path: Path) -> None:
    """
    Not even when somebody made ids begin anew.
    """
    for _ in range(2):
        (tmp_path / "events.jsonl").write_text('{"id": 1, "event": "daemon.started"}\n')
        event_files.end(str(tmp_path), last=1, day="2026-01-01")

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "events-2026-01-01-1.jsonl",
        "events-2026-01-01-2.jsonl",
    ]


def test_ids_go_on_from_the_names_of_files(tmp_path: Path) -> None:
    """
    When the newest file was removed by hand, no id is given again.
    """
    log = Log(tmp_path)
    log.tell(5)
    log.pass_days(1)
    log.tell()
    (tmp_path / "events.jsonl").unlink()
    log.start()
    log.tell()

    assert log.ids == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("detail", ["a\u2028b", "a\x85b", "x" * 200_000], ids=["line separator", "next line", "long"])
def test_ids_go_on_after_any_last_event(tmp_path: Path, detail: str) -> None:
    """
    An event that holds what Unicode calls the end of a line, or that is very long, is the last one all the same: no id is given twice.
    """
    log = Log(tmp_path)
    log.tell(2)
    log.log.emit("config.refused", level="error", error__detail=detail)
    log.start()
    log.tell()
    assert numbers(read(str(tmp_path))) == [1, 2, 3, 4]


def test_ids_grow_when_all_files_were_removed(tmp_path: Path) -> None:
    """
    In a state directory that was used, a new log begins above every id that was given; in a new one with 1.
    """
    log = Log(tmp_path)
    log.tell(5)

    assert log.ids == [1, 2, 3, 4, 5]

    (tmp_path / "events.jsonl").unlink()
    (tmp_path / "certificates" / "a.example").mkdir(parents=True)
    log.pass_days(1)
    log.start()
    log.tell(2)

    first = int(log.clock.now().timestamp()) + 1
    assert log.ids == [first, first + 1]


@pytest.mark.parametrize(("every", "max_size"), [(1, SMALL), (2, SMALL), (7, 3 * SMALL), (40, 24 << 20)])
def test_a_reader_yields_each_event_once(tmp_path: Path, every: int, max_size: int) -> None:
    """
    Across growth, ends of files and half-written lines, however often it looks while they are kept.
    """
    log, reader = Log(tmp_path, max_size=max_size), Reader(str(tmp_path))
    seen: list[int] = []
    for number in range(1, 41):
        log.tell()
        if number % 9 == 0:
            log.pass_days(1)
        if number % every == 0:
            seen += numbers(reader.new())
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"id": 41, "ev')
    seen += numbers(reader.new())

    assert seen == list(range(1, 41))
    assert numbers(reader.new()) == []


def test_a_file_that_ends_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    """
    What is written between two events that a reader takes is met in order.
    """
    log, reader = Log(tmp_path), Reader(str(tmp_path))
    log.tell(3)
    coming = reader.new()
    first = next(coming)["id"]
    log.tell()
    log.pass_days(1)
    log.tell(2)
    seen = [first, *numbers(coming), *numbers(reader.new())]

    assert seen == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("after", range(9))
def test_a_reader_begins_after_an_id(tmp_path: Path, after: int) -> None:
    """
    In whichever file that is.
    """
    log = Log(tmp_path)
    for _ in range(4):
        log.tell(2)
        log.pass_days(1)
    reader = Reader(str(tmp_path), after=after)

    assert numbers(reader.new()) == list(range(after + 1, 9))
    assert reader.seen == 8


def test_a_reader_that_knows_more_than_the_log_goes_on_with_the_last_start(tmp_path: Path) -> None:
    """
    The log was removed, or its end was lost with the power: what the daemon told since it started is new, and nothing else.
    """
    log = Log(tmp_path)
    log.log.emit("daemon.started")
    log.tell(2)
    log.log.emit("daemon.started")
    log.tell(2)

    assert numbers(Reader(str(tmp_path), after=100).new()) == [4, 5, 6]


#: Tells without end, and a day passes every few events; begins where the one before was killed.
TELLING = """
import io, sys
import datetime as dt
from gatelodge.runtime.events.log import EventLog

class Clock:
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=1000 * int(sys.argv[2]))
    def now(self):
        return self.at

log = EventLog(directory=sys.argv[1], clock=Clock(), stream=io.StringIO())
while True:
    for _ in range(3):
        log.emit("certificate.deleted", certificate="a.example")
    Clock.at += dt.timedelta(minutes=700)
"""


async def test_a_log_that_is_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    """
    Files end all the time, and the writer is killed (-9) in the middle of it, again and again: who follows misses no id, and whoever begins
    later finds the same.
    """
    reader, seen = Reader(str(tmp_path)), [0]
    for turn in range(5):
        enough = seen[-1] + 150
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", TELLING, str(tmp_path), str(turn))
        try:
            async with asyncio.timeout(30):
                while seen[-1] < enough:
                    seen += numbers(reader.new())
                    await asyncio.sleep(0.001)
        finally:
            writer.kill()
            await writer.wait()
    seen += numbers(reader.new())

    assert seen == list(range(seen[-1] + 1))
    kept = numbers(read(str(tmp_path)))
    assert kept == list(range(kept[0], seen[-1] + 1))
    assert len(event_files.ended(str(tmp_path))) > 5


def test_while_nothing_is_new_a_look_is_cheap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No file is opened and no folder listed.
    """
    log, reader = Log(tmp_path), Reader(str(tmp_path))
    log.tell(3)

    assert numbers(reader.new()) == [1, 2, 3]

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("it looked closer")

    with monkeypatch.context() as context:
        context.setattr(event_files.Path, "open", forbidden)
        context.setattr(event_files.Path, "iterdir", forbidden)

        assert numbers(reader.new()) == []

    log.tell()

    assert numbers(reader.new()) == [4]


def test_a_new_file_in_the_place_of_the_old_one_is_noticed(tmp_path: Path) -> None:
    """
    Also when the file system gives it the old one's number and it is longer: it begins otherwise.
    """
    log, reader = Log(tmp_path), Reader(str(tmp_path))
    log.tell(2)

    assert numbers(reader.new()) == [1, 2]

    with (tmp_path / "events.jsonl").open("w") as file:
        file.writelines(f'{{"id": {number}, "time": "…", "event": "certificate.deleted"}}\n' for number in range(3, 20))

    assert numbers(reader.new()) == list(range(3, 20))


def test_readers_who_look_at_different_times_agree(tmp_path: Path) -> None:
    """
    Whatever the moment at which each begins to read, all see the same.
    """
    log = Log(tmp_path)
    readers = [Reader(str(tmp_path), after=number) for number in range(3)]
    seen: list[list[int]] = [[], [], []]
    for number, turn in zip(range(30), itertools.cycle(range(3)), strict=False):
        log.tell()
        if number % 4 == 0:
            log.pass_days(1)
        seen[turn] += numbers(readers[turn].new())
    rest = [numbers(reader.new()) for reader in readers]

    assert [[*early, *late] for early, late in zip(seen, rest, strict=True)] == [
        list(range(after + 1, 31)) for after in range(3)
    ]
