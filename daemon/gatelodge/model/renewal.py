"""
When a CA would have a certificate replaced (RFC 9773), and why one is given up (RFC 5280 §5.3.1).
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RenewalWindow:
    """
    The time within which a CA suggests to replace a certificate (RFC 9773 §4.2). It ends after it starts.
    """

    start: dt.datetime
    end: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RenewalInfo:
    """
    What a CA says of a certificate's renewal. `certificate` is the certificate's identifier (RFC 9773 §4.1), which an order names
    as the one it replaces. `window` is None when the CA gave none that makes sense. `explanation` is a page for people about why
    the window is where it is. `retry_after` is when to ask again.
    """

    certificate: str
    window: RenewalWindow | None = None
    explanation: str | None = None
    retry_after: dt.timedelta | None = None


class RevocationReason(enum.StrEnum):
    """
    Why a certificate is revoked: the reasons of RFC 5280 §5.3.1 that CAs take from who holds a certificate.
    """

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"

    @property
    def code(self) -> int:
        """
        Its number.
        """
        return _CODES[self]


_CODES = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
    RevocationReason.PRIVILEGE_WITHDRAWN: 9,
}
