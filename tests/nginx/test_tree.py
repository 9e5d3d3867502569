"""
Trees on disk: whole or not there, numbered for ever, readable by the next daemon.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.nginx.trees import NOW, desired, held, observed, site

from gatelodge import durable
from gatelodge.core.tree import GENERATION, Generation, Served
from gatelodge.errors import StateError
from gatelodge.model import Listener, Name
from gatelodge.nginx.binary import Program
from gatelodge.nginx.memory import Memory, Remembered
from gatelodge.nginx.process import Process
from gatelodge.nginx.tree import FORMAT, Trees
from gatelodge.nginx.writing.render import render

if TYPE_CHECKING:
    from pathlib import Path

RENDERED = render(
    desired(site("a.example.com"), site("b.example.com"), site("192.0.2.1")),
    observed(held("a.example.com"), held("b.example.com", version=2), held("192.0.2.1")),
)

#: As it lies on disks.
FORMAT_1 = """{"format": 1, "number": 3, "digest": "d1", "created_at": "2026-01-01T00:00:00+00:00", "references": [["192.0.2.1", 4],
["a.example.com", 1]], "listeners": [[80, ""], [443, ""], [8443, "127.0.0.1"]], "served": [[443, "", "a.example.com",
"a.example.com", "ab"], [8443, "127.0.0.1", null, "192.0.2.1", "cd"]], "proof": "http://127.0.0.1:80"}"""


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    """
    Return trees in an empty folder.
    """
    return Trees(tmp_path)


def test_a_staged_tree_is_read_back_by_the_next_daemon(trees: Trees, tmp_path: Path) -> None:
    """
    With all that it needs to be compared, proven again and pruned.
    """
    number = trees.stage(RENDERED, now=NOW)
    tree = Trees(tmp_path).tree(number)
    assert tree is not None
    assert tree.generation == Generation(
        number=1, digest=RENDERED.digest, proven=False, created_at=NOW, references=RENDERED.references
    )
    assert (tree.listeners, tree.served, tree.proof) == (RENDERED.listeners, frozenset(RENDERED.served), RENDERED.proof)
    entry = (trees.folder(number) / "nginx.conf").read_text()
    assert GENERATION not in entry
    assert "/generations/1/sites/a.example.com.conf;" in entry
    assert trees.site_text(number, "b.example.com") == RENDERED.sites["b.example.com"]
    assert trees.site_text(number, "c.example.com") is None


def test_how_it_is_asked_for_is_read_back_too(trees: Trees, tmp_path: Path) -> None:
    """
    A certificate that stands beside another, and listeners that wait for a PROXY header.
    """
    first, *others = RENDERED.served
    served = (
        first,
        dataclasses.replace(first, rsa=True),
        *(dataclasses.replace(e, proxy_protocol=True) for e in others),
    )
    number = trees.stage(dataclasses.replace(RENDERED, served=served, proof_proxied=True), now=NOW)
    tree = Trees(tmp_path).tree(number)
    assert tree is not None
    assert (tree.served, tree.proof_proxied) == (frozenset(served), True)


def test_what_older_gatelodges_wrote_is_read(trees: Trees) -> None:
    """
    Format 1: they knew one certificate for each site, and no PROXY headers.
    """
    trees.folder(3).mkdir(parents=True)
    (trees.folder(3) / "tree.json").write_text(FORMAT_1)
    (tree,) = trees.trees()
    assert tree.generation.number == 3
    assert tree.generation.references == {("a.example.com", 1), ("192.0.2.1", 4)}
    assert (tree.proof, tree.proof_proxied) == ("http://127.0.0.1:80", False)
    assert tree.served == {
        Served(
            listener=Listener(port=443),
            server_name=Name("a.example.com"),
            certificate="a.example.com",
            fingerprint="ab",
        ),
        Served(
            listener=Listener(port=8443, address="127.0.0.1"),
            server_name=None,
            certificate="192.0.2.1",
            fingerprint="cd",
        ),
    }


def test_current_and_proven_are_told_from_one_another(trees: Trees) -> None:
    """
    Nothing is either at first.
    """
    assert (trees.current(), trees.last_proven(), trees.trees()) == (None, None, ())
    first, second = trees.stage(RENDERED, now=NOW), trees.stage(RENDERED, now=NOW)
    trees.mark_proven(first)
    trees.swap(second)
    assert (trees.current(), trees.last_proven()) == (second, first)
    assert trees.entry.read_text() == (trees.folder(second) / "nginx.conf").read_text()
    trees.swap(None)
    assert trees.current() is None


def test_numbers_are_never_given_again(trees: Trees, tmp_path: Path) -> None:
    """
    Not after the tree is gone, not by the next daemon, not when the note of them is lost.
    """
    assert trees.stage(RENDERED, now=NOW) == 1
    trees.remove(1)
    trees.remove(1)
    assert Trees(tmp_path).stage(RENDERED, now=NOW) == 2
    (tmp_path / "highest").write_text("")
    assert trees.stage(RENDERED, now=NOW) == 3


def test_a_site_that_did_not_change_is_not_written_again(trees: Trees) -> None:
    """
    Its file is a link to the one before; a changed one is a file of its own, and a damaged one is not linked to.
    """
    trees.swap(trees.stage(RENDERED, now=NOW))
    (trees.folder(1) / "sites" / "192.0.2.1.conf").write_text("damaged")
    changed = dataclasses.replace(RENDERED, sites={**RENDERED.sites, "b.example.com": "other"})
    trees.stage(changed, now=NOW)
    old, new = trees.folder(1) / "sites", trees.folder(2) / "sites"
    assert (new / "a.example.com.conf").samefile(old / "a.example.com.conf")
    assert (new / "b.example.com.conf").read_text() == "other"
    assert (new / "192.0.2.1.conf").read_text() == RENDERED.sites["192.0.2.1"]


def test_what_a_crash_left_half_done_is_no_tree(trees: Trees, tmp_path: Path) -> None:
    """
    Neither a folder that was not renamed yet, nor one that lacks its description; the next staging clears the first away.
    """
    (tmp_path / "generations" / ".4" / "sites").mkdir(parents=True)
    (tmp_path / "generations" / "5").mkdir()
    assert trees.trees() == ()
    assert trees.stage(RENDERED, now=NOW) == 6
    assert not (tmp_path / "generations" / ".4").exists()


def test_a_newer_format_stops_everything(trees: Trees, tmp_path: Path) -> None:
    """
    It is not guessed at.
    """
    file = trees.folder(trees.stage(RENDERED, now=NOW)) / "tree.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": FORMAT + 1}))
    with pytest.raises(StateError, match=r"newer Gatelodge"):
        Trees(tmp_path).trees()


def test_what_cannot_be_written_is_said_with_a_remedy(trees: Trees, tmp_path: Path) -> None:
    """
    The path, the problem, and what to do.
    """
    (tmp_path / "generations").write_text("not a folder")
    with pytest.raises(StateError, match=r"generations"):
        trees.stage(RENDERED, now=NOW)


def test_what_runs_is_remembered_of_one_process_only(tmp_path: Path) -> None:
    """
    A process with another start, or another number, runs something unknown.
    """
    memory = Memory(tmp_path / "running")
    assert memory.recall() == Remembered()
    program = Program(path="/usr/sbin/nginx", inode=12, changed=34, version=(1, 22, 1))
    written = Remembered(pid=7, started=100, generation=3, program=program, reloaded_at=NOW)
    memory.write(written)
    recalled = memory.recall()
    assert recalled == written
    assert recalled.program is not None
    assert recalled.program.path == program.path
    generations = [recalled.of(Process(pid=pid, started=at)).generation for pid, at in ((7, 100), (7, 101), (8, 100))]
    assert generations == [3, 0, 0]
    document = json.loads((tmp_path / "running").read_text())
    del document["program"]
    (tmp_path / "running").write_text(json.dumps(document))
    assert memory.recall() == dataclasses.replace(written, program=None), "as older Gatelodges wrote it"
    (tmp_path / "running").write_text("{")
    assert memory.recall() == Remembered()
    (tmp_path / "running").write_text('{"format": 99}')
    with pytest.raises(StateError, match=r"newer Gatelodge"):
        memory.recall()


def test_a_tree_is_written_while_an_old_one_is_deleted(trees: Trees) -> None:
    """
    Two jobs do that, and both clear away what is half deleted: neither minds that the other one was quicker.
    """
    many = render(
        desired(*(site(f"s{number}.example.com") for number in range(40))),
        observed(*(held(f"s{number}.example.com") for number in range(40))),
    )
    with ThreadPoolExecutor(1) as other:
        for _ in range(8):
            old = trees.stage(many, now=NOW)
            deleted = other.submit(trees.remove, old)
            new = trees.stage(RENDERED, now=NOW)
            deleted.result()
            assert (trees.tree(old), trees.tree(new) is None) == (None, False)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_no_number_is_given_twice_for_a_file_that_cannot_be_read_now(
    trees: Trees, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The highest one is not known, so that no tree is made.
    """

    def read(path: Path, **_: object) -> bytes:
        raise OSError(code, "not now", str(path))

    trees.stage(RENDERED, now=NOW)
    with monkeypatch.context() as patched:
        patched.setattr(durable, "read", read)
        with pytest.raises(StateError):
            trees.stage(RENDERED, now=NOW)
    assert trees.stage(RENDERED, now=NOW) == 2


def test_what_is_no_text_in_the_place_of_a_site_holds_nobody_up(trees: Trees) -> None:
    """
    A pipe is none, and bytes are shown as far as they are text.
    """
    number = trees.stage(RENDERED, now=NOW)
    a, b = (trees.folder(number) / "sites" / f"{name}.example.com.conf" for name in "ab")
    for each in (a, b):
        each.unlink()
    os.mkfifo(a)
    b.write_bytes(b"\xff text")
    assert trees.site_text(number, "a.example.com") is trees.kept(number, "a.example.com") is None
    assert trees.site_text(number, "b.example.com") == "\ufffd text"
    assert {"a.example.com": "", "b.example.com": "\ufffd text"}.items() <= trees.site_texts(number).items()
