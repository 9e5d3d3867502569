"""
Takes the daemon's requests and answers them: a tree is read, checked and copied, made current, tested with all of nginx's
configuration, and loaded; or what was current before is again.

    STATE/nginx/mailbox/request   nonce, tree, state: the daemon's, taken away by a rename so that none is lost
    RUN/answer                    nonce, result, what nginx said
    RUN/about                     which tree is current, and what that nginx is

It writes nothing into the state directory, and answers only in a folder of root's. What it says in an answer names the daemon's own
files, since their copies have the same lines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.rootside.copies import Copies, own_folder, replace
from gatelodge.rootside.nginx import Nginx
from gatelodge.rootside.source import Source
from gatelodge.rootside.syntax import RefusedError
from gatelodge.rootside.tree import copied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.rootside.rules import Ground

_REQUEST = re.compile(rb"nonce ([0-9a-f]{1,64})\ntree (none|[1-9][0-9]{0,14})\nstate (/[^\n]{0,4000})\n")
_MOST_REQUEST = 8192

#: How long one run takes requests; systemd starts another when there are more. nginx may wait for the first one, when the machine starts.
_MOST_SECONDS = 60


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What root said: whose trees these are, where copies and answers go, and which nginx it is.
    """

    ground: Ground
    owner: int
    group: int
    keep: str
    run: str
    nginx: str


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """
    A request that makes sense: which tree, or none.
    """

    nonce: str
    number: int | None
    state: str


class Helper:
    """
    One run of the helper.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._copies = Copies(Path(settings.keep))
        self._nginx = Nginx(settings.nginx, ours=settings.keep)
        self._run = Path(settings.run)
        self._told = False

    def once(self) -> None:
        """
        Take back what was cut short, say what nginx is, and answer the requests that are there.

        Raises:
            OSError: the folders of root's cannot be used.
        """
        own_folder(self._run)
        with self._copies.held():
            if self._copies.take_back():
                tell("an unfinished change was taken back")
                self._tell_about(None)
            self._copies.tidy()
            until = time.monotonic() + _MOST_SECONDS
            while time.monotonic() < until and (request := self._take()) is not None:
                self._answer(request)
            if not self._told:
                self._tell_about(None)

    def _take(self) -> Request | None:
        """
        Take the request away that is there; None when there is none that makes sense.
        """
        source = Source(self._settings.ground.state, owner=self._settings.owner)
        try:
            with source.folder("nginx", "mailbox") as box:
                try:
                    os.rename("request", ".taken", src_dir_fd=box, dst_dir_fd=box)
                except FileNotFoundError:
                    return None
                try:
                    content = source.read(box, ".taken", "the request", most=_MOST_REQUEST)
                finally:
                    os.unlink(".taken", dir_fd=box)
        except (OSError, RefusedError) as error:
            tell(str(error))
            return None
        found = _REQUEST.fullmatch(content)
        if found is None:
            tell("the request makes no sense, and is not answered")
            return None
        nonce, tree, state = (each.decode(errors="replace") for each in found.groups())
        return Request(nonce, None if tree == "none" else int(tree), state)

    def _answer(self, request: Request) -> None:
        try:
            result, said = self._serve(request)
        except RefusedError as error:
            result, said = "refused", str(error)
        except OSError as error:
            result, said = "failed", f"the helper could not do it: {error}"
        if result != "done":
            tell(f"tree {request.number}: {result}: {said}")
        if not self._told:
            self._tell_about(None)
        text = f"nonce {request.nonce}\nresult {result}\noutput\n{self._in_his_words(said)}\n"
        # What nginx says of others' configuration is for the daemon and nobody else.
        replace(self._run / "answer", text.encode(errors="replace"), mode=0o640, group=self._settings.group)

    def _serve(self, request: Request) -> tuple[str, str]:
        ground = self._settings.ground
        if request.state != ground.state:
            return (
                "failed",
                f"the state directory is {request.state} for the daemon and {ground.state} for the helper (--state)",
            )
        with self._staged(request.number) as name:
            before = self._copies.begin(name)
            settled = False
            try:
                tested = self._nginx.test()
                if not tested.content:
                    return "refused", tested.said
                told = self._nginx.reload()
                if not told.content:
                    return "absent", told.said
                settled = True
            finally:
                if settled:
                    self._copies.end()
                    self._copies.prune(before)
                else:
                    # Also when this program is told to end: what is current is tested, whoever starts nginx next.
                    self._copies.take_back()
                    self._told = False
            self._tell_about(tested.printed)
        tell(f"tree {request.number} is loaded")
        return "done", tested.said

    @contextlib.contextmanager
    def _staged(self, number: int | None) -> Iterator[str | None]:
        """
        Check and copy a tree; the copy is deleted at the end unless it is current.
        """
        if number is None:
            yield None
            return
        ground = self._settings.ground
        name = self._copies.new_name(number)
        files = copied(
            Source(ground.state, owner=self._settings.owner), ground, number, copy=self._copies.path(name)
        )  # fmt: skip
        try:
            self._copies.write(name, files)
            yield name
        finally:
            self._copies.drop(name)

    def _tell_about(self, dump: str | None) -> None:
        """
        Say what nginx is.

        Args:
            dump: its configuration, if it is known; else it is asked for it.
        """
        self._told = True
        number = self._copies.number()
        head = f"format 1\ninclude {self._settings.keep}/current/http.con[f]\ncurrent {number or 'none'}\n"
        try:
            said = self._nginx.about(self._nginx.test().printed if dump is None else dump)
        except OSError as error:
            said = f"version\n{error}"
        replace(self._run / "about", f"{head}{said}\n".encode(errors="replace"), mode=0o644)

    def _in_his_words(self, said: str) -> str:
        """
        Name the daemon's own files in place of their copies.
        """
        ground, copies = self._settings.ground, re.escape(f"{self._settings.keep}/generations/")
        said = re.sub(rf"{copies}[0-9]+-[0-9a-f]+/certificates/", f"{ground.state}/certificates/", said)
        return re.sub(rf"{copies}([0-9]+)-[0-9a-f]+/", rf"{ground.state}/nginx/generations/\1/", said)


def tell(text: str) -> None:
    """
    Write a line to the log.
    """
    sys.stderr.write("".join(each if each.isprintable() else " " for each in f"gatelodge-nginx: {text}") + "\n")
