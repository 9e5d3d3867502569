"""
Reaches an nginx in another container, or under another user, through a folder that both see: a request is written, and the script
beside that nginx (`mailbox.sh`) answers it.

    mailbox/request   nonce, tree, state: written here
    mailbox/answer    nonce, result, what nginx said: written there
    mailbox/about     what that nginx is: written there, at its start and after each change

The script alone writes `current`; nothing here ever does. An answer counts only with the nonce of its request, which also proves that
it is the same folder that both see.
"""

from __future__ import annotations

import dataclasses
import functools
import secrets
from typing import TYPE_CHECKING

from gatelodge import durable
from gatelodge.durable import in_thread
from gatelodge.errors import NginxAway, NginxRefused
from gatelodge.nginx.binary import described, name_servers
from gatelodge.nginx.others import spell

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.core.tree import Capabilities
    from gatelodge.ports import Clock

#: How long an answer may take: the script looks twice a second, and a test of 1 000 TLS sites takes ten seconds on a small machine.
_SECONDS = 45.0
_POLL_SECONDS = 0.1

#: No answer is longer; nginx says little.
_MOST_BYTES = 256 * 1024

_NAME = "the nginx beside the mailbox"
_HELP = "is its script running beside nginx, with the same state directory at the same path? (docs/external.md)"


class Mailbox:
    """
    Implements `reloading.Reloading`.
    """

    def __init__(
        self, *, folder: Path, state_directory: str, group: int | None, clock: Clock, seconds: float = _SECONDS
    ) -> None:
        """
        Args:
            folder: holds the trees; the mailbox lies in it.
            group: one that may read and write there, when nginx is not root's.
        """
        self._box = folder / "mailbox"
        self._state_directory = state_directory
        self._group = group
        self._clock = clock
        self._seconds = seconds
        self._known: tuple[tuple[int, int], Capabilities] | None = None

    def find(self) -> Capabilities:
        """
        Read what the script said of its nginx, as `Reloading` says.
        """
        about = self._box / "about"
        try:
            found = about.stat()
            mark = (found.st_mtime_ns, found.st_ino)
            if self._known is None or self._known[0] != mark:
                self._known = (mark, _read(about.read_bytes()[:_MOST_BYTES].decode(errors="replace")))
        except OSError as error:
            raise NginxAway(_NAME, f"nobody has told of it in {about}; {_HELP}") from error
        return self._known[1]

    async def load(self, number: int | None) -> str:
        """
        Ask for a tree and wait for the answer, as `Reloading` says.
        """
        nonce = secrets.token_hex(16)
        await in_thread(functools.partial(self._ask, nonce, number))
        try:
            answer = await self._answer(nonce)
        finally:
            await in_thread(self._withdraw)
        if answer is None:
            raise NginxAway(_NAME, f"it did not answer within {self._seconds:g} s; {_HELP}")
        result, said = answer
        match result:
            case "done":
                return said
            case "refused":
                raise NginxRefused(said)
            case "absent":
                raise NginxAway(_NAME, f"it took the configuration, and cannot be reloaded: {said}; start nginx")
            case _:
                raise NginxAway(_NAME, said)

    def _ask(self, nonce: str, number: int | None) -> None:
        text = f"nonce {nonce}\ntree {'none' if number is None else number}\nstate {self._state_directory}\n"
        shared = self._group is not None
        with durable.translated(self._box):
            durable.make_folder(self._box, mode=0o770 if shared else 0o700, group=self._group)
            durable.replace(
                self._box / "request", text.encode(), beside=self._box / ".request", mode=0o640, group=self._group
            )

    async def _answer(self, nonce: str) -> tuple[str, str] | None:
        deadline = self._clock.monotonic() + self._seconds
        while self._clock.monotonic() < deadline:
            answer = await in_thread(functools.partial(self._look, nonce))
            if answer is not None:
                return answer
            await self._clock.sleep(_POLL_SECONDS)
        return None

    def _look(self, nonce: str) -> tuple[str, str] | None:
        try:
            with (self._box / "answer").open("rb") as opened:
                text = opened.read(_MOST_BYTES).decode(errors="replace")
        except OSError:
            return None
        head, _, said = text.partition("\noutput\n")
        fields = dict(line.partition(" ")[::2] for line in head.splitlines())
        return (fields.get("result", ""), said.strip()) if fields.get("nonce") == nonce else None

    def _withdraw(self) -> None:
        with durable.translated(self._box):
            (self._box / "request").unlink(missing_ok=True)


def _read(text: str) -> Capabilities:
    """
    Read what the script writes of its nginx.

    Raises:
        NginxMissing: it makes no sense.
    """
    head, _, version = text.partition("\nversion\n")
    rows = [line.partition(" ")[::2] for line in head.splitlines()]
    fields = dict(rows)
    if fields.get("format") != "1":
        raise NginxAway(_NAME, "its script is of another version; copy the one of this Gatelodge there")
    places = (spell(place) for key, place in rows if key == "listen")
    return dataclasses.replace(
        described(version, binary=_NAME),
        dynamic={},
        ipv6=fields.get("ipv6") == "yes",
        resolvers=name_servers(head.splitlines()),
        ca_bundle=fields.get("ca-bundle"),
        strangers=frozenset(place for place in places if place is not None),
    )
