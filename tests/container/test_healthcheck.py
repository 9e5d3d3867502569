"""
The image's health check, asked of the real daemon and of answers that are not as they should be.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import opened
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHECK = Path(__file__).parents[2] / "docker" / "healthcheck.py"
RUNS = {"nginx": {"running": True, "version": "1.28.0", "generation": 3, "missing": None, "failure": None}}
FAILS = {"nginx": {"running": False, "missing": None, "failure": {"error.detail": "port 80 is taken"}}}
MISSES = {"nginx": {"running": False, "missing": "nginx is not in PATH", "failure": None}}


async def check(config: Path) -> tuple[int, str]:
    """
    Run the health check and return its exit status and words.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-IS", str(CHECK), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={"GATELODGE_CONFIG": str(config)},
    )  # fmt: skip
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode().strip()


@contextlib.asynccontextmanager
async def answering(path: Path, answer: bytes) -> AsyncIterator[None]:
    """
    Answer every connection to a socket with these bytes.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield


def http(document: object, status: str = "200 OK") -> bytes:
    """
    Return an HTTP answer.
    """
    body = json.dumps(document).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (http(RUNS), 0, "nginx 1.28.0 serves tree 3"),
        (http(FAILS), 1, "nginx does not run: port 80 is taken"),
        (http(MISSES), 1, "nginx does not run: nginx is not in PATH"),
        (http({"error": "it is broken"}, "500 Internal Server Error"), 1, "it is broken"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", 1, "no daemon answers"),
        (b"", 1, "no daemon answers"),
    ],
)
async def test_it_tells_what_the_daemon_says(tmp_path: Path, answer: bytes, code: int, words: str) -> None:
    """
    Healthy is an nginx that runs; anything else has words for it, and no traceback.
    """
    config = tmp_path / "gatelodge.toml"
    config.write_text(f'[admin]\nsocket = "{tmp_path}/admin.sock"\n')
    async with answering(tmp_path / "admin.sock", answer):
        found, said = await check(config)
    assert found == code, said
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize("text", ["admin = 1", "[admin", 'state_directory = "/nowhere"\n', None])
async def test_a_configuration_that_makes_no_sense_is_no_crash(tmp_path: Path, text: str | None) -> None:
    """
    It may be half edited, or gone: then the usual places are asked.
    """
    config = tmp_path / "gatelodge.toml"
    if text is not None:
        config.write_text(text)
    code, said = await check(config)
    assert code == 1
    assert said.startswith("no daemon answers: ")
    assert len(said.splitlines()) == 1


@pytest.mark.live
async def test_a_dead_ca_is_healthy_and_a_dead_daemon_is_not() -> None:
    """
    The CA is held still from the beginning; nginx serves placeholders, which is what can be done.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-", ignore_cleanup_errors=True) as name:
        async with opened(Path(name)) as gate:
            os.kill(gate.ca.pid, signal.SIGSTOP)
            try:
                gate.write("wiki.example.test")
                await gate.start()

                async def is_healthy() -> bool:
                    return (await check(gate.config))[0] == 0

                await until(is_healthy)
                assert not gate.events("certificate.issued")
                await gate.kill(signal.SIGTERM)
                code, said = await check(gate.config)
            finally:
                os.kill(gate.ca.pid, signal.SIGCONT)
    assert code == 1
    assert said.startswith("no daemon answers")
