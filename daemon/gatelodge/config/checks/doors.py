"""
Finds addresses of the admin service on which nginx is to listen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.model import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.config.draft import Draft
    from gatelodge.config.mistakes import Mistakes


def find(draft: Draft, found: Mistakes) -> None:
    """
    Note each address that both would listen on: one of the two could not.
    """
    if found.unread(("sites",), ("streams",), ("nginx", "http_port"), ("nginx", "https_port"), ("admin", "listen")):
        return
    for wanted in draft.config.admin.listen:
        taken = next((each for each in _of_nginx(draft) if each.overlaps(wanted)), None)
        if taken is not None:
            found.add(("admin", "listen"), f"nginx listens on {taken}", "write another port")


def _of_nginx(draft: Draft) -> Iterator[Listener]:
    config = draft.config
    if config.nginx.http_port:
        yield Listener(port=config.nginx.http_port)
    for site in config.sites.values():
        yield from site.listeners
    for stream in config.streams.values():
        yield from stream.stream.listeners
