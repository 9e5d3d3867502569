"""
Programs of the user's: what they are given, what is heard of them, and that none outlives its run.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.support.waiting import until

from gatelodge import programs


def sh(script: str) -> tuple[str, ...]:
    """
    A program that is a script.
    """
    return ("/bin/sh", "-c", script)


async def test_what_is_given_and_what_is_heard() -> None:
    """
    Standard input as it is, also more than a pipe holds; the last of each output, or its beginning.
    """
    given = b"x" * 1_000_000
    ran = await programs.run(sh("wc -c; seq 1 100000 >&2; exit 3"), seconds=20, given=given, most=10)

    assert (ran.status, ran.out, ran.err) == (3, b"1000000\n", b"999\n100000\n"[-10:])
    assert (await programs.run(sh("seq 1 100000"), seconds=20, most=5, beginning=True)).out == b"1\n2\n3"
    assert (await programs.run(sh("cat"), seconds=20)).out == b""


async def test_a_program_that_reads_nothing() -> None:
    """
    Is not waited for, however much it was given.
    """
    assert (await programs.run(("/bin/true",), seconds=20, given=b"x" * 1_000_000)).status == 0


async def test_few_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What every program needs, and what is added; nothing else.
    """
    monkeypatch.setenv("TOKEN", "hidden")
    monkeypatch.setenv("LANG", "C.UTF-8")
    said = (
        await programs.run(("/usr/bin/env",), seconds=20, environment=programs.few_variables({"A": "b"}))
    ).out.decode()

    assert {"A=b", "LANG=C.UTF-8"} <= set(said.split())
    assert "hidden" not in said


async def test_what_a_program_started_ends_with_it() -> None:
    """
    At its end, at the timeout, and when whoever waits is cancelled.
    """
    ended = await programs.run(sh("sleep 300 & echo $!"), seconds=20)
    assert await _gone(ended.out)

    with pytest.raises(TimeoutError):
        await programs.run(sh("sleep 300 & echo $! >/proc/self/fd/1; sleep 300"), seconds=0.3)
    task = asyncio.get_running_loop().create_task(programs.run(sh("exec sleep 299.5"), seconds=20))
    await until(lambda: _called("299.5"))
    task.cancel()
    await asyncio.wait([task])
    assert not _called("299.5")


async def test_many_that_hang_leave_room_for_others() -> None:
    """
    No thread waits for them: another program, and work in a thread, are done at once.
    """
    loop = asyncio.get_running_loop()
    hanging = [loop.create_task(programs.run(sh("exec sleep 300"), seconds=60)) for _ in range(50)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert (await programs.run(("/bin/true",), seconds=10)).status == 0
        assert await loop.run_in_executor(None, os.getpid) == os.getpid()
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)


async def test_where_the_kernel_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is looked.
    """

    def refuse(_: int) -> int:
        raise OSError

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert (await programs.run(sh("sleep 0.1; exit 4"), seconds=20)).status == 4
    with pytest.raises(TimeoutError):
        await programs.run(sh("sleep 300"), seconds=0.2)


async def test_what_is_no_program() -> None:
    """
    Is told, and nothing is left open.
    """
    before = len(list(Path("/proc/self/fd").iterdir()))  # noqa: ASYNC240 - of this process
    with pytest.raises(FileNotFoundError):
        await programs.run(("/nowhere",), seconds=1, given=b"x")

    assert len(list(Path("/proc/self/fd").iterdir())) == before  # noqa: ASYNC240 - as above


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("exit 0\n", "begins with the program that reads it"),
        ("#!/nowhere/sh\n", "after #! in its first line must be here"),
    ],
)
async def test_a_script_that_cannot_be_started(tmp_path: Path, content: str, remedy: str) -> None:
    """
    Says what its first line lacks: it is executable, and its path is right.
    """
    script = tmp_path / "script"
    script.write_text(content)
    script.chmod(0o755)
    with pytest.raises(OSError) as raised:  # noqa: PT011 - which one is what is looked at
        await programs.run((str(script),), seconds=20)

    assert remedy in programs.unstarted(raised.value)[1]


def test_what_was_said_is_safe_to_show() -> None:
    """
    On one line, without what moves a cursor, the last of it.
    """
    ran = programs.Ran(status=-9, out=b"", err=b"a\n\x1b[2J" + "ü".encode() + b"\xff " + b"x" * 600)

    assert programs.why(ran) == f"was ended by signal 9: {'x' * 500}"
    assert programs.shown(b"a\n\x1b[2Jb") == "a ?[2Jb"
    assert programs.why(programs.Ran(status=2, out=b"x", err=b"")) == "ended with 2: it said nothing on stderr"


async def _gone(pid: bytes) -> bool:
    await until(lambda: not Path(f"/proc/{int(pid)}").exists() or b"Z" in Path(f"/proc/{int(pid)}/stat").read_bytes().split()[2:3])  # fmt: skip
    return True


def _called(word: str) -> list[str]:
    """
    Return the processes that have a word on their command line.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
        except OSError:
            continue
    return found
