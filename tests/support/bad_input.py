"""
What may come from outside as bytes, and who reads it: each judge hands them to the real readers, and asks that they end in an answer or in
an error that is meant for people. Nothing else may be raised, nothing may hang, and what was good beside them is still there.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import dns.message
from click.testing import CliRunner
from hypothesis import strategies as st
from tests.support.recorder import Recorder

from gatelodge.acme import chains, messages, problems, renewal_info, retry_after
from gatelodge.cli import cli
from gatelodge.core import addresses, backoff, budget
from gatelodge.dns.asking import NoAnswer, read
from gatelodge.errors import ConfigError, GatelodgeError, IssuanceError, NginxMissing, StateError
from gatelodge.issuers.acme.budgets import Budgets
from gatelodge.issuers.acme.record import Records
from gatelodge.nginx.letters import Correspondent, Letters
from gatelodge.nginx.memory import Memory
from gatelodge.nginx.tree import Trees
from gatelodge.ports import HttpResponse
from gatelodge.runtime.events import files as event_files
from gatelodge.runtime.events import text as event_text
from gatelodge.runtime.events.log import EventLog
from gatelodge.runtime.journal import Journal
from gatelodge.runtime.system import SystemClock
from gatelodge.solvers.ledger import Ledger
from gatelodge.stores.documents import DirectoryDocuments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CORPUS = Path(__file__).parents[1] / "bad_input" / "corpus"

_NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_URL = "https://ca.example/x"

#: Whatever was read as a time can be compared with it.
_LATER = dt.datetime.max.replace(tzinfo=dt.UTC)

_GOOD = {"id": 7, "time": "2026-01-01T00:00:00.000Z", "level": "info", "event": "daemon.started"}

_DOCUMENTS = (
    *("accounts", "journal/attempts", "journal/quarantines", "journal/orders", "journal/revoked", "journal/renewals"),
    *("journal/dns", "journal/addresses", "journal/budgets", "journal/exports"),
)

#: Pieces that mean something to a reader of JSON, TOML, times, numbers, paths or terminals.
_PIECES = (
    *(b"[" * 5000, b'{"a":' * 5000, b"]", b"}", b'"', b"'", b"\\", b"\n", b"\0", b"\x1b[2J", b"\xff\xfe", b"\xc0\x0c", b","),
    *(b"null", b"true", b"-1", b"0", b"1e999", b"Infinity", b"NaN", b"9" * 400, b"1" * 5000, b"[]", b"{}", b'""', b"7"),
    *(b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"2026-01-01T00:00:00", b"2026-01-01", b"1 Jan 99999"),
    *(b"../../etc/passwd", b"a" * 300, b"\\ud800", b"'''", b"=", b"[[x]]", b"http://[", b"//", "\u202e".encode()),
)  # fmt: skip


def configuration(data: bytes, folder: Path) -> None:
    """
    A configuration file, by `gatelodge check`: it is taken, or all its mistakes are told.
    """
    file = folder / "gatelodge.toml"
    file.write_bytes(data)
    done = CliRunner().invoke(cli, ["check", "-c", str(file)])
    # `gatelodge.cli.main` tells these in their own words.
    assert isinstance(done.exception, SystemExit | GatelodgeError | OSError | None), repr(done.exception)
    assert done.exit_code in (0, 1, 2)
    if isinstance(done.exception, ConfigError):
        assert str(done.exception).strip()


def acme(data: bytes, folder: Path) -> None:
    """
    An answer of a CA's, to anything, with the same text in the headers that are read.
    """
    del folder
    text = data.decode("latin-1")
    headers = dict.fromkeys(("retry-after", "link", "location", "date", "content-type", "replay-nonce"), (text,))
    for status in (200, 429):
        answer = HttpResponse(status=status, headers=headers, body=data)
        readers: tuple[Callable[[HttpResponse], object], ...] = (
            functools.partial(messages.directory, url=_URL),
            functools.partial(messages.account, url=_URL),
            functools.partial(messages.order, url=_URL, now=_NOW),
            functools.partial(messages.authorization, url=_URL, now=_NOW),
            functools.partial(messages.order_list, url=_URL),
            functools.partial(renewal_info.read, url=_URL, certificate="x", now=_NOW),
        )
        for reader in readers:
            with contextlib.suppress(IssuanceError):
                reader(answer)
        assert str(problems.from_answer(answer, url=_URL, now=_NOW)).isprintable()
        retry_after.of_answer(answer, now=_NOW)
        retry_after.date_of(answer)
    chains.read(text, preferred="Root")


def dns_answer(data: bytes, folder: Path) -> None:
    """
    A packet in place of a name server's answer.
    """
    del folder
    for kind in ("TXT", "A", "AAAA", "NS", "SOA", "CNAME", "CAA"):
        query = dns.message.make_query("_acme-challenge.example.org", kind, id=0)
        with contextlib.suppress(NoAnswer):
            assert isinstance(str(read(data, query)), str)


def events(data: bytes, folder: Path) -> None:
    """
    A log of events, with a good line before: that one is read, nobody stumbles over the others, and the log goes on.
    """
    log = folder / event_files.FILE
    log.write_bytes(json.dumps(_GOOD).encode() + b"\n" + data)
    found = [*event_files.read(str(folder))]
    assert _GOOD in found
    for each in found:
        event_files.event_time(each)
        shown = event_text.line(each, colours=False)
        assert shown.isprintable(), shown
    (folder / "journal" / "attempts").mkdir(parents=True)
    EventLog(directory=str(folder), clock=SystemClock(), stream=io.StringIO()).emit("daemon.stopped")
    assert [*event_files.read(str(folder))][-1]["event"] == "daemon.stopped"
    assert [*event_files.Reader(str(folder)).new()][-1]["event"] == "daemon.stopped"


def state(data: bytes, folder: Path) -> None:
    """
    A document in the state directory, of any kind: damaged as a whole, or with a content that makes no sense. Its reader says so or passes it
    over, and what it took can be worked with.
    """
    for kind in _DOCUMENTS:
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        (place / "x.json").write_bytes(b'{"format": 1, "key": "x", "document": ' + data + b"}")
        (place / "y.json").write_bytes(data)
    tree = folder / "nginx" / "generations" / "1"
    tree.mkdir(parents=True, exist_ok=True)
    (tree / "tree.json").write_bytes(data)
    with contextlib.suppress(StateError):
        asyncio.run(read_state(folder))
    with contextlib.suppress(StateError):
        assert all(each.generation.created_at < _LATER for each in Trees(folder / "nginx").trees())
    (folder / "nginx" / "running").write_bytes(data)
    with contextlib.suppress(StateError):
        remembered = Memory(folder / "nginx" / "running").recall()
        assert remembered.reloaded_at is None or remembered.reloaded_at < _LATER


def letters(data: bytes, folder: Path) -> None:
    """
    What whoever reloads an nginx elsewhere says of it: it is understood, or as good as nothing.
    """
    (folder / "about").write_bytes(data)
    to = Correspondent(answers=folder, nginx="nginx", remedy="start it", seconds=1)
    box = Letters(box=folder, state_directory=str(folder), group=None, clock=SystemClock(), to=to)
    with contextlib.suppress(NginxMissing):
        assert str(box.about().capabilities)


async def read_state(folder: Path) -> None:
    """
    Read every document, and compare every time.

    Raises:
        StateError: it was said what is wrong.
    """
    clock, told = SystemClock(), Recorder()
    documents = DirectoryDocuments(directory=str(folder), events=told)
    journal = Journal(documents=documents, clock=clock, spread=lambda: 0.5, events=told)
    await journal.load()
    times = [order.at for order in journal.in_flight.values()]
    times += [choice.ask_at for choice in journal.renewals.choices.values()]
    for attempt in journal.attempts.values():
        times += [attempt.at, attempt.retry_at]
        backoff.outlived(attempt, _NOW)
    journal.active_quarantines()
    ledger = Ledger(documents=documents, clock=clock, events=told)
    await ledger.load()
    assert all(isinstance(name, str) for names in ledger.leftovers.values() for name in names)
    times += [ledger.due] if ledger.due else []
    await Budgets(documents=documents, clock=clock).load()
    record = await Records(documents).get("x")
    times += [record.at] if record else []
    await Records(documents).urls()
    for key, found in (await documents.list("journal/addresses")).items():
        with contextlib.suppress(KeyError, TypeError, ValueError):
            addresses.read(key, found).held_until(_NOW)
    for document in (await documents.list("journal/budgets")).values():
        budget.from_document(document, ())
    assert all(each < _LATER for each in times)


#: Who reads what, by the name of its folder in the corpus.
JUDGES: Mapping[str, Callable[[bytes, Path], None]] = {
    "toml": configuration,
    "acme": acme,
    "dns": dns_answer,
    "events": events,
    "state": state,
    "letters": letters,
}

_SEEDS: Mapping[str, tuple[bytes, ...]] = {
    kind: tuple(each.read_bytes() for each in sorted((CORPUS / kind).iterdir())) for kind in JUDGES
}


def judged(kind: str, data: bytes) -> None:
    """
    Hand bytes to a judge, in a folder of their own. Whatever they say, nothing is touched beside it.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        folder, beside = Path(name, "folder"), Path(name, "beside")
        folder.mkdir()
        beside.write_bytes(b"good")
        JUDGES[kind](data, folder)
        assert sorted(Path(name).iterdir()) == [beside, folder]
        assert beside.read_bytes() == b"good"


@st.composite
def inputs(draw: st.DrawFn, kind: str) -> bytes:
    """
    Bytes of a kind: one of the corpus with some pieces of it, or of another one, put elsewhere, left out or changed.
    """
    data = draw(st.sampled_from(_SEEDS[kind]))
    for _ in range(draw(st.integers(1, 4))):
        other = draw(st.sampled_from(_SEEDS[kind]))
        start, length = draw(st.integers(0, len(other))), draw(st.integers(0, 40))
        piece = draw(st.sampled_from(_PIECES) | st.binary(max_size=8) | st.just(other[start : start + length]))
        at, gone = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        data = data[:at] + piece + data[at + gone :]
    return data
