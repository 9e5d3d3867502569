"""
Speaks with whoever reloads an nginx that the daemon cannot reach, through files: a request is written, and he answers it.

    BOX/request      nonce, tree, state: written here
    ANSWERS/answer   nonce, result, what nginx said: written there
    ANSWERS/about    what that nginx is, and which tree is current if he says: written there

An answer counts only with the nonce of its request. Nothing here makes a tree current, or knows who answers: `mailbox` and `helper`
do.
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

_POLL_SECONDS = 0.1

#: No answer is longer; nginx says little.
_MOST_BYTES = 256 * 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Correspondent:
    """
    Who answers: where his answers lie, what he is called in messages, what to do when he is silent, and how long he may take.
    """

    answers: Path
    nginx: str
    remedy: str
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """
    What he said of his nginx; which tree is current and the path that includes it, where he is the one who knows.
    """

    capabilities: Capabilities
    current: int | None
    entry: str | None


class Letters:
    """
    The letters between the daemon and one correspondent.
    """

    def __init__(self, *, box: Path, state_directory: str, group: int | None, clock: Clock, to: Correspondent) -> None:
        """
        Args:
            box: the folder for requests.
            group: one that may read and write there.
        """
        self._box = box
        self._state_directory = state_directory
        self._group = group
        self._clock = clock
        self._to = to
        self._known: tuple[tuple[int, int], About] | None = None

    def about(self) -> About:
        """
        Return what he said of his nginx.

        Raises:
            NginxMissing: he said nothing, or nothing that makes sense.
        """
        file = self._to.answers / "about"
        try:
            found = file.stat()
            mark = (found.st_mtime_ns, found.st_ino)
            if self._known is None or self._known[0] != mark:
                text = durable.read(file, most=_MOST_BYTES, follow=False).decode(errors="replace")
                self._known = (mark, _read(text, nginx=self._to.nginx))
        except OSError as error:
            raise NginxAway(self._to.nginx, f"nobody has told of it in {file}; {self._to.remedy}") from error
        except ValueError as error:
            raise NginxAway(
                self._to.nginx, f"what is told of it in {file} makes no sense; {self._to.remedy}"
            ) from error
        return self._known[1]

    async def ask(self, number: int | None) -> str:
        """
        Ask for a tree, or none, and return what nginx said to it.

        Raises:
            NginxRefused: it was refused.
            NginxMissing: no answer came, or nginx cannot be reloaded.
        """
        nonce = secrets.token_hex(16)
        await in_thread(functools.partial(self._write, nonce, number))
        try:
            answer = await self._answer(nonce)
        finally:
            await in_thread(self._withdraw)
        if answer is None:
            raise NginxAway(self._to.nginx, f"it did not answer within {self._to.seconds:g} s; {self._to.remedy}")
        result, said = answer
        match result:
            case "done":
                return said
            case "refused":
                raise NginxRefused(said)
            case "absent":
                raise NginxAway(
                    self._to.nginx, f"it took the configuration, and cannot be reloaded: {said}; start nginx"
                )
            case _:
                raise NginxAway(self._to.nginx, said)

    def _write(self, nonce: str, number: int | None) -> None:
        text = f"nonce {nonce}\ntree {'none' if number is None else number}\nstate {self._state_directory}\n"
        shared = self._group is not None
        with durable.translated(self._box):
            durable.make_folder(self._box, mode=0o770 if shared else 0o700, group=self._group)
            durable.replace(
                self._box / "request", text.encode(), beside=self._box / ".request", mode=0o640, group=self._group
            )

    async def _answer(self, nonce: str) -> tuple[str, str] | None:
        deadline = self._clock.monotonic() + self._to.seconds
        while self._clock.monotonic() < deadline:
            answer = await in_thread(functools.partial(self._look, nonce))
            if answer is not None:
                return answer
            await self._clock.sleep(_POLL_SECONDS)
        return None

    def _look(self, nonce: str) -> tuple[str, str] | None:
        try:
            text = durable.read(self._to.answers / "answer", most=_MOST_BYTES, follow=False).decode(errors="replace")
        except OSError:
            return None
        head, _, said = text.partition("\noutput\n")
        fields = dict(line.partition(" ")[::2] for line in head.splitlines())
        return (fields.get("result", ""), said.strip()) if fields.get("nonce") == nonce else None

    def _withdraw(self) -> None:
        with durable.translated(self._box):
            (self._box / "request").unlink(missing_ok=True)


def _read(text: str, *, nginx: str) -> About:
    """
    Read what he wrote of his nginx.

    Raises:
        NginxMissing: it makes no sense.
    """
    head, _, version = text.partition("\nversion\n")
    rows = [line.partition(" ")[::2] for line in head.splitlines()]
    fields = dict(rows)
    if fields.get("format") != "1":
        raise NginxAway(nginx, "what answers for it is of another version; put the one of this Gatelodge there")
    places = (spell(place) for key, place in rows if key == "listen")
    capabilities = dataclasses.replace(
        described(version, binary=nginx),
        dynamic={},
        ipv6=fields.get("ipv6") == "yes",
        resolvers=name_servers(head.splitlines()),
        ca_bundle=fields.get("ca-bundle"),
        strangers=frozenset(place for place in places if place is not None),
    )
    current = fields.get("current", "")
    return About(
        capabilities=capabilities,
        current=int(current) if current.isdecimal() else None,
        entry=fields.get("include"),
    )
