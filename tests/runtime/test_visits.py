"""
What nginx logs of visits comes out on stdout, whole and in order, whoever rotates the file; and a stdout that nobody reads stops
nobody but the thread that writes to it.
"""

from __future__ import annotations

import contextlib
import os
import select
from typing import TYPE_CHECKING

from tests.support.waiting import until

from gatelodge.runtime.visits import brought_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """
    Make a pipe: where to read, and where to write.
    """
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def log(path: Path, text: str) -> None:
    """
    Add to a log as nginx does.
    """
    with path.open("a") as file:
        file.write(text)


async def test_lines_come_out_across_a_rotation(tmp_path: Path) -> None:
    """
    What was there before does not; what is written to the old file while it is put aside does.
    """
    path = tmp_path / "access.log"
    path.write_text("before\n")
    said = b""
    with pipe() as (reading, writing):
        os.set_blocking(reading, False)

        def heard() -> bytes:
            nonlocal said
            with contextlib.suppress(BlockingIOError):
                said += os.read(reading, 65536)
            return said

        with brought_out(str(path), to=writing):
            log(path, "one\n")
            await until(lambda: heard() == b"one\n")
            with path.open("a") as old:
                path.rename(tmp_path / "access.log.1")
                old.write("two\n")
            log(path, "three\n")
            await until(lambda: heard() == b"one\ntwo\nthree\n")
            log(path, "last\n")
        assert heard().endswith(b"three\nlast\n")


async def test_a_first_line_is_not_lost(tmp_path: Path) -> None:
    """
    Nginx may start after us, and write at once.
    """
    path = tmp_path / "access.log"
    with pipe() as (reading, writing), brought_out(str(path), to=writing):
        log(path, "first\n")
        os.set_blocking(reading, False)
        said = []

        def heard() -> bool:
            with contextlib.suppress(BlockingIOError):
                said.append(os.read(reading, 100))
            return b"".join(said) == b"first\n"

        await until(heard)


async def test_a_stdout_that_nobody_reads_holds_up_nobody(tmp_path: Path) -> None:
    """
    The pipe is full; leaving the context takes no longer for it.
    """
    path = tmp_path / "access.log"
    with pipe() as (reading, writing):
        with brought_out(str(path), to=writing):
            log(path, "x" * 1_000_000 + "\n")
            await until(lambda: select.select([reading], [], [], 0)[0])
        assert path.stat().st_size == 1_000_001


async def test_a_stdout_that_is_gone_ends_it(tmp_path: Path) -> None:
    """
    Nobody listens any more: the file is left alone.
    """
    path = tmp_path / "access.log"
    reading, writing = os.pipe()
    os.close(reading)
    with brought_out(str(path), to=writing):
        log(path, "nobody hears\n")
    os.close(writing)
    assert path.read_text() == "nobody hears\n"
