"""
A state directory as a daemon leaves it, in which something else stands in some of the places: other bytes, half of a file, a folder, a link, a
pipe, nothing.

The judge looks at it as the next start does and as verbs do for a person, and knows what may never be: a traceback, somebody who waits for
ever, and anything lost that nobody was told of.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner
from hypothesis import strategies as st
from tests.support.bad_input import CORPUS, read_state
from tests.support.certificates import QuickKeys, issued, spec
from tests.support.stores import opened

from gatelodge.cli import cli
from gatelodge.errors import GatelodgeError, StateError
from gatelodge.issuers.local import Local
from gatelodge.nginx.log import ErrorLog
from gatelodge.nginx.memory import Memory
from gatelodge.nginx.tree import Trees
from gatelodge.runtime.events import files as event_files
from gatelodge.runtime.events.log import EventLog
from gatelodge.runtime.system import SystemClock
from gatelodge.stores import state
from gatelodge.stores.documents import DirectoryDocuments
from gatelodge.stores.lock import Lock, held_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

WIKI, OTHER = spec("wiki.example.com"), spec("other.example.com")

_VERBS = (("status",), ("status", "wiki.example.com"), ("events", "--json"), ("plan",), ("ca", "export"))

#: What hangs is let go after so long. Seconds.
_PATIENCE = 8

#: The state directory that is changed, and the folder beside it to which links lead: whoever follows one harms nothing but that.
_STATE, _ELSEWHERE = "state", "elsewhere"

#: A device to which links lead.
_DEVICE = Path("/dev/null")

#: Places that every writer takes for its own, whatever stands there; and the log of events, which lets old ones go when it is large.
_PASSING = ("lock", "/events", "/current", "/.", "format")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """
    What was done to a place, which is a path in the state directory.
    """

    place: str
    kind: str
    content: bytes = b""


async def build(folder: Path) -> None:
    """
    Make a state directory in which something of everything stands.
    """
    state.prepare(str(folder))
    store = opened(folder / "certificates")
    for each in (WIKI, WIKI, OTHER):
        await store.put(each, issued(each))
    documents = DirectoryDocuments(directory=str(folder))
    for kind in ("attempts", "quarantines", "orders", "revoked", "renewals", "dns", "addresses", "budgets", "exports"):
        await documents.put(f"journal/{kind}", "x", {"at": "2026-01-01T00:00:00+00:00", "certificate": "x"})
    await documents.put("accounts", "letsencrypt", {"kid": "https://ca.example/a/1"})
    await Local(directory=str(folder / "ca"), clock=SystemClock(), keys=QuickKeys()).root_pem()
    tree = folder / "nginx" / "generations" / "1"
    tree.mkdir(parents=True)
    shutil.copy(CORPUS / "state" / "tree.json", tree / "tree.json")
    shutil.copy(CORPUS / "state" / "running.json", folder / "nginx" / "running")
    (tree / "sites").mkdir()
    (tree / "sites" / "wiki.example.com.conf").write_bytes(b"# a site\n")
    (folder / "nginx" / "error.log").write_bytes(b"[emerg] 1#1: no\n")
    (folder / "nginx" / "highest").write_bytes(b"1\n")
    (folder / "nginx" / "nginx.pid").write_bytes(b"999999999\n")
    (folder / "nginx" / "current").symlink_to("generations/1")
    log = EventLog(directory=str(folder), clock=SystemClock(), stream=io.StringIO())
    log.emit("daemon.started")
    event_files.end(str(folder), last=1, day="2026-01-01")
    log.emit("daemon.stopped")
    with Lock(directory=str(folder), clock=SystemClock(), command="test"):
        pass


def places(folder: Path) -> tuple[str, ...]:
    """
    Return all places of a state directory, and some where nothing stands.
    """
    there = sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))
    return (
        *there,
        "certificates/new.example.com",
        "certificates/wiki.example.com/versions/9",
        "nginx/mailbox/request",
        ".writable",
    )


@st.composite
def changes(draw: st.DrawFn, known: tuple[str, ...]) -> tuple[Change, ...]:
    """
    A few changes.
    """
    piece = st.sampled_from(
        (b"\xff\xfe", b"\0" * 20, b"[" * 9000, b'"', b"{}", b"9" * 5000, b"\x1b[2J", b"null", b"")
    ) | st.binary(max_size=9)
    return tuple(
        Change(
            place=draw(st.sampled_from(known)),
            kind=draw(st.sampled_from(("bytes", "bytes", *KINDS))),
            content=draw(piece),
        )
        for _ in range(draw(st.integers(1, 3)))
    )


def _bytes(place: Path, content: bytes) -> None:
    """
    Change some bytes in the middle; of what is no file, nothing.
    """
    old = place.read_bytes() if place.is_file() else b""
    _put(place, old[: len(old) // 2] + content + old[len(old) // 2 + len(content) :])


def _put(place: Path, content: bytes) -> None:
    _gone(place, b"")
    place.write_bytes(content)


def _gone(place: Path, _: bytes) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)


def _made(make: Callable[[Path], object]) -> Callable[[Path, bytes], None]:
    def change(place: Path, _: bytes) -> None:
        _gone(place, b"")
        make(place)

    return change


def _elsewhere(place: Path) -> Path:
    state = next(each for each in place.parents if each.name == _STATE)
    return state.with_name(_ELSEWHERE)


def _mode(place: Path, mode: int) -> None:
    # Never through a link: the tests may run as root, and it may lead to a device.
    if place.exists() and not place.is_symlink():
        place.chmod(mode)


def _full(place: Path) -> None:
    place.mkdir()
    (place / "kept").write_bytes(b"good")


def _socket(place: Path) -> None:
    # By a short path (108 bytes, unix(7)).
    with socket.socket(socket.AF_UNIX) as made, _inside(place.parent):
        made.bind(place.name)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _large(place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(20 << 20)


#: What can be done to a place.
KINDS: Mapping[str, Callable[[Path, bytes], None]] = {
    "bytes": _bytes,
    "replaced": _put,
    "half": lambda place, _: _put(place, place.read_bytes()[: place.stat().st_size // 2] if place.is_file() else b""),
    "gone": _gone,
    "folder": _made(_full),
    "pipe": _made(os.mkfifo),
    "socket": _made(_socket),
    "large": _made(_large),
    "link to nothing": _made(lambda place: place.symlink_to("nothing")),
    "link to itself": _made(lambda place: place.symlink_to(place.name)),
    "link to a device": _made(lambda place: place.symlink_to(_DEVICE)),
    "link elsewhere": _made(lambda place: place.symlink_to(_elsewhere(place))),
    "closed": lambda place, _: _mode(place, 0),
    "open": lambda place, _: _mode(place, 0o777),
}


def judged(template: Path, folder: Path, changed: tuple[Change, ...]) -> None:
    """
    Change a copy of a state directory, look at it, and hold what comes of it against what must never be.
    """
    copy = folder / _STATE
    shutil.copytree(template, copy, symlinks=True)
    (folder / _ELSEWHERE).mkdir()
    for change in changed:
        place = copy / change.place
        with contextlib.suppress(OSError):  # what stood above it is no folder any more
            if place.parent.resolve().is_relative_to(copy.resolve()):  # or leads elsewhere
                KINDS[change.kind](place, change.content)
    before, device = _standing(copy), _DEVICE.stat().st_mode
    config = folder / "gatelodge.toml"
    config.write_text(
        f'state_directory = "{copy}"\nacme.agree_tos = true\nadmin.socket = "{folder}/admin.sock"\n'
        '[sites]\n"wiki.example.com" = "http://127.0.0.1:1"\n"local.example.com" = { upstream = "http://127.0.0.1:1", tls = "local" }\n'
    )
    with _nobody_waits(copy):
        for verb in _VERBS:
            done = CliRunner().invoke(cli, [*verb, "-c", str(config)])
            # `gatelodge.cli.main` tells these in their own words.
            assert isinstance(done.exception, SystemExit | GatelodgeError | OSError | None), (
                verb,
                repr(done.exception),
            )
            assert "Traceback" not in done.output
            assert "\x1b[2J" not in done.output
        asyncio.run(_started(copy))
    assert _DEVICE.stat().st_mode == device, "what a link led to was changed"
    after = _standing(copy)
    lost = {
        place
        for place, what in before.items()
        if after.get(place) != what and not any(each in f"/{place}" for each in _PASSING)
    }
    assert not lost, lost


async def _started(folder: Path) -> None:
    """
    Look at everything as a daemon does that starts, and store another certificate. What cannot be is said.
    """
    try:
        state.prepare(str(folder))
    except StateError:
        return  # a daemon does not start then
    with contextlib.suppress(OSError):
        held_by(str(folder))
    clock = SystemClock()
    with contextlib.suppress(StateError), Lock(directory=str(folder), clock=clock, command="test"):
        with contextlib.suppress(StateError):
            await read_state(folder)
        with contextlib.suppress(StateError):
            trees = Trees(folder / "nginx")
            for each in trees.trees():
                trees.site_texts(each.generation.number)
            ErrorLog(folder / "nginx" / "error.log").emergencies(0)
        Trees(folder / "nginx").current()
        with contextlib.suppress(StateError):
            Memory(folder / "nginx" / "running").recall()
        with contextlib.suppress(StateError):
            await Local(directory=str(folder / "ca"), clock=clock, keys=QuickKeys()).root_pem()
        store = opened(folder / "certificates")
        with contextlib.suppress(StateError):
            index = await store.index()
            for name, versions in index.versions.items():
                assert (await store.read(name, versions[-1])).chain
            assert all(index.damaged.values())
        for wanted in (WIKI, spec("new.example.com")):
            with contextlib.suppress(StateError):
                held = await store.put(wanted, issued(wanted))
                assert (await store.index()).held[wanted.name] == held
    with contextlib.suppress(PermissionError):
        EventLog(directory=str(folder), clock=clock, stream=io.StringIO()).emit("daemon.started")
        for each in event_files.Reader(str(folder)).new():
            event_files.event_time(each)


def _standing(folder: Path) -> dict[str, object]:
    """
    Return what stands at each place: the content of files, the aim of links, else its kind.
    """
    found: dict[str, object] = {}
    for each in folder.rglob("*"):
        kind = each.lstat().st_mode >> 12
        what = (
            each.readlink()
            if each.is_symlink()
            else each.read_bytes()
            if each.is_file() and each.stat().st_size < 1 << 20
            else kind
        )
        found[str(each.relative_to(folder))] = what
    return found


@contextlib.contextmanager
def _nobody_waits(folder: Path) -> Iterator[None]:
    """
    Let go whoever waits for a pipe too long, and fail then.

    Raises:
        AssertionError: somebody waited.
    """
    waited: list[Path] = []

    def let_go(*_: object) -> None:
        for each in folder.rglob("*"):
            if each.is_fifo():
                waited.append(each)
                os.close(os.open(each, os.O_RDWR | os.O_NONBLOCK))

    before = signal.signal(signal.SIGALRM, let_go)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not waited, waited
