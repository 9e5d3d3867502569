"""
Reads `[admin]`: where the admin service answers besides its sockets, and which token opens it there.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from gatelodge.model import LEAST_TOKEN, AdminSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.config.document.tables import AdminTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.model import Listener

_LISTEN: Path = ("admin", "listen")
_TOKEN: Path = ("admin", "token")

#: What to do about a token that is too short.
LONGER = "write a long random one, as `openssl rand -hex 32` prints it"


def read(table: AdminTable, found: Mistakes) -> AdminSettings:
    """
    Return the settings, as far as they could be read.
    """
    listen = tuple(dict.fromkeys(table.listen or ()))
    if table.listen == ():
        found.add(_LISTEN, "it is empty", 'write "127.0.0.1:9180", or leave it out for the sockets alone')
    if listen and table.token is None and not found.unread(_TOKEN):
        found.add(
            _LISTEN,
            "whoever reaches this address could do everything: there is no token",
            'write token = { file = "/…" } or { env = "NAME" } under [admin]',
        )
    if table.token is not None and table.listen is None and not found.unread(_LISTEN):
        found.warn(
            _TOKEN, "nobody is asked for it: the sockets need none", 'write listen = "127.0.0.1:9180", or leave it out'
        )
    literal = table.token.literal if table.token is not None else None
    if literal is not None and len(literal.reveal()) < LEAST_TOKEN:
        found.add(_TOKEN, f"it has fewer than {LEAST_TOKEN} characters", LONGER)
    elif literal is not None and not _can_be_sent(literal.reveal()):
        found.add(_TOKEN, "it holds what cannot be sent in a header", LONGER)
    for each in listen:
        _warn_of_plain_http(each, found)
    return AdminSettings(listen=listen if table.token is not None else (), token=table.token)


def exposed(settings: AdminSettings) -> Iterator[str]:
    """
    Yield the key under which the token stands in the file itself.
    """
    if settings.token is not None and settings.token.literal is not None:
        yield "admin.token"


def _can_be_sent(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token


def _warn_of_plain_http(listener: Listener, found: Mistakes) -> None:
    if not ipaddress.ip_address(listener.address).is_loopback:
        found.warn(
            _LISTEN,
            f"{listener} is reached from elsewhere, in plain http: whoever is on the way reads the token",
            f'write "127.0.0.1:{listener.port}" and put it behind a site, or be sure of the network',
        )
