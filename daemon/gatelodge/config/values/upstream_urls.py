"""
Decides what is the URL of an upstream: the protocols that nginx speaks to a service, and the sockets by which it can be reached.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import urls
from gatelodge.config.values.texts import LONGEST_SOCKET
from gatelodge.model import Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping

PORTS: Mapping[str, int] = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443, "fastcgi": 9000}

#: Protocols whose requests carry their path as it came.
_WITHOUT_PATH = frozenset({"grpc", "grpcs", "fastcgi"})

_EXAMPLE = '"http://wiki:3000"'

#: What people write for a scheme, and what they can write instead.
_OTHERS: Mapping[str, tuple[str, str]] = {
    "ws": ("http", "websockets are passed on by themselves"),
    "wss": ("https", "websockets are passed on by themselves"),
    "h2c": ("grpc", "or http://, since nginx speaks HTTP/2 to gRPC services alone"),
    "uwsgi": ("http", "nginx speaks HTTP to uWSGI when it has `http-socket` in place of `socket`"),
    "scgi": ("http", "or fastcgi://"),
    "fcgi": ("fastcgi", "as nginx calls it"),
}

_SOCKET = re.compile(
    r"(?P<scheme>[a-z]+)://unix:(?P<socket>/[A-Za-z0-9._/@+,=~-]*)(?::(?P<path>[^?#]*))?", re.IGNORECASE
)


def upstream(text: str) -> Upstream:
    """
    Read an upstream's URL. A path in it, even a lone `/`, replaces the matched prefix, as in nginx. A unix socket is written as nginx
    has it, `http://unix:/run/app.sock`, with a path after another colon.

    Raises:
        Unreadable: it is not one.
    """
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() in _OTHERS and "@" not in text:
        instead, why = _OTHERS[scheme.lower()]
        shown = f"{instead}://{rest}" if re.fullmatch(r"[A-Za-z0-9._:/\[\]-]{1,80}", rest) else f"{instead}://…"
        raise Unreadable(f"{quoted(text)} is none that is spoken here", f'write "{shown}"; {why}')
    if mark and rest.startswith(f"{urls.SOCKET}:") and scheme.lower() in PORTS:
        return _socket(text)
    found = urls.parts(text, _EXAMPLE, tuple(PORTS))
    if found["rest"]:
        raise Unreadable(
            f"{quoted(text)} holds a query or a fragment, which an upstream cannot have",
            'end it before the "?" or "#"; the visitor\'s own query is passed on by itself',
        )
    scheme = found["scheme"].lower()
    host, port = urls.host_and_port(found["authority"], text)
    return Upstream(scheme=scheme, host=host, port=port or PORTS[scheme], path=_path(scheme, found["path"], text))


def asked(text: str) -> Upstream:
    """
    Read the URL of a service that nginx itself asks something: by HTTP.

    Raises:
        Unreadable: it is not one.
    """
    found = upstream(text)
    if found.scheme not in {"http", "https"}:
        raise Unreadable(f"{quoted(text)} is not an http or https URL", 'write one such as "http://authelia:9091"')
    return found


def _socket(text: str) -> Upstream:
    found = _SOCKET.fullmatch(text)
    socket = found["socket"].rstrip("/") if found else ""
    if found is None or not socket or len(socket) > LONGEST_SOCKET:
        raise Unreadable(
            f"nginx takes {quoted(text)} for the path of a socket",
            'write "http://unix:/run/app.sock", at most '
            f"{LONGEST_SOCKET} bytes of path, or name that host otherwise if it is one",
        )
    scheme, path = found["scheme"].lower(), found["path"] or ""
    if not urls.PATH.fullmatch(path):
        raise Unreadable(f"{quoted(text)} holds what no URL may", 'write a space as "%20", and the like')
    return Upstream(scheme=scheme, socket=socket, path=_path(scheme, path, text))


def _path(scheme: str, path: str, text: str) -> str | None:
    if path and scheme in _WITHOUT_PATH:
        raise Unreadable(
            f"{quoted(text)} has a path, which {scheme} takes from the visitor's request alone",
            f'end it before the path: "{scheme}://…"',
        )
    return path or None
