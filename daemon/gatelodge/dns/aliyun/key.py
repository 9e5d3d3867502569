"""
An AccessKey, and what is said of one that cannot be right. No text here ever holds a part of it.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Protocol

from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    from gatelodge.model import Secret

#: What the file of SWAG and certbot-dns-aliyun holds before anybody has written into it.
_SAMPLES = frozenset({"12345678", "1234567890abcdef1234567890abcdef"})

_PLAIN = re.compile(r"[\x21-\x7e]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """
    An AccessKey pair, with its token when it is a temporary one.
    """

    id: Secret
    secret: Secret
    token: Secret | None = None


class Keys(Protocol):
    """
    Where the key comes from.
    """

    async def get(self) -> Key:
        """
        Return the key to sign with now.

        Raises:
            DnsError: it is not where the configuration says, or cannot be had now.
        """
        ...

    def refused(self) -> bool:
        """
        Hear that Alidns refused the token. Returns whether asking again may give another one.
        """
        ...


def checked(value: Secret, where: str) -> Secret:
    """
    Return a value that may be right.

    Raises:
        DnsError: it is a sample, or cannot be sent.
    """
    if value.reveal() in _SAMPLES:
        raise missing(f"{where} is still the sample; write your own AccessKey in its place")
    if not _PLAIN.fullmatch(value.reveal()):
        raise missing(f"{where} holds spaces or other characters that no AccessKey has; copy it again, alone")
    return value


def missing(detail: str) -> DnsError:
    """
    Say that there is no key to use.
    """
    return DnsError(Problem(type="dnsCredentials", detail=detail))
