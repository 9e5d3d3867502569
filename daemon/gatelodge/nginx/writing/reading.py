"""
Reads back what a text of ours names: the versions of certificates, the listeners and our password files.

A site or stream that is kept back stays at an older text, which may name what nobody asks for any more. It reads only what
`nginx.quote` wrote.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import TYPE_CHECKING

from gatelodge.model import Listener
from gatelodge.nginx.writing.remembering import Remembering

if TYPE_CHECKING:
    from gatelodge.core.tree import VersionRef

_REFERENCE = re.compile(r'^ +ssl_certificate "?(?:.*/)?([^/\n]+)/versions/(\d+)/fullchain\.pem"?;$', re.MULTILINE)
_PASSWORDS = re.compile(r'^ +auth_basic_user_file "?(?:.*/)?auth/([^/\n]+\.[0-9a-f]{16})"?;$', re.MULTILINE)
_LISTEN = re.compile(r'^ +listen "?(?:\[([0-9a-f:.]+)\]:|([0-9.]+):)?(\d+)"?((?: \w+)*);$', re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """
    What a text names, and the text's digest.
    """

    digest: str
    references: frozenset[VersionRef]
    plain: frozenset[Listener]
    tls: frozenset[Listener]
    passwords: frozenset[str]

    @property
    def asked(self) -> frozenset[Listener]:
        """
        The listeners that the site itself asks for: those on one address may only be there for the sake of its port.
        """
        every = self.plain | self.tls
        return frozenset(each for each in every if not any(other != each and other.includes(each) for other in every))


@Remembering
def read(text: str) -> Named:
    """
    Say what a text of ours names.
    """
    opened = [
        (Listener(port=int(port), address=_address(six, four), udp="udp" in words.split()), "ssl" in words.split())
        for six, four, port, words in _LISTEN.findall(text)
        if "quic" not in words.split()
    ]
    return Named(
        digest=digest(text),
        references=frozenset((name, int(version)) for name, version in _REFERENCE.findall(text)),
        plain=frozenset(listener for listener, tls in opened if not tls),
        tls=frozenset(listener for listener, tls in opened if tls),
        passwords=frozenset(_PASSWORDS.findall(text)),
    )


def digest(*texts: str) -> str:
    """
    Return a short hash of texts.
    """
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _address(six: str, four: str) -> str:
    # `[::]:443` is written beside `443` for a listener without an address.
    return "" if six == "::" else six or four
