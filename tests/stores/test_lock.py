"""
One process works on a state directory, and the next one is told who does.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.clock import FakeClock

from gatelodge.errors import StateError, StateLocked
from gatelodge.stores.lock import Lock

_HOLDER = """
import sys, time
from gatelodge.stores.lock import Lock
from tests.support.clock import FakeClock
with Lock(directory=sys.argv[1], clock=FakeClock(), command="gatelodge run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def lock(folder: Path, command: str = "gatelodge once") -> Lock:
    """
    A lock on the state directory, not yet taken.
    """
    return Lock(directory=str(folder), clock=FakeClock(), command=command)


def refused(folder: Path) -> bool:
    """
    Tell whether a lock cannot be had.
    """
    try:
        with lock(folder):
            return False
    except StateLocked:
        return True


def test_second_is_told_who_holds_it(tmp_path: Path) -> None:
    """
    The second one is refused at once, with pid, command and time of the first, and what to do.
    """
    with lock(tmp_path, "gatelodge run"), pytest.raises(StateLocked) as raised, lock(tmp_path):
        pass
    text = str(raised.value)
    assert f"process {os.getpid()} on " in text
    assert "(gatelodge run) since 2026-01-01T00:00:00+00:00" in text
    assert text.startswith(str(tmp_path / "lock"))
    assert "stop it first" in text


def test_free_again(tmp_path: Path) -> None:
    """
    The lock is held until its context ends, however often others are refused, and free after it, also after an exception.
    """

    def work() -> None:
        with lock(tmp_path):
            for _ in range(2):
                assert refused(tmp_path)
            raise OSError("trouble")

    with pytest.raises(OSError, match="trouble"):
        work()
    with lock(tmp_path, "gatelodge renew"):
        assert json.loads((tmp_path / "lock").read_text())["command"] == "gatelodge renew"


def test_makes_the_directory(tmp_path: Path) -> None:
    """
    The state directory is made when it is missing; the file is the owner's alone, whatever the umask.
    """
    before = os.umask(0)
    try:
        with lock(tmp_path / "lib" / "gatelodge"):
            pass
    finally:
        os.umask(before)
    top = tmp_path / "lib" / "gatelodge"
    assert stat.S_IMODE(top.stat().st_mode) == 0o711
    assert stat.S_IMODE((top / "lock").stat().st_mode) == 0o600


@pytest.mark.live
def test_kernel_frees_it(tmp_path: Path) -> None:
    """
    A process that is killed leaves no lock behind, and neither does a program it had started.
    """
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'daemon'}:{root}"},
    ) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(StateLocked, match=f"process {process.pid} "), lock(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with lock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_programs_do_not_inherit_it(tmp_path: Path) -> None:
    """
    A program that is started while the lock is held does not hold it: nginx outlives the daemon.
    """
    with lock(tmp_path):
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
        )
    try:
        with lock(tmp_path):
            assert child.poll() is None
    finally:
        child.communicate()


def test_copies_do_not_hold_it(tmp_path: Path) -> None:
    """
    The lock ends with its context though a copy of the file is still open, as in a program that is just being started.
    """
    held = lock(tmp_path)
    with held:
        copy = os.dup(held._descriptor or -1)
        assert refused(tmp_path)
    try:
        assert not refused(tmp_path)
    finally:
        os.close(copy)


@pytest.mark.parametrize("text", ["", "rubbish", "[]", '{"pid": 1}'])
def test_holder_that_does_not_say(tmp_path: Path, text: str) -> None:
    """
    A lock file that says nothing useful still gives a message.
    """
    with lock(tmp_path):
        (tmp_path / "lock").write_text(text)
        with pytest.raises(StateLocked, match="did not say who it is"), lock(tmp_path):
            pass


def test_no_lock_possible(tmp_path: Path) -> None:
    """
    A folder in the place of the lock file is named, with what to do.
    """
    (tmp_path / "lock").mkdir()
    with pytest.raises(StateError, match=r"lock: .*; move it away"), lock(tmp_path):
        pass
