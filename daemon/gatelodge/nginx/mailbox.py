"""
Reaches an nginx in another container, or under another user, through a folder that both see: STATE/nginx/mailbox, and the script
beside that nginx (`mailbox.sh`), which answers there.

The script alone writes `current`; nothing here ever does. An answer counts only with the nonce of its request, which also proves that
it is the same folder that both see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.nginx.letters import Correspondent, Letters

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.core.tree import Capabilities
    from gatelodge.nginx.tree import Trees
    from gatelodge.ports import Clock

#: How long an answer may take: the script looks twice a second, and a test of 1 000 TLS sites takes ten seconds on a small machine.
_SECONDS = 45.0

_NAME = "the nginx beside the mailbox"
_HELP = "is its script running beside nginx, with the same state directory at the same path? (docs/external.md)"


class Mailbox:
    """
    Implements `reloading.Reloading`.
    """

    def __init__(
        self,
        *,
        folder: Path,
        trees: Trees,
        state_directory: str,
        group: int | None,
        clock: Clock,
        seconds: float = _SECONDS,
    ) -> None:
        """
        Args:
            folder: holds the trees; the mailbox lies in it.
            group: one that may read and write there, when nginx is not root's.
        """
        self._folder = folder
        self._trees = trees
        box = folder / "mailbox"
        to = Correspondent(answers=box, nginx=_NAME, remedy=_HELP, seconds=seconds)
        self._letters = Letters(box=box, state_directory=state_directory, group=group, clock=clock, to=to)

    def find(self) -> Capabilities:
        """
        Read what the script said of its nginx, as `Reloading` says.
        """
        return self._letters.about().capabilities

    def current(self) -> int | None:
        """
        Read the script's link, as `Reloading` says.
        """
        return self._trees.current()

    def entry(self) -> str:
        """
        Return a path through the script's link, as `Reloading` says.
        """
        return f"{self._folder}/current/http.con[f]"

    async def load(self, number: int | None) -> str:
        """
        Ask for a tree and wait for the answer, as `Reloading` says.
        """
        return await self._letters.ask(number)
