"""
Asks nginx, as a visitor would, which generation it serves and which certificates it shows. Blocks; decides nothing.

Nobody is trusted here: it is nginx itself that is asked, on this machine, and what it shows is compared by its fingerprint.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatelodge.core.observed import Connections
from gatelodge.model import INTERNAL_HOST
from gatelodge.nginx.writing.prelude import GENERATION_PATH, STATUS_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from gatelodge.core.tree import Served

_SECONDS = 5
_AT_ONCE = 8
_LONGEST_ANSWER = 4096

#: What OpenSSL calls the alert of a listener that speaks TLS 1.3 alone: nobody comes there who takes RSA alone.
_NEWER_ONLY = "TLSV1_ALERT_PROTOCOL_VERSION"

#: What a listener that speaks the PROXY protocol waits for first; it says nothing of who comes
#: (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt §2.1).
_PROXY = b"PROXY UNKNOWN\r\n"
_REQUEST = "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"

#: What `stub_status` says (http://nginx.org/en/docs/http/ngx_http_stub_status_module.html).
_STATUS = re.compile(
    rb"Active connections: (?P<active>\d+)\s+server accepts handled requests\s+(?P<accepted>\d+) (?P<handled>\d+) (?P<requests>\d+)\s+"
    rb"Reading: (?P<reading>\d+) Writing: (?P<writing>\d+) Waiting: (?P<waiting>\d+)\s*"
)

#: Whoever wants to know how many visitors there are does not wait long. Seconds.
_STATUS_SECONDS = 2


def ask_generation(origin: str, *, proxied: bool = False) -> int | None:
    """
    Return the generation that nginx says it serves, or None when it says none.

    Args:
        proxied: connections there begin with a PROXY header.
    """
    try:
        return int(_asked(origin, GENERATION_PATH, proxied=proxied) or b"")
    except (OSError, ValueError):
        return None


def ask_connections(origin: str, *, proxied: bool = False) -> Connections | None:
    """
    Return how many visitors nginx says it has, or None when it does not say.

    Args:
        proxied: connections there begin with a PROXY header.
    """
    try:
        answer = _asked(origin, STATUS_PATH, proxied=proxied, seconds=_STATUS_SECONDS)
    except (OSError, ValueError):
        return None
    found = _STATUS.fullmatch(answer) if answer is not None else None
    return Connections(**{key: int(value) for key, value in found.groupdict().items()}) if found else None


def _asked(origin: str, path: str, *, proxied: bool, seconds: float = _SECONDS) -> bytes | None:
    """
    Return what nginx tells at a path; None when it tells nothing.
    """
    url = urlsplit(origin)
    with _connected((url.hostname, url.port), proxied=proxied, seconds=seconds) as plain:
        if url.scheme == "http":
            return _ask(plain, path)
        with _trust().wrap_socket(plain, server_hostname=INTERNAL_HOST) as secured:
            return _ask(secured, path)


@contextlib.contextmanager
def _connected(
    place: tuple[str | None, int | None], *, proxied: bool, seconds: float = _SECONDS
) -> Iterator[socket.socket]:
    with socket.create_connection(place, timeout=seconds) as plain:
        if proxied:
            plain.sendall(_PROXY)
        yield plain


def _ask(connection: socket.socket, path: str) -> bytes | None:
    connection.sendall(_REQUEST.format(path=path, host=INTERNAL_HOST).encode())
    answer = b""
    while len(answer) < _LONGEST_ANSWER and (part := connection.recv(_LONGEST_ANSWER)):
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if head.startswith(b"HTTP/1.1 200 ") else None


def find_unserved(
    served: Collection[Served], *, address: str, too_late: Callable[[], bool] = lambda: False
) -> dict[Served, str]:
    """
    Return the certificates that nginx does not show, and what it does instead; nothing is said of those not asked for.

    Args:
        address: where listeners without an address are reached.
        too_late: once it says so, no more are asked for.
    """
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="proof") as threads:
        answers = threads.map(functools.partial(_look, address=address, too_late=too_late), served)
        return {each: problem for each, problem in zip(served, answers, strict=True) if problem is not None}


def _look(served: Served, *, address: str, too_late: Callable[[], bool]) -> str | None:
    if too_late():
        return ""
    place = (served.listener.address or address, served.listener.port)
    if not served.certificate:
        return _knock(place)
    try:
        with (
            _connected(place, proxied=served.proxy_protocol) as plain,
            _trust(rsa=served.rsa).wrap_socket(plain, server_hostname=served.server_name) as secured,
        ):
            shown = secured.getpeercert(binary_form=True) or b""
    except OSError as error:
        if served.rsa and isinstance(error, ssl.SSLError) and error.reason == _NEWER_ONLY:
            return None
        return f"no TLS connection: {error.strerror or error}"
    fingerprint = hashlib.sha256(shown).hexdigest()
    return None if fingerprint == served.fingerprint else f"another certificate ({fingerprint[:16]}…)"


def _knock(place: tuple[str, int]) -> str | None:
    try:
        with socket.create_connection(place, timeout=_SECONDS):
            return None
    except OSError as error:
        return f"nobody listens: {error.strerror or error}"


@functools.cache
def _trust(*, rsa: bool = False) -> ssl.SSLContext:
    """
    Return a visitor who trusts everybody, and with `rsa` one who takes no other certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if rsa:
        # Only in TLS 1.2 does a cipher say which kind of certificate it goes with (RFC 5246 §A.5, "Au" in openssl-ciphers(1)).
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aRSA")
    return context
