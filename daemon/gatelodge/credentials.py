"""
Fetches a secret from where the configuration says it is, each time it is needed: a changed file is a changed secret.

Nothing is kept and nothing is shown: an error names the file or the variable, never what is in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge import durable
from gatelodge.errors import SecretMissing
from gatelodge.model import LEAST_TOKEN, Secret

if TYPE_CHECKING:
    from gatelodge.model import SecretRef

#: No key or token is longer; a larger file was named by mistake.
_MOST_BYTES = 64 * 1024


def fetch(ref: SecretRef) -> Secret:
    """
    Return a secret, without the white space around it.

    Raises:
        SecretMissing: it is not there, or cannot be read.
    """
    if ref.literal is not None:
        return ref.literal
    if ref.env is not None:
        value, where = os.environ.get(ref.env, ""), f"the environment variable {ref.env}"
    else:
        value, where = _content(ref.file or ""), ref.file or ""
    if not value.isascii() and not _is_text(value):
        raise SecretMissing(where, "is not text", "give it in UTF-8")
    if not value.strip():
        raise SecretMissing(where, "is empty or not set", "give it to the daemon, and to it alone")
    return Secret(value.strip())


def admin_token(ref: SecretRef) -> Secret:
    """
    Return the token of the admin service.

    Raises:
        SecretMissing: it is not there, cannot be read, or is too short.
    """
    token, where = fetch(ref), ref.file or f"the environment variable {ref.env}"
    if len(token.reveal()) < LEAST_TOKEN:
        raise SecretMissing(
            where,
            f"holds fewer than {LEAST_TOKEN} characters",
            "put a long random token there, as `openssl rand -hex 32` prints it",
        )
    return token


def _is_text(value: str) -> bool:
    """
    Tell whether a value can be written down: a variable of any bytes cannot (PEP 383).
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _content(file: str) -> str:
    try:
        return durable.read(Path(file), most=_MOST_BYTES).decode()
    except OSError as error:
        raise SecretMissing(
            file, f"cannot be read: {error.strerror}", "make it readable by the daemon's user, and by nobody else"
        ) from error
    except UnicodeDecodeError:
        raise SecretMissing(
            file, "is not text", "name a file that holds the secret alone"
        ) from None  # it quotes the secret
