"""
Decides from when on a certificate that is held is to be renewed: when its CA says so, else when its dates do.
"""

from __future__ import annotations

import base64
import functools
from typing import TYPE_CHECKING

from gatelodge.core import ari, renewal
from gatelodge.core.actions import Reason

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from gatelodge.core.ari import Choice
    from gatelodge.core.observed import Held

#: So many identifiers are kept in memory.
_KNOWN = 20_000


def identifier(held: Held) -> str | None:
    """
    Return by what a CA knows a certificate (RFC 9773 §4.1): which key signed it, and its serial number. None when it does not say.
    """
    return _identifier(held.authority, held.serial) if held.authority else None


@functools.lru_cache(maxsize=_KNOWN)
def _identifier(authority: str, serial: str) -> str:
    """
    Write an identifier; kept, since every pass wants that of every certificate.
    """
    number = int(serial, 16)
    # As in DER: a first bit that is set would be a sign, so a zero byte goes before it.
    return f"{_written(bytes.fromhex(authority))}.{_written(number.to_bytes(number.bit_length() // 8 + 1, 'big'))}"


def due(
    held: Held, choices: Mapping[str, Choice], *, stored_at: dt.datetime | None = None
) -> tuple[dt.datetime, Reason]:
    """
    Return the moment from which a certificate is due, and why it is then.

    Args:
        choices: what CAs suggested, by NAME.
        stored_at: in place of the one that is written down, which a wrong clock may have dated.
    """
    stored_at = held.stored_at if stored_at is None else stored_at
    choice = choices.get(held.name)
    known = identifier(held) if choice is not None else None
    if known is not None:
        suggested = ari.renew_at(
            choice, certificate=known, not_before=held.not_before, not_after=held.not_after, stored_at=stored_at
        )
        if suggested is not None:
            return suggested, Reason.SUGGESTED
    return (
        renewal.due_at(not_before=held.not_before, not_after=held.not_after, stored_at=stored_at),
        Reason.DUE,
    )


def _written(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
