"""
What somebody may lay in the helper's way who can write everything in the state directory: links, pipes, others' files, files without
an end. Nothing of it is waited for, followed, or copied.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.nginx.test_render import EXAMPLES
from tests.nginx.trees import STATE
from tests.support.rootside import COPY, NUMBER, lay, rendered, texts

from gatelodge.model import INTERNAL_HOST
from gatelodge.rootside import source as limits
from gatelodge.rootside.rules import Ground
from gatelodge.rootside.source import Source
from gatelodge.rootside.syntax import RefusedError
from gatelodge.rootside.tree import copied

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
SECRET = "secret"
NOBODY = 65534


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """
    A state directory with a tree and the certificates that it shows, all of it the daemon's: that is us here.
    """
    made = tmp_path / "state"
    files = texts(rendered(*EXAMPLES["1.28.0"]))
    lay(made, {file: text.replace(STATE, str(made)) for file, text in files.items()})
    for name, version in (("chat.example.com", 3), (INTERNAL_HOST, 1)):
        folder = made / "certificates" / name / "versions" / str(version)
        folder.mkdir(parents=True)
        (folder / "fullchain.pem").write_text("chain")
        (folder / "privkey.pem").write_text("key")
    (tmp_path / SECRET).write_text(SECRET)
    return made


def read(state: Path, *, number: int = NUMBER, owner: int | None = None) -> dict[str, bytes]:
    """
    Read the tree as the helper does.
    """
    source = Source(str(state), owner=os.geteuid() if owner is None else owner)
    return copied(source, Ground(state=str(state), webroot=f"{state}/webroot"), number, copy=COPY)


def test_a_tree_is_read_with_what_it_shows(state: Path) -> None:
    """
    Nothing else of the folder is: a file that nobody includes, the tree's own notes.
    """
    folder = state / "nginx/generations/7"
    (folder / "tree.json").write_text("{}")
    (folder / "sites/other.conf").write_text("load_module x;")
    assert sorted(read(state)) == [
        "acme-challenge.conf",
        "certificates/chat.example.com/versions/3/fullchain.pem",
        "certificates/chat.example.com/versions/3/privkey.pem",
        "certificates/gatelodge.invalid/versions/1/fullchain.pem",
        "certificates/gatelodge.invalid/versions/1/privkey.pem",
        "http.conf",
        "prelude.conf",
        "sites/192.0.2.10.conf",
        "sites/chat.example.com.conf",
        "sites/plain.example.com.conf",
    ]


def link(path: Path) -> None:
    """
    Put a link to a secret in the place of a file, or one to another folder in that of a folder.
    """
    if path.is_dir():
        aside = path.with_name("aside")
        path.rename(aside)
        path.symlink_to(aside)
    else:
        path.unlink()
        path.symlink_to(next(each / SECRET for each in path.parents if (each / SECRET).exists()))


def pipe(path: Path) -> None:
    """
    Put a pipe there, which a reader without care waits on for ever.
    """
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    """
    Put a folder there, or a file where a folder was.
    """
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("")
    else:
        path.unlink()
        path.mkdir()


def gone(path: Path) -> None:
    """
    Leave nothing there.
    """
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def huge(path: Path) -> None:
    """
    Make it far larger than the disk.
    """
    if path.is_dir():
        shutil.rmtree(path)
    with path.open("ab") as file:
        file.truncate(1 << 40)


PLACES = [
    "nginx",
    "nginx/generations",
    "nginx/generations/7",
    "nginx/generations/7/http.conf",
    "nginx/generations/7/prelude.conf",
    "nginx/generations/7/sites",
    "nginx/generations/7/sites/chat.example.com.conf",
    "nginx/generations/7/acme-challenge.conf",
    "certificates",
    "certificates/chat.example.com",
    "certificates/chat.example.com/versions",
    "certificates/chat.example.com/versions/3",
    "certificates/chat.example.com/versions/3/fullchain.pem",
    "certificates/chat.example.com/versions/3/privkey.pem",
]


@pytest.mark.parametrize(
    ("place", "trap"),
    [
        (place, trap)
        for place in PLACES
        for trap in (link, pipe, folder, gone, huge)
        if trap is not gone or not place.endswith("acme-challenge.conf")  # without that one a tree is whole too
    ],
)
def test_a_trap_is_refused(state: Path, place: str, trap: Callable[[Path], None]) -> None:
    """
    At every step of every path, at once and without a byte of what the link leads to.
    """
    trap(state / place)
    with pytest.raises(RefusedError, match=r"^the helper refuses ") as refused:
        read(state)
    assert SECRET not in str(refused.value)


def test_the_state_directory_itself_is_no_link(state: Path) -> None:
    """
    Whoever could put one there could choose whose files are read.
    """
    link(state)
    with pytest.raises(RefusedError, match="symbolic link"):
        read(state)


@ROOT_ONLY
@pytest.mark.parametrize("place", [each for each in PLACES if "generations/7/" in each or each.endswith(".pem")])
def test_somebody_elses_file_is_refused(state: Path, place: str) -> None:
    """
    A hard link to root's file looks like a file of the tree; whose it is tells it apart. Folders likewise.
    """
    lay(state, {}, owner=NOBODY)
    assert read(state, owner=NOBODY)
    path = state / place
    if path.is_file():
        secret = state.parent / SECRET
        path.unlink()
        os.link(secret, path)
    else:
        os.chown(path, 0, 0)
    with pytest.raises(RefusedError, match="it belongs to user 0, not to the daemon's"):
        read(state, owner=NOBODY)


def test_a_certificates_trap_is_told_with_the_line_that_shows_it(state: Path) -> None:
    """
    So that the daemon keeps that site back and serves the others.
    """
    [file] = state.glob("nginx/generations/*/sites/chat.example.com.conf")
    rows = file.read_text().splitlines()
    number = next(at for at, row in enumerate(rows, 1) if "/chat.example.com/versions/3/" in row)
    link(state / "certificates/chat.example.com/versions/3/privkey.pem")
    with pytest.raises(RefusedError, match=rf"it is shown in \S+/sites/chat\.example\.com\.conf:{number}$"):
        read(state)


@pytest.mark.parametrize(
    "name",
    [
        "x\ny.conf",
        "..conf",
        ".hidden.conf",
        "x",
        "x.conf~",
        "$(id).conf",
        "ö.conf",
        "-x.conf",
        "a b.conf",
        "x" * 240 + ".conf.conf.x",
    ],
)
def test_a_snippet_of_any_other_name_is_refused(state: Path, name: str) -> None:
    """
    Snippets are found by looking, so their names are the daemon's.
    """
    tls = state / "nginx/generations/7/tls"
    tls.mkdir()
    (tls / name).write_text("")
    with pytest.raises(RefusedError, match="the helper refuses the name"):
        read(state)


def test_no_more_is_read_than_a_tree_can_be(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A million files, or small ones that are much together: the limits hold for the whole tree.
    """
    tls = state / "nginx/generations/7/tls"
    tls.mkdir()
    text = "# Written by Gatelodge. Changes made here are lost.\n"
    for number in range(50):
        (tls / f"x{number}.conf").write_text(text)
    assert len(read(state)) == 60
    with monkeypatch.context() as patch:
        patch.setattr(limits, "MOST_FILES", 40)
        with pytest.raises(RefusedError, match="more than 40 files"):
            read(state)
        (tls / "x0.conf").unlink()
        for each in tls.iterdir():
            if int(each.stem[1:]) > 34:
                each.unlink()
        with pytest.raises(RefusedError, match="more than 40 files"):
            read(state)
    with monkeypatch.context() as patch:
        patch.setattr(limits, "MOST_IN_ALL", 20_000)
        with pytest.raises(RefusedError, match="larger than any of ours"):
            read(state)


def test_what_was_checked_is_what_is_copied(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The tree is changed at the worst moment, after each file was read: the copy holds the bytes that were checked.
    """
    before = read(state)
    sites = state / "nginx/generations/7/sites"
    real = Source.read

    def read_and_lose(self: Source, folder: int, name: str, path: str, **most: int) -> bytes:
        content = real(self, folder, name, path, **most)
        os.unlink(name, dir_fd=folder)
        Path(path).write_text("load_module /tmp/evil.so;")
        return content

    monkeypatch.setattr(Source, "read", read_and_lose)
    assert read(state) == before
    assert (sites / "chat.example.com.conf").read_text() == "load_module /tmp/evil.so;"


def test_a_folder_that_is_swapped_while_it_is_read_leads_nowhere(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Between two files of it: it is held open, or the link in its place is refused. Nothing of the other folder is ever copied.
    """
    other = state.parent / "other"
    shutil.copytree(state / "nginx/generations/7", other)
    for file in other.rglob("*.conf"):
        file.write_text(file.read_text().replace("192.0.2.7", "192.0.2.66"))
    real = Source.read

    def read_and_swap(self: Source, folder: int, name: str, path: str, **most: int) -> bytes:
        content = real(self, folder, name, path, **most)
        tree = state / "nginx/generations/7"
        if not tree.is_symlink():
            tree.rename(tree.with_name("aside"))
            tree.symlink_to(other)
        return content

    monkeypatch.setattr(Source, "read", read_and_swap)
    with pytest.raises(RefusedError, match="no folder, or a symbolic link"):
        read(state)


def test_the_root_side_loads_nothing_of_the_daemon_but_two_pure_modules() -> None:
    """
    What root runs is small enough to be read: the standard library, how values are written, how others' listeners are read.
    """
    program = (
        "import sys; before = set(sys.modules); import gatelodge.rootside.__main__; "
        "print(*sorted(m for m in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    outside = {each.partition(".")[0] for each in loaded} - set(sys.stdlib_module_names)

    assert outside == {"gatelodge"}
    assert {each for each in loaded if each.startswith("gatelodge.") and not each.startswith("gatelodge.rootside")} == {
        "gatelodge.nginx.writing",
        "gatelodge.core",
        "gatelodge.core.tree",
        "gatelodge.nginx",
        "gatelodge.nginx.others",
        "gatelodge.nginx.writing.quote",
    }
    assert not {"asyncio", "socket", "ssl", "http", "urllib.request"} & set(loaded)
