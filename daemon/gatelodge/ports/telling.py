"""
Services that messages are sent to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gatelodge.core.delivery import Message


class Notifier(Protocol):
    """
    One service, for one person or group.
    """

    async def send(self, message: Message) -> None:
        """
        Send a message. When this returns, the service has taken it.

        Raises:
            NotSent: it has not, as far as is known. The text says why, and holds no secret.
        """
        ...
