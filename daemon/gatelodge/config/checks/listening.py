"""
Finds what `[listen]` says of listeners that are not there, or are of another kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.config.shape import Tls
from gatelodge.model import Listener

if TYPE_CHECKING:
    from gatelodge.config.document.tables import ListenTable
    from gatelodge.config.draft import Draft
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes


def find(draft: Draft, found: Mistakes) -> None:
    """
    Look at every entry of `[listen]`.
    """
    if found.unread(("sites",), ("streams",), ("nginx", "http_port"), ("nginx", "https_port")):
        return
    plain = draft.config.nginx.http_port
    opened = {Listener(port=plain): False} if plain else {}
    for site in draft.config.sites.values():
        opened |= dict.fromkeys(site.listeners, site.tls is not Tls.OFF)
    streams = {listener: section for section in draft.config.streams.values() for listener in section.stream.listeners}
    opened |= {listener: section.tls is not Tls.OFF for listener, section in streams.items() if not listener.udp}
    for listener, table in draft.listen.items():
        path: Path = ("listen", str(listener))
        if listener not in opened:
            near = [str(each) for each in opened if each.port == listener.port] or [str(each) for each in opened]
            found.add(path, f"nothing listens on {listener}", f"write {', '.join(near)}" if near else "leave it out")
        elif not opened[listener]:
            _plain(path, table, found)
        elif listener in streams and table.http3:
            found.add((*path, "http3"), f"the stream {streams[listener].stream.name} speaks no HTTP", "leave it out")


def _plain(path: Path, table: ListenTable, found: Mistakes) -> None:
    for key in ("tls_profile", "http3"):
        if getattr(table, key):
            found.add((*path, key), "this listener has no TLS", "leave it out, or write it for one that has")
