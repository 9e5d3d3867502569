"""
What documents may be called, and the file name that a key is given: pure, and the same for every store of documents.

A file name is readable where it can be and never escapes its folder; what a key was is written in the document, not guessed from
the name.
"""

from __future__ import annotations

import hashlib
import re
import urllib.parse

#: File systems take 255 bytes (NAME_MAX); the rest is for the suffix and for a name beside it while it is written.
_LONGEST = 200

_KIND = re.compile(r"[a-z][a-z0-9-]*(/[a-z][a-z0-9-]*)*")


def check_kind(kind: str) -> str:
    """
    Return a kind, which is also a path: words of small letters with `/` between them.

    Raises:
        ValueError: it is something else.
    """
    if not _KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is no kind of document: small letters, digits and '-', with '/' between words")
    return kind


def check_key(key: str) -> str:
    """
    Return a key.

    Raises:
        ValueError: it holds a control character, or is no text that can be written down.
    """
    if any(character < " " or "\x7f" <= character < "\xa0" for character in key):
        raise ValueError(f"{key!r} cannot be the key of a document: it holds a control character")
    key.encode()
    return key


def file_name(key: str) -> str:
    """
    Return the name of a key's file: percent-encoded where it is unusual, cut and told apart by its hash where it is long.

    `%` alone and `%%` cannot come out of the encoding, so no two keys share a name.
    """
    quoted = urllib.parse.quote(check_key(key), safe="") or "%"
    if quoted.startswith("."):
        quoted = f"%2E{quoted[1:]}"
    if len(quoted) > _LONGEST:
        quoted = f"{quoted[: _LONGEST - 66]}%%{hashlib.sha256(key.encode()).hexdigest()}"
    return f"{quoted}.json"
