"""
What a person sees while certificates are got: real nginx, a real CA, a real terminal.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import House, opened
from tests.support.seen_terminal import HIDDEN, SHOWN, seen
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI, CLOUD = "wiki.example.test", "cloud.example.test"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet. Its folder is one that nginx's workers can pass through, unlike pytest's own.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


def _typed(house: House, *words: str) -> tuple[int, str, str]:
    """
    Run a verb in a terminal to its end: exit code, all that came out, and the same without control characters.
    """
    with seen(*words, config=house.config, columns=100, PATH=os.environ["PATH"]) as screen:
        return screen.end(seconds=60), screen.text, screen.plain


async def _renewed_by_a_slow_ca(house: House) -> tuple[int, str, str]:
    """
    Renew while the CA answers nothing until somebody was told a step: the daemon is looked at now and then, and pebble is quick.
    """
    said = house.folder / "said"
    os.kill(house.ca.pid, signal.SIGSTOP)
    try:
        with said.open("wb") as stream:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gatelodge", "renew", WIKI, "--force", "-c", str(house.config),
                stdout=asyncio.subprocess.PIPE, stderr=stream,
            )  # fmt: skip
        await until(lambda: "\n" in said.read_text(), seconds=20)
    finally:
        os.kill(house.ca.pid, signal.SIGCONT)
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode(), said.read_text()


async def test_one_pass_in_a_terminal_shows_each_certificate_and_ends_with_the_result(house: House) -> None:
    """
    Steps are drawn in place while the loop runs in this process; events stand above, and nothing of it below: the status is the last
    that is seen.
    """
    house.write(WIKI, CLOUD)
    code, text, plain = await asyncio.to_thread(_typed, house, "once")

    assert code == 0, plain
    assert "Traceback" not in plain
    assert text.rindex(SHOWN) > text.rindex(HIDDEN)
    drawn, _, result = plain.rpartition("All well: 2 sites")
    assert any(f"{name}  {step}" in drawn for name in (WIKI, CLOUD, "nginx") for step in ("w", "l", "s", "t", "o"))
    assert "certificate.issued" in drawn
    assert f"{WIKI}:" in result
    assert not any(step in result for step in ("waiting", "loading", "testing"))


async def test_a_running_daemon_is_looked_at_while_it_works(house: House) -> None:
    """
    In a pipe each step is a line on stderr, and stdout has the answer alone; the daemon tells the steps as they are.
    """
    house.write(WIKI, CLOUD)
    await house.start()
    await house.serving(WIKI, CLOUD)
    code, out, err = await _renewed_by_a_slow_ca(house)

    assert (code, out.count("\n")) == (0, 1), err
    assert "\x1b" not in err
    steps = [line.partition(": ") for line in err.splitlines()]
    assert steps
    assert {title for title, _, _ in steps} <= {WIKI, "nginx"}
    assert len(set(steps)) == len(steps)

    code, out, err = await house.gatelodge("renew", WIKI, "--force", "--quiet")

    assert (code, err) == (0, "")

    code, text, plain = await asyncio.to_thread(_typed, house, "renew", WIKI, "--force")

    assert code == 0, plain
    assert text.rindex(SHOWN) > text.rindex(HIDDEN)
    assert plain.rstrip().endswith("and served")
    status = await house.status()
    assert all(entry["doing"] is None for entry in status["certificates"])
