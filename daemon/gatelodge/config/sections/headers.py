"""
Decides which headers people may set: not those by which a connection is kept in order, nor those that are ours to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.config.keys import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes

#: Who reads another end of a request in them than we do can be made to read a second one (RFC 9112 §11.2).
_OF_THE_CONNECTION = dict.fromkeys(
    ("content-length", "transfer-encoding", "connection", "upgrade"),
    ("it says where a message ends, or what a connection is, and nginx alone knows that", "leave it out"),
)

#: Headers of an answer that nginx says itself, or that have a key of their own.
_OURS: Mapping[str, tuple[str, str]] = {
    "date": ("nginx says it in every answer", "leave it out"),
    "server": ("nginx says it in every answer", "leave it out; which version it is, it does not tell"),
    "alt-svc": ("it is said where HTTP/3 is spoken", "write http3 = true under [listen.443]"),
    "strict-transport-security": ("it has a key of its own", 'write hsts = "on" in the site'),
}

#: Name in lower case → the name as it was written, and the value.
Said = dict[str, tuple[str, str]]


def request(path: Path, given: Mapping[str, str], found: Mistakes) -> Said:
    """
    Return the headers that are said to an upstream.
    """
    return _said(path, given, _OF_THE_CONNECTION, found)


def response(path: Path, given: Mapping[str, str], found: Mistakes) -> Said:
    """
    Return the headers that are said to visitors.
    """
    for name, value in given.items():
        if not value:
            found.add(
                (*path, name), "it is empty, and would not be sent", "leave it out; hide_headers hides an upstream's"
            )
    return _said(path, given, {**_OF_THE_CONNECTION, **_OURS}, found)


def _said(path: Path, given: Mapping[str, str], refused: Mapping[str, tuple[str, str]], found: Mistakes) -> Said:
    said: Said = {}
    for name, value in given.items():
        if name.lower() in refused:
            problem, remedy = refused[name.lower()]
            found.add((*path, name), f"{name} cannot be set: {problem}", remedy)
        if name.lower() in said:
            found.add((*path, name), f"it is there twice, as {quoted(said[name.lower()][0])} too", "leave out one")
        said[name.lower()] = (name, value)
    return said
