"""
Messages through apprise: what is said when they cannot be sent, and that no part of a URL ever is.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.notifier import inbox

from gatelodge.core.delivery import Message
from gatelodge.errors import NotSent
from gatelodge.model import Secret, SecretRef
from gatelodge.model.log import Level
from gatelodge.notifiers.by_apprise import ByApprise
from gatelodge.notifiers.redaction import reason, without

if TYPE_CHECKING:
    from pathlib import Path

HELLO = Message(title="gate1: hello", text="Hello.", level=Level.INFO)


async def why(url: str | SecretRef, **more: float) -> str:
    """
    Return why a message was not sent.
    """
    ref = url if isinstance(url, SecretRef) else SecretRef(literal=Secret(url))
    with pytest.raises(NotSent) as raised:
        await ByApprise(url=ref, **more).send(HELLO)
    return str(raised.value)


def test_the_daemon_does_not_hold_apprise_in_memory() -> None:
    """
    Neither what puts it together nor what sends messages loads it.
    """
    script = "import sys, gatelodge.wiring, gatelodge.cli.run, gatelodge.notifiers.by_apprise; print('apprise' in sys.modules)"

    assert (
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout == "False\n"
    )


async def test_a_server_that_refuses() -> None:
    """
    Its status is told, and nothing of the URL.
    """
    async with inbox() as server:
        server.status = 403
        said = await why(server.url)

    assert "error=403" in said
    assert not any(part in said for part in ("hunter2", "8f3a9c", "127.0.0.1", "someone"))


async def test_a_server_that_is_not_there() -> None:
    """
    Why it could not be reached is told.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        said = await why(f"json://someone:hunter2secret@127.0.0.1:{free.getsockname()[1]}/token-8f3a9c")

    assert "Connection refused" in said
    assert "hunter2" not in said
    assert "8f3a9c" not in said


async def test_a_url_that_is_none() -> None:
    """
    It is not repeated: what stands there may be a token.
    """
    said = await why("nosuchservice://hunter2secret")

    assert "apprise knows no such service" in said
    assert "hunter2" not in said


async def test_a_secret_that_is_not_there(tmp_path: Path) -> None:
    """
    Its file is named; once it is there, the message is sent.
    """
    path = tmp_path / "url"
    assert f"{path} cannot be read" in await why(SecretRef(file=str(path)))
    async with inbox() as server:
        path.write_text(f"{server.url}\n")
        await ByApprise(url=SecretRef(file=str(path))).send(HELLO)
        assert [each["title"] for each in server.got] == [HELLO.title]


async def test_a_service_that_does_not_answer() -> None:
    """
    It is waited for only so long, and the process is gone.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = await why(f"json://127.0.0.1:{silent.getsockname()[1]}/x", seconds=1)

    assert said == "the service did not answer within 1 s"


@pytest.mark.parametrize(
    ("url", "said", "left"),
    [
        (
            "tgram://123456789:abcdefg_hijklmnop/12315544/",
            "chat 12315544 of 123456789:abcdefg_hijklmnop",
            "chat … of …:…",
        ),
        ("ntfy://user:p%40ssword@ntfy.example.org/topic", "p@ssword at ntfy.example.org/topic", "…@… at …/…"),
        ("mailto://a:bc@x.org", "a bc x.org", "a bc …"),
        ("json://host", "nothing of it", "nothing of it"),
    ],
)
def test_a_url_is_taken_out_of_texts(url: str, said: str, left: str) -> None:
    """
    Every part of four letters or more, as it is written and as it is meant.
    """
    cleaned = without(url, said)

    assert all(part not in cleaned for part in ("123456789", "abcdefg", "ssword", "example", "x.org"))
    assert len(cleaned) <= len(left) + 2


def test_reasons_are_found_in_a_log() -> None:
    """
    Once each.
    """
    lines = ["x [Errno 111] Connection refused')", "y [Errno 111] Connection refused", "certificate verify failed: unable to get local issuer certificate (_ssl.c:1)"]  # fmt: skip

    assert reason(lines) == "Connection refused; certificate verify failed: unable to get local issuer certificate"
    assert reason(["all is well"]) == ""


def test_letters_of_either_size_are_taken_out() -> None:
    """
    A host is written in small ones by who looks it up, and a token may stand in its place.
    """
    assert without("discord://AbCdEfGh/IjKlMnOp", "no host abcdefgh, nor IJKLMNOP") == "no host …, nor …"
