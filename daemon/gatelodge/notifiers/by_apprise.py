"""
Sends messages through apprise (extra `gatelodge[notify]`), which knows a hundred services, each by a URL.

In a process of its own, for each message: loading apprise takes 43 MB and a quarter of a second (2.3.0, Python 3.11, x86-64), and a daemon that has
something to say once a month need not hold that. The URL goes there by standard input, never by an argument that others can see.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import TYPE_CHECKING

from gatelodge import programs
from gatelodge.credentials import fetch
from gatelodge.errors import NotSent, SecretMissing

if TYPE_CHECKING:
    from gatelodge.core.delivery import Message
    from gatelodge.model import SecretRef

#: What to do when it is not there.
INSTALL = "pip install 'gatelodge[notify]'"

_SECONDS = 60.0


def is_installed() -> bool:
    """
    Tell whether messages can be sent from here.
    """
    return importlib.util.find_spec("apprise") is not None


class ByApprise:
    """
    Implements `ports.Notifier` for one URL.
    """

    def __init__(self, *, url: SecretRef, seconds: float = _SECONDS) -> None:
        self._url = url
        self._seconds = seconds

    async def send(self, message: Message) -> None:
        """
        Send a message, as `ports.Notifier` says.
        """
        if not is_installed():
            raise NotSent(f"apprise is not installed, by which messages are sent; {INSTALL}")
        try:
            url = fetch(self._url).reveal()
        except SecretMissing as error:
            raise NotSent(str(error)) from error
        given = {"url": url, "title": message.title, "text": message.text, "level": message.level}
        try:
            ran = await programs.run(
                (sys.executable, "-m", "gatelodge.notifiers"), seconds=self._seconds, given=json.dumps(given).encode()
            )
        except TimeoutError:
            raise NotSent(f"the service did not answer within {self._seconds:g} s") from None
        except OSError as error:
            raise NotSent(f"no process can be started: {error.strerror}") from error
        if ran.status:
            # What stands on stderr may be anything, also the URL.
            raise NotSent(_why(ran.out) or f"apprise failed (status {ran.status})")


def _why(output: bytes) -> str:
    try:
        return str(json.loads(output)["why"])
    except (ValueError, KeyError, TypeError):
        return ""
