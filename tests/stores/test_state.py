"""
The state directory is made as the design says, corrected where it is unsafe, and refused where it cannot be used.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gatelodge import durable
from gatelodge.errors import StateError
from gatelodge.stores.state import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = os.geteuid() == 0
WORKERS = 4343

FOLDERS = {
    ".": 0o711,
    "accounts": 0o700,
    "ca": 0o700,
    "certificates": 0o700,
    "journal": 0o700,
    "nginx": 0o700,
    "webroot": 0o755,
    "webroot/.well-known": 0o755,
    "webroot/.well-known/acme-challenge": 0o755,
    "public": 0o755,
    "auth": 0o750,
    "log": 0o750,
    "tmp": 0o750,
}


def modes(top: Path) -> dict[str, int]:
    """
    The modes of all folders.
    """
    return {
        str(each.relative_to(top)): stat.S_IMODE(each.stat().st_mode)
        for each in [top, *top.rglob("*")]
        if each.is_dir()
    }


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """
    A state directory that is not there yet, nor the one above it.
    """
    return tmp_path / "lib" / "gatelodge"


@pytest.fixture
def passable() -> Iterator[Path]:
    """
    A folder that every user reaches; pytest's own are root's alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        if not all(above.stat().st_mode & stat.S_IXOTH for above in path.parents):
            pytest.skip("the folder for temporary files is not open to all")
        yield path


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_made_under_any_umask(top: Path, mask: int) -> None:
    """
    Every folder has the mode of the table whatever the umask, and there is nothing to note.
    """
    before = os.umask(mask)
    try:
        notes = prepare(str(top))
    finally:
        os.umask(before)
    assert modes(top) == FOLDERS
    assert notes == ()
    assert (top / "format").read_text() == "1\n"
    assert stat.S_IMODE(top.parent.stat().st_mode) == 0o755


def test_again_changes_nothing(top: Path) -> None:
    """
    A directory that is as it should be is left alone, and what lies in it too.
    """
    prepare(str(top))
    (top / "certificates" / "keep").write_text("x")
    before = {each: each.stat().st_mtime_ns for each in top.rglob("*")}
    assert prepare(str(top)) == ()
    assert {each: each.stat().st_mtime_ns for each in top.rglob("*")} == before


@pytest.mark.skipif(not ROOT, reason="only root can give folders to any group")
def test_workers_group(top: Path) -> None:
    """
    What nginx's workers open by path belongs to their group; secrets do not.
    """
    prepare(str(top), workers_group=WORKERS)
    groups = {name: (top / name).stat().st_gid for name in FOLDERS}
    assert {name for name, group in groups.items() if group == WORKERS} == {"auth", "log", "tmp"}
    assert modes(top) == FOLDERS


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_workers_reach_what_is_theirs(passable: Path) -> None:
    """
    A worker without privileges opens files in its folders by path, and none of the secrets.
    """
    top = passable / "state"
    prepare(str(top), workers_group=WORKERS)
    for name in ("webroot/.well-known/acme-challenge", "public", "auth", "certificates", "accounts", "ca"):
        (top / name / "file").write_text("x")
        (top / name / "file").chmod(0o644)
    script = f"""
import os
os.setgroups([]); os.setgid({WORKERS}); os.setuid(4344)
for name in ("webroot/.well-known/acme-challenge", "public", "auth", "certificates", "accounts", "ca"):
    try:
        open("{top}/" + name + "/file").close()
        print(name)
    except PermissionError:
        pass
"""
    result = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["webroot/.well-known/acme-challenge", "public", "auth"], result.stderr


@pytest.mark.skipif(not ROOT, reason="only root can give folders to any group")
def test_wrong_group_is_corrected(top: Path) -> None:
    """
    A folder of another group, after the workers' user changed, is given to the new one, with a note.
    """
    prepare(str(top), workers_group=WORKERS + 1)
    notes = about(top, prepare(str(top), workers_group=WORKERS))
    assert {(top / name).stat().st_gid for name in ("auth", "log", "tmp")} == {WORKERS}
    assert [f"group {WORKERS + 1} is {WORKERS} now" in note for note in notes] == [True] * 3


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_without_privileges(passable: Path) -> None:
    """
    Another user than root keeps the workers' folders in his own group, and is told what belongs to somebody else.
    """
    (passable / "mine").mkdir()
    os.chown(passable / "mine", 4344, 4344)
    script = f"""
import os
from gatelodge import durable
from gatelodge.errors import StateError
from gatelodge.stores.state import prepare
os.setgroups([]); os.setgid(4344); os.setuid(4344)
prepare("{passable}/mine/state", workers_group={WORKERS})
print(os.stat("{passable}/mine/state/log").st_gid)
try:
    prepare("{passable}/state")
except StateError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "daemon")},
    )
    assert result.stdout.splitlines() == [
        "4344",
        f"{passable}/state: permission is denied; let its owner run Gatelodge, or give it to the user who does (chown -R)",
    ], result.stderr


@pytest.mark.skipif(not ROOT, reason="only root can give folders to any group")
def test_nginx_group(top: Path) -> None:
    """
    An nginx that is not ours reads certificates and trees through its group, and no account.
    """
    prepare(str(top), nginx_group=WORKERS)
    assert modes(top) == {**FOLDERS, "certificates": 0o750, "nginx": 0o750}
    assert (top / "nginx").stat().st_gid == WORKERS
    assert (top / "accounts").stat().st_gid != WORKERS


@pytest.mark.parametrize(("name", "mode"), [("certificates", 0o755), ("ca", 0o770), ("webroot", 0o777), ("log", 0o700)])
def test_wrong_modes_are_corrected(top: Path, name: str, mode: int) -> None:
    """
    A folder that is too open, or too narrow for nginx, is corrected, and it is said which and why.
    """
    prepare(str(top))
    (top / name).chmod(mode)
    (note,) = prepare(str(top))
    assert modes(top) == FOLDERS
    assert note.startswith(f"{top / name}: mode {mode:04o} is {FOLDERS[name]:04o} now: ")


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750, 0o711])
def test_safe_mode_of_the_top_is_left(top: Path, mode: int) -> None:
    """
    The directory's own mode is its owner's choice while nobody else can write there.
    """
    top.mkdir(parents=True)
    top.chmod(mode)
    assert prepare(str(top)) == ()
    assert modes(top)["."] == mode


@pytest.mark.parametrize(("mode", "corrected"), [(0o777, 0o755), (0o775, 0o755), (0o722, 0o700)])
def test_others_may_not_write_at_the_top(top: Path, mode: int, corrected: int) -> None:
    """
    A directory in which others can write is corrected, with a note.
    """
    top.mkdir(parents=True)
    top.chmod(mode)
    (note,) = prepare(str(top))
    assert modes(top)["."] == corrected
    assert f"{mode:04o} is {corrected:04o}" in note


def about(top: Path, notes: tuple[str, ...]) -> list[str]:
    """
    Return the notes on the directory and what is in it, without those on folders above, which are pytest's.
    """
    return [note for note in notes if note.startswith(str(top))]


@pytest.mark.skipif(not ROOT, reason="nginx has workers of another user only under root")
def test_workers_that_cannot_come_from_above_are_told(top: Path) -> None:
    """
    A folder above that others may not pass through is named, with the remedy; it is not ours to change.
    """
    top.parent.mkdir(parents=True, exist_ok=True)
    top.parent.chmod(0o700)
    notes = prepare(str(top), workers_group=WORKERS)
    assert any(note.startswith(f"{top.parent}: ") and f"chmod o+x {top.parent}" in note for note in notes)
    assert top.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not ROOT, reason="nginx has workers of another user only under root")
def test_workers_must_pass_the_top(top: Path) -> None:
    """
    With workers of another user the directory lets everybody pass, though not look.
    """
    top.mkdir(parents=True)
    top.chmod(0o700)
    (note,) = about(top, prepare(str(top), workers_group=WORKERS))
    assert modes(top)["."] == 0o701
    assert "pass" in note


def test_shared_folder_is_refused(top: Path) -> None:
    """
    A folder like /tmp is no state directory, and nothing is made in it.
    """
    top.mkdir(parents=True)
    top.chmod(0o1777)
    with pytest.raises(StateError, match="shared with others"):
        prepare(str(top))
    assert list(top.iterdir()) == []


@pytest.mark.parametrize("text", ["2\n", "10", "", "one\n"])
def test_format(top: Path, text: str) -> None:
    """
    A directory of a newer format, or of none that can be read, is refused and nothing in it is changed.
    """
    top.mkdir(parents=True)
    top.chmod(0o777)
    (top / "format").write_text(text)
    with pytest.raises(StateError, match=r"format: .*(upgrade Gatelodge|restore it)"):
        prepare(str(top))
    assert list(top.iterdir()) == [top / "format"]
    assert modes(top) == {".": 0o777}


@pytest.mark.parametrize("name", [".", "certificates", "webroot/.well-known"])
def test_file_where_a_folder_should_be(top: Path, name: str) -> None:
    """
    A file that stands in the way is named, with what to do.
    """
    path = top / name
    path.parent.mkdir(parents=True)
    path.write_text("in the way")
    with pytest.raises(StateError, match="move") as raised:
        prepare(str(top))
    assert raised.value.path.startswith(str(path))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full; make room"),
        (errno.EROFS, "the file system is read-only; mount it writable"),
        (errno.EACCES, "permission is denied; let its owner run Gatelodge"),
        (errno.EIO, "the disk reports an error"),
        (errno.ENOBUFS, "No buffer space"),
    ],
)
def test_disk_that_cannot_be_written(top: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    """
    A disk that cannot be written is found at the start, and the message says what to do about it.
    """
    prepare(str(top))

    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(StateError, match=words):
            prepare(str(top))
    assert not list(top.glob(".*"))


def test_linked_folders_are_used(top: Path, tmp_path: Path) -> None:
    """
    A person may put a folder elsewhere through a link.
    """
    elsewhere = tmp_path / "log"
    elsewhere.mkdir(mode=0o777)
    top.mkdir(parents=True)
    (top / "log").symlink_to(elsewhere)
    prepare(str(top))
    assert (top / "log").is_symlink()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o750


@pytest.mark.skipif(not ROOT, reason="only root can give a folder to another group")
@pytest.mark.parametrize(("group", "mode"), [(None, 0o700), (WORKERS, 0o770)])
def test_the_mailbox_is_the_daemons_before_any_script_comes(top: Path, group: int | None, mode: int) -> None:
    """
    Made by the script it would be root's, and no request could be written.
    """
    prepare(str(top), nginx_group=group, nginx_writes=True)
    made = (top / "nginx" / "mailbox").stat()

    assert (stat.S_IMODE(made.st_mode), made.st_uid) == (mode, os.geteuid())
    if group is not None:
        assert made.st_gid == group
    prepare(str(top), nginx_group=group, nginx_writes=True)
    assert modes(top)["nginx/mailbox"] == mode


def test_what_a_dying_process_left_beside_a_file_is_in_nobodys_way(tmp_path: Path) -> None:
    """
    Killed in the middle of a write, or caught so by a backup: the next write is done, and the half one is gone. A link is not followed.
    """
    path, beside, other = tmp_path / "highest", tmp_path / ".highest", tmp_path / "other"
    other.write_text("not ours")
    for left in (lambda: beside.write_text("ha"), lambda: beside.symlink_to(other)):
        left()
        durable.replace(path, b"whole", beside=beside)

        assert path.read_bytes() == b"whole"
        assert not beside.is_symlink()
        assert not beside.exists()
    assert other.read_text() == "not ours"
