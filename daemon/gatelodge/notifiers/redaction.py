"""
Takes everything that a service's URL holds out of what was said about it: tokens stand anywhere in such URLs, even in the place of the host.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

#: Shorter parts are no secrets, and would be found in every other word.
_LEAST = 4

_SEPARATORS = re.compile(r"[/:@?&=+,;#\s]+")

#: Words of a connection that failed, which tell no more than that.
_REASONS = (
    re.compile(r"\[Errno -?[0-9]+\] ([A-Za-z][A-Za-z ]+)"),
    re.compile(r"(certificate verify failed: [A-Za-z -]+)"),
    re.compile(r"((?:[Rr]ead |[Cc]onnection )?timed out)"),
    re.compile(r"(error=[0-9]{3})"),
)


def without(url: str, text: str) -> str:
    """
    Return a text about a URL, with `…` in place of each part of it, in letters of either size: libraries write hosts in small ones.
    """
    found = {part for piece in (url, unquote(url)) for part in _SEPARATORS.split(piece.partition("://")[2])}
    for part in sorted(found, key=len, reverse=True):
        if len(part) >= _LEAST:
            text = re.sub(re.escape(part), "…", text, flags=re.IGNORECASE)
    return text


def reason(lines: list[str]) -> str:
    """
    Return why a service could not be reached, out of what apprise logs about it; empty when it does not say.
    """
    found = [match[1].strip() for line in lines for pattern in _REASONS if (match := pattern.search(line))]
    return "; ".join(dict.fromkeys(found))
