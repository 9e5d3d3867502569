"""
Reaches an nginx whose master is root while the daemon is not, through a helper of root's (`gatelodge.rootside`) that does not trust
the daemon.

The daemon writes STATE/nginx/mailbox/request and nothing else; the helper takes it away and answers in a folder of root's. nginx reads
the helper's checked copies, never the trees themselves, so which of them is current is known from what the helper says alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.errors import NginxMissing
from gatelodge.nginx.letters import Correspondent, Letters

if TYPE_CHECKING:
    from gatelodge.core.tree import Capabilities
    from gatelodge.ports import Clock

#: Where the helper's unit has it answer, and keep its copies.
ANSWERS = Path("/run/gatelodge-nginx")
COPIES = "/var/lib/gatelodge-nginx"

#: How long an answer may take: the helper gives nginx 45 s for a test and as much for a reload.
_SECONDS = 100.0

_NAME = "the nginx behind the helper"
_HELP = "is gatelodge-nginx.path enabled and started, and what does journalctl -u gatelodge-nginx say? (docs/helper.md)"


class Helper:
    """
    Implements `reloading.Reloading`.
    """

    def __init__(
        self, *, folder: Path, state_directory: str, clock: Clock, answers: Path = ANSWERS, seconds: float = _SECONDS
    ) -> None:
        """
        Args:
            folder: holds the trees; requests are written in it.
            answers: the helper's own folder.
        """
        to = Correspondent(answers=answers, nginx=_NAME, remedy=_HELP, seconds=seconds)
        self._letters = Letters(box=folder / "mailbox", state_directory=state_directory, group=None, clock=clock, to=to)

    def find(self) -> Capabilities:
        """
        Read what the helper said of its nginx, as `Reloading` says.
        """
        return self._letters.about().capabilities

    def current(self) -> int | None:
        """
        Read what the helper said is current, as `Reloading` says.
        """
        try:
            return self._letters.about().current
        except NginxMissing:
            return None

    def entry(self) -> str:
        """
        Return what the helper said is to be included, as `Reloading` says.
        """
        try:
            said = self._letters.about().entry
        except NginxMissing:
            said = None
        return said or f"{COPIES}/current/http.con[f]"

    async def load(self, number: int | None) -> str:
        """
        Ask for a tree and wait for the answer, as `Reloading` says.
        """
        return await self._letters.ask(number)
