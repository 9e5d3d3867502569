"""
Decides whose a file of ours may be that others read: its owner, its mode, its name.
"""

from __future__ import annotations

import re

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import texts

_NUMBER = re.compile(r"[0-9]{1,9}")
_MODE = re.compile(r"0?[0-7]{3}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")


def owner(text: str) -> str:
    """
    Read the name of a user or group, or its number, which need not be known on this machine.

    Raises:
        Unreadable: it is neither.
    """
    return text if _NUMBER.fullmatch(text) else texts.user(text)


def mode(text: str) -> int:
    """
    Read the mode of a file, in octal.

    Raises:
        Unreadable: it is none, or its owner could not read the file.
    """
    if not _MODE.fullmatch(text):
        raise Unreadable(f"{quoted(text)} is no mode of a file", 'write three octal digits after a 0, such as "0640"')
    found = int(text, 8)
    if not found & 0o400 or found & 0o111:
        raise Unreadable(f"{quoted(text)} is for no file that is to be read", 'write one such as "0640"')
    return found


def written_file(text: str) -> str:
    """
    Read the name of a file that is written into a folder of others.

    Raises:
        Unreadable: it is a path, or hidden, or none.
    """
    if not _FILE_NAME.fullmatch(text):
        raise Unreadable(f"{quoted(text)} is not the name of a file", 'write one such as "mail.pem", without a folder')
    return text
