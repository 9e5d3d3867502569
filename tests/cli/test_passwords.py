"""
`gatelodge hash`: what it prints is what nginx checks, and a password is never seen.
"""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import bcrypt
import pytest
from click.testing import CliRunner

from gatelodge.cli.passwords import hash_
from gatelodge.config.read import read


def printed(given: str, *options: str) -> str:
    """
    Return what is printed for what comes in.
    """
    done = CliRunner().invoke(hash_, list(options), input=given)
    assert done.exit_code == 0, done.output
    return done.output.removesuffix("\n")


@pytest.mark.parametrize("given", ["open sesame\n", "open sesame", "open sesame\r\n", "open sesame\nsecond line\n"])
def test_the_hash_of_the_first_line_is_printed_alone(given: str) -> None:
    """
    In the form that every crypt(3) knows, and the configuration takes.
    """
    made = printed(given)
    assert made.startswith("$2y$06$")
    assert bcrypt.checkpw(b"open sesame", made.encode())
    read(f"[auth.people]\nprovider = 'basic'\nusers.alice = '{made}'")


def test_it_is_another_each_time_and_as_costly_as_is_asked_for() -> None:
    """
    It has salt.
    """
    assert printed("x\n") != printed("x\n")
    assert printed("x\n", "--cost", "4").startswith("$2y$04$")


def test_letters_are_those_that_a_browser_sends() -> None:
    """
    However they were typed: composed (RFC 7617 §2.1).
    """
    assert bcrypt.checkpw("ü".encode(), printed("u\u0308\n").encode())


@pytest.mark.parametrize("given", ["", "\n", "hunter2\x07\n", "hunter2" * 11 + "\n"])
def test_what_no_browser_sends_or_bcrypt_would_not_look_at_is_refused(given: str) -> None:
    """
    Without a word of it.
    """
    done = CliRunner().invoke(hash_, input=given)
    assert done.exit_code == 2
    assert "password" in done.output
    assert "hunter2" not in done.output


def test_on_a_terminal_it_is_asked_for_twice_and_not_shown() -> None:
    """
    The prompt goes to stderr, so that stdout holds the hash alone.
    """
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "gatelodge", "hash", "--cost", "4"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as asked:
        os.close(theirs)
        assert isinstance(asked.stderr, io.TextIOBase)
        assert isinstance(asked.stdout, io.TextIOBase)
        said = ""
        for prompt in ("Password: ", "Once more: "):
            while not said.endswith(prompt):
                said += asked.stderr.read(1)
            os.write(ours, b"hunter2\n")
        out = asked.stdout.read()
        said += asked.stderr.read()
        assert asked.wait() == 0
    os.close(ours)
    assert bcrypt.checkpw(b"hunter2", out.strip().encode())
    assert "hunter2" not in said
