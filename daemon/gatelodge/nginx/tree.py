"""
Keeps trees on disk: numbered folders that never change once they are there, one of them current, the proven ones marked.

    generations/N/  nginx.conf  prelude.conf  sites/NAME.conf  streams/NAME.conf  tree.json  proven
                    http.conf and stream.conf in place of nginx.conf, acme-challenge.conf and tls/NAME.conf where nginx is somebody
                    else's
    ../auth/NAME.DIGEST, the passwords that a tree names: nginx's workers read them, and may not come in here
    current -> generations/N
    highest         the highest number ever given, so that an answer of nginx's means one tree only

It runs no nginx and decides nothing; everything here blocks. What it wrote has reached the disk when it returns.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import errno
import json
import os
import shutil
import stat
from typing import TYPE_CHECKING

from gatelodge import durable
from gatelodge.core import moments
from gatelodge.core.parts import place
from gatelodge.core.tree import GENERATION, Generation, Served
from gatelodge.errors import StateError
from gatelodge.model import STREAM_PREFIX, Listener, Name
from gatelodge.nginx.writing.guard import FOLDER, PASSWORD_FILE
from gatelodge.nginx.writing.reading import read
from gatelodge.nginx.writing.stream import is_left_out

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.core.tree import Rendered

#: 1 knew neither certificates beside others nor PROXY headers.
FORMAT = 2

#: Ours to write, and nginx's workers' to read.
_FOR_WORKERS = 0o640

#: What the file of the highest number says when it is gone or broken. A disk that reports an error says nothing about it.
_NO_NUMBER = durable.BROKEN - {errno.EIO}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """
    A tree on disk, with what is needed to take it up again: what it opens, what it shows, where it tells its number.
    """

    generation: Generation
    listeners: frozenset[Listener]
    served: frozenset[Served]
    proof: str
    proof_proxied: bool = False
    passwords: frozenset[str] = frozenset()


class Trees:
    """
    The trees under one folder.
    """

    def __init__(self, folder: Path, *, group: int | None = None) -> None:
        """
        Args:
            group: one that may read the trees, for an nginx that is neither ours nor root's.
        """
        self._folder = folder
        self._group = group
        self._all = folder / "generations"
        self._current = folder / "current"
        self._read: dict[int, Tree] = {}

    @property
    def entry(self) -> Path:
        """
        The configuration file that nginx is started with.
        """
        return self._current / "nginx.conf"

    def folder(self, number: int) -> Path:
        """
        Return a tree's folder, whether it is there or not.
        """
        return self._all / str(number)

    def stage(self, rendered: Rendered, *, now: dt.datetime) -> int:
        """
        Write a tree under a new number, and return that. It is whole or not there.

        Raises:
            StateError: it cannot be written.
        """
        with durable.translated(self._all):
            self._make_folder(self._all)
            for leftover in self._all.glob(".*"):
                # Another job may be deleting it; what stays has a number that is not given again, and is found the next time.
                shutil.rmtree(leftover, ignore_errors=True)
            number = self._next()
            durable.replace(self._folder / "highest", b"%d\n" % number, beside=self._folder / ".highest")
            staged = self._all / f".{number}"
            self._write_passwords(rendered)
            self._make_folder(staged)
            folders = [staged / "sites", *([staged / "streams"] if rendered.streams else [])]
            for folder in folders:
                self._make_folder(folder)
            entry = "nginx.conf" if rendered.whole else "http.conf"
            self._write(staged / entry, rendered.entry.replace(GENERATION, str(number)))
            if rendered.stream_entry:
                self._write(staged / "stream.conf", rendered.stream_entry.replace(GENERATION, str(number)))
            self._write(staged / "prelude.conf", rendered.prelude)
            self._write_parts(staged, rendered)
            for file, text in rendered.snippets.items():
                self._make_folder((staged / file).parent)
                self._write(staged / file, text)
            self._write(staged / "tree.json", json.dumps(_document(number, rendered, now)))
            for folder in {*folders, *((staged / file).parent for file in rendered.snippets), staged}:
                durable.sync_folder(folder)
            staged.rename(self.folder(number))
            durable.sync_folder(self._all)
        return number

    def _make_folder(self, folder: Path) -> None:
        durable.make_folder(folder, mode=0o700 if self._group is None else 0o750, group=self._group)

    def _write(self, file: Path, text: str) -> None:
        durable.write_new(file, text.encode(), mode=0o600 if self._group is None else 0o640, group=self._group)

    def _write_passwords(self, rendered: Rendered) -> None:
        """
        Write the password files that are not there, or not for nginx's workers of today. Each is called after what it holds, so that
        none ever changes.
        """
        folder = self._folder.parent / FOLDER
        for name, text in rendered.passwords.items():
            group = folder.stat().st_gid
            if not _is_for(folder / name, group):
                content = text.reveal().encode()
                durable.replace(folder / name, content, beside=folder / f".{name}", mode=_FOR_WORKERS, group=group)
        if rendered.passwords:
            durable.sync_folder(folder)

    def _forget_passwords(self) -> None:
        """
        Delete the password files that no tree names any more.
        """
        named = frozenset().union(*(tree.passwords for tree in self.trees()))
        folder = self._folder.parent / FOLDER
        for file in folder.iterdir() if folder.is_dir() else ():
            if PASSWORD_FILE.fullmatch(file.name) and file.name not in named:
                file.unlink(missing_ok=True)

    def _next(self) -> int:
        try:
            highest = int(durable.read(self._folder / "highest"))
        except ValueError:
            highest = 0
        except OSError as error:
            if error.errno not in _NO_NUMBER:
                raise  # a machine that is short of something: no number may be given twice for that
            highest = 0
        return max([highest, *self._numbers()]) + 1

    def _write_parts(self, folder: Path, rendered: Rendered) -> None:
        """
        Write the sites and streams. One that did not change is a link to the file of the current tree: a renewal among a thousand
        sites writes one file, which is kind to an SD card.
        """
        for part, text in rendered.parts.items():
            old, new = self._current / place(part), folder / place(part)
            with contextlib.suppress(OSError):
                if durable.read(old) == text.encode():
                    os.link(old, new)
                    continue
            self._write(new, text)

    def trees(self) -> tuple[Tree, ...]:
        """
        Return all trees that are whole, in order.

        Raises:
            StateError: they cannot be read, or one was written by a newer Gatelodge.
        """
        numbers = sorted(self._numbers())
        return tuple(tree for number in numbers if (tree := self.tree(number)))

    def tree(self, number: int) -> Tree | None:
        """
        Return a tree, or None when it is not there or not whole.

        Raises:
            StateError: it was written by a newer Gatelodge.
        """
        file = self.folder(number) / "tree.json"
        tree = self._read.get(number)
        if tree is None:
            try:
                document = json.loads(durable.read(file))
                if document["format"] > FORMAT:
                    raise StateError(str(file), "was written by a newer Gatelodge", "install that version again")
                tree = _tree(document)
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                return None
        proven = tree.generation.proven or (self.folder(number) / "proven").exists()
        tree = dataclasses.replace(tree, generation=dataclasses.replace(tree.generation, proven=proven))
        self._read[number] = tree
        return tree

    def current(self) -> int | None:
        """
        Return the current tree's number.
        """
        try:
            return int(self._current.readlink().name)
        except (OSError, ValueError):
            return None

    def last_proven(self) -> int | None:
        """
        Return the newest proven tree's number.
        """
        return max((tree.generation.number for tree in self.trees() if tree.generation.proven), default=None)

    def swap(self, number: int | None) -> None:
        """
        Make a tree the current one, or none.

        Raises:
            StateError: the link cannot be written.
        """
        with durable.translated(self._current):
            if number is None:
                self._current.unlink(missing_ok=True)
            else:
                staged = self._folder / ".current"
                staged.unlink(missing_ok=True)
                staged.symlink_to(f"generations/{number}")
                staged.replace(self._current)
            durable.sync_folder(self._folder)

    def proven_at(self, number: int) -> dt.datetime | None:
        """
        Return when nginx was seen to serve a tree, None when it was not.
        """
        try:
            written = (self.folder(number) / "proven").stat().st_mtime
        except OSError:
            return None
        return dt.datetime.fromtimestamp(written, dt.UTC)

    def mark_proven(self, number: int) -> None:
        """
        Write down that nginx was seen to serve a tree.

        Raises:
            StateError: it cannot be written.
        """
        with durable.translated(self.folder(number)):
            durable.write_new(self.folder(number) / "proven", b"")
            durable.sync_folder(self.folder(number))

    def remove(self, number: int) -> None:
        """
        Delete a tree. Nothing happens when it is not there.

        Raises:
            StateError: it cannot be deleted.
        """
        self._read.pop(number, None)
        with durable.translated(self.folder(number)):
            # Renamed first, so that what is half deleted is no tree.
            leaving = self._all / f".{number}.leaving"
            with contextlib.suppress(FileNotFoundError):
                self.folder(number).rename(leaving)
                shutil.rmtree(leaving, ignore_errors=True)  # what stays is swept with the next tree
            self._forget_passwords()

    def site_text(self, number: int, site: str) -> str | None:
        """
        Return the text of a part in a tree, or None.
        """
        return _text(self.folder(number) / place(site))

    def kept(self, number: int, part: str) -> str | None:
        """
        Return the text at which a part can stay as it is in a tree, or None when there is none, or nothing in it.
        """
        text = self.site_text(number, part)
        return None if text is None or is_left_out(text) else text

    def site_texts(self, number: int) -> dict[str, str]:
        """
        Return the texts of all parts of a tree, by name.
        """
        return {
            f"{prefix}{each.name.removesuffix('.conf')}": _text(each) or ""
            for prefix, folder in (("", "sites"), (STREAM_PREFIX, "streams"))
            for each in sorted((self.folder(number) / folder).glob("*.conf"))
        }

    def _numbers(self) -> list[int]:
        with durable.translated(self._all), contextlib.suppress(FileNotFoundError):
            return [int(each.name) for each in self._all.iterdir() if each.name.isascii() and each.name.isdecimal()]
        return []


def _text(file: Path) -> str | None:
    """
    Return the text of a file of a tree, or None when none can be read.
    """
    try:
        return durable.read(file).decode(errors="replace")
    except OSError:
        return None


def _is_for(file: Path, group: int) -> bool:
    """
    Tell whether a file is there for a group to read, and for nobody else.
    """
    try:
        found = file.stat()
    except FileNotFoundError:
        return False
    return found.st_gid == group and stat.S_IMODE(found.st_mode) == _FOR_WORKERS


def _document(number: int, rendered: Rendered, now: dt.datetime) -> dict[str, object]:
    return {
        "format": FORMAT,
        "number": number,
        "digest": rendered.digest,
        "created_at": now.isoformat(),
        "references": sorted(rendered.references),
        "listeners": [[each.port, each.address, each.udp] for each in sorted(rendered.listeners)],
        "served": [_visit(each) for each in rendered.served],
        "proof": rendered.proof,
        "proof_proxied": rendered.proof_proxied,
        # A site that is kept back may name one that nobody asks for any more.
        "passwords": sorted(
            {*rendered.passwords, *(name for text in rendered.sites.values() for name in read(text).passwords)}
        ),
    }


def _visit(served: Served) -> list[object]:
    where = served.listener
    who = (served.server_name, served.certificate, served.fingerprint)
    return [where.port, where.address, *who, served.rsa, served.proxy_protocol]


def _tree(document: dict[str, object]) -> Tree:
    fields: dict[str, object] = document
    references, listeners, served = fields["references"], fields["listeners"], fields["served"]
    if not (isinstance(references, list) and isinstance(listeners, list) and isinstance(served, list)):
        raise TypeError("lists are lists")
    return Tree(
        generation=Generation(
            number=int(str(fields["number"])),
            digest=str(fields["digest"]),
            proven=False,
            created_at=moments.read(fields["created_at"]),
            references=frozenset((name, version) for name, version in references),
        ),
        listeners=frozenset(Listener(port=port, address=address, udp=any(more)) for port, address, *more in listeners),
        served=frozenset(
            Served(
                listener=Listener(port=port, address=address),
                server_name=Name(name) if name else None,
                certificate=certificate,
                fingerprint=fingerprint,
                rsa=any(more[:1]),
                proxy_protocol=any(more[1:]),
            )
            for port, address, name, certificate, fingerprint, *more in served
        ),
        proof=str(fields["proof"]),
        proof_proxied=bool(fields.get("proof_proxied")),
        passwords=frozenset(_texts(fields.get("passwords"))),
    )


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []
