"""
Reads what somebody else's configuration says, as far as ours must know: on which addresses he has servers.

Pure: text in, words out. Of his text nothing else is looked at, and nothing is kept.
"""

from __future__ import annotations

import re

_FILE = re.compile(r"^# configuration file (?P<path>/.+):$")
_COMMENT = re.compile(r"(?:^|(?<=[\s;{}]))#.*")
_LISTEN = re.compile(r"(?:^|[\s;{}])listen\s+(?P<place>[^\s;]+)[^;]*;")

_PLAIN = "80"


def listening(dump: str, *, ours: str) -> frozenset[str]:
    """
    Return the addresses on which servers listen, as nginx writes them, by what `nginx -T` said.

    Args:
        ours: the folder whose files are ours, and do not count.
    """
    places: set[str] = set()
    mine = False
    for line in dump.splitlines():
        if file := _FILE.match(line):
            mine = file["path"].startswith(f"{ours}/")
        elif not mine:
            places.update(match["place"] for match in _LISTEN.finditer(_COMMENT.sub("", line)))
    return frozenset(spelled for place in places if (spelled := spell(place)))


def spell(place: str) -> str | None:
    """
    Return the address of a `listen` as we write it, so that the two can be compared; None for what we never listen on.
    """
    place = place.strip("\"'")
    if place.startswith("unix:"):
        return None
    host, _, port = place.rpartition(":") if re.search(r":\d+$", place) else (place, "", "")
    if not port and host.isdecimal():
        host, port = "", host
    host, port = "" if host in {"*", "0.0.0.0"} else host, port or _PLAIN  # noqa: S104 - how it may be written there
    return f"{host}:{port}" if host else port
