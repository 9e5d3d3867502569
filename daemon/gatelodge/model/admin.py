"""
The words of the admin service: where it answers, and to whom.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatelodge.model.nginx import Listener
    from gatelodge.model.secret import SecretRef

#: The fewest characters of a token. Sixteen random ones cannot be guessed at the pace that the service allows; fewer are seldom random.
LEAST_TOKEN = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """
    Where the admin service answers besides its sockets, each an address with a port, and what is to be sent there. Without a `token`
    nothing is in `listen`.
    """

    listen: tuple[Listener, ...] = ()
    token: SecretRef | None = None
